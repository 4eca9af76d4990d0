//! What a transaction asks for.

use std::collections::BTreeSet;

use threshold::committee::SignedManifest;
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::name::{DocumentName, Name};
use threshold::signature::PublicKey;
use threshold::statement::ReleaseStatement;
use threshold::wrap::WrappedKey;

use crate::codec::{read_optional_bytes, read_set, write_optional_bytes, write_set};

/// The most bytes of encrypted material (the blob that the data key opens).
pub const MAX_MATERIAL: usize = 4096;
/// The most bytes of an encrypted object on the chain itself: 2 KiB and its encryption's overhead.
pub const MAX_INLINE: usize = 2304;
/// The most bytes of a stated purpose.
pub const MAX_PURPOSE: usize = 256;
/// The most releases in one transaction.
pub const MAX_RELEASES: usize = 128;
/// The most owners, writers or readers named when a dataset is created.
pub const MAX_INITIAL_MEMBERS: usize = 64;

/// What a user may do in a dataset. Each role is granted by itself: an owner is neither a writer nor a reader
/// until somebody, perhaps it, grants that.
///
/// Encoded as one byte: 1 owner, 2 writer, 3 reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Grants and revokes roles, switches the dataset on and off.
    Owner,
    /// Writes documents.
    Writer,
    /// Reads documents.
    Reader,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Owner, Self::Writer, Self::Reader];

    /// Its name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Writer => "writer",
            Self::Reader => "reader",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(DecodeError::Invalid("role"))
    }
}

impl Canonical for Role {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Owner => 1,
            Self::Writer => 2,
            Self::Reader => 3,
        });
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Owner),
            2 => Ok(Self::Writer),
            3 => Ok(Self::Reader),
            _ => Err(DecodeError::Invalid("role")),
        }
    }
}

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
    },
    /// 7. By the tenant's admin or an owner of the dataset.
    SetDatasetActive {
        /// The tenant.
        tenant: Name,
        /// The dataset.
        dataset: Name,
        /// Whether documents can be written and read from now on.
        active: bool,
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
        /// The data key, wrapped under a published custody key; its label names exactly this version.
        wrapped_key: WrappedKey,
        /// The encrypted object key, location and metadata; at most 4096 bytes.
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
}

impl Body {
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

impl Canonical for Body {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::PublishCommittee { manifest } => {
                writer.u8(1);
                writer.put(manifest);
            }
            Self::CreateTenant { tenant, admin } => {
                writer.u8(2);
                writer.put(tenant);
                writer.put(admin);
            }
            Self::CreateUser { tenant, user, key } => {
                writer.u8(3);
                writer.put(tenant);
                writer.put(user);
                writer.put(key);
            }
            Self::CreateDataset {
                tenant,
                dataset,
                owners,
                writers,
                readers,
            } => {
                writer.u8(4);
                writer.put(tenant);
                writer.put(dataset);
                write_set(writer, owners);
                write_set(writer, writers);
                write_set(writer, readers);
            }
            Self::Grant {
                tenant,
                dataset,
                user,
                role,
            } => {
                writer.u8(5);
                encode_role(writer, tenant, dataset, user, *role);
            }
            Self::Revoke {
                tenant,
                dataset,
                user,
                role,
            } => {
                writer.u8(6);
                encode_role(writer, tenant, dataset, user, *role);
            }
            Self::SetDatasetActive {
                tenant,
                dataset,
                active,
            } => {
                writer.u8(7);
                writer.put(tenant);
                writer.put(dataset);
                writer.bool(*active);
            }
            Self::WriteDocument {
                tenant,
                dataset,
                document,
                version,
                wrapped_key,
                material,
                checksum,
                size,
                inline,
            } => {
                writer.u8(8);
                writer.put(tenant);
                writer.put(dataset);
                writer.put(document);
                writer.u64(*version);
                writer.put(wrapped_key);
                writer.bytes(material);
                writer.fixed(checksum);
                writer.u64(*size);
                write_optional_bytes(writer, inline.as_deref());
            }
            Self::RequestRead {
                tenant,
                dataset,
                document,
                version,
                user,
                q,
                purpose,
            } => {
                writer.u8(9);
                writer.put(tenant);
                writer.put(dataset);
                writer.put(document);
                writer.u64(*version);
                writer.put(user);
                writer.put(q);
                writer.str(purpose);
            }
            Self::RecordReleases { releases } => {
                writer.u8(10);
                writer.list(releases);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let body = match reader.u8()? {
            1 => Self::PublishCommittee {
                manifest: reader.get()?,
            },
            2 => Self::CreateTenant {
                tenant: reader.get()?,
                admin: reader.get()?,
            },
            3 => Self::CreateUser {
                tenant: reader.get()?,
                user: reader.get()?,
                key: reader.get()?,
            },
            4 => Self::CreateDataset {
                tenant: reader.get()?,
                dataset: reader.get()?,
                owners: read_set(reader, MAX_INITIAL_MEMBERS, "owners")?,
                writers: read_set(reader, MAX_INITIAL_MEMBERS, "writers")?,
                readers: read_set(reader, MAX_INITIAL_MEMBERS, "readers")?,
            },
            5 => {
                let (tenant, dataset, user, role) = decode_role(reader)?;
                Self::Grant {
                    tenant,
                    dataset,
                    user,
                    role,
                }
            }
            6 => {
                let (tenant, dataset, user, role) = decode_role(reader)?;
                Self::Revoke {
                    tenant,
                    dataset,
                    user,
                    role,
                }
            }
            7 => Self::SetDatasetActive {
                tenant: reader.get()?,
                dataset: reader.get()?,
                active: reader.bool()?,
            },
            8 => Self::WriteDocument {
                tenant: reader.get()?,
                dataset: reader.get()?,
                document: reader.get()?,
                version: reader.u64()?,
                wrapped_key: reader.get()?,
                material: reader.bytes(MAX_MATERIAL)?.to_vec(),
                checksum: reader.fixed()?,
                size: reader.u64()?,
                inline: read_optional_bytes(reader, MAX_INLINE)?,
            },
            9 => Self::RequestRead {
                tenant: reader.get()?,
                dataset: reader.get()?,
                document: reader.get()?,
                version: reader.u64()?,
                user: reader.get()?,
                q: reader.get()?,
                purpose: reader.str(MAX_PURPOSE)?.to_owned(),
            },
            10 => Self::RecordReleases {
                releases: reader.list(MAX_RELEASES)?,
            },
            _ => return Err(DecodeError::Invalid("kind of transaction")),
        };
        body.check()?;
        Ok(body)
    }
}

fn encode_role(writer: &mut Writer, tenant: &Name, dataset: &Name, user: &Name, role: Role) {
    writer.put(tenant);
    writer.put(dataset);
    writer.put(user);
    writer.put(&role);
}

fn decode_role(reader: &mut Reader<'_>) -> Result<(Name, Name, Name, Role), DecodeError> {
    Ok((reader.get()?, reader.get()?, reader.get()?, reader.get()?))
}
