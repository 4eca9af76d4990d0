//! Ed25519 signatures, each for one purpose, by keys that are parsed strictly.
//!
//! The signed message is the 32-byte digest of the transcript of its domain with the one field `message`, so a
//! signature for one purpose is worth nothing for another.

use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::group::{Point, PointError};
use crate::ids::{parse_hex, write_hex};
use crate::recent::Recent;
use crate::transcript::{Domain, Transcript};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

#[cfg(test)]
mod tests;

/// The signature is not this key's on this message for this purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct SignatureError;

/// An Ed25519 public key: canonical, in the prime-order subgroup, not the identity.
///
/// Encoded as its 32 bytes. A key of small or mixed order, which could verify signatures that nobody made, does
/// not become a value of this type.
#[derive(Clone, Copy)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Parses 32 bytes.
    ///
    /// # Errors
    /// [`PointError`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, PointError> {
        CHECKED.get_or(bytes, || Point::from_bytes(bytes).map(Self::from))
    }

    /// The public key of a signing key.
    #[must_use]
    pub fn of(key: &SigningKey) -> Self {
        Self(key.verifying_key())
    }

    /// The key's encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key's encoding, by value.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key as a group element.
    #[must_use]
    pub fn to_point(&self) -> Point {
        Point::from_checked(self.0.to_edwards(), self.0.to_bytes())
    }

    /// Checks a signature made by [`sign`] for the same domain.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(
        &self,
        domain: Domain,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        self.verify_raw(&signed_bytes(domain, message), signature)
    }

    /// Checks a plain RFC 8032 signature over `message` itself, as foreign formats (X.509, a consensus engine)
    /// make it. Stricter than RFC 8032: the commitment may not be of small order.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_raw(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0
            .verify_strict(message, &signature)
            .map_err(|_| SignatureError)
    }
}

/// The checks of a key cost as much as verifying a signature, and one request names the same key many times: in each
/// certificate twice, in each statement, as author.
static CHECKED: Recent<PublicKey> = Recent::new();

impl From<Point> for PublicKey {
    fn from(point: Point) -> Self {
        Self(VerifyingKey::from(*point.as_edwards()))
    }
}

/// The 32 bytes that are signed for a message in a domain.
#[must_use]
pub fn signed_bytes(domain: Domain, message: &[u8]) -> [u8; 32] {
    Transcript::new(domain).append("message", message).digest()
}

/// Signs a message for one purpose.
#[must_use]
pub fn sign(key: &SigningKey, domain: Domain, message: &[u8]) -> Signature {
    Signature(key.sign(&signed_bytes(domain, message)).to_bytes())
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl core::hash::Hash for PublicKey {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl core::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write_hex(f, self.as_bytes())
    }
}

impl core::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl core::str::FromStr for PublicKey {
    type Err = PointError;

    fn from_str(text: &str) -> Result<Self, PointError> {
        Self::from_bytes(&parse_hex(text).ok_or(PointError::Encoding)?)
    }
}

impl Canonical for PublicKey {
    fn encode(&self, writer: &mut Writer) {
        writer.fixed(self.as_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_bytes(&reader.fixed()?).map_err(|_| DecodeError::Invalid("public key"))
    }
}

/// An Ed25519 signature: 64 bytes, checked only when it is verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

impl core::fmt::Display for Signature {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write_hex(f, &self.0)
    }
}

impl core::fmt::Debug for Signature {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl Canonical for Signature {
    fn encode(&self, writer: &mut Writer) {
        writer.fixed(&self.0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.fixed()?))
    }
}
