//! A ledger endorser, as the coordinator sees it.

use std::time::Duration;

use golden_record::{Body, Entry, Genesis, Outcome, Transaction, TxId};
use proto::field;
use proto::ledger::ledger_service_client::LedgerServiceClient;
use proto::ledger::{GetCommitteeRequest, GetStatusRequest, GetTransactionRequest, LogEntry, SubmitRequest};
use proto::limits::{LEDGER_ANSWER, LEDGER_REQUEST};
use service::Identity;
use service::tls::{ChannelLimits, TlsError, connect};
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;
use threshold::ids::{ApproveId, ChainId, KeyId, WriteId};
use threshold::signature::PublicKey;
use threshold::statement::ReleaseStatement;
use tokio::sync::OnceCell;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

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
        let mut client = self.client.clone();
        let ask = client.get_committee(within(QUESTION, GetCommitteeRequest { key_id }));
        let answer = whole(QUESTION, ask).await?;
        Ok(field::parse("manifest", &answer.manifest)?)
    }

    /// The chain that this endorser is on, asked for once. One that lies about it gets transactions that no
    /// other endorser takes, and so harms itself only.
    pub(crate) async fn chain_id(&self) -> Result<ChainId, EndorserError> {
        let ask = || async {
            let mut client = self.client.clone();
            let ask = client.get_status(within(QUESTION, GetStatusRequest {}));
            let answer = whole(QUESTION, ask).await?;
            Ok(field::parse::<Genesis>("genesis", &answer.genesis)?.chain_id())
        };
        self.chain_id.get_or_try_init(ask).await.copied()
    }

    /// The read request with this id, if this endorser has it as approved.
    pub(crate) async fn approved(&self, id: ApproveId) -> Result<Option<ApprovedRead>, EndorserError> {
        let request = GetTransactionRequest {
            tx_id: id.as_bytes().to_vec(),
            with_proof: false,
        };
        let mut client = self.client.clone();
        let answer = match whole(QUESTION, client.get_transaction(within(QUESTION, request))).await {
            Ok(answer) => answer,
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(status.into()),
        };
        let entry = entry(answer.entry, id)?;
        Ok(match (entry.transaction.body, entry.outcome) {
            (Body::RequestRead { q, .. }, Outcome::Approved { write_id, .. }) => {
                Some(ApprovedRead { q, write_id })
            }
            _ => None,
        })
    }

    /// Submits a transaction and waits until it is final; gives the log's entry of it.
    pub(crate) async fn submit(&self, transaction: &Transaction) -> Result<Entry, EndorserError> {
        let request = within(
            SUBMISSION,
            SubmitRequest {
                transaction: transaction.to_bytes(),
            },
        );
        let mut client = self.client.clone();
        let answer = whole(SUBMISSION, client.submit(request)).await?;
        Ok(entry(answer.entry, transaction.tx_id())?)
    }
}

/// What a read was approved for.
#[derive(Debug)]
pub(crate) struct ApprovedRead {
    q: PublicKey,
    write_id: WriteId,
}

impl ApprovedRead {
    /// Whether a release is one of this read's.
    pub(crate) fn covers(&self, statement: &ReleaseStatement) -> bool {
        (self.q, self.write_id) == (statement.q, statement.write_id)
    }
}

/// The entry in an answer; it must be of the transaction that was asked about.
fn entry(answer: Option<LogEntry>, id: TxId) -> Result<Entry, field::FieldError> {
    let entry = answer.ok_or_else(|| field::FieldError::new("entry", "is missing"))?;
    let entry: Entry = field::parse("entry", &entry.entry)?;
    if entry.transaction.tx_id() != id {
        return Err(field::FieldError::new("entry", "is of another transaction"));
    }
    Ok(entry)
}

fn within<T>(limit: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

/// The whole of an answer within the limit. The limit that a request carries ends when an answer begins: an endorser
/// that begins one and never ends it would be waited for without end.
async fn whole<T>(
    limit: Duration,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    tokio::time::timeout(limit, answer)
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("no whole answer in time")))
        .map(Response::into_inner)
}
