//! `quorate` itself, built together with the tests: what they start is never older than what they test.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate::main_with(std::env::args_os())
}
