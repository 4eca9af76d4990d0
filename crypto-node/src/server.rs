//! The node's three faces on the wire, each for its own kind of peer.

use crate::authorise::Authority;
use crate::ceremony::commands::{CommandError, Wish};
use crate::ceremony::driver::{DeliverError, Driver, OperatorError};
use crate::ceremony::machine::{Machine, NotTaken};
use crate::ceremony::message::Message;
use crate::ceremony::plan::{Party, Plan};
use crate::ceremony::record::Phase;
use crate::deliveries::Deliveries;
use crate::diagnosis::{Check, Level};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::watch::Watch;
use crate::work::Work;
use proto::custody::ceremony_service_server::{CeremonyService, CeremonyServiceServer};
use proto::custody::custody_service_server::{CustodyService, CustodyServiceServer};
use proto::custody::operator_service_server::{OperatorService, OperatorServiceServer};
use proto::custody::{
    AbortCeremonyRequest, AbortCeremonyResponse, CeremonyKind, CeremonyStatus, CheckLevel, DeliverRequest,
    DeliverResponse, DiagnoseRequest, DiagnoseResponse, ExecuteCeremonyRequest, ExecuteCeremonyResponse,
    GetNodeStatusRequest, GetNodeStatusResponse, JoinCeremonyRequest, JoinCeremonyResponse, MemberStatus,
    ProbeRequest, ProbeResponse, ProposeCeremonyRequest, ProposeCeremonyResponse, ReencryptRequest,
    ReencryptResponse, ReportCeremonyRequest, ReportCeremonyResponse, RetireEpochRequest,
    RetireEpochResponse,
};
use proto::limits;
use service::peer_key;
use std::sync::Arc;
use std::time::Instant;
use threshold::committee::ParticipantIndex;
use threshold::encoding::{Canonical, DecodeError};
use threshold::ids::{CeremonyId, KeyId};
use threshold::name::Name;
use threshold::signature::PublicKey;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// A proposal with the names of 64 members.
const OPERATOR_REQUEST: usize = 8 * 1024;

/// What the services share.
#[derive(Clone)]
pub struct Node {
    /// Decides about the share.
    pub authority: Arc<Authority>,
    /// Runs ceremonies.
    pub driver: Arc<Driver>,
    /// Who is who.
    pub settings: Arc<Settings>,
    /// What a member may deliver.
    pub deliveries: Arc<Deliveries>,
    /// Looks at the other nodes.
    pub(crate) watch: Watch,
    /// Where ceremonies are carried out.
    pub work: Work,
}

impl Node {
    /// The services, with the largest message of each.
    #[must_use]
    pub fn routes(&self) -> Routes {
        let custody = CustodyServiceServer::new(self.clone())
            .max_decoding_message_size(limits::REENCRYPT_REQUEST)
            .max_encoding_message_size(limits::NODE_ANSWER);
        let ceremony = CeremonyServiceServer::new(self.clone())
            .max_decoding_message_size(limits::CEREMONY_MESSAGE)
            .max_encoding_message_size(limits::CEREMONY_MESSAGE);
        let operator = OperatorServiceServer::new(self.clone()).max_decoding_message_size(OPERATOR_REQUEST);
        Routes::new(custody).add_service(ceremony).add_service(operator)
    }

    /// Has the driver do something. Once begun it is carried out, also when whoever asked has gone.
    async fn carry_out<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Status> {
        self.work.carry_out(work).await.map_err(|error| {
            let words = if error.is_panic() {
                "the node has failed and ends; see its log"
            } else {
                "the node is stopping"
            };
            Status::unavailable(words)
        })
    }

    /// Refuses, counts and records.
    fn refuse(&self, peer: [u8; 32], refusal: Refusal) -> Status {
        self.authority.refused(peer, refusal.code(), None);
        refusal.into()
    }

    fn member<T>(&self, request: &Request<T>) -> Result<([u8; 32], PublicKey), Status> {
        let peer = peer(request)?;
        match self.settings.node(&peer) {
            Some(node) => Ok((peer, node.identity)),
            None => Err(self.refuse(peer, Refusal::WrongRole)),
        }
    }

    fn operator<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let peer = peer(request)?;
        if self.settings.operators.contains(&peer) {
            Ok(())
        } else {
            Err(self.refuse(peer, Refusal::WrongRole))
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("me", &self.settings.me)
            .finish_non_exhaustive()
    }
}

