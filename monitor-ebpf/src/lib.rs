//! Nothing. It is here so that `monitor` can name this crate as a build dependency; the programs are
//! the binary, in `main.rs`.
#![no_std]
