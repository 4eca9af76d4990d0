//! The second layer: what a reader needs to fetch and decrypt the object, sealed under the data key.
//!
//! ```text
//! sealed material = version (1) = 1 ‖ suite (1) = 1 ‖ encrypted object (see `layout`), where
//!     input key   = the 32-byte data key, which the custody key wraps
//!     context     = digest of Transcript(Material) with the fields
//!                   "format" = version ‖ suite,  "label" = canonical bytes of the label
//!     plaintext   = object key (32)
//!                 ‖ location: u8 kind = 0 on the chain | 1 local, then str id (u32 length, ≤ 128)
//!                 ‖ name: str (≤ 255) ‖ plaintext size: u64 ‖ content type: str (≤ 127)
//! ```
//!
//! It is the same construction as the object's: one chunk, AES-256-GCM, and a commitment to (data key,
//! label) that is checked first. So one blob cannot open under two data keys (C16), and a blob copied to
//! another document does not open there. Sealed material is at most [`MAX_SEALED_SIZE`] bytes.

use core::fmt;
use core::str::FromStr;

use rand_core::{CryptoRng, RngCore};
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::label::Label;
use threshold::secret::DataKey;
use threshold::transcript::{Domain, Transcript};
use zeroize::Zeroizing;

use crate::{Error, ObjectKey, decrypt_to_vec, encrypt_to_vec};

/// Sealed material is never larger; a bigger blob is refused before anything is computed.
pub const MAX_SEALED_SIZE: usize = 4096;
/// The longest object name, in bytes of UTF-8.
pub const MAX_NAME: usize = 255;
/// The longest content type, in bytes.
pub const MAX_CONTENT_TYPE: usize = 127;
/// The longest object id, in bytes.
pub const MAX_OBJECT_ID: usize = 128;

const FORMAT: [u8; 2] = [1, 1];
const ON_CHAIN: u8 = 0;
const LOCAL: u8 = 1;

/// The context under which the object of the document `label` is encrypted, so that it opens as no
/// other document's: digest of Transcript(Material) with the one field "object" = canonical bytes of the label.
#[must_use]
pub fn object_context(label: &Label) -> [u8; 32] {
    Transcript::new(Domain::Material)
        .append("object", &label.to_bytes())
        .digest()
}

fn material_context(label: &Label) -> [u8; 32] {
    Transcript::new(Domain::Material)
        .append("format", &FORMAT)
        .append("label", &label.to_bytes())
        .digest()
}

/// The name of an object in a store: 1 to 128 bytes of `[A-Za-z0-9._-]`, not beginning with a dot, so that
/// it is never a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(String);

impl ObjectId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why| {
            Err(Error::Field {
                field: "object id",
                why,
            })
        };
        if text.is_empty() || text.len() > MAX_OBJECT_ID {
            return refuse("it must have 1 to 128 bytes");
        }
        if text.starts_with('.')
            || !text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        {
            return refuse("only A-Z a-z 0-9 . _ - are allowed, and no dot at the beginning");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the encrypted object is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// On the chain, beside the material.
    OnChain,
    /// In the writer's own object store, under this id.
    Local {
        /// The object's name there.
        id: ObjectId,
    },
}

/// What the writer says of the plaintext. Sealed, so the chain does not show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    name: String,
    size: u64,
    content_type: String,
}

impl Metadata {
    /// Metadata within its bounds: a name of 1 to 255 bytes without control characters, a content type of
    /// at most 127 bytes of visible ASCII (empty if unknown).
    ///
    /// # Errors
    /// [`Error::Field`] naming the field.
    pub fn new(name: &str, size: u64, content_type: &str) -> Result<Self, Error> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Error::Field {
                field: "name",
                why: "it must have 1 to 255 bytes",
            });
        }
        if name.chars().any(char::is_control) {
            return Err(Error::Field {
                field: "name",
                why: "it contains a control character",
            });
        }
        if content_type.len() > MAX_CONTENT_TYPE {
            return Err(Error::Field {
                field: "content type",
                why: "it must have at most 127 bytes",
            });
        }
        if !content_type.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(Error::Field {
                field: "content type",
                why: "only visible ASCII is allowed",
            });
        }
        Ok(Self {
            name: name.to_owned(),
            size,
            content_type: content_type.to_owned(),
        })
    }

    /// The object's name, as a hint to a reader; not a path to write to unchecked.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the plaintext.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The media type, empty if unknown.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }
}