fn peer<T>(request: &Request<T>) -> Result<[u8; 32], Status> {
    let peer = peer_key(request).ok_or_else(|| Status::unauthenticated("the connection has no key"))?;
    Ok(peer.0)
}

#[tonic::async_trait]
impl CustodyService for Node {
    async fn reencrypt(
        &self,
        request: Request<ReencryptRequest>,
    ) -> Result<Response<ReencryptResponse>, Status> {
        let peer = peer(&request)?;
        let released = self.authority.reencrypt(peer, request.get_ref()).await?;
        let (share, statement) = (released.share.to_bytes(), released.statement.to_bytes());
        Ok(Response::new(ReencryptResponse { share, statement }))
    }
}

#[tonic::async_trait]
impl CeremonyService for Node {
    async fn probe(&self, request: Request<ProbeRequest>) -> Result<Response<ProbeResponse>, Status> {
        let (peer, _) = self.member(&request)?;
        let counted = self.deliveries.count(&peer, Instant::now());
        counted.map_err(|refusal| self.refuse(peer, refusal))?;
        let key = self.authority.serving();
        let key = key.map_err(|error| Status::unavailable(error.to_string()))?;
        let manifest = key.as_ref().map(|key| key.manifest());
        Ok(Response::new(ProbeResponse {
            time_ms: (self.authority.clock)(),
            manifest: manifest.map_or_else(Vec::new, |manifest| manifest.digest().as_bytes().to_vec()),
            epoch: manifest.map_or(0, |manifest| manifest.epoch()),
        }))
    }

    async fn deliver(&self, request: Request<DeliverRequest>) -> Result<Response<DeliverResponse>, Status> {
        let (peer, member) = self.member(&request)?;
        let begun = self.deliveries.begin(&peer, Instant::now());
        let begun = begun.map_err(|refusal| self.refuse(peer, refusal))?;
        let driver = Arc::clone(&self.driver);
        let delivered = self.carry_out(async move {
            let _begun = begun;
            let message = Message::from_bytes(&request.get_ref().message)?;
            drop(request);
            Ok(driver.deliver(&member, message).await)
        });
        let delivered: Result<_, DecodeError> = delivered.await?;
        match delivered.map_err(|error| self.refuse(peer, Refusal::Malformed("message", error)))? {
            Ok(answer) => {
                let message = answer.map(|answer| answer.to_bytes()).unwrap_or_default();
                Ok(Response::new(DeliverResponse { message }))
            }
            Err(error) => {
                let (code, status) = deliver_status(&error);
                if let Some(code) = code {
                    self.authority.refused(peer, code, None);
                }
                Err(status)
            }
        }
    }
}

/// What was found, for the wire.
fn check_of(check: Check) -> proto::custody::Check {
    let level = match check.level {
        Level::Ok => CheckLevel::Ok,
        Level::Warn => CheckLevel::Warn,
        Level::Error => CheckLevel::Error,
    };
    proto::custody::Check {
        name: check.name.to_owned(),
        part_of: check.part_of.to_owned(),
        level: level.into(),
        found: check.found,
        advice: check.advice,
    }
}

/// The one table of what a member is told, and of what is recorded against it.
fn deliver_status(error: &DeliverError) -> (Option<&'static str>, Status) {
    let text = error.to_string();
    match error {
        DeliverError::NotTaken(NotTaken::Wrong(_)) => {
            (Some("ceremony_message"), Status::invalid_argument(text))
        }
        DeliverError::NotTaken(NotTaken::Early) => (None, Status::failed_precondition(text)),
        DeliverError::NotTaken(NotTaken::TooMany) => (Some("proposals"), Status::resource_exhausted(text)),
        DeliverError::Canary(_) => (Some("canary"), Status::permission_denied(text)),
        DeliverError::Driver(_) => (None, Status::unavailable(text)),
    }
}

