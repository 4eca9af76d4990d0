//! What the organisations decide together.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::name::Name;
use threshold::signature::PublicKey;

use crate::address::Address;
use crate::genesis::{MAX_CERTIFICATE, Organisation};

/// What the organisations decide together. Keys that are replaced or removed are retired for ever.
///
/// Encoded as a tag byte (given with each), then its fields in the order below.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "changes are rare, and few are in memory at once"
)]
pub enum Change {
    /// 1. Gives an organisation another admin's key, also after its key was revoked.
    ReplaceAdmin {
        /// The organisation.
        organisation: Name,
        /// The new key.
        key: PublicKey,
    },
    /// 2. Takes an organisation's admin key away.
    RevokeAdmin {
        /// The organisation.
        organisation: Name,
    },
    /// 3. Gives an organisation another CA certificate.
    ReplaceCertificate {
        /// The organisation.
        organisation: Name,
        /// The self-signed certificate, DER, 1 to 2048 bytes.
        certificate: Vec<u8>,
    },
    /// 4. Adds a coordinator.
    AddCoordinator {
        /// Its key.
        key: PublicKey,
    },
    /// 5. Removes a coordinator.
    RemoveCoordinator {
        /// Its key.
        key: PublicKey,
    },
    /// 6. Adds an auditor.
    AddAuditor {
        /// Its key.
        key: PublicKey,
    },
    /// 7. Removes an auditor.
    RemoveAuditor {
        /// Its key.
        key: PublicKey,
    },
    /// 8. Gives a tenant another admin's key, as when the old one is lost or in wrong hands.
    ReplaceTenantAdmin {
        /// The tenant.
        tenant: Name,
        /// The new key.
        key: PublicKey,
    },
    /// 9. Adds an organisation with its endorser: an epoch begins.
    AddOrganisation {
        /// Its name, keys and certificate.
        organisation: Organisation,
        /// Where its endorser listens to its fellows.
        address: Address,
    },
    /// 10. Removes an organisation with its endorser: an epoch begins.
    RemoveOrganisation {
        /// The organisation.
        organisation: Name,
    },
    /// 11. Gives an organisation's endorser another key, another address or both: an epoch begins.
    ReplaceEndorser {
        /// The organisation.
        organisation: Name,
        /// The key it votes with from then on; it may be the one that it has.
        validator: PublicKey,
        /// Where it listens to its fellows from then on.
        address: Address,
    },
}

impl Change {
    /// Whether it begins an epoch of other endorsers.
    pub fn is_of_endorsers(&self) -> bool {
        matches!(
            self,
            Self::AddOrganisation { .. } | Self::RemoveOrganisation { .. } | Self::ReplaceEndorser { .. }
        )
    }

    /// Refuses what could be built but not encoded.
    pub(super) fn check(&self) -> Result<(), DecodeError> {
        match self {
            Self::ReplaceCertificate { certificate, .. } if certificate.len() > MAX_CERTIFICATE => {
                Err(DecodeError::TooLong("certificate"))
            }
            Self::AddOrganisation { organisation, .. }
                if organisation.ca_certificate.len() > MAX_CERTIFICATE =>
            {
                Err(DecodeError::TooLong("certificate"))
            }
            _ => Ok(()),
        }
    }
}

impl Canonical for Change {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::ReplaceAdmin { organisation, key } => {
                writer.u8(1);
                writer.put(organisation);
                writer.put(key);
            }
            Self::RevokeAdmin { organisation } => {
                writer.u8(2);
                writer.put(organisation);
            }
            Self::ReplaceCertificate {
                organisation,
                certificate,
            } => {
                writer.u8(3);
                writer.put(organisation);
                writer.bytes(certificate);
            }
            Self::AddCoordinator { key } => {
                writer.u8(4);
                writer.put(key);
            }
            Self::RemoveCoordinator { key } => {
                writer.u8(5);
                writer.put(key);
            }
            Self::AddAuditor { key } => {
                writer.u8(6);
                writer.put(key);
            }
            Self::RemoveAuditor { key } => {
                writer.u8(7);
                writer.put(key);
            }
            Self::ReplaceTenantAdmin { tenant, key } => {
                writer.u8(8);
                writer.put(tenant);
                writer.put(key);
            }
            Self::AddOrganisation {
                organisation,
                address,
            } => {
                writer.u8(9);
                writer.put(organisation);
                writer.put(address);
            }
            Self::RemoveOrganisation { organisation } => {
                writer.u8(10);
                writer.put(organisation);
            }
            Self::ReplaceEndorser {
                organisation,
                validator,
                address,
            } => {
                writer.u8(11);
                writer.put(organisation);
                writer.put(validator);
                writer.put(address);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::ReplaceAdmin {
                organisation: reader.get()?,
                key: reader.get()?,
            }),
            2 => Ok(Self::RevokeAdmin {
                organisation: reader.get()?,
            }),
            3 => Ok(Self::ReplaceCertificate {
                organisation: reader.get()?,
                certificate: reader.bytes(MAX_CERTIFICATE)?.to_vec(),
            }),
            4 => Ok(Self::AddCoordinator { key: reader.get()? }),
            5 => Ok(Self::RemoveCoordinator { key: reader.get()? }),
            6 => Ok(Self::AddAuditor { key: reader.get()? }),
            7 => Ok(Self::RemoveAuditor { key: reader.get()? }),
            8 => Ok(Self::ReplaceTenantAdmin {
                tenant: reader.get()?,
                key: reader.get()?,
            }),
            9 => Ok(Self::AddOrganisation {
                organisation: reader.get()?,
                address: reader.get()?,
            }),
            10 => Ok(Self::RemoveOrganisation {
                organisation: reader.get()?,
            }),
            11 => Ok(Self::ReplaceEndorser {
                organisation: reader.get()?,
                validator: reader.get()?,
                address: reader.get()?,
            }),
            _ => Err(DecodeError::Invalid("kind of change")),
        }
    }
}
