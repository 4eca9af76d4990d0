//! An organisation's certification authority: one Ed25519 key, one self-signed root, approvals from it.

use core::fmt;

use ed25519_dalek::{Signer, SigningKey};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SerialNumber, SignatureAlgorithm,
};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use threshold::name::Name;
use threshold::signature::PublicKey;
use time::OffsetDateTime;

use crate::fields::ApprovalFields;
use crate::oid::{APPROVAL_USAGE, ARC};
use crate::trust::{Root, RootFault};

/// An authority does not issue approvals that live longer, whatever it is asked.
pub const MAX_LIFETIME_S: u32 = 600;

/// A root lives ten years.
const ROOT_LIFETIME_S: i64 = 10 * 365 * 24 * 3600;
/// A root begins a little in the past, so that a fellow node whose clock is behind accepts its first approval.
const ROOT_HEAD_START_S: i64 = 3600;

/// Why an authority cannot be made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// The root certificate is of another key than the seed's.
    #[error("the root certificate does not belong to this key")]
    OtherKey,
    /// The root certificate could not be pinned by anyone.
    #[error("the root certificate is not acceptable: {0}")]
    Root(RootFault),
    /// A time that a certificate cannot state, or a lifetime of zero or above [`MAX_LIFETIME_S`].
    #[error("the requested validity is not acceptable")]
    Validity,
    /// The certificate could not be encoded.
    #[error("encoding the certificate failed: {0}")]
    Encoding(String),
}

/// Issues approval certificates for one organisation. Holds the CA key: wiped on drop, never printed.
pub struct Authority {
    issuer: Issuer<'static, CaKey>,
    root_der: Vec<u8>,
    public_key: PublicKey,
}

impl Authority {
    /// Make a self-signed root certificate (DER) for the key of this seed. The seed is the CA's secret: 32 bytes from a
    /// generator of cryptographic quality, kept sealed by the caller, given back to [`from_seed`](Self::from_seed).
    ///
    /// # Errors
    /// [`AuthorityError::Validity`] for a clock out of range, [`AuthorityError::Encoding`].
    pub fn generate(organisation: &Name, seed: &[u8; 32], now_ms: u64) -> Result<Vec<u8>, AuthorityError> {
        let key = CaKey::new(seed);
        let now = i64::try_from(now_ms / 1000).map_err(|_| AuthorityError::Validity)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, organisation.as_str());
        params
            .distinguished_name
            .push(DnType::CommonName, "Quorate approval root");
        params.not_before = at((now - ROOT_HEAD_START_S).max(0))?;
        params.not_after = at(now + ROOT_LIFETIME_S)?;
        params.serial_number = Some(serial(&[
            b"quorate approval root serial v1",
            key.der_bytes(),
            &now.to_be_bytes(),
        ]));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = params
            .self_signed(&key)
            .map_err(|error| AuthorityError::Encoding(error.to_string()))?;
        Ok(root.der().to_vec())
    }

    /// Take the CA up again from its seed and its root certificate.
    ///
    /// # Errors
    /// [`AuthorityError::Root`] for a root that no node would pin, [`AuthorityError::OtherKey`] if it is of another key.
    pub fn from_seed(seed: &[u8; 32], root_der: &[u8]) -> Result<Self, AuthorityError> {
        let key = CaKey::new(seed);
        let public_key = PublicKey::of(&key.0);
        if Root::read(root_der).map_err(AuthorityError::Root)?.public_key != public_key {
            return Err(AuthorityError::OtherKey);
        }
        let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(root_der), key)
            .map_err(|error| AuthorityError::Encoding(error.to_string()))?;
        Ok(Self {
            issuer,
            root_der: root_der.to_vec(),
            public_key,
        })
    }

    /// The root certificate, which others pin.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.root_der
    }

    /// The CA's public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Issue the approval certificate (DER) of a read that the ledger has approved and finalised. It is valid from this
    /// second on, for `lifetime_s` seconds. The same arguments give the same bytes.
    ///
    /// # Errors
    /// [`AuthorityError::Validity`], [`AuthorityError::Encoding`].
    pub fn issue(
        &self,
        fields: &ApprovalFields,
        now_ms: u64,
        lifetime_s: u32,
    ) -> Result<Vec<u8>, AuthorityError> {
        if lifetime_s == 0 || lifetime_s > MAX_LIFETIME_S {
            return Err(AuthorityError::Validity);
        }
        let now = i64::try_from(now_ms / 1000).map_err(|_| AuthorityError::Validity)?;
        let certificate = approval_params(
            fields,
            self.public_key.as_bytes(),
            now,
            now + i64::from(lifetime_s),
        )?
        .signed_by(&SubjectKey(fields.q), &self.issuer)
        .map_err(|error| AuthorityError::Encoding(error.to_string()))?;
        Ok(certificate.der().to_vec())
    }
}

fn approval_params(
    fields: &ApprovalFields,
    issuer: &[u8; 32],
    not_before: i64,
    not_after: i64,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, fields.approve_id.to_string());
    params.not_before = at(not_before)?;
    params.not_after = at(not_after)?;
    params.serial_number = Some(serial(&[
        b"quorate approval serial v1",
        issuer,
        fields.approve_id.as_bytes(),
        fields.q.as_bytes(),
        &not_before.to_be_bytes(),
        &not_after.to_be_bytes(),
    ]));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(APPROVAL_USAGE.to_vec())];
    params.is_ca = IsCa::ExplicitNoCa;
    let ours = fields.extension_values().into_iter();
    params.custom_extensions = ours
        .filter_map(|(extension, value)| Some((extension.component()?, value)))
        .map(|(component, value)| {
            CustomExtension::from_oid_content(&[&ARC[..], &[1, component]].concat(), value)
        })
        .collect();
    Ok(params)
}

/// A serial number that is unique without a counter to keep: 16 bytes of a hash, the first bits set to 01, so that it is
/// positive and always 16 bytes long. Every part but the first has a fixed length.
fn serial(parts: &[&[u8]]) -> SerialNumber {
    let mut bytes: Vec<u8> = Sha256::digest(parts.concat()).iter().copied().take(16).collect();
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    SerialNumber::from(bytes)
}

fn at(seconds: i64) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| AuthorityError::Validity)
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

/// The CA's key. The signing key wipes itself.
struct CaKey(SigningKey);

impl CaKey {
    fn new(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_ref().as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl rcgen::SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

/// Q as the subject's public key.
struct SubjectKey(PublicKey);

impl PublicKeyData for SubjectKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}
