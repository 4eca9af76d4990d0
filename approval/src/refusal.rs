//! Why certificates are refused. Each check has its own variant and a stable code.

use threshold::name::Name;

use crate::der::DerFault;
use crate::oid::Extension;

/// What is wrong with one certificate by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Empty, or larger than [`crate::MAX_CERTIFICATE_SIZE`].
    #[error("its size is out of bounds")]
    Size,
    /// Not strict DER.
    #[error("it is not strict DER: {0}")]
    Der(DerFault),
    /// Strict DER, but not a certificate.
    #[error("it is not an X.509 certificate")]
    NotX509,
    /// Not version 3.
    #[error("it is not of version 3")]
    Version,
    /// A serial number that is zero, negative or longer than 20 bytes.
    #[error("its serial number is not acceptable")]
    Serial,
    /// Inner or outer signature algorithm is not Ed25519 without parameters.
    #[error("its signature algorithm is not Ed25519 without parameters")]
    SignatureAlgorithm,
    /// The signature does not have 64 whole bytes.
    #[error("its signature is not 64 bytes long")]
    SignatureLength,
    /// An issuer or subject unique identifier.
    #[error("it has a unique identifier field")]
    UniqueIdentifier,
    /// An extension outside the profile.
    #[error("it has an unknown extension (critical: {critical})")]
    UnknownExtension {
        /// Whether it was marked critical.
        critical: bool,
    },
    /// An extension that stands there twice.
    #[error("it has two {0:?} extensions")]
    DuplicateExtension(Extension),
    /// An extension of the profile is not there.
    #[error("it has no {0:?} extension")]
    MissingExtension(Extension),
    /// An extension is critical where the profile says it is not, or the reverse.
    #[error("its {0:?} extension has the wrong criticality")]
    ExtensionCriticality(Extension),
    /// The extensions do not stand in profile order.
    #[error("its extensions are out of order")]
    ExtensionOrder,
    /// It claims to be a CA, or has a path length.
    #[error("it is a CA certificate")]
    BasicConstraints,
    /// Another key usage than digitalSignature, such as keyCertSign.
    #[error("its key usage is not digitalSignature alone")]
    KeyUsage,
    /// Another extended key usage than the approval's.
    #[error("its extended key usage is not that of an approval")]
    ExtendedKeyUsage,
    /// No pinned root has the authority key identifier.
    #[error("its issuer is not a pinned root")]
    UnknownIssuer,
    /// The issuer name is not the pinned root's subject name.
    #[error("its issuer name is not that of the pinned root")]
    IssuerName,
    /// One of our extensions has a value that is not in its form.
    #[error("its {0:?} extension is malformed")]
    ExtensionValue(Extension),
    /// The subject is not the approveID as the one common name.
    #[error("its subject is not the approveID")]
    SubjectName,
    /// The subject public key is not Q in Ed25519 form.
    #[error("its subject public key is not Q")]
    SubjectKey,
    /// The subject key identifier is not that of Q.
    #[error("its subject key identifier is not that of Q")]
    SubjectKeyIdentifier,
    /// notAfter before notBefore, or a time before 1970.
    #[error("its validity is not an interval")]
    Validity,
    /// A longer lifetime than allowed.
    #[error("its lifetime is longer than allowed")]
    Lifetime,
    /// Before notBefore.
    #[error("it is not valid yet")]
    NotYetValid,
    /// After notAfter.
    #[error("it has expired")]
    Expired,
    /// The pinned root is not valid now.
    #[error("the pinned root is not valid now")]
    RootNotValid,
    /// The parser reads it as a certificate of the profile, but these are not the bytes that the profile gives to its fields.
    #[error("it is not in the one form of its fields")]
    NotCanonical,
    /// Q is not a canonical point of prime order.
    #[error("Q is not a proper public key")]
    ReaderKey,
    /// The signature is not by the pinned root's key.
    #[error("its signature does not verify under the pinned root")]
    Signature,
}

