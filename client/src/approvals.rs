//! A read request to all endorsers at once, and the first approvals that satisfy the policy.

mod tally;

use approval::Approved;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use golden_record::{DocumentVersion, Transaction};
use proto::ledger::{RequestReadRequest, RequestReadResponse};
use threshold::encoding::Canonical;
use threshold::label::Label;
use tonic::Code;

use crate::connection::{CATCH_UP_ATTEMPTS, CATCH_UP_PAUSE, Endorser, request, whole};
use crate::error::{Error, Fault};
use crate::submit::Recorded;
use crate::{Client, now_ms};

use self::tally::Tally;

/// A read that a policy-satisfying set of organisations has approved.
#[derive(Debug)]
pub(crate) struct ApprovedRead {
    /// What the certificates say, checked as a crypto node checks it.
    pub(crate) approved: Approved,
    /// The certificates themselves, DER, for the crypto nodes.
    pub(crate) certificates: Vec<Vec<u8>>,
    /// The document version that all of these endorsers gave alike.
    pub(crate) document: DocumentVersion,
    /// Where the request is in the log.
    pub(crate) recorded: Recorded,
    /// Endorsers that lied on the way.
    pub(crate) faults: Vec<Fault>,
}

impl Client {
    /// Asks every endorser for the document `label`, of version 0 for the latest, and returns as soon as enough have approved.
    pub(crate) async fn request_approvals(
        &self,
        transaction: &Transaction,
        label: &Label,
    ) -> Result<ApprovedRead, Error> {
        let bytes = transaction.to_bytes();
        let mut asked: FuturesUnordered<_> = self
            .0
            .endorsers
            .iter()
            .map(|endorser| ask(endorser, &bytes))
            .collect();
        let trust = &self.0.trust;
        let mut tally = Tally::new(&trust.bundle, trust.key_id, self.tolerated(), transaction, label);
        while let Some((endorser, answer)) = asked.next().await {
            match answer {
                Ok(answer) => tally.take(&endorser.organisation, answer),
                Err(error) => tally.unavailable(endorser.party(), error),
            }
            if let Some(verdict) = tally.verdict(now_ms()) {
                return verdict;
            }
        }
        Err(tally.too_few())
    }
}

async fn ask<'a>(
    endorser: &'a Endorser,
    transaction: &[u8],
) -> (&'a Endorser, Result<RequestReadResponse, Error>) {
    let message = RequestReadRequest {
        transaction: transaction.to_vec(),
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        match whole(endorser.rpc().request_read(request(message.clone()))).await {
            Ok(answer) => return (endorser, Ok(answer)),
            Err(status) if status.code() == Code::PermissionDenied && attempt < CATCH_UP_ATTEMPTS => {
                tokio::time::sleep(CATCH_UP_PAUSE).await;
            }
            Err(status) if status.code() == Code::PermissionDenied => {
                return (endorser, Err(Error::Forbidden(endorser.party())));
            }
            Err(status) => return (endorser, Err(endorser.failed(&status))),
        }
    }
}
