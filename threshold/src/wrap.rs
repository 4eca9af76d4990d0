//! Wrapping a data key: TDH2 as a key encapsulation.
//!
//! Shoup and Gennaro, "Securing Threshold Cryptosystems against Chosen Ciphertext Attack", 2002, with a
//! key-committing authenticated encryption of the data key. Wrapping needs only the public key X.

use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::group::{Point, PointError, decode_scalar, second_generator, second_generator_table};
use crate::ids::{KeyId, WriteId};
use crate::label::Label;
use crate::secret::{DataKey, SecretScalar};
use crate::transcript::{Domain, SUITE_ID, Transcript};
use curve25519_dalek::constants::ED25519_BASEPOINT_TABLE;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

mod seal;
#[cfg(test)]
mod tests;

use seal::{SEALED_LENGTH, Sealed};

/// The most bytes a wrapped key has, with the longest names.
pub const MAX_WRAPPED_KEY: usize = 512;

/// Why a data key was not wrapped, or a wrapped key is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// The proof does not hold for this label, ciphertext and key.
    #[error("the proof of the wrapped key does not hold")]
    Proof,
    /// The random number generator returned what no random generator returns.
    #[error("the random number generator is broken")]
    Randomness,
    /// The cipher refused 32 bytes, which it never does.
    #[error("the cipher failed")]
    Cipher,
}

impl From<PointError> for WrapError {
    fn from(_: PointError) -> Self {
        Self::Randomness
    }
}

/// The public half of a custody key: X and its hash.
///
/// Encoded as X alone; the key id is its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustodyKey {
    key_id: KeyId,
    public_key: Point,
}

impl CustodyKey {
    /// The custody key with this X.
    #[must_use]
    pub fn new(public_key: Point) -> Self {
        let key_id = Transcript::new(Domain::KeyId)
            .append("X", public_key.as_bytes())
            .digest();
        Self {
            key_id: KeyId(key_id),
            public_key,
        }
    }

    /// The hash of X.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// X.
    #[must_use]
    pub const fn public_key(&self) -> &Point {
        &self.public_key
    }
}

impl Canonical for CustodyKey {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.public_key);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::new(reader.get()?))
    }
}

/// A data key that only a quorum can make readable.
///
/// Encoded as `"QW"`, version 1, suite, key id (32), label, U (32), U2 (32), e (32), f (32), c (80): at most 508
/// bytes. `c` is a 32-byte key commitment, the encrypted data key and its 16-byte tag. All of it is public.
///
/// A value of this type is well-formed; whether its proof holds is for [`WrappedKey::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    key_id: KeyId,
    label: Label,
    u: Point,
    u2: Point,
    e: Scalar,
    f: Scalar,
    c: [u8; SEALED_LENGTH],
}

