//! The canonical byte encoding: big-endian integers, length prefixes, no padding, nothing optional.
//!
//! An object is written in one way only, so that equal objects have equal bytes, and a reader refuses anything
//! that is not what a writer would have written. Every collection and string is bounded before it is allocated.

#[cfg(test)]
mod tests;

/// Why bytes were not accepted as a canonical encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the object does.
    #[error("the encoding is truncated")]
    Truncated,
    /// Bytes follow the end of the object.
    #[error("bytes follow the end of the encoding")]
    Trailing,
    /// A length or count is over the limit for this field.
    #[error("{0} is longer than its limit")]
    TooLong(&'static str),
    /// A field holds a value that no writer would have written.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// The version or the suite of the object is not known here.
    #[error("unknown version or suite of {0}")]
    UnknownVersion(&'static str),
}

/// An object with one canonical encoding.
pub trait Canonical: Sized {
    /// Appends the encoding of `self`.
    fn encode(&self, writer: &mut Writer);

    /// Reads one object, leaving the reader behind it.
    ///
    /// # Errors
    /// Whatever is not the encoding of a valid object.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The encoding as a byte string.
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        writer.finish()
    }

    /// Reads an object that fills `bytes` exactly.
    ///
    /// # Errors
    /// As [`Canonical::decode`], and [`DecodeError::Trailing`].
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// Builds an encoding.
///
/// Lengths are written as given; the types that use a writer keep their collections within their limits, and a
/// collection that could not be represented saturates its count, which no reader accepts.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer that will not reallocate, and so leave no copy behind, up to `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            buffer: Vec::with_capacity(capacity),
        }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.buffer.push(value);
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) {
        self.fixed(&value.to_be_bytes());
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) {
        self.fixed(&value.to_be_bytes());
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) {
        self.fixed(&value.to_be_bytes());
    }

    /// One byte, 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// Bytes whose number the reader knows.
    pub fn fixed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// A four-byte length, then the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.fixed(bytes);
    }

    /// A four-byte length, then UTF-8.
    pub fn str(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// A four-byte count, which the items follow.
    pub fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// A four-byte count, then each item.
    pub fn list<T: Canonical>(&mut self, items: &[T]) {
        self.count(items.len());
        for item in items {
            item.encode(self);
        }
    }

    /// An object.
    pub fn put<T: Canonical>(&mut self, value: &T) {
        value.encode(self);
    }

    /// One byte, 0 or 1, and the object if there is one.
    pub fn option<T: Canonical>(&mut self, value: Option<&T>) {
        self.bool(value.is_some());
        if let Some(value) = value {
            value.encode(self);
        }
    }

    /// What has been written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.buffer
    }
}

/// Takes an encoding apart.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes that are left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.fixed()?))
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.fixed()?))
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.fixed()?))
    }

    /// Eight bytes, big-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.fixed()?))
    }

    /// One byte that is 0 or 1.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] for any other byte.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid("boolean")),
        }
    }

    /// A length-prefixed byte string of at most `max` bytes.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] before anything is read past the length.
    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], DecodeError> {
        let length = self.count(max)?;
        self.take(length)
    }

    /// A length-prefixed UTF-8 string of at most `max` bytes.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`], or [`DecodeError::Invalid`] if it is not UTF-8.
    pub fn str(&mut self, max: usize) -> Result<&'a str, DecodeError> {
        core::str::from_utf8(self.bytes(max)?).map_err(|_| DecodeError::Invalid("UTF-8 string"))
    }

    /// A four-byte count of at most `max`.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`].
    pub fn count(&mut self, max: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.u32()?).map_err(|_| DecodeError::TooLong("count"))?;
        if count > max {
            Err(DecodeError::TooLong("field"))
        } else {
            Ok(count)
        }
    }

    /// A count of at most `max`, then as many items.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] before anything is allocated, or the items' errors.
    pub fn list<T: Canonical>(&mut self, max: usize) -> Result<Vec<T>, DecodeError> {
        let count = self.count(max)?;
        // An item takes a byte at least: a count that the bytes cannot hold allocates nothing.
        let mut items = Vec::with_capacity(count.min(self.remaining()));
        for _ in 0..count {
            items.push(T::decode(self)?);
        }
        Ok(items)
    }

    /// An object.
    ///
    /// # Errors
    /// The object's.
    pub fn get<T: Canonical>(&mut self) -> Result<T, DecodeError> {
        T::decode(self)
    }

    /// An object that may be absent, after its byte 0 or 1.
    ///
    /// # Errors
    /// The object's.
    pub fn option<T: Canonical>(&mut self) -> Result<Option<T>, DecodeError> {
        if self.bool()? {
            Ok(Some(T::decode(self)?))
        } else {
            Ok(None)
        }
    }

    /// Refuses what is left over.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`].
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing)
        }
    }
}
