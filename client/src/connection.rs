//! The long-lived channels to endorsers and coordinators, and how their refusals become errors.

use std::time::Duration;

use proto::coordinator::coordinator_service_client::CoordinatorServiceClient;
use proto::ledger::ledger_service_client::LedgerServiceClient;
use proto::limits;
use service::identity::Identity;
use service::tls;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::error::{Error, Party};
use crate::profile::Pinned;

/// How long any one answer may take, consensus included.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// No refusal has a longer name.
const MAX_REFUSAL_CODE: usize = 64;

/// One endorser. Cloning shares the channel.
#[derive(Clone)]
pub(crate) struct Endorser {
    pub(crate) organisation: threshold::name::Name,
    rpc: LedgerServiceClient<Channel>,
}

/// One coordinator. Cloning shares the channel.
#[derive(Clone)]
pub(crate) struct Coordinator {
    name: threshold::name::Name,
    rpc: CoordinatorServiceClient<Channel>,
}

impl Endorser {
    pub(crate) fn new(pinned: &Pinned, identity: &Identity) -> Result<Self, Error> {
        let rpc = LedgerServiceClient::new(channel(pinned, identity)?)
            .max_decoding_message_size(limits::LEDGER_PAGE)
            .max_encoding_message_size(limits::LEDGER_REQUEST);
        Ok(Self {
            organisation: pinned.name.clone(),
            rpc,
        })
    }

    pub(crate) fn party(&self) -> Party {
        Party::Endorser(self.organisation.clone())
    }

    pub(crate) fn rpc(&self) -> LedgerServiceClient<Channel> {
        self.rpc.clone()
    }

    /// A status of this endorser as an error.
    pub(crate) fn failed(&self, status: &Status) -> Error {
        unavailable(self.party(), status)
    }
}

impl Coordinator {
    pub(crate) fn new(pinned: &Pinned, identity: &Identity) -> Result<Self, Error> {
        let rpc = CoordinatorServiceClient::new(channel(pinned, identity)?)
            .max_decoding_message_size(limits::COORDINATOR_ANSWER)
            .max_encoding_message_size(limits::REENCRYPT_REQUEST);
        Ok(Self {
            name: pinned.name.clone(),
            rpc,
        })
    }

    pub(crate) fn name(&self) -> &threshold::name::Name {
        &self.name
    }

    pub(crate) fn party(&self) -> Party {
        Party::Coordinator(self.name.clone())
    }

    pub(crate) fn rpc(&self) -> CoordinatorServiceClient<Channel> {
        self.rpc.clone()
    }

    pub(crate) fn failed(&self, status: &Status) -> Error {
        unavailable(self.party(), status)
    }
}

/// A request with a deadline that the peer sees too.
pub(crate) fn request<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// The whole of an answer within the deadline. The one that a request carries ends when an answer begins: a peer that
/// begins one and never ends it would be waited for without end.
pub(crate) async fn whole<T>(
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    tokio::time::timeout(DEADLINE, answer)
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("no whole answer in time")))
        .map(tonic::Response::into_inner)
}

/// What an endorser that is a block behind is given to catch up: a user who was created a moment ago is a stranger
/// to it. How often it is asked, and after what pause.
pub(crate) const CATCH_UP_ATTEMPTS: u32 = 10;
pub(crate) const CATCH_UP_PAUSE: Duration = Duration::from_millis(50);

/// Whether the peer, or the way to it, failed: it has said nothing about what was asked, and asking again or asking
/// someone else may help. A connection that breaks while an answer is waited for, as that to a peer that hangs does in
/// the end, comes as unknown or as internal; so does a peer whose own store is damaged.
pub(crate) fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Cancelled
            | Code::Aborted
            | Code::Unknown
            | Code::Internal
    )
}

fn channel(pinned: &Pinned, identity: &Identity) -> Result<Channel, Error> {
    tls::connect(
        &pinned.address,
        pinned.identity.to_bytes(),
        identity,
        &tls::ChannelLimits::default(),
    )
    .map_err(|error| Error::Profile {
        field: "address",
        reason: format!("{}: {error}", pinned.address),
    })
}

/// The stable name that a daemon gives a refusal beside the status; empty when it gives none that can be one.
pub(crate) fn refusal_code(status: &Status) -> &str {
    let name = |code: &&str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        code.len() <= MAX_REFUSAL_CODE && code.chars().all(fits)
    };
    status
        .metadata()
        .get("refusal-code")
        .and_then(|code| code.to_str().ok())
        .filter(name)
        .unwrap_or_default()
}

fn unavailable(party: Party, status: &Status) -> Error {
    let code = refusal_code(status);
    if !code.is_empty() && !is_passing(status.code()) {
        return Error::Refused {
            party,
            code: code.to_owned(),
            reason: status.message().to_owned(),
        };
    }
    let reason = match status.code() {
        Code::Unavailable => format!("cannot be reached ({})", status.message()),
        Code::DeadlineExceeded => "did not answer in time".to_owned(),
        Code::ResourceExhausted => format!("is busy ({})", status.message()),
        Code::Unknown | Code::Internal => format!("failed ({})", status.message()),
        _ => format!("refused: {}", status.message()),
    };
    Error::Unavailable { party, reason }
}
