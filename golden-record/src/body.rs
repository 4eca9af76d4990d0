//! What a transaction asks for.

mod about;
mod change;
mod encoding;
mod link;
mod settings;

use std::collections::BTreeSet;

use threshold::committee::SignedManifest;
use threshold::encoding::DecodeError;
use threshold::name::{DocumentName, Name};
use threshold::signature::PublicKey;
use threshold::statement::ReleaseStatement;
use threshold::wrap::WrappedKey;

pub use self::change::Change;
pub use self::link::{LinkSource, LinkTarget};
pub use self::settings::{Configuration, Encryption, Role, Storage};

/// The most bytes of encrypted material (the blob that the data key opens).
pub const MAX_MATERIAL: usize = 4096;
/// The most bytes of an encrypted object on the chain itself: 2 KiB and its encryption's overhead.
pub const MAX_INLINE: usize = 2304;
/// An object of at most this many bytes is on the chain in a dataset that keeps its objects there.
pub const MUST_INLINE: u64 = 2048;
/// The most bytes of a stated purpose.
pub const MAX_PURPOSE: usize = 256;
/// The most releases in one transaction.
pub const MAX_RELEASES: usize = 128;
/// The most owners, writers or readers named when a dataset is created.
pub const MAX_INITIAL_MEMBERS: usize = 64;

/// What a transaction asks for. Encoded as a tag byte (given with each), then its fields in the order below.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "bodies are few at a time, and read more often than moved"
)]
pub enum Body {
    /// 1. Makes a custody key usable. By an organisation's admin.
    PublishCommittee {
        /// The committee, signed by all its members.
        manifest: SignedManifest,
    },
    /// 2. By an organisation's admin.
    CreateTenant {
        /// The new tenant.
        tenant: Name,
        /// The key of its admin, which has no other holder or purpose.
        admin: PublicKey,
    },
    /// 3. By the tenant's admin.
    CreateUser {
        /// The tenant.
        tenant: Name,
        /// The new user.
        user: Name,
        /// Its key, which has no other holder or purpose in the installation.
        key: PublicKey,
    },
    /// 4. By the tenant's admin.
    CreateDataset {
        /// The tenant.
        tenant: Name,
        /// The new dataset; it begins active.
        dataset: Name,
        /// At least one, at most 64, as are the others. Sets are encoded ascending.
        owners: BTreeSet<Name>,
        /// Who may write.
        writers: BTreeSet<Name>,
        /// Who may read.
        readers: BTreeSet<Name>,
        /// How it treats its documents.
        configuration: Configuration,
    },
    /// 5. By the tenant's admin or an owner of the dataset.
    Grant {
        /// The tenant.
        tenant: Name,
        /// The dataset.
        dataset: Name,
        /// Who is granted the role.
        user: Name,
        /// The role.
        role: Role,
        /// The version of the dataset that is meant; whichever it has, when absent.
        expected: Option<u64>,
    },
    /// 6. By the tenant's admin or an owner of the dataset.
    Revoke {
        /// The tenant.
        tenant: Name,
        /// The dataset.
        dataset: Name,
        /// Who loses the role.
        user: Name,
        /// The role.
        role: Role,
        /// The version of the dataset that is meant; whichever it has, when absent.
        expected: Option<u64>,
    },
    /// 7. By the tenant's admin or an owner of the dataset.
    SetDatasetActive {
        /// The tenant.
        tenant: Name,
        /// The dataset.
        dataset: Name,
        /// Whether documents can be written and read from now on.
        active: bool,
        /// The version of the dataset that is meant; whichever it has, when absent.
        expected: Option<u64>,
    },
    /// 8. By a writer of the dataset.
    WriteDocument {
        /// The tenant.
        tenant: Name,
        /// The dataset.
        dataset: Name,
        /// The document, which comes into being with its version 1.
        document: DocumentName,
        /// The latest version plus one; never 0.
        version: u64,
        /// The data key, wrapped under a published custody key; its label names exactly this version. Absent when the
        /// dataset is not threshold-encrypted.
        wrapped_key: Option<WrappedKey>,
        /// The object key, location and metadata, encrypted when there is a wrapped key; at most 4096 bytes.
        material: Vec<u8>,
        /// SHA-256 of the encrypted object.
        checksum: [u8; 32],
        /// Bytes of the encrypted object.
        size: u64,
        /// The encrypted object itself, when it is kept on the chain; at most 2304 bytes.
        inline: Option<Vec<u8>>,
    },
    /// 9. By the user. Recorded whether approved or denied.
    RequestRead {
        /// The tenant.
        tenant: Name,
        /// The dataset.
        dataset: Name,
        /// The document.
        document: DocumentName,
        /// The version; 0 for the latest at the place in the log where the request is decided.
        version: u64,
        /// Who asks: the author's own name.
        user: Name,
        /// The ephemeral key Q that the data key is re-encrypted to.
        q: PublicKey,
        /// Why; at most 256 bytes of UTF-8 without control characters.
        purpose: String,
    },
    /// 10. By a coordinator: the receipt.
    RecordReleases {
        /// What crypto nodes have signed; 1 to 128.
        releases: Vec<ReleaseStatement>,
    },
    /// 11. By the user itself or the tenant's admin. The old key is retired for ever; a revoked user is one again.
    RotateUserKey {
        /// The tenant.
        tenant: Name,
        /// The user.
        user: Name,
        /// The new key, which has no other holder or purpose, now or before.
        key: PublicKey,
        /// The version of the user that is meant; whichever it has, when absent.
        expected: Option<u64>,
    },
    /// 12. By the tenant's admin. The key is retired for ever; the name stays.
    RevokeUser {
        /// The tenant.
        tenant: Name,
        /// The user.
        user: Name,
        /// The version of the user that is meant; whichever it has, when absent.
        expected: Option<u64>,
    },
    /// 13. By the tenant's admin.
    RotateTenantAdmin {
        /// The tenant.
        tenant: Name,
        /// The new key of its admin, which has no other holder or purpose, now or before.
        key: PublicKey,
        /// The version of the tenant that is meant; whichever it has, when absent.
        expected: Option<u64>,
    },
    /// 14. By an owner of the dataset, unless its configuration is fixed.
    ConfigureDataset {
        /// The tenant.
        tenant: Name,
        /// The dataset.
        dataset: Name,
        /// The new configuration.
        configuration: Configuration,
        /// The version of the dataset that is meant; whichever it has, when absent.
        expected: Option<u64>,
    },
    /// 15. By the tenant's admin or an owner of the dataset. What was written stays; its key is never approved again.
    EraseDocument {
        /// The tenant.
        tenant: Name,
        /// The dataset.
        dataset: Name,
        /// The document.
        document: DocumentName,
        /// The version; 0 for the whole document, which then ends.
        version: u64,
    },
    /// 16. By a writer of the dataset who has some role in the dataset that the link points to.
    PutLink {
        /// The tenant.
        tenant: Name,
        /// The dataset that the link belongs to.
        dataset: Name,
        /// The link, which comes into being with its version 1.
        link: Name,
        /// The link's latest version plus one; never 0.
        version: u64,
        /// What the source is to the target.
        relation: Name,
        /// Where it begins.
        source: LinkSource,
        /// Where it points; absent when it ends.
        target: Option<LinkTarget>,
    },
    /// 17. By an organisation's admin; done when enough organisations have confirmed the same.
    Govern {
        /// The revision of the organisations under which this is confirmed.
        revision: u64,
        /// What is to be done.
        change: Change,
    },
}