/// All that a reader needs besides the object itself. Holds the object key, so it is as secret as that.
#[derive(Debug)]
pub struct Material {
    /// The key of the object.
    pub object_key: ObjectKey,
    /// Where the object is.
    pub location: Location,
    /// What it is.
    pub metadata: Metadata,
}

impl Material {
    /// Seal for `label` under its data key.
    ///
    /// # Errors
    /// [`Error::Library`] only.
    pub fn seal(
        &self,
        data_key: &DataKey,
        label: &Label,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Vec<u8>, Error> {
        let key = object_key_of(data_key);
        let (encrypted, _) = encrypt_to_vec(&key, &material_context(label), &self.encode(), rng)?;
        Ok([FORMAT.as_slice(), encrypted.as_slice()].concat())
    }

    /// Open the sealed material of `label`.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::UnknownSuite`], [`Error::WrongKey`] for another key or another label,
    /// [`Error::NotAuthentic`], [`Error::Truncated`], [`Error::Malformed`] and [`Error::Field`].
    pub fn open(data_key: &DataKey, label: &Label, sealed: &[u8]) -> Result<Self, Error> {
        if sealed.len() > MAX_SEALED_SIZE {
            return Err(Error::TooLarge);
        }
        let (format, encrypted) = sealed.split_first_chunk::<2>().ok_or(Error::Truncated)?;
        if *format != FORMAT {
            return Err(Error::UnknownSuite);
        }
        let key = object_key_of(data_key);
        let plaintext = decrypt_to_vec(&key, &material_context(label), encrypted, None)?;
        Self::decode(&plaintext)
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut open = Writer::new();
        match &self.location {
            Location::OnChain => open.u8(ON_CHAIN),
            Location::Local { id } => {
                open.u8(LOCAL);
                open.str(id.as_str());
            }
        }
        open.str(&self.metadata.name);
        open.u64(self.metadata.size);
        open.str(&self.metadata.content_type);
        let open = open.finish();
        let mut encoded = Zeroizing::new(Vec::with_capacity(32 + open.len()));
        encoded.extend_from_slice(self.object_key.as_bytes());
        encoded.extend_from_slice(&open);
        encoded
    }

    fn decode(plaintext: &[u8]) -> Result<Self, Error> {
        let malformed = |_: DecodeError| Error::Malformed;
        let mut reader = Reader::new(plaintext);
        let object_key = ObjectKey::from_bytes(&Zeroizing::new(reader.fixed().map_err(malformed)?));
        let location = match reader.u8().map_err(malformed)? {
            ON_CHAIN => Location::OnChain,
            LOCAL => Location::Local {
                id: reader.str(MAX_OBJECT_ID).map_err(malformed)?.parse()?,
            },
            _ => return Err(Error::Malformed),
        };
        let name = reader.str(MAX_NAME).map_err(malformed)?;
        let size = reader.u64().map_err(malformed)?;
        let content_type = reader.str(MAX_CONTENT_TYPE).map_err(malformed)?;
        let metadata = Metadata::new(name, size, content_type)?;
        reader.finish().map_err(malformed)?;
        Ok(Self {
            object_key,
            location,
            metadata,
        })
    }
}

/// The data key in its role as input key of the chunked format.
fn object_key_of(data_key: &DataKey) -> ObjectKey {
    ObjectKey::from_bytes(&Zeroizing::new(*data_key.expose()))
}
