//! The file under the journal, and the seam where tests put a worse disk.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// What the journal needs of a disk.
pub trait Storage: Send + 'static {
    /// Reads from the start.
    ///
    /// # Errors
    /// The disk's.
    fn reader(&mut self) -> io::Result<Box<dyn Read + '_>>;

    /// Drops everything from `length` on, durably.
    ///
    /// # Errors
    /// The disk's.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Writes at the end. Not durable before [`Storage::sync`].
    ///
    /// # Errors
    /// The disk's; how much was written is then unknown.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// The disk's; what is durable is then unknown.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that only this process writes.
#[derive(Debug)]
pub struct Disk {
    file: File,
}

impl Disk {
    /// Opens or creates the file, readable by its owner only, and locks it.
    ///
    /// # Errors
    /// The file system's, or `WouldBlock` when another process has the journal.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        file.try_lock().map_err(|error| {
            io::Error::new(
                io::ErrorKind::WouldBlock,
                format!("another process uses {}: {error}", path.display()),
            )
        })?;
        // The new name is durable before anything in the file counts.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { file })
    }
}

impl Storage for Disk {
    fn reader(&mut self) -> io::Result<Box<dyn Read + '_>> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(Box::new(BufReader::with_capacity(64 * 1024, &self.file)))
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.sync_all()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
