//! The compiled plan against what the rules mean, and against its limits.

mod agreement;
mod corners;
mod hosts;
mod limits;
mod lists;
mod making;
mod shown;
mod signs;
mod size;