fn operator_status(error: &OperatorError) -> Status {
    let text = error.to_string();
    match error {
        OperatorError::Command(CommandError::Unknown(_)) => Status::not_found(text),
        OperatorError::Command(
            CommandError::Threshold(_)
            | CommandError::Seats(_)
            | CommandError::UnknownMember(_)
            | CommandError::OtherKey(..),
        ) => Status::invalid_argument(text),
        OperatorError::Command(
            CommandError::HasKey
            | CommandError::NoKey
            | CommandError::Busy(_)
            | CommandError::Done(_)
            | CommandError::Begun(_)
            | CommandError::NotAParty
            | CommandError::Unpublished(_)
            | CommandError::NotProposer(_)
            | CommandError::NotServed(_)
            | CommandError::TooFewSeats { .. }
            | CommandError::TooFewDealers { .. },
        ) => Status::failed_precondition(text),
        OperatorError::Driver(_) => Status::unavailable(text),
    }
}

fn ceremony_id(bytes: &[u8]) -> Result<CeremonyId, Status> {
    CeremonyId::from_bytes(bytes).map_err(|error| Status::invalid_argument(format!("ceremony_id: {error}")))
}

#[tonic::async_trait]
impl OperatorService for Node {
    async fn propose_ceremony(
        &self,
        request: Request<ProposeCeremonyRequest>,
    ) -> Result<Response<ProposeCeremonyResponse>, Status> {
        self.operator(&request)?;
        let wish = wish(request.get_ref())?;
        let driver = Arc::clone(&self.driver);
        let proposed = self.carry_out(async move { driver.propose(&wish).await });
        let id = proposed.await?.map_err(|error| operator_status(&error))?;
        Ok(Response::new(ProposeCeremonyResponse {
            ceremony_id: id.to_bytes(),
        }))
    }

    async fn execute_ceremony(
        &self,
        request: Request<ExecuteCeremonyRequest>,
    ) -> Result<Response<ExecuteCeremonyResponse>, Status> {
        self.operator(&request)?;
        let id = ceremony_id(&request.get_ref().ceremony_id)?;
        let without = names("without", &request.get_ref().without)?;
        let driver = Arc::clone(&self.driver);
        let executed = self.carry_out(async move { driver.execute(id, &without).await });
        executed.await?.map_err(|error| operator_status(&error))?;
        Ok(Response::new(ExecuteCeremonyResponse {}))
    }

    async fn join_ceremony(
        &self,
        request: Request<JoinCeremonyRequest>,
    ) -> Result<Response<JoinCeremonyResponse>, Status> {
        self.operator(&request)?;
        let id = ceremony_id(&request.get_ref().ceremony_id)?;
        let key = match request.get_ref().key_id.as_slice() {
            [] => None,
            bytes => Some(
                KeyId::from_bytes(bytes)
                    .map_err(|error| Status::invalid_argument(format!("key_id: {error}")))?,
            ),
        };
        let driver = Arc::clone(&self.driver);
        let joined = self.carry_out(async move { driver.join(id, key).await });
        joined.await?.map_err(|error| operator_status(&error))?;
        Ok(Response::new(JoinCeremonyResponse {}))
    }

    async fn abort_ceremony(
        &self,
        request: Request<AbortCeremonyRequest>,
    ) -> Result<Response<AbortCeremonyResponse>, Status> {
        self.operator(&request)?;
        let id = ceremony_id(&request.get_ref().ceremony_id)?;
        let driver = Arc::clone(&self.driver);
        let aborted = self.carry_out(async move { driver.abort(id).await });
        aborted.await?.map_err(|error| operator_status(&error))?;
        Ok(Response::new(AbortCeremonyResponse {}))
    }

    async fn retire_epoch(
        &self,
        request: Request<RetireEpochRequest>,
    ) -> Result<Response<RetireEpochResponse>, Status> {
        self.operator(&request)?;
        let (driver, epoch) = (Arc::clone(&self.driver), request.get_ref().epoch);
        let retired = self.carry_out(async move { driver.retire_epoch(epoch).await });
        retired.await?.map_err(|error| operator_status(&error))?;
        Ok(Response::new(RetireEpochResponse {}))
    }

    async fn report_ceremony(
        &self,
        request: Request<ReportCeremonyRequest>,
    ) -> Result<Response<ReportCeremonyResponse>, Status> {
        self.operator(&request)?;
        let report = self.driver.report().await;
        let report = report.ok_or_else(|| Status::failed_precondition("no ceremony has ended here yet"))?;
        Ok(Response::new(ReportCeremonyResponse {
            report: report.to_bytes(),
        }))
    }

