//! Whom a node trusts: pinned roots, the policy over them, and what chain and installation they speak of.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use threshold::ids::ChainId;
use threshold::name::Name;
use threshold::signature::PublicKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::x509::X509Version;

use crate::canonical;
use crate::certificate::{is_ed25519, parse, signature_of};
use crate::check::MAX_CERTIFICATES;
use crate::der::{self, DerFault};
use crate::oid::{BASIC_CONSTRAINTS, KEY_USAGE, SPKI_PREFIX, SUBJECT_KEY_IDENTIFIER};
use crate::policy::Policy;

/// A larger root certificate is refused before it is parsed.
pub const MAX_ROOT_SIZE: usize = 2048;
/// More organisations than this are refused.
pub const MAX_ORGANISATIONS: usize = 64;

/// Why a root certificate cannot be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RootFault {
    /// Empty, or larger than [`MAX_ROOT_SIZE`].
    #[error("its size is out of bounds")]
    Size,
    /// Not strict DER.
    #[error("it is not strict DER: {0}")]
    Der(DerFault),
    /// Not an X.509 certificate of version 3.
    #[error("it is not an X.509 v3 certificate")]
    NotX509,
    /// A key or signature algorithm other than Ed25519 without parameters.
    #[error("its algorithms are not Ed25519")]
    Algorithm,
    /// A key that is not a canonical point of prime order: it may verify signatures that nobody made.
    #[error("its key is weak")]
    WeakKey,
    /// Subject and issuer differ.
    #[error("it is not self-issued")]
    NotSelfIssued,
    /// Its own key did not sign it.
    #[error("its self-signature does not verify")]
    SelfSignature,
    /// Without critical basicConstraints CA:TRUE.
    #[error("it is not a CA certificate")]
    NotACa,
    /// Without critical keyUsage keyCertSign.
    #[error("its key usage is not keyCertSign")]
    KeyUsage,
    /// Without a subject key identifier of 20 bytes.
    #[error("it has no subject key identifier of 20 bytes")]
    SubjectKeyIdentifier,
    /// An extension twice, or one that is critical and not understood here.
    #[error("it has a repeated or an unknown critical extension")]
    Extensions,
    /// notAfter before notBefore, or a time before 1970.
    #[error("its validity is not an interval")]
    Validity,
}

/// Why a trust bundle is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// A root that cannot be pinned.
    #[error("the root certificate of {organisation}: {fault}")]
    Root {
        /// Whose root.
        organisation: Name,
        /// What is wrong with it.
        fault: RootFault,
    },
    /// No organisation, or more than [`MAX_ORGANISATIONS`].
    #[error("{0} organisations are configured; 1 to {MAX_ORGANISATIONS} are needed")]
    OrganisationCount(usize),
    /// One name twice.
    #[error("organisation {0} is configured twice")]
    RepeatedName(Name),
    /// One key under two names: it would count twice.
    #[error("organisations {0} and {1} have the same key")]
    RepeatedKey(Name, Name),
    /// One key identifier under two keys: it would be ambiguous who issued a certificate.
    #[error("organisations {0} and {1} have the same subject key identifier")]
    RepeatedKeyIdentifier(Name, Name),
    /// The policy names an organisation that has no root here.
    #[error("the policy names {0}, which has no root certificate")]
    UnknownOrganisation(Name),
    /// The policy needs more certificates than a request may carry.
    #[error(
        "the policy needs approvals of {0} organisations, and a request carries at most {MAX_CERTIFICATES}; ask for \
         fewer, or let weights stand for groups"
    )]
    TooManyNeeded(usize),
}

/// An organisation and its pinned root. Made only from a root that passes every check of [`RootFault`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedOrganisation {
    name: Name,
    root: Root,
}

