//! The `quorate` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate::main_with(std::env::args_os())
}
