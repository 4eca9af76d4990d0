//! The bytes of a transaction's body.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::name::Name;

use super::{Body, MAX_INITIAL_MEMBERS, MAX_INLINE, MAX_MATERIAL, MAX_PURPOSE, MAX_RELEASES, Role};
use crate::codec::{read_optional_bytes, read_set, write_optional_bytes, write_set};

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
                configuration,
            } => {
                writer.u8(4);
                writer.put(tenant);
                writer.put(dataset);
                write_set(writer, owners);
                write_set(writer, writers);
                write_set(writer, readers);
                writer.put(configuration);
            }
            Self::Grant {
                tenant,
                dataset,
                user,
                role,
                expected,
            } => {
                writer.u8(5);
                encode_role(writer, [tenant, dataset, user], *role, *expected);
            }
            Self::Revoke {
                tenant,
                dataset,
                user,
                role,
                expected,
            } => {
                writer.u8(6);
                encode_role(writer, [tenant, dataset, user], *role, *expected);
            }
            Self::SetDatasetActive {
                tenant,
                dataset,
                active,
                expected,
            } => {
                writer.u8(7);
                writer.put(tenant);
                writer.put(dataset);
                writer.bool(*active);
                put_expected(writer, *expected);
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
                writer.option(wrapped_key.as_ref());
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
            Self::RotateUserKey {
                tenant,
                user,
                key,
                expected,
            } => {
                writer.u8(11);
                writer.put(tenant);
                writer.put(user);
                writer.put(key);
                put_expected(writer, *expected);
            }
            Self::RevokeUser {
                tenant,
                user,
                expected,
            } => {
                writer.u8(12);
                writer.put(tenant);
                writer.put(user);
                put_expected(writer, *expected);
            }
            Self::RotateTenantAdmin {
                tenant,
                key,
                expected,
            } => {
                writer.u8(13);
                writer.put(tenant);
                writer.put(key);
                put_expected(writer, *expected);
            }
            Self::ConfigureDataset {
                tenant,
                dataset,
                configuration,
                expected,
            } => {
                writer.u8(14);
                writer.put(tenant);
                writer.put(dataset);
                writer.put(configuration);
                put_expected(writer, *expected);
            }
            Self::EraseDocument {
                tenant,
                dataset,
                document,
                version,
            } => {
                writer.u8(15);
                writer.put(tenant);
                writer.put(dataset);
                writer.put(document);
                writer.u64(*version);
            }
            Self::PutLink {
                tenant,
                dataset,
                link,
                version,
                relation,
                source,
                target,
            } => {
                writer.u8(16);
                writer.put(tenant);
                writer.put(dataset);
                writer.put(link);
                writer.u64(*version);
                writer.put(relation);
                writer.put(source);
                writer.option(target.as_ref());
            }
            Self::Govern { revision, change } => {
                writer.u8(17);
                writer.u64(*revision);
                writer.put(change);
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
                configuration: reader.get()?,
            },
            5 => Self::Grant {
                tenant: reader.get()?,
                dataset: reader.get()?,
                user: reader.get()?,
                role: reader.get()?,
                expected: expected(reader)?,
            },
            6 => Self::Revoke {
                tenant: reader.get()?,
                dataset: reader.get()?,
                user: reader.get()?,
                role: reader.get()?,
                expected: expected(reader)?,
            },
            7 => Self::SetDatasetActive {
                tenant: reader.get()?,
                dataset: reader.get()?,
                active: reader.bool()?,
                expected: expected(reader)?,
            },
            8 => Self::WriteDocument {
                tenant: reader.get()?,
                dataset: reader.get()?,
                document: reader.get()?,
                version: reader.u64()?,
                wrapped_key: reader.option()?,
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
            11 => Self::RotateUserKey {
                tenant: reader.get()?,
                user: reader.get()?,
                key: reader.get()?,
                expected: expected(reader)?,
            },
            12 => Self::RevokeUser {
                tenant: reader.get()?,
                user: reader.get()?,
                expected: expected(reader)?,
            },
            13 => Self::RotateTenantAdmin {
                tenant: reader.get()?,
                key: reader.get()?,
                expected: expected(reader)?,
            },
            14 => Self::ConfigureDataset {
                tenant: reader.get()?,
                dataset: reader.get()?,
                configuration: reader.get()?,
                expected: expected(reader)?,
            },
            15 => Self::EraseDocument {
                tenant: reader.get()?,
                dataset: reader.get()?,
                document: reader.get()?,
                version: reader.u64()?,
            },
            16 => Self::PutLink {
                tenant: reader.get()?,
                dataset: reader.get()?,
                link: reader.get()?,
                version: reader.u64()?,
                relation: reader.get()?,
                source: reader.get()?,
                target: reader.option()?,
            },
            17 => Self::Govern {
                revision: reader.u64()?,
                change: reader.get()?,
            },
            _ => return Err(DecodeError::Invalid("kind of transaction")),
        };
        body.check()?;
        Ok(body)
    }
}

fn encode_role(writer: &mut Writer, names: [&Name; 3], role: Role, expected: Option<u64>) {
    for name in names {
        writer.put(name);
    }
    writer.put(&role);
    put_expected(writer, expected);
}

/// `0x00`, or `0x01 ‖ u64 version`.
fn put_expected(writer: &mut Writer, expected: Option<u64>) {
    writer.bool(expected.is_some());
    if let Some(version) = expected {
        writer.u64(version);
    }
}

fn expected(reader: &mut Reader<'_>) -> Result<Option<u64>, DecodeError> {
    if reader.bool()? {
        Ok(Some(reader.u64()?))
    } else {
        Ok(None)
    }
}
