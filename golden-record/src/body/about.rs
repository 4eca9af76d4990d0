//! What a body is about, by what stands in it.

use threshold::name::{DocumentName, Name};

use super::{Body, Change};

impl Body {
    /// The tenant that it concerns; none for those about the installation, and for receipts, which may be about several.
    pub fn tenant(&self) -> Option<&Name> {
        match self {
            Self::CreateTenant { tenant, .. }
            | Self::CreateUser { tenant, .. }
            | Self::CreateDataset { tenant, .. }
            | Self::Grant { tenant, .. }
            | Self::Revoke { tenant, .. }
            | Self::SetDatasetActive { tenant, .. }
            | Self::WriteDocument { tenant, .. }
            | Self::RequestRead { tenant, .. }
            | Self::RotateUserKey { tenant, .. }
            | Self::RevokeUser { tenant, .. }
            | Self::RotateTenantAdmin { tenant, .. }
            | Self::ConfigureDataset { tenant, .. }
            | Self::EraseDocument { tenant, .. }
            | Self::PutLink { tenant, .. }
            | Self::Govern {
                change: Change::ReplaceTenantAdmin { tenant, .. },
                ..
            } => Some(tenant),
            Self::PublishCommittee { .. } | Self::RecordReleases { .. } | Self::Govern { .. } => None,
        }
    }

    /// The dataset of its tenant that it concerns, if it is one.
    pub fn dataset(&self) -> Option<&Name> {
        match self {
            Self::CreateDataset { dataset, .. }
            | Self::Grant { dataset, .. }
            | Self::Revoke { dataset, .. }
            | Self::SetDatasetActive { dataset, .. }
            | Self::WriteDocument { dataset, .. }
            | Self::RequestRead { dataset, .. }
            | Self::ConfigureDataset { dataset, .. }
            | Self::EraseDocument { dataset, .. }
            | Self::PutLink { dataset, .. } => Some(dataset),
            Self::CreateTenant { .. }
            | Self::CreateUser { .. }
            | Self::PublishCommittee { .. }
            | Self::RecordReleases { .. }
            | Self::RotateUserKey { .. }
            | Self::RevokeUser { .. }
            | Self::RotateTenantAdmin { .. }
            | Self::Govern { .. } => None,
        }
    }

    /// The document of its dataset that it concerns, if it is one; of a link, its source.
    pub fn document(&self) -> Option<&DocumentName> {
        match self {
            Self::WriteDocument { document, .. }
            | Self::RequestRead { document, .. }
            | Self::EraseDocument { document, .. } => Some(document),
            Self::PutLink { source, .. } => Some(&source.document),
            _ => None,
        }
    }

    /// The user of its tenant that it names, if it is one.
    pub fn user(&self) -> Option<&Name> {
        match self {
            Self::CreateUser { user, .. }
            | Self::Grant { user, .. }
            | Self::Revoke { user, .. }
            | Self::RequestRead { user, .. }
            | Self::RotateUserKey { user, .. }
            | Self::RevokeUser { user, .. } => Some(user),
            _ => None,
        }
    }
}
