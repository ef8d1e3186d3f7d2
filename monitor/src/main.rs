//! The program. Everything is in the library; this gives it the arguments and takes the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    monitor::cli::run()
}