impl TrustedOrganisation {
    /// Pin a root. Whether it is valid now is checked with every certificate, not here.
    ///
    /// # Errors
    /// [`TrustError::Root`].
    pub fn new(name: Name, root_der: &[u8]) -> Result<Self, TrustError> {
        match Root::read(root_der) {
            Ok(root) => Ok(Self { name, root }),
            Err(fault) => Err(TrustError::Root {
                organisation: name,
                fault,
            }),
        }
    }

    /// The organisation's name, as the policy uses it.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The root certificate.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.root.der
    }

    /// The pinned key: the only thing that decides who issued a certificate.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.root.public_key
    }

    /// The root's validity in seconds since 1970, both ends inclusive.
    #[must_use]
    pub fn validity(&self) -> &RangeInclusive<u64> {
        &self.root.validity
    }

    /// The root's subject name in DER.
    pub(crate) fn subject(&self) -> &[u8] {
        &self.root.subject
    }
}

/// A root certificate that may be pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root {
    der: Vec<u8>,
    pub(crate) public_key: PublicKey,
    key_identifier: [u8; 20],
    subject: Vec<u8>,
    validity: RangeInclusive<u64>,
}

impl Root {
    pub(crate) fn read(der: &[u8]) -> Result<Self, RootFault> {
        if der.is_empty() || der.len() > MAX_ROOT_SIZE {
            return Err(RootFault::Size);
        }
        der::check_strict(der).map_err(RootFault::Der)?;
        let root = parse(der)
            .filter(|root| root.version() == X509Version::V3)
            .ok_or(RootFault::NotX509)?;
        let public_key = root_key(&root)?;
        if root.subject().as_raw() != root.issuer().as_raw() {
            return Err(RootFault::NotSelfIssued);
        }
        let signature = signature_of(&root).ok_or(RootFault::Algorithm)?;
        let signed_part = der::signed_part(der).ok_or(RootFault::NotX509)?;
        // The outer algorithm is not under the signature, and the parser is lax about tags.
        if !der.ends_with(&canonical::signature_parts(&signature)) {
            return Err(RootFault::Algorithm);
        }
        public_key
            .verify_raw(signed_part, &signature)
            .map_err(|_| RootFault::SelfSignature)?;
        Ok(Self {
            der: der.to_vec(),
            public_key,
            key_identifier: check_root_extensions(&root)?,
            subject: root.subject().as_raw().to_vec(),
            validity: root_validity(&root)?,
        })
    }
}

fn root_key(root: &X509Certificate<'_>) -> Result<PublicKey, RootFault> {
    if !is_ed25519(&root.signature_algorithm) || !is_ed25519(&root.tbs_certificate.signature) {
        return Err(RootFault::Algorithm);
    }
    let key = root
        .public_key()
        .raw
        .strip_prefix(SPKI_PREFIX)
        .ok_or(RootFault::Algorithm)?;
    let key: [u8; 32] = key.try_into().map_err(|_| RootFault::Algorithm)?;
    PublicKey::from_bytes(&key).map_err(|_| RootFault::WeakKey)
}

/// A root may carry extensions that we do not need, as long as they are not critical. Returns the key identifier.
fn check_root_extensions(root: &X509Certificate<'_>) -> Result<[u8; 20], RootFault> {
    let mut seen = BTreeSet::new();
    for extension in root.extensions() {
        let oid = extension.oid.as_bytes();
        let understood = [BASIC_CONSTRAINTS, KEY_USAGE, SUBJECT_KEY_IDENTIFIER].contains(&oid);
        if !seen.insert(oid) || (extension.critical && !understood) {
            return Err(RootFault::Extensions);
        }
    }
    let critical = |oid: &[u8]| {
        let found = root
            .extensions()
            .iter()
            .find(|extension| extension.oid.as_bytes() == oid);
        found
            .filter(|extension| extension.critical)
            .map(|extension| extension.value)
    };
    // SEQUENCE { cA TRUE, pathLenConstraint if any }
    match critical(BASIC_CONSTRAINTS) {
        Some([0x30, 0x03, 0x01, 0x01, 0xff] | [0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, _]) => {}
        _ => return Err(RootFault::NotACa),
    }
    // keyCertSign is bit 5, the third lowest of the first byte.
    match critical(KEY_USAGE) {
        Some([0x03, 0x02, 0..=2, bits]) if bits & 0x04 != 0 => {}
        _ => return Err(RootFault::KeyUsage),
    }
    let identifier = root
        .extensions()
        .iter()
        .find(|extension| extension.oid.as_bytes() == SUBJECT_KEY_IDENTIFIER);
    identifier
        .and_then(|extension| der::octets(extension.value)?.try_into().ok())
        .ok_or(RootFault::SubjectKeyIdentifier)
}

