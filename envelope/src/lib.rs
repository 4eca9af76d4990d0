//! Encrypt an object in chunks, and its key and metadata in a second layer, in constant memory.
//!
//! Two layers (protocol section 9):
//!
//! 1. The *object* is encrypted under a fresh [`ObjectKey`] in the published chunked format
//!    [c2sp.org/chunked-encryption](https://c2sp.org/chunked-encryption), instantiated with
//!    `AEAD_AES_256_GCM` and SHA-256: [`Encryptor`], [`Decryptor`] for streams, [`RangeReader`] for
//!    parts of a seekable object. Memory is one chunk, whatever the size of the object.
//! 2. The [`Material`] (object key, location, metadata) is sealed under the 32-byte data key, which is
//!    what the custody key wraps; the sealed bytes go on the chain.
//!
//! The byte layouts are in [`layout`] and [`material`], the frozen vectors in `vectors/*.json`.
//! Time and randomness are arguments; nothing here opens a file or a socket.

mod checksum;
mod decrypt;
mod encrypt;
mod error;
mod key;
pub mod layout;
pub mod material;
mod range;
mod schedule;

pub use checksum::Checksum;
pub use decrypt::{Decryptor, Opened, decrypt_to_vec};
pub use encrypt::{Encryptor, Finished, encrypt_to_vec};
pub use error::Error;
pub use key::ObjectKey;
pub use material::{Location, Material, Metadata, ObjectId, object_context};
pub use range::RangeReader;