impl CertificateFault {
    /// The stable name of the check that failed, for status details and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Size => "certificate_size",
            Self::Der(_) => "certificate_der",
            Self::NotX509 => "certificate_not_x509",
            Self::Version => "certificate_version",
            Self::Serial => "certificate_serial",
            Self::SignatureAlgorithm => "certificate_signature_algorithm",
            Self::SignatureLength => "certificate_signature_length",
            Self::UniqueIdentifier => "certificate_unique_identifier",
            Self::UnknownExtension { .. } => "certificate_unknown_extension",
            Self::DuplicateExtension(_) => "certificate_duplicate_extension",
            Self::MissingExtension(_) => "certificate_missing_extension",
            Self::ExtensionCriticality(_) => "certificate_extension_criticality",
            Self::ExtensionOrder => "certificate_extension_order",
            Self::BasicConstraints => "certificate_is_ca",
            Self::KeyUsage => "certificate_key_usage",
            Self::ExtendedKeyUsage => "certificate_extended_key_usage",
            Self::UnknownIssuer => "certificate_unknown_issuer",
            Self::IssuerName => "certificate_issuer_name",
            Self::ExtensionValue(_) => "certificate_extension_value",
            Self::SubjectName => "certificate_subject_name",
            Self::SubjectKey => "certificate_subject_key",
            Self::SubjectKeyIdentifier => "certificate_subject_key_identifier",
            Self::Validity => "certificate_validity",
            Self::Lifetime => "certificate_lifetime",
            Self::NotYetValid => "certificate_not_yet_valid",
            Self::Expired => "certificate_expired",
            Self::RootNotValid => "certificate_root_not_valid",
            Self::NotCanonical => "certificate_not_canonical",
            Self::ReaderKey => "reader_key",
            Self::Signature => "certificate_signature",
        }
    }
}

/// Why a set of certificates does not approve the use of a wrapped key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No certificate at all.
    #[error("there is no approval certificate")]
    NoCertificates,
    /// More than [`crate::MAX_CERTIFICATES`].
    #[error("there are {count} approval certificates, more than allowed")]
    TooManyCertificates {
        /// How many there were.
        count: usize,
    },
    /// One certificate is refused by itself.
    #[error("approval certificate {index}: {fault}")]
    Certificate {
        /// Its place in the set, from zero.
        index: usize,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// Two certificates of one organisation.
    #[error("organisation {0} has more than one certificate")]
    RepeatedOrganisation(Name),
    /// A certificate differs from the first one in a field.
    #[error("approval certificate {index} differs from the first in {field:?}")]
    Disagreement {
        /// Its place in the set, from zero.
        index: usize,
        /// The first field that differs.
        field: Extension,
    },
    /// Another chain than the pinned one.
    #[error("the approval is of another chain")]
    Chain,
    /// Another installation than the pinned one.
    #[error("the approval is for another installation")]
    Installation,
    /// Another version of trust roots and policy than the one in force here.
    #[error("the approval is under policy version {certified}, not {pinned}")]
    PolicyVersion {
        /// The certified version.
        certified: u32,
        /// The version in force.
        pinned: u32,
    },
    /// The wrapped key's hash is not the certified writeID.
    #[error("the wrapped key is not the approved one")]
    WriteId,
    /// The wrapped key is under another custody key than certified.
    #[error("the wrapped key is under another custody key than approved")]
    KeyId,
    /// The wrapped key carries another label than certified.
    #[error("the wrapped key has another label than approved")]
    Label,
    /// The endorsement policy does not hold.
    #[error("the approving organisations do not satisfy the policy {policy}")]
    PolicyNotSatisfied {
        /// The policy in force.
        policy: String,
    },
    /// The wrapped key's TDH2 proof does not hold.
    #[error("the proof of the wrapped key does not hold")]
    WrapProof,
    /// An approval that was valid when checked is not any more.
    #[error("the approval has expired since it was checked")]
    NoLongerValid,
}

impl Refusal {
    /// The stable name of the check that failed, for status details and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCertificates => "no_certificates",
            Self::TooManyCertificates { .. } => "too_many_certificates",
            Self::Certificate { fault, .. } => fault.code(),
            Self::RepeatedOrganisation(_) => "repeated_organisation",
            Self::Disagreement { .. } => "certificates_disagree",
            Self::Chain => "wrong_chain",
            Self::Installation => "wrong_installation",
            Self::PolicyVersion { .. } => "wrong_policy_version",
            Self::WriteId => "wrong_write_id",
            Self::KeyId => "wrong_key_id",
            Self::Label => "wrong_label",
            Self::PolicyNotSatisfied { .. } => "policy_not_satisfied",
            Self::WrapProof => "wrap_proof",
            Self::NoLongerValid => "approval_no_longer_valid",
        }
    }
}