/// Wraps a data key for a label under a custody key.
///
/// The exponents are derived from fresh randomness, the data key and the label together, so that a generator
/// which repeats itself does not wrap two keys with one stream.
///
/// # Errors
/// [`WrapError::Randomness`] if an exponent is zero, which chance does not do;
/// [`WrapError::Cipher`] if the cipher fails, which it does not.
pub fn wrap(
    key: &CustodyKey,
    label: &Label,
    data_key: &DataKey,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<WrappedKey, WrapError> {
    let (r, s) = exponents(key, label, data_key, rng);
    // U = r·B;  S = r·X;  U2 = r·B2
    let u = Point::from_subgroup(ED25519_BASEPOINT_TABLE * r.expose())?;
    let u2 = Point::from_subgroup(second_generator_table() * r.expose())?;
    let shared = Zeroizing::new((key.public_key.as_edwards() * r.expose()).compress().to_bytes());
    // c = AEAD_K(data key; aad = label)
    let c = Sealed::new(&shared, key.key_id, label, &u)
        .and_then(|sealed| sealed.seal(data_key))
        .ok_or(WrapError::Cipher)?;
    // W = s·B;  W2 = s·B2;  e = H(..);  f = s + e·r
    let w = Point::from_subgroup(ED25519_BASEPOINT_TABLE * s.expose())?;
    let w2 = Point::from_subgroup(second_generator_table() * s.expose())?;
    let mut wrapped = WrappedKey {
        key_id: key.key_id,
        label: label.clone(),
        u,
        u2,
        e: Scalar::ZERO,
        f: Scalar::ZERO,
        c,
    };
    wrapped.e = wrapped.challenge(w.as_bytes(), w2.as_bytes());
    wrapped.f = s.expose() + wrapped.e * r.expose();
    Ok(wrapped)
}

fn exponents(
    key: &CustodyKey,
    label: &Label,
    data_key: &DataKey,
    rng: &mut (impl RngCore + CryptoRng),
) -> (SecretScalar, SecretScalar) {
    let mut fresh = Zeroizing::new([0; 64]);
    rng.fill_bytes(fresh.as_mut());
    let transcript = Transcript::new(Domain::WrapNonce)
        .append("randomness", fresh.as_ref())
        .append("data key", data_key.expose())
        .append("key id", key.key_id.as_bytes())
        .append_object("label", label);
    let derive = |name: &[u8]| SecretScalar::new(transcript.clone().append("nonce", name).challenge());
    (derive(b"r"), derive(b"s"))
}

impl WrappedKey {
    /// Checks the TDH2 proof: whoever made this knew r with `U = r·B` and `U2 = r·B2`, and meant this label,
    /// this ciphertext and this key. No secret is needed.
    ///
    /// # Errors
    /// [`WrapError::Proof`].
    pub fn verify(&self) -> Result<(), WrapError> {
        // W = f·B - e·U;  W2 = f·B2 - e·U2
        let minus_e = -self.e;
        let w = EdwardsPoint::vartime_double_scalar_mul_basepoint(&minus_e, self.u.as_edwards(), &self.f);
        let w2 = EdwardsPoint::vartime_multiscalar_mul(
            [self.f, minus_e],
            [second_generator().as_edwards(), self.u2.as_edwards()],
        );
        if self.challenge(w.compress().as_bytes(), w2.compress().as_bytes()) == self.e {
            Ok(())
        } else {
            Err(WrapError::Proof)
        }
    }

    /// e = H(suite, key id, c, label, U, W, U2, W2).
    fn challenge(&self, w: &[u8; 32], w2: &[u8; 32]) -> Scalar {
        Transcript::new(Domain::WrapProof)
            .append("key id", self.key_id.as_bytes())
            .append("c", &self.c)
            .append_object("label", &self.label)
            .append("U", self.u.as_bytes())
            .append("W", w)
            .append("U2", self.u2.as_bytes())
            .append("W2", w2)
            .challenge()
    }

    /// The SHA-256 of the encoding.
    #[must_use]
    pub fn write_id(&self) -> WriteId {
        WriteId(Sha256::digest(self.to_bytes()).into())
    }

    /// The document this is a key to.
    #[must_use]
    pub const fn label(&self) -> &Label {
        &self.label
    }

    /// The custody key it is wrapped under.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// U, which the nodes multiply.
    #[must_use]
    pub const fn u(&self) -> &Point {
        &self.u
    }

    /// Decrypts the data key, given `S = r·X` encoded.
    pub(crate) fn open(&self, shared: &[u8; 32]) -> Option<DataKey> {
        Sealed::new(shared, self.key_id, &self.label, &self.u)?.open(&self.c)
    }
}

const MAGIC: [u8; 2] = *b"QW";
const VERSION: u8 = 1;

impl Canonical for WrappedKey {
    fn encode(&self, writer: &mut Writer) {
        writer.fixed(&MAGIC);
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.put(&self.key_id);
        writer.put(&self.label);
        writer.put(&self.u);
        writer.put(&self.u2);
        writer.fixed(self.e.as_bytes());
        writer.fixed(self.f.as_bytes());
        writer.fixed(&self.c);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.fixed()? != MAGIC || reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("wrapped key"));
        }
        Ok(Self {
            key_id: reader.get()?,
            label: reader.get()?,
            u: reader.get()?,
            u2: reader.get()?,
            e: decode_scalar(reader)?,
            f: decode_scalar(reader)?,
            c: reader.fixed()?,
        })
    }
}
