//! What became of a transaction, recorded beside it.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::ids::{KeyId, WriteId};

/// An entry is at most this much longer than its transaction: the length before it and the longest outcome.
pub(crate) const MAX_ENTRY_OVERHEAD: usize = 4 + 73;

/// Declares an enumeration of reasons with, for each, its stable number, its stable code and its sentence.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($variant:ident = $number:literal $code:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
        pub enum $name {
            $(#[doc = $text] #[error($text)] $variant,)*
        }

        impl $name {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in status details, JSON and metrics: stable, snake case.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// Its number in encodings: stable, never used again for another.
            pub fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)* }
            }
        }

        impl Canonical for $name {
            fn encode(&self, writer: &mut Writer) {
                writer.u8(self.number());
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match reader.u8()? {
                    $($number => Ok(Self::$variant),)*
                    _ => Err(DecodeError::Invalid($what)),
                }
            }
        }
    };
}

reasons! {
    /// Why a read was denied. The checks are made in the order of the variants and the first that fails is the
    /// reason. Whoever is not a reader learns nothing of what exists: a dataset that does not exist, and one
    /// that the user may not read, are denied alike.
    DenialReason, "reason of a denial" {
        NotAUser = 1 "not_a_user" "the author is not a user",
        WrongTenant = 2 "wrong_tenant" "the author belongs to another tenant",
        UserMismatch = 3 "user_mismatch" "the named user is not the author",
        NotAReader = 4 "not_a_reader" "the user is not a reader of the dataset, or there is no such dataset",
        DatasetInactive = 5 "dataset_inactive" "the dataset is not active",
        UnknownDocument = 6 "unknown_document" "there is no such document",
        UnknownVersion = 7 "unknown_version" "the document has no such version",
        Erased = 8 "erased" "the document, or this version of it, is erased",
    }
}

reasons! {
    /// Why a transaction other than a read request was not applied. One reason is given: that of the first check
    /// that fails, the author's right before anything that would tell what exists.
    RejectionReason, "reason of a rejection" {
        NotOrganisationAdmin = 1 "not_organisation_admin" "the author is not an organisation's admin",
        NotTenantAdmin = 2 "not_tenant_admin" "the author is not the tenant's admin",
        NotDatasetOwner = 3 "not_dataset_owner" "the author is neither the tenant's admin nor an owner of the dataset",
        NotAWriter = 4 "not_a_writer" "the author is not a writer of the dataset",
        NotCoordinator = 5 "not_coordinator" "the author is not a coordinator",
        WrongTenant = 6 "wrong_tenant" "the author belongs to another tenant",
        InvalidManifest = 7 "invalid_manifest" "the committee manifest does not verify",
        DuplicateCommittee = 8 "duplicate_committee" "this committee is published already",
        KeyAlreadyPublished = 9 "key_already_published" "another committee of this custody key is published",
        TenantExists = 10 "tenant_exists" "the tenant exists already",
        KeyInUse = 11 "key_in_use" "the key has a holder already",
        UserExists = 12 "user_exists" "the user exists already",
        DatasetExists = 13 "dataset_exists" "the dataset exists already",
        NoOwner = 14 "no_owner" "a dataset has at least one owner",
        UnknownUser = 15 "unknown_user" "the tenant has no such user",
        UnknownDataset = 16 "unknown_dataset" "the tenant has no such dataset",
        AlreadyGranted = 17 "already_granted" "the user has this role already",
        NotGranted = 18 "not_granted" "the user does not have this role",
        LastOwner = 19 "last_owner" "the last owner cannot be revoked",
        ActivityUnchanged = 20 "activity_unchanged" "the dataset is already so",
        DatasetInactive = 21 "dataset_inactive" "the dataset is not active",
        VersionNotNext = 22 "version_not_next" "the version is not the latest plus one",
        LabelMismatch = 23 "label_mismatch" "the wrapped key is labelled for something else",
        UnknownCustodyKey = 24 "unknown_custody_key" "the wrapped key is for a custody key that is not published",
        InvalidProof = 25 "invalid_proof" "the wrapped key's proof does not verify",
        ObjectMismatch = 26 "object_mismatch" "the inline object has another size or checksum than stated",
        UnknownApproval = 27 "unknown_approval" "a release is for a read that was not approved",
        UnknownCommittee = 28 "unknown_committee" "a release is by a committee that is not published",
        CommitteeMismatch = 29 "committee_mismatch" "a release is by a committee of another custody key",
        UnknownNode = 30 "unknown_node" "a release is by a seat that the committee does not have",
        ReleaseMismatch = 31 "release_mismatch" "a release is for another wrapped key or reader than was approved",
        InvalidStatement = 32 "invalid_statement" "a release is not signed by the node in that seat",
        DuplicateRelease = 33 "duplicate_release" "a release by this node for this approval is recorded already",
        AlreadyConfirmed = 34 "already_confirmed" "the author's organisation has confirmed this already",
        StaleVersion = 35 "stale_version" "what is to be changed has another version than the expected one",
        NotUserOrAdmin = 36 "not_user_or_admin" "the author is neither the user nor the tenant's admin",
        AlreadyRevoked = 37 "already_revoked" "the key is revoked already",
        NotOwner = 38 "not_owner" "the author is not an owner of the dataset",
        ConfigurationFixed = 39 "configuration_fixed" "the dataset's configuration is final",
        ConfigurationUnchanged = 40 "configuration_unchanged" "the dataset's configuration is already so",
        WrongEncryption = 41 "wrong_encryption" "a wrapped key is missing, or given where the dataset is not threshold-encrypted",
        WrongStorage = 42 "wrong_storage" "the object is not where the dataset keeps its objects",
        UnknownDocument = 43 "unknown_document" "there is no such document",
        UnknownVersion = 44 "unknown_version" "the document has no such version",
        DocumentErased = 45 "document_erased" "the document, or this version of it, is erased",
        NoRoleInTarget = 46 "no_role_in_target" "the author has no role in the dataset that the link points to",
        LinkEnded = 47 "link_ended" "the link has ended already, or has not begun",
        LinkMismatch = 48 "link_mismatch" "the end of a link is of another source or relation than the link",
        UnknownTenant = 49 "unknown_tenant" "there is no such tenant",
        UnknownOrganisation = 50 "unknown_organisation" "there is no such organisation",
        InvalidCertificate = 51 "invalid_certificate" "the certificate is empty, or an organisation has it already",
        UnknownKey = 52 "unknown_key" "the key is not of a party of this kind",
        TooFewAdmins = 53 "too_few_admins" "too few organisations would be left to decide anything",
        OrganisationExists = 54 "organisation_exists" "there is an organisation of this name already",
        TooFewEndorsers = 55 "too_few_endorsers" "fewer than four endorsers would be left, and none of them could fail",
        TooManyOrganisations = 56 "too_many_organisations" "there are as many organisations as there may be",
        EpochPending = 57 "epoch_pending" "the last change of the endorsers is not in force yet",
        EndorserUnchanged = 58 "endorser_unchanged" "the endorser has this key and this address already",
    }
}

