//! Where a test kills the node: before and after each of a ceremony's durable writes.
//!
//! A test puts the file `crash-at` with a number k into the node's directory; at the k-th of these places from then on the process
//! kills itself, as `kill -9` does, and the file is gone. In a release build there is no such place: this module is
//! compiled with debug assertions only.

use std::path::Path;
use std::process::Command;

/// The file's name.
pub(super) const FILE: &str = "crash-at";

/// One of the places.
pub(super) fn point(directory: &Path) {
    let file = directory.join(FILE);
    let Ok(text) = std::fs::read_to_string(&file) else {
        return;
    };
    let left = text.trim().parse::<u32>().unwrap_or(1);
    if left > 1 {
        let _ = std::fs::write(&file, (left - 1).to_string());
        return;
    }
    let _ = std::fs::remove_file(&file);
    // The signal comes from outside, and nothing of this process runs after it.
    let _ = Command::new("sh").args(["-c", "kill -9 $PPID"]).status();
}