fn root_validity(root: &X509Certificate<'_>) -> Result<RangeInclusive<u64>, RootFault> {
    let seconds = |timestamp: i64| u64::try_from(timestamp).map_err(|_| RootFault::Validity);
    let validity =
        seconds(root.validity().not_before.timestamp())?..=seconds(root.validity().not_after.timestamp())?;
    if validity.is_empty() {
        Err(RootFault::Validity)
    } else {
        Ok(validity)
    }
}

/// Pinned roots and the policy over them: one version of a node's configuration. Never taken from a request.
///
/// A change of roots or policy is a new bundle with a higher version, approved under the old one; certificates name
/// the version they were issued under, and only those of this version are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    version: u32,
    chain_id: ChainId,
    installation: Name,
    organisations: Vec<TrustedOrganisation>,
    policy: Policy,
}

impl TrustBundle {
    /// A bundle in which names, keys and key identifiers are distinct and the policy names only its organisations, and no
    /// more of them than a request can bring certificates of.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new(
        version: u32,
        chain_id: ChainId,
        installation: Name,
        organisations: Vec<TrustedOrganisation>,
        policy: Policy,
    ) -> Result<Self, TrustError> {
        if organisations.is_empty() || organisations.len() > MAX_ORGANISATIONS {
            return Err(TrustError::OrganisationCount(organisations.len()));
        }
        for (place, one) in organisations.iter().enumerate() {
            for other in organisations.iter().skip(place + 1) {
                check_distinct(one, other)?;
            }
        }
        let unknown = policy
            .organisations()
            .into_iter()
            .find(|name| organisations.iter().all(|o| o.name != *name));
        if let Some(name) = unknown {
            return Err(TrustError::UnknownOrganisation(name));
        }
        let needed = policy.fewest();
        if needed > MAX_CERTIFICATES {
            return Err(TrustError::TooManyNeeded(needed));
        }
        Ok(Self {
            version,
            chain_id,
            installation,
            organisations,
            policy,
        })
    }

    /// The version that certificates must name.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The only chain whose approvals count.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        self.chain_id
    }

    /// The only installation whose documents are served.
    #[must_use]
    pub fn installation(&self) -> &Name {
        &self.installation
    }

    /// The organisations, as configured.
    #[must_use]
    pub fn organisations(&self) -> &[TrustedOrganisation] {
        &self.organisations
    }

    /// The endorsement policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn by_key_identifier(&self, identifier: &[u8]) -> Option<&TrustedOrganisation> {
        self.organisations
            .iter()
            .find(|organisation| organisation.root.key_identifier == identifier)
    }
}

fn check_distinct(one: &TrustedOrganisation, other: &TrustedOrganisation) -> Result<(), TrustError> {
    if one.name == other.name {
        return Err(TrustError::RepeatedName(one.name.clone()));
    }
    if one.public_key() == other.public_key() {
        return Err(TrustError::RepeatedKey(one.name.clone(), other.name.clone()));
    }
    if one.root.key_identifier == other.root.key_identifier {
        return Err(TrustError::RepeatedKeyIdentifier(
            one.name.clone(),
            other.name.clone(),
        ));
    }
    Ok(())
}
