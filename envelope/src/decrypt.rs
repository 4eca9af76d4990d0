//! Decrypt a stream: read plaintext out, each byte only after its chunk has been authenticated.

use std::io::{self, Read};

use zeroize::Zeroizing;

use crate::checksum::{Checksum, Hasher};
use crate::layout::{COMMITMENT_SIZE, ENCRYPTED_CHUNK_SIZE, SALT_SIZE};
use crate::schedule::{ChunkCipher, derive_committed};
use crate::{Error, ObjectKey};

/// Decrypts an encrypted object while it is read from `R`, holding one chunk in memory.
///
/// `read` gives out authenticated plaintext only (P16), reports end of file only after the final chunk,
/// and repeats no failed chunk: after an error every further call fails. What was read before is authentic
/// but may be the beginning of something cut short, so act on the whole only after [`finish`](Self::finish).
pub struct Decryptor<R: Read> {
    reader: R,
    cipher: ChunkCipher,
    /// Plaintext of the current chunk; wiped when dropped.
    buffer: Zeroizing<Vec<u8>>,
    given_out: usize,
    chunk: u64,
    hasher: Hasher,
    state: State,
    plaintext_bytes: u64,
    encrypted_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    FinalChunkSeen,
    Failed,
}

/// What is known when an object has been read and authenticated to its end.
#[derive(Debug)]
#[must_use]
pub struct Opened<R> {
    /// The underlying reader, at its end.
    pub reader: R,
    /// SHA-256 of all encrypted bytes.
    pub checksum: Checksum,
    /// Bytes of plaintext given out.
    pub plaintext_bytes: u64,
    /// Bytes of the encrypted object.
    pub encrypted_bytes: u64,
}

impl<R: Read> Decryptor<R> {
    /// Read the header and check the key commitment.
    ///
    /// # Errors
    /// [`Error::Truncated`] inside the header, [`Error::WrongKey`] if the object was not encrypted under
    /// this key and context, [`Error::Io`].
    pub fn new(mut reader: R, key: &ObjectKey, context: &[u8]) -> Result<Self, Error> {
        let mut salt = [0u8; SALT_SIZE];
        let mut commitment = [0u8; COMMITMENT_SIZE];
        read_header_part(&mut reader, &mut salt)?;
        read_header_part(&mut reader, &mut commitment)?;
        let cipher = derive_committed(key.as_bytes(), &salt, &commitment, context)?;
        let mut hasher = Hasher::new();
        hasher.update(&salt);
        hasher.update(&commitment);
        Ok(Self {
            reader,
            cipher,
            buffer: Zeroizing::new(Vec::with_capacity(ENCRYPTED_CHUNK_SIZE)),
            given_out: 0,
            chunk: 0,
            hasher,
            state: State::Reading,
            plaintext_bytes: 0,
            encrypted_bytes: (SALT_SIZE + COMMITMENT_SIZE) as u64,
        })
    }

    /// Confirm that the object was read to its authenticated end and, if given, that it is the object
    /// whose checksum is on record.
    ///
    /// # Errors
    /// [`Error::NotFinished`] before the end, [`Error::AlreadyFailed`] after a failure,
    /// [`Error::ChecksumMismatch`].
    pub fn finish(self, recorded: Option<Checksum>) -> Result<Opened<R>, Error> {
        match self.state {
            State::Failed => return Err(Error::AlreadyFailed),
            State::FinalChunkSeen if self.given_out == self.buffer.len() => {}
            State::Reading | State::FinalChunkSeen => return Err(Error::NotFinished),
        }
        let checksum = self.hasher.finish();
        if recorded.is_some_and(|recorded| recorded != checksum) {
            return Err(Error::ChecksumMismatch);
        }
        Ok(Opened {
            reader: self.reader,
            checksum,
            plaintext_bytes: self.plaintext_bytes,
            encrypted_bytes: self.encrypted_bytes,
        })
    }

    fn next_chunk(&mut self) -> Result<(), Error> {
        self.buffer.clear();
        self.given_out = 0;
        (&mut self.reader)
            .take(ENCRYPTED_CHUNK_SIZE as u64)
            .read_to_end(&mut self.buffer)?;
        let stored = self.buffer.len();
        self.hasher.update(&self.buffer);
        self.encrypted_bytes += stored as u64;
        // A short chunk can only be the final one; `open` refuses one without room for a tag, which is
        // also what an object cut at a chunk boundary looks like.
        self.cipher.open(self.chunk, &mut self.buffer)?;
        self.plaintext_bytes += self.buffer.len() as u64;
        self.chunk += 1;
        if stored < ENCRYPTED_CHUNK_SIZE {
            self.state = State::FinalChunkSeen;
        }
        Ok(())
    }
}

impl<R: Read> Read for Decryptor<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while self.given_out == self.buffer.len() {
            match self.state {
                State::FinalChunkSeen => return Ok(0),
                State::Failed => return Err(Error::AlreadyFailed.into()),
                State::Reading => {}
            }
            if let Err(error) = self.next_chunk() {
                self.buffer.clear();
                self.state = State::Failed;
                return Err(error.into());
            }
        }
        let ready = self.buffer.get(self.given_out..).unwrap_or_default();
        let count = ready.len().min(out.len());
        for (to, from) in out.iter_mut().zip(ready) {
            *to = *from;
        }
        self.given_out += count;
        Ok(count)
    }
}

/// Decrypt a small object in memory, checking its recorded checksum first if there is one. The
/// plaintext is wiped when dropped.
///
/// # Errors
/// As [`Decryptor`], and [`Error::ChecksumMismatch`].
pub fn decrypt_to_vec(
    key: &ObjectKey,
    context: &[u8],
    encrypted: &[u8],
    recorded: Option<Checksum>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    if recorded.is_some_and(|recorded| recorded != Checksum::of(encrypted)) {
        return Err(Error::ChecksumMismatch);
    }
    let mut decryptor = Decryptor::new(encrypted, key, context)?;
    let mut plaintext = Zeroizing::new(Vec::with_capacity(encrypted.len()));
    decryptor.read_to_end(&mut plaintext)?;
    // Having read to the end implies it; whoever reads a stream has to ask, and so does this.
    let _ = decryptor.finish(None)?;
    Ok(plaintext)
}

/// Fill one part of the header; an object that ends inside it is truncated.
pub(crate) fn read_header_part(reader: &mut impl Read, part: &mut [u8]) -> Result<(), Error> {
    reader.read_exact(part).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Truncated,
        _ => error.into(),
    })
}
