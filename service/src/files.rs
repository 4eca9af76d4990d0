//! Files that are either the old or the new, whatever happens in between.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(test)]
mod tests;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// Its owner alone: mode 0600.
    Secret,
    /// Whoever the umask lets: mode 0644.
    Public,
}

impl Secrecy {
    fn mode(self) -> u32 {
        match self {
            Self::Secret => 0o600,
            Self::Public => 0o644,
        }
    }
}

/// Replaces the file at `path` by one with these bytes, durably: after a return without error the new
/// contents survive a loss of power; after an error, or a crash at any point, the old ones are still there.
///
/// Writes a temporary file in the same folder, syncs it, renames it, syncs the folder. Blocks.
///
/// # Errors
/// Whatever the file system answers; the temporary file is then removed.
pub fn write_atomically(path: &Path, contents: &[u8], secrecy: Secrecy) -> io::Result<()> {
    let folder = parent(path);
    let temporary = temporary_name(path)?;
    let written =
        write_and_sync(&temporary, contents, secrecy).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to report; the name is unique, so a leftover is only litter.
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    File::open(folder)?.sync_all()
}

/// Whether there is a file, or a link that leads nowhere at the moment, as to a medium that is not mounted. Blocks.
///
/// What is not there may be made; what cannot be looked for, or lies behind such a link, must not be made anew.
///
/// # Errors
/// When that cannot be said, as when a folder above it cannot be entered.
pub fn is_there(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The folder of `path`, which for a bare file name is the current one.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A name beside `path` that no other write of this or another process uses.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(
        ".{}.{}.tmp",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ));
    Ok(parent(path).join(temporary))
}

fn write_and_sync(path: &Path, contents: &[u8], secrecy: Secrecy) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(secrecy.mode())
        .open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}
