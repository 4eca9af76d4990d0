//! Encrypt a stream: write plaintext in, encrypted chunks come out.

use std::io::{self, Write};

use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::checksum::{Checksum, Hasher};
use crate::layout::{CHUNK_SIZE, ENCRYPTED_CHUNK_SIZE, SALT_SIZE, encrypted_length};
use crate::schedule::{ChunkCipher, derive};
use crate::{Error, ObjectKey};

/// Encrypts what is written to it into `W`, holding one chunk in memory.
///
/// [`finish`](Self::finish) writes the final chunk. An encryptor dropped before that leaves an object that every
/// decryptor refuses as truncated.
pub struct Encryptor<W: Write> {
    writer: W,
    cipher: ChunkCipher,
    /// Plaintext of the chunk being filled; wiped when dropped.
    buffer: Zeroizing<Vec<u8>>,
    chunk: u64,
    plaintext_bytes: u64,
    encrypted_bytes: u64,
    hasher: Hasher,
    failed: bool,
}

/// What is known when an object has been written to its end.
#[derive(Debug)]
#[must_use]
pub struct Finished<W> {
    /// The underlying writer; flushed, but not synced to a disk.
    pub writer: W,
    /// SHA-256 of all encrypted bytes: it goes on the chain.
    pub checksum: Checksum,
    /// Bytes of plaintext taken in.
    pub plaintext_bytes: u64,
    /// Bytes of the encrypted object.
    pub encrypted_bytes: u64,
}

impl<W: Write> Encryptor<W> {
    /// Draw a salt and write the header. `context` is bound into the key derivation and must be given
    /// again to decrypt; see [`object_context`](crate::object_context).
    ///
    /// # Errors
    /// What the writer reports.
    pub fn new(
        writer: W,
        key: &ObjectKey,
        context: &[u8],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, Error> {
        let mut salt = [0u8; SALT_SIZE];
        rng.fill_bytes(&mut salt);
        let (cipher, commitment) = derive(key.as_bytes(), &salt, context)?;
        let mut encryptor = Self {
            writer,
            cipher,
            // Never grows beyond this, so no copy of plaintext is left behind by a reallocation.
            buffer: Zeroizing::new(Vec::with_capacity(ENCRYPTED_CHUNK_SIZE)),
            chunk: 0,
            plaintext_bytes: 0,
            encrypted_bytes: 0,
            hasher: Hasher::new(),
            failed: false,
        };
        encryptor.emit(&salt)?;
        encryptor.emit(&commitment)?;
        Ok(encryptor)
    }

    /// Write the final chunk and flush.
    ///
    /// # Errors
    /// What the writer reports, or [`Error::AlreadyFailed`] after an earlier failure.
    pub fn finish(mut self) -> Result<Finished<W>, Error> {
        self.refuse_after_failure()?;
        self.seal_chunk()?;
        self.writer.flush()?;
        Ok(Finished {
            writer: self.writer,
            checksum: self.hasher.finish(),
            plaintext_bytes: self.plaintext_bytes,
            encrypted_bytes: self.encrypted_bytes,
        })
    }

    fn refuse_after_failure(&self) -> Result<(), Error> {
        if self.failed {
            Err(Error::AlreadyFailed)
        } else {
            Ok(())
        }
    }

    fn emit(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.encrypted_bytes += bytes.len() as u64;
        self.writer.write_all(bytes)?;
        Ok(())
    }

    fn seal_chunk(&mut self) -> Result<(), Error> {
        // A chunk that was partly written cannot be written again: its number is spent.
        self.failed = true;
        self.cipher.seal(self.chunk, &mut self.buffer)?;
        self.hasher.update(&self.buffer);
        self.encrypted_bytes += self.buffer.len() as u64;
        self.writer.write_all(&self.buffer)?;
        self.buffer.clear();
        self.chunk += 1;
        self.failed = false;
        Ok(())
    }
}

impl<W: Write> Write for Encryptor<W> {
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        self.refuse_after_failure()?;
        let space = CHUNK_SIZE - self.buffer.len();
        let taken = plaintext.get(..space).unwrap_or(plaintext);
        self.buffer.extend_from_slice(taken);
        self.plaintext_bytes += taken.len() as u64;
        if self.buffer.len() == CHUNK_SIZE {
            self.seal_chunk()?;
        }
        Ok(taken.len())
    }

    /// Flushes the writer below. The chunk being filled stays here: there is only one chunking.
    fn flush(&mut self) -> io::Result<()> {
        self.refuse_after_failure()?;
        self.writer.flush()
    }
}

/// Encrypt a small object in memory. Returns the encrypted object and its checksum.
///
/// # Errors
/// [`Error::TooLong`] beyond the format's limit.
pub fn encrypt_to_vec(
    key: &ObjectKey,
    context: &[u8],
    plaintext: &[u8],
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(Vec<u8>, Checksum), Error> {
    let capacity = usize::try_from(encrypted_length(plaintext.len() as u64)?).map_err(|_| Error::TooLong)?;
    let mut encryptor = Encryptor::new(Vec::with_capacity(capacity), key, context, rng)?;
    encryptor.write_all(plaintext)?;
    let finished = encryptor.finish()?;
    Ok((finished.writer, finished.checksum))
}