impl Body {
    /// The names of all kinds.
    pub const KINDS: &'static [&'static str] = &[
        "publish_committee",
        "create_tenant",
        "create_user",
        "create_dataset",
        "grant",
        "revoke",
        "set_dataset_active",
        "write_document",
        "request_read",
        "record_releases",
        "rotate_user_key",
        "revoke_user",
        "rotate_tenant_admin",
        "configure_dataset",
        "erase_document",
        "put_link",
        "govern",
    ];

    /// The name of its kind, stable, snake case.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PublishCommittee { .. } => "publish_committee",
            Self::CreateTenant { .. } => "create_tenant",
            Self::CreateUser { .. } => "create_user",
            Self::CreateDataset { .. } => "create_dataset",
            Self::Grant { .. } => "grant",
            Self::Revoke { .. } => "revoke",
            Self::SetDatasetActive { .. } => "set_dataset_active",
            Self::WriteDocument { .. } => "write_document",
            Self::RequestRead { .. } => "request_read",
            Self::RecordReleases { .. } => "record_releases",
            Self::RotateUserKey { .. } => "rotate_user_key",
            Self::RevokeUser { .. } => "revoke_user",
            Self::RotateTenantAdmin { .. } => "rotate_tenant_admin",
            Self::ConfigureDataset { .. } => "configure_dataset",
            Self::EraseDocument { .. } => "erase_document",
            Self::PutLink { .. } => "put_link",
            Self::Govern { .. } => "govern",
        }
    }

    /// Whether this is a read request, which also carries the proof of possession of q.
    pub fn is_read_request(&self) -> bool {
        matches!(self, Self::RequestRead { .. })
    }

    /// Refuses what could be built but not encoded: fields over their limits, a version 0.
    ///
    /// # Errors
    /// The one that decoding such bytes would give.
    pub fn check(&self) -> Result<(), DecodeError> {
        let within = |length: usize, max: usize, field: &'static str| {
            if length > max {
                Err(DecodeError::TooLong(field))
            } else {
                Ok(())
            }
        };
        match self {
            Self::CreateDataset {
                owners,
                writers,
                readers,
                ..
            } => {
                within(owners.len(), MAX_INITIAL_MEMBERS, "owners")?;
                within(writers.len(), MAX_INITIAL_MEMBERS, "writers")?;
                within(readers.len(), MAX_INITIAL_MEMBERS, "readers")
            }
            Self::WriteDocument {
                version,
                material,
                inline,
                ..
            } => {
                check_version(*version)?;
                within(material.len(), MAX_MATERIAL, "material")?;
                within(inline.as_ref().map_or(0, Vec::len), MAX_INLINE, "inline object")
            }
            Self::PutLink { version, .. } => check_version(*version),
            Self::Govern { change, .. } => change.check(),
            Self::RequestRead { purpose, .. } => {
                within(purpose.len(), MAX_PURPOSE, "purpose")?;
                // A purpose is shown to auditors, one line each.
                if purpose.chars().any(char::is_control) {
                    Err(DecodeError::Invalid("purpose"))
                } else {
                    Ok(())
                }
            }
            Self::RecordReleases { releases } => {
                within(releases.len(), MAX_RELEASES, "releases")?;
                if releases.is_empty() {
                    Err(DecodeError::Invalid("releases"))
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }
}

fn check_version(version: u64) -> Result<(), DecodeError> {
    if version == 0 {
        Err(DecodeError::Invalid("version"))
    } else {
        Ok(())
    }
}
