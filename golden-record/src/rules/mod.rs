//! The rules: what a transaction by a known author does to the state, or why it does nothing.
//!
//! Each rule reads the state as the transactions before it have left it, and writes its changes aside; they are
//! taken over only when it is applied. The author's right is checked before anything else, so that a reason
//! never tells somebody what exists where they have no business.

mod confirmation;
mod custody;
mod dataset;
mod document;
mod endorsers;
mod erasure;
mod governance;
mod link;
mod read;
mod release;
mod tenant;

pub(crate) use self::endorsers::first_height;
pub use self::endorsers::{EPOCH_DELAY, MIN_ENDORSERS};
pub(crate) use self::read::decide;
pub use self::read::{AllowedRead, ReadQuestion};

use threshold::name::Name;

use crate::body::Body;
use crate::history;
use crate::outcome::{Outcome, RejectionReason};
use crate::records::Party;
use crate::state::{Changes, StateError, StateReader};
use crate::verified::VerifiedTransaction;

/// Where in the chain a transaction is being executed.
pub(crate) struct Place<'a> {
    pub(crate) installation: &'a Name,
    pub(crate) time_ms: u64,
    pub(crate) height: u64,
    pub(crate) log_index: u64,
}

/// One transaction at work: what it may read, and where it writes.
pub(crate) struct Step<'a> {
    place: &'a Place<'a>,
    state: &'a dyn StateReader,
    author: &'a Party,
    changes: Changes,
}

/// Why a rule stops.
#[derive(Debug)]
enum Stop {
    /// The transaction is rejected for this reason.
    Rejected(RejectionReason),
    /// The state cannot be read: there is no outcome at all.
    State(StateError),
}

impl From<RejectionReason> for Stop {
    fn from(reason: RejectionReason) -> Self {
        Self::Rejected(reason)
    }
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// Nothing, or the reason when the condition does not hold.
fn ensure(condition: bool, reason: RejectionReason) -> Result<(), Stop> {
    if condition {
        Ok(())
    } else {
        Err(Stop::Rejected(reason))
    }
}

/// What is meant is what is there: whoever names a version changes that one or nothing.
fn ensure_expected(expected: Option<u64>, version: u64) -> Result<(), Stop> {
    ensure(
        expected.is_none_or(|expected| expected == version),
        RejectionReason::StaleVersion,
    )
}

/// Executes one admitted transaction: its outcome, and its changes, which are none unless it succeeded.
pub(crate) fn apply(
    place: &Place<'_>,
    state: &dyn StateReader,
    author: &Party,
    transaction: &VerifiedTransaction,
) -> Result<(Outcome, Changes), StateError> {
    let mut step = Step {
        place,
        state,
        author,
        changes: Changes::new(),
    };
    match step.run(transaction) {
        Ok(outcome) => {
            history::file(state, &mut step.changes, place.height)?;
            Ok((outcome, step.changes))
        }
        Err(Stop::Rejected(reason)) => Ok((Outcome::Rejected(reason), Changes::new())),
        Err(Stop::State(error)) => Err(error),
    }
}

impl Step<'_> {
    fn run(&mut self, transaction: &VerifiedTransaction) -> Result<Outcome, Stop> {
        let flaw = transaction.flaw();
        match &transaction.transaction().body {
            Body::PublishCommittee { manifest } => return self.publish_committee(manifest, flaw),
            Body::CreateTenant { tenant, admin } => self.create_tenant(tenant, admin)?,
            Body::CreateUser { tenant, user, key } => self.create_user(tenant, user, key)?,
            Body::CreateDataset {
                tenant,
                dataset,
                owners,
                writers,
                readers,
                configuration,
            } => {
                self.create_dataset(tenant, dataset, [owners, writers, readers], *configuration)?;
            }
            Body::Grant {
                tenant,
                dataset,
                user,
                role,
                expected,
            } => self.grant([tenant, dataset, user], *role, *expected)?,
            Body::Revoke {
                tenant,
                dataset,
                user,
                role,
                expected,
            } => self.revoke([tenant, dataset, user], *role, *expected)?,
            Body::SetDatasetActive {
                tenant,
                dataset,
                active,
                expected,
            } => {
                self.set_dataset_active(tenant, dataset, *active, *expected)?;
            }
            body @ Body::WriteDocument { .. } => self.write_document(body, flaw)?,
            body @ Body::RequestRead { .. } => {
                return Ok(self.request_read(body, transaction)?);
            }
            Body::RecordReleases { releases } => self.record_releases(releases)?,
            Body::RotateUserKey {
                tenant,
                user,
                key,
                expected,
            } => self.rotate_user_key(tenant, user, key, *expected)?,
            Body::RevokeUser {
                tenant,
                user,
                expected,
            } => self.revoke_user(tenant, user, *expected)?,
            Body::RotateTenantAdmin {
                tenant,
                key,
                expected,
            } => self.rotate_tenant_admin(tenant, key, *expected)?,
            Body::ConfigureDataset {
                tenant,
                dataset,
                configuration,
                expected,
            } => self.configure_dataset(tenant, dataset, *configuration, *expected)?,
            Body::EraseDocument {
                tenant,
                dataset,
                document,
                version,
            } => self.erase_document(tenant, dataset, document, *version)?,
            body @ Body::PutLink { .. } => self.put_link(body)?,
            body @ Body::Govern { revision, change } => return self.govern(body, *revision, change),
        }
        Ok(Outcome::Applied)
    }
}