/// What became of a transaction.
///
/// ```text
/// applied    0x01
/// approved   0x02 ‖ u64 version ‖ write id (32) ‖ key id (32)
/// denied     0x03 ‖ reason (1)
/// rejected   0x04 ‖ reason (1)
/// pending    0x05 ‖ u16 confirmed ‖ u16 needed
/// permitted  0x06 ‖ u64 version
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Applied,
    /// The read is approved, for this wrapped key.
    Approved {
        /// Which version of the document: the latest at this place in the log when none was named.
        version: u64,
        /// Which wrapped key.
        write_id: WriteId,
        /// Under which custody key.
        key_id: KeyId,
    },
    /// The read is denied.
    Denied(DenialReason),
    /// Not done.
    Rejected(RejectionReason),
    /// Confirmed by the author's organisation. It is done when enough organisations have confirmed the same.
    Pending {
        /// How many have, this one included.
        confirmed: u16,
        /// How many must.
        needed: u16,
    },
    /// The read is allowed, of a version that has no wrapped key: there is nothing to certify or to re-encrypt.
    Permitted {
        /// Which version of the document.
        version: u64,
    },
}

impl Outcome {
    /// The names of all kinds.
    pub const KINDS: &'static [&'static str] = &[
        "applied",
        "approved",
        "denied",
        "rejected",
        "pending",
        "permitted",
    ];

    /// `applied`, `approved`, `denied`, `rejected`, `pending` or `permitted`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Approved { .. } => "approved",
            Self::Denied(_) => "denied",
            Self::Rejected(_) => "rejected",
            Self::Pending { .. } => "pending",
            Self::Permitted { .. } => "permitted",
        }
    }

    /// The stable code of the reason, where there is one.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Applied | Self::Approved { .. } | Self::Pending { .. } | Self::Permitted { .. } => None,
            Self::Denied(reason) => Some(reason.code()),
            Self::Rejected(reason) => Some(reason.code()),
        }
    }

    /// Whether what was asked for was done or approved.
    pub fn succeeded(&self) -> bool {
        matches!(
            self,
            Self::Applied | Self::Approved { .. } | Self::Permitted { .. }
        )
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Applied => f.write_str("applied"),
            Self::Approved { .. } => f.write_str("approved"),
            Self::Denied(reason) => write!(f, "denied: {reason}"),
            Self::Rejected(reason) => write!(f, "rejected: {reason}"),
            Self::Pending { confirmed, needed } => {
                write!(f, "pending: confirmed by {confirmed} of {needed} organisations")
            }
            Self::Permitted { .. } => f.write_str("permitted"),
        }
    }
}

impl Canonical for Outcome {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Applied => writer.u8(1),
            Self::Approved {
                version,
                write_id,
                key_id,
            } => {
                writer.u8(2);
                writer.u64(*version);
                writer.put(write_id);
                writer.put(key_id);
            }
            Self::Denied(reason) => {
                writer.u8(3);
                writer.put(reason);
            }
            Self::Rejected(reason) => {
                writer.u8(4);
                writer.put(reason);
            }
            Self::Pending { confirmed, needed } => {
                writer.u8(5);
                writer.u16(*confirmed);
                writer.u16(*needed);
            }
            Self::Permitted { version } => {
                writer.u8(6);
                writer.u64(*version);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Applied),
            2 => Ok(Self::Approved {
                version: reader.u64()?,
                write_id: reader.get()?,
                key_id: reader.get()?,
            }),
            3 => Ok(Self::Denied(reader.get()?)),
            4 => Ok(Self::Rejected(reader.get()?)),
            5 => Ok(Self::Pending {
                confirmed: reader.u16()?,
                needed: reader.u16()?,
            }),
            6 => Ok(Self::Permitted {
                version: reader.u64()?,
            }),
            _ => Err(DecodeError::Invalid("outcome")),
        }
    }
}