    async fn diagnose(
        &self,
        request: Request<DiagnoseRequest>,
    ) -> Result<Response<DiagnoseResponse>, Status> {
        self.operator(&request)?;
        let checks = self.watch.look().await.checks();
        Ok(Response::new(DiagnoseResponse {
            checks: checks.into_iter().map(check_of).collect(),
        }))
    }

    async fn get_node_status(
        &self,
        request: Request<GetNodeStatusRequest>,
    ) -> Result<Response<GetNodeStatusResponse>, Status> {
        self.operator(&request)?;
        let me = self.settings.me;
        let seat = self.settings.seats.iter().find(|seat| seat.index == me);
        let (journal_entries, journal_head) = self.authority.journal.newest();
        let manifest = self
            .authority
            .key()
            .map(|key| key.signed_manifest().to_bytes())
            .unwrap_or_default();
        Ok(Response::new(GetNodeStatusResponse {
            name: seat.map(|seat| seat.name.to_string()).unwrap_or_default(),
            index: me.get().into(),
            manifest,
            ceremony: self.driver.inspect(status).await,
            journal_entries,
            journal_head: journal_head.to_vec(),
            serves_epoch: self.driver.inspect(Machine::epoch_before).await.unwrap_or(0),
        }))
    }
}

fn names(field: &str, texts: &[String]) -> Result<Vec<Name>, Status> {
    let name = |text: &String| {
        Name::new(text).map_err(|error| Status::invalid_argument(format!("{field}: {text:?}: {error}")))
    };
    texts.iter().map(name).collect()
}

fn wish(request: &ProposeCeremonyRequest) -> Result<Wish, Status> {
    let threshold = u16::try_from(request.threshold)
        .map_err(|_| Status::invalid_argument("threshold: larger than any committee"))?;
    let members = names("members", &request.members)?;
    match request.kind() {
        CeremonyKind::KeyGeneration => Ok(Wish::Generate { threshold, members }),
        CeremonyKind::Resharing => Ok(Wish::Reshare { threshold, members }),
        CeremonyKind::Repair => Ok(Wish::Repair {
            lost: Name::new(&request.lost)
                .map_err(|error| Status::invalid_argument(format!("lost: {error}")))?,
            helpers: members,
        }),
        CeremonyKind::Unspecified => Err(Status::invalid_argument("kind: none that this node knows")),
    }
}

/// The newest ceremony, for people.
fn status(machine: &Machine) -> Option<CeremonyStatus> {
    let record = machine.record()?;
    let confirmers = record.confirmers();
    let decided = !matches!(record.phase, Phase::Proposed | Phase::Running);
    let number = |index: Option<ParticipantIndex>| index.map_or(0, |index| u32::from(index.get()));
    let member = |party: Party| MemberStatus {
        index: number(party.seat),
        dealer: number(party.dealer),
        name: party.name.to_string(),
        joined: record.joins.contains_key(&party.identity),
        rejected: record.rejections.contains(&party.identity),
        confirmed: record.confirms.contains_key(&party.identity),
        needed: if decided {
            confirmers.contains(&party.identity)
        } else {
            record.plan.needs(&party)
        },
    };
    let reason = match &record.culprit {
        Some(culprit) => format!("{} (culprit: {})", record.reason, record.plan.name_of(culprit)),
        None => record.reason.clone(),
    };
    let excluded = record
        .faults
        .iter()
        .map(|fault| format!("{}: {}", record.plan.name_of(&fault.who), fault.what));
    let kind = match record.plan {
        Plan::Generation(_) => CeremonyKind::KeyGeneration,
        Plan::Resharing(_) => CeremonyKind::Resharing,
        Plan::Repair(_) => CeremonyKind::Repair,
    };
    Some(CeremonyStatus {
        ceremony_id: record.plan.id().to_bytes(),
        phase: machine.status_phase().into(),
        threshold: record.plan.threshold().t().into(),
        // Nobody is to compare, or publish, what did not come to be.
        transcript: record
            .transcript
            .filter(|_| record.phase != Phase::Aborted)
            .map(Vec::from)
            .unwrap_or_default(),
        members: record.plan.parties().into_iter().map(member).collect(),
        reason,
        kind: kind.into(),
        what: record.plan.what(),
        excluded: excluded.collect(),
        deadline_ms: record.deadline_ms,
    })
}
