//! Object identifiers of the approval profile.
//!
//! All of ours hang under one arc, 1.3.6.1.4.1.32473.81. Private enterprise number 32473 is the one that RFC
//! 5612 reserves for documentation: a placeholder, to be replaced by a registered number in this file
//! (and in docs/approval-certificate.md) before anyone outside depends on it. A UUID arc under 2.25 would need no
//! registration, but its 128-bit arc does not fit the tools that print and issue these certificates.

/// The arc of everything ours, as components.
pub const ARC: [u64; 8] = [1, 3, 6, 1, 4, 1, 32473, 81];
/// The extended key usage of an approval certificate: the arc, then 2.1.
pub const APPROVAL_USAGE: [u64; 10] = [1, 3, 6, 1, 4, 1, 32473, 81, 2, 1];

/// DER content of an arc component prefix: 1.3.6.1.4.1.32473.81.
macro_rules! under_arc {
    ($($component:literal),+) => {
        &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x51, $($component),+]
    };
}

pub(crate) const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
pub(crate) const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub(crate) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The extensions of an approval certificate, in the order in which they must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extension {
    /// The key identifier of the issuing root.
    AuthorityKeyIdentifier,
    /// digitalSignature, critical.
    KeyUsage,
    /// [`APPROVAL_USAGE`] alone.
    ExtendedKeyUsage,
    /// The key identifier of Q.
    SubjectKeyIdentifier,
    /// CA:FALSE, critical.
    BasicConstraints,
    /// Arc.1.1: OCTET STRING, 32 bytes.
    WriteId,
    /// Arc.1.2: OCTET STRING, 32 bytes.
    ReaderKey,
    /// Arc.1.3: OCTET STRING, 32 bytes.
    ApproveId,
    /// Arc.1.4: OCTET STRING, 32 bytes.
    KeyId,
    /// Arc.1.5: OCTET STRING, the canonical encoding of the label.
    Label,
    /// Arc.1.6: OCTET STRING, 32 bytes.
    ChainId,
    /// Arc.1.7: INTEGER, 0 to 2^64-1.
    Height,
    /// Arc.1.8: OCTET STRING, 32 bytes.
    BlockHash,
    /// Arc.1.9: INTEGER, 0 to 2^32-1.
    PolicyVersion,
}

impl Extension {
    /// Every extension, in profile order.
    pub const ALL: [Self; 14] = [
        Self::AuthorityKeyIdentifier,
        Self::KeyUsage,
        Self::ExtendedKeyUsage,
        Self::SubjectKeyIdentifier,
        Self::BasicConstraints,
        Self::WriteId,
        Self::ReaderKey,
        Self::ApproveId,
        Self::KeyId,
        Self::Label,
        Self::ChainId,
        Self::Height,
        Self::BlockHash,
        Self::PolicyVersion,
    ];

    /// Whether the profile marks it critical. Ours are not, so that general-purpose verifiers accept the certificate;
    /// the check demands every one of them all the same.
    #[must_use]
    pub fn critical(self) -> bool {
        matches!(self, Self::KeyUsage | Self::BasicConstraints)
    }

    /// The last component under arc.1, for our own extensions.
    #[must_use]
    pub fn component(self) -> Option<u64> {
        Some(match self {
            Self::WriteId => 1,
            Self::ReaderKey => 2,
            Self::ApproveId => 3,
            Self::KeyId => 4,
            Self::Label => 5,
            Self::ChainId => 6,
            Self::Height => 7,
            Self::BlockHash => 8,
            Self::PolicyVersion => 9,
            _ => return None,
        })
    }

    /// DER content of its object identifier.
    #[must_use]
    pub fn oid(self) -> &'static [u8] {
        match self {
            Self::AuthorityKeyIdentifier => AUTHORITY_KEY_IDENTIFIER,
            Self::KeyUsage => KEY_USAGE,
            Self::ExtendedKeyUsage => EXTENDED_KEY_USAGE,
            Self::SubjectKeyIdentifier => SUBJECT_KEY_IDENTIFIER,
            Self::BasicConstraints => BASIC_CONSTRAINTS,
            Self::WriteId => under_arc!(1, 1),
            Self::ReaderKey => under_arc!(1, 2),
            Self::ApproveId => under_arc!(1, 3),
            Self::KeyId => under_arc!(1, 4),
            Self::Label => under_arc!(1, 5),
            Self::ChainId => under_arc!(1, 6),
            Self::Height => under_arc!(1, 7),
            Self::BlockHash => under_arc!(1, 8),
            Self::PolicyVersion => under_arc!(1, 9),
        }
    }

    pub(crate) fn of_oid(oid: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.oid() == oid)
    }
}

/// The whole value of the extended key usage extension: one usage, ours.
pub(crate) const EXTENDED_KEY_USAGE_VALUE: &[u8] = &[
    0x30, 0x0d, 0x06, 0x0b, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x51, 0x02, 0x01,
];
/// digitalSignature alone: one bit set, seven unused.
pub(crate) const KEY_USAGE_VALUE: &[u8] = &[0x03, 0x02, 0x07, 0x80];
/// An empty sequence: cA is FALSE by default, and there is no path length.
pub(crate) const BASIC_CONSTRAINTS_VALUE: &[u8] = &[0x30, 0x00];
/// The AlgorithmIdentifier of Ed25519: no parameters (RFC 8410).
pub(crate) const ED25519_ALGORITHM: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
/// SubjectPublicKeyInfo of Ed25519 (RFC 8410) up to the 32 key bytes.
pub(crate) const SPKI_PREFIX: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
