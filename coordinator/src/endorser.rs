//! A ledger endorser, as the coordinator sees it.

use std::time::Duration;

use golden_record::{Entry, Genesis, Transaction};
use proto::field;
use proto::ledger::ledger_service_client::LedgerServiceClient;
use proto::ledger::{GetCommitteeRequest, GetStatusRequest, SubmitRequest};
use proto::limits::{LEDGER_ANSWER, LEDGER_REQUEST};
use service::Identity;
use service::tls::{ChannelLimits, TlsError, connect};
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;
use threshold::ids::{ChainId, KeyId};
use tokio::sync::OnceCell;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::config::Peer;

/// The longest that an endorser may take over a question about what is on the chain.
const QUESTION: Duration = Duration::from_secs(3);
/// The longest that it may take over a transaction.
const SUBMISSION: Duration = Duration::from_secs(15);

/// One endorser: whose it is, and the channel to it.
#[derive(Debug)]
pub(crate) struct Endorser {
    pub(crate) organisation: String,
    client: LedgerServiceClient<Channel>,
    chain_id: OnceCell<ChainId>,
}

/// What an endorser was asked did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndorserError {
    /// It refused, or could not be reached.
    #[error("{}: {}", .0.code(), .0.message())]
    Status(Status),
    /// It answered with what it must not.
    #[error("malformed answer: {0}")]
    Malformed(#[from] field::FieldError),
}

impl From<Status> for EndorserError {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl Endorser {
    pub(crate) fn new(peer: &Peer, identity: &Identity) -> Result<Self, TlsError> {
        let key = peer.identity.to_bytes();
        let channel = connect(&peer.address, key, identity, &ChannelLimits::default())?;
        Ok(Self {
            organisation: peer.name.clone(),
            client: LedgerServiceClient::new(channel)
                .max_decoding_message_size(LEDGER_ANSWER)
                .max_encoding_message_size(LEDGER_REQUEST),
            chain_id: OnceCell::new(),
        })
    }

    /// The committee of a custody key, or of the newest one; not yet verified.
    pub(crate) async fn committee(&self, key_id: Option<KeyId>) -> Result<SignedManifest, EndorserError> {
        let key_id = key_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
        let request = within(QUESTION, GetCommitteeRequest { key_id });
        let answer = self.client.clone().get_committee(request).await?.into_inner();
        Ok(field::parse("manifest", &answer.manifest)?)
    }

    /// The chain that this endorser is on, asked for once. One that lies about it gets transactions that no
    /// other endorser takes, and so harms itself only.
    pub(crate) async fn chain_id(&self) -> Result<ChainId, EndorserError> {
        let ask = || async {
            let request = within(QUESTION, GetStatusRequest {});
            let answer = self.client.clone().get_status(request).await?.into_inner();
            Ok(field::parse::<Genesis>("genesis", &answer.genesis)?.chain_id())
        };
        self.chain_id.get_or_try_init(ask).await.copied()
    }

    /// Submits a transaction and waits until it is final; gives the log's entry of it.
    pub(crate) async fn submit(&self, transaction: &Transaction) -> Result<Entry, EndorserError> {
        let request = within(
            SUBMISSION,
            SubmitRequest {
                transaction: transaction.to_bytes(),
            },
        );
        let answer = self.client.clone().submit(request).await?.into_inner();
        let entry = answer
            .entry
            .ok_or_else(|| field::FieldError::new("entry", "is missing"))?;
        let entry: Entry = field::parse("entry", &entry.entry)?;
        if entry.transaction.tx_id() != transaction.tx_id() {
            return Err(field::FieldError::new("entry", "is of another transaction").into());
        }
        Ok(entry)
    }
}

fn within<T>(limit: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}
