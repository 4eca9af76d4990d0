//! Read parts of an encrypted object without decrypting the whole.

use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;

use zeroize::Zeroizing;

use crate::decrypt::read_header_part;
use crate::layout::{
    CHUNK_SIZE, COMMITMENT_SIZE, ENCRYPTED_CHUNK_SIZE, SALT_SIZE, chunk_offset, plaintext_length,
};
use crate::schedule::{ChunkCipher, derive_committed};
use crate::{Error, ObjectKey};

/// Random access to the plaintext of an encrypted object, one chunk in memory.
///
/// Opening it authenticates the final chunk and with it the length. The recorded checksum covers the
/// whole object and cannot be checked on a part; a part is authentic under the object key all the same.
pub struct RangeReader<R: Read + Seek> {
    reader: R,
    cipher: ChunkCipher,
    length: u64,
    /// The chunk in `buffer`, if it has been authenticated.
    loaded: Option<u64>,
    buffer: Zeroizing<Vec<u8>>,
}

impl<R: Read + Seek> RangeReader<R> {
    /// Check the key commitment, then the final chunk, which fixes the length.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::WrongKey`], [`Error::NotAuthentic`], [`Error::TooLong`], [`Error::Io`].
    pub fn open(mut reader: R, key: &ObjectKey, context: &[u8]) -> Result<Self, Error> {
        let length = plaintext_length(reader.seek(SeekFrom::End(0))?)?;
        reader.seek(SeekFrom::Start(0))?;
        let mut salt = [0u8; SALT_SIZE];
        let mut commitment = [0u8; COMMITMENT_SIZE];
        read_header_part(&mut reader, &mut salt)?;
        read_header_part(&mut reader, &mut commitment)?;
        let cipher = derive_committed(key.as_bytes(), &salt, &commitment, context)?;
        let buffer = Zeroizing::new(Vec::with_capacity(ENCRYPTED_CHUNK_SIZE));
        let mut range_reader = Self {
            reader,
            cipher,
            length,
            loaded: None,
            buffer,
        };
        range_reader.load(length / CHUNK_SIZE as u64)?;
        Ok(range_reader)
    }

    /// The authenticated length of the plaintext.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Write the plaintext of `range` to `out`, chunk by chunk as each is authenticated.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if the range does not lie within the plaintext, [`Error::NotAuthentic`],
    /// [`Error::Io`].
    pub fn copy_range(&mut self, range: Range<u64>, out: &mut impl Write) -> Result<(), Error> {
        if range.start > range.end || range.end > self.length {
            return Err(Error::OutOfRange);
        }
        let mut position = range.start;
        while position < range.end {
            self.load(position / CHUNK_SIZE as u64)?;
            let from = within_chunk(position)?;
            let wanted = usize::try_from(range.end - position).unwrap_or(usize::MAX);
            let until = from.saturating_add(wanted).min(self.buffer.len());
            // Empty only if the object shrank under us.
            let part = self
                .buffer
                .get(from..until)
                .filter(|part| !part.is_empty())
                .ok_or(Error::Truncated)?;
            out.write_all(part)?;
            position += part.len() as u64;
        }
        Ok(())
    }

    fn load(&mut self, chunk: u64) -> Result<(), Error> {
        if self.loaded == Some(chunk) {
            return Ok(());
        }
        self.loaded = None;
        self.buffer.clear();
        self.reader.seek(SeekFrom::Start(chunk_offset(chunk)))?;
        (&mut self.reader)
            .take(ENCRYPTED_CHUNK_SIZE as u64)
            .read_to_end(&mut self.buffer)?;
        self.cipher.open(chunk, &mut self.buffer)?;
        self.loaded = Some(chunk);
        Ok(())
    }
}

fn within_chunk(position: u64) -> Result<usize, Error> {
    usize::try_from(position % CHUNK_SIZE as u64).map_err(|_| Error::OutOfRange)
}
