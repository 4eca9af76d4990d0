//! Encrypted objects on this machine. The store is trusted for nothing: objects are encrypted, authenticated
//! chunk by chunk, and checked against the checksum on the chain.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use envelope::ObjectId;
use rand_core::{CryptoRng, RngCore};
use tempfile::NamedTempFile;

use crate::error::Error;

/// A directory of encrypted objects, each named by its random id.
#[derive(Debug, Clone)]
pub(crate) struct ObjectStore(PathBuf);

impl ObjectStore {
    pub(crate) fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// A new object: written beside its place, and in place only when it is complete and on the disk.
    pub(crate) fn create(&self) -> Result<NewObject, Error> {
        let doing = || format!("writing to {}", self.0.display());
        fs::create_dir_all(&self.0).map_err(Error::io(doing()))?;
        let file = NamedTempFile::new_in(&self.0).map_err(Error::io(doing()))?;
        Ok(NewObject(BufWriter::new(file)))
    }

    /// Puts a complete object in its place.
    pub(crate) fn keep(&self, object: NewObject, id: &ObjectId) -> Result<(), Error> {
        let doing = || format!("writing to {}", self.0.display());
        let file = object
            .0
            .into_inner()
            .map_err(|error| Error::io(doing())(error.into_error()))?;
        file.as_file().sync_all().map_err(Error::io(doing()))?;
        file.persist_noclobber(self.place(id))
            .map_err(|error| Error::io(doing())(error.error))?;
        File::open(&self.0)
            .and_then(|directory| directory.sync_all())
            .map_err(Error::io(doing()))
    }

    /// Removes an object that was kept. One that cannot be removed is of no use, and does no harm.
    pub(crate) fn remove(&self, id: &ObjectId) {
        fs::remove_file(self.place(id)).ok();
    }

    /// An object's encrypted bytes.
    pub(crate) fn open(&self, id: &ObjectId) -> Result<BufReader<File>, Error> {
        let place = self.place(id);
        let file = File::open(&place).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Object(format!("it is not at {}", place.display())),
            _ => Error::Io {
                doing: format!("reading {}", place.display()),
                source: error,
            },
        })?;
        Ok(BufReader::new(file))
    }

    // The id comes from the material, so the document's writer chose it; its type keeps it inside the store.
    fn place(&self, id: &ObjectId) -> PathBuf {
        self.0.join(id.as_str())
    }
}

/// A fresh id: 128 random bits.
pub(crate) fn new_id(rng: &mut (impl RngCore + CryptoRng)) -> Result<ObjectId, Error> {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    hex::encode(bytes)
        .parse()
        .map_err(|error: envelope::Error| Error::Object(error.to_string()))
}

/// An object being written.
#[derive(Debug)]
pub(crate) struct NewObject(BufWriter<NamedTempFile>);

impl Write for NewObject {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
