//! The ceremonies of a cluster, in the roles of all its operators, and its committee put on the chain.

use std::time::Duration;

use golden_record::RejectionReason;
use proto::custody::{
    CeremonyKind, CeremonyPhase, CeremonyStatus, GetNodeStatusResponse, JoinCeremonyRequest,
    ProposeCeremonyRequest,
};
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;
use tokio::time::{Instant, sleep};

use super::layout::ORGANISATIONS;
use super::operator::{self, Operator};
use super::{Cluster, Say, provision};
use crate::failure::{Failure, Outcome};

const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);

impl Cluster {
    /// Generates the custody key unless there is one, and publishes its committee unless it is on the chain.
    pub async fn ensure_key(&mut self, say: Say<'_>) -> Outcome {
        let mut operators = self.operators()?;
        let manifest = match newest(&mut operators).await? {
            Some(manifest) => manifest,
            None => {
                say("generating the custody key");
                self.generate(&mut operators).await?
            }
        };
        self.profile.key_id = Some(manifest.manifest.key_id().to_string());
        provision::pin_key(&self.paths, &manifest.manifest.key_id())?;
        say("checking that the committee is on the chain");
        self.publish(manifest).await?;
        say("waiting for all to be ready");
        self.all_ready().await
    }

    /// Generates the custody key.
    pub(crate) async fn generate(&self, operators: &mut [Operator]) -> Outcome<SignedManifest> {
        let proposal = ProposeCeremonyRequest {
            kind: CeremonyKind::KeyGeneration.into(),
            threshold: self.layout.threshold.into(),
            ..ProposeCeremonyRequest::default()
        };
        let first = self.layout.nodes.first().map(|seat| seat.name.as_str());
        let first = first.unwrap_or_default();
        self.run_ceremony_by(operators, first, proposal).await
    }

    /// Every crypto node, each as its own operator. Opening their keys takes a while: they are sealed.
    pub(crate) fn operators(&self) -> Outcome<Vec<Operator>> {
        let nodes = self.profile.nodes.iter();
        nodes
            .map(|node| {
                operator::connect(
                    &node.name,
                    &node.address,
                    &node.identity,
                    &*self.operator(&node.name)?,
                )
            })
            .collect()
    }

    /// Runs a ceremony, everybody consenting whom it concerns, and gives the manifest that it ends in. The old epoch, if
    /// there is one, serves until [`Cluster::publish_key`] has put the new one on the chain.
    pub async fn run_ceremony(
        &self,
        proposer: &str,
        proposal: ProposeCeremonyRequest,
    ) -> Outcome<SignedManifest> {
        let mut operators = self.operators()?;
        self.run_ceremony_by(&mut operators, proposer, proposal).await
    }

    /// [`Cluster::run_ceremony`] by operators that are there.
    pub(crate) async fn run_ceremony_by(
        &self,
        operators: &mut [Operator],
        proposer: &str,
        proposal: ProposeCeremonyRequest,
    ) -> Outcome<SignedManifest> {
        let key_id = self.profile.key_id.as_deref().map(hex::decode);
        let key_id = key_id
            .transpose()
            .map_err(anyhow::Error::from)?
            .unwrap_or_default();
        run(operators, proposer, proposal, &key_id).await
    }

    /// Puts the newest epoch of the key on the chain, unless it is there.
    pub async fn publish_key(&self) -> Outcome {
        let newest = newest(&mut self.operators()?).await?;
        match newest {
            Some(manifest) => self.publish(manifest).await,
            None => Err(Failure::error(
                "the crypto nodes have no key in use",
                "run a key generation first",
            )),
        }
    }

    /// Waits until the epoch before has ended everywhere, as it does when the new one is read with: the next resharing needs it.
    pub(crate) async fn until_read(&self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        for mut operator in self.operators()? {
            while operator.status().await?.serves_epoch > 0 {
                if Instant::now() > deadline {
                    return Err(late(&operator, "still serves the epoch before"));
                }
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    async fn publish(&self, manifest: SignedManifest) -> Outcome {
        let digest = manifest.manifest.digest();
        for organisation in ORGANISATIONS {
            let client = self.client(self.admin(organisation)?).await?;
            match client.committee().await {
                Ok(known) if known.digest() == digest => return Ok(()),
                Ok(_) | Err(client::Error::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
            // Each organisation compares the committee with what its own operators know, and confirms it; here one
            // program has all their keys.
            match client.publish_committee(manifest.clone()).await {
                Ok(recorded) if recorded.entry.outcome.succeeded() => {
                    // The other endorsers have it a moment later.
                    return Ok(client.await_committee(digest).await?);
                }
                // Confirmed by too few as yet, or by this one before an interruption.
                Ok(_)
                | Err(client::Error::Rejected {
                    reason: RejectionReason::AlreadyConfirmed,
                    ..
                }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::error(
            "the organisations have confirmed the committee and it is not on the chain",
            "read the endorsers' logs in the cluster's directory",
        ))
    }
}

/// The manifest of the newest epoch, when every member of it has it in use.
async fn newest(operators: &mut [Operator]) -> Outcome<Option<SignedManifest>> {
    let mut found: Vec<(String, SignedManifest)> = Vec::new();
    for operator in operators {
        let status = up(operator).await?;
        if !status.manifest.is_empty() {
            found.push((status.name, decode(&status.manifest)?));
        }
    }
    let newest = found.iter().max_by_key(|(_, signed)| signed.manifest.epoch());
    let Some((_, newest)) = newest else {
        return Ok(None);
    };
    let has_it = |name: &str| {
        found
            .iter()
            .any(|(holder, signed)| holder == name && signed == newest)
    };
    let all = newest
        .manifest
        .members()
        .iter()
        .all(|member| has_it(member.name.as_str()));
    Ok(all.then(|| newest.clone()))
}

/// The status of a node that has just been started.
async fn up(operator: &mut Operator) -> Outcome<GetNodeStatusResponse> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match operator.status().await {
            Err(_) if Instant::now() < deadline => sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

/// Proposes at one node, joins at every node as its own operator, waits for all to be done.
async fn run(
    operators: &mut [Operator],
    proposer: &str,
    proposal: ProposeCeremonyRequest,
    key_id: &[u8],
) -> Outcome<SignedManifest> {
    let unknown = || Failure::error(format!("there is no crypto node {proposer}"), "name another");
    let first = operators.iter_mut().find(|operator| operator.name() == proposer);
    let first = first.ok_or_else(unknown)?;
    let proposed = first
        .rpc
        .propose_ceremony(proposal)
        .await
        .map_err(|status| first.failed(&status))?;
    let ceremony_id = proposed.into_inner().ceremony_id;
    let ceremony = first.status().await?.ceremony.unwrap_or_default();
    let parties: Vec<String> = ceremony.members.into_iter().map(|member| member.name).collect();
    let concerned = |operator: &&mut Operator| parties.iter().any(|party| party == operator.name());
    for operator in operators.iter_mut().filter(concerned) {
        join(operator, &ceremony_id, key_id).await?;
    }
    for operator in operators.iter_mut().filter(concerned) {
        done(operator, &ceremony_id).await?;
    }
    newest(operators).await?.ok_or_else(|| {
        Failure::error(
            "the crypto nodes do not hold one and the same key",
            "look at `quorate node status`",
        )
    })
}

/// The ceremony with an id, if it is the node's newest.
fn newest_is(status: &GetNodeStatusResponse, ceremony_id: &[u8]) -> Option<CeremonyStatus> {
    let ceremony = status.ceremony.clone();
    ceremony.filter(|ceremony| ceremony.ceremony_id == ceremony_id)
}

/// A proposal reaches a node a moment after it has been made.
async fn join(operator: &mut Operator, ceremony_id: &[u8], key_id: &[u8]) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if newest_is(&operator.status().await?, ceremony_id).is_some() {
            let message = JoinCeremonyRequest {
                ceremony_id: ceremony_id.to_vec(),
                key_id: key_id.to_vec(),
            };
            return match operator.rpc.join_ceremony(message).await {
                Ok(_) => Ok(()),
                Err(status) => Err(operator.failed(&status)),
            };
        }
        if Instant::now() > deadline {
            return Err(late(operator, "has not heard of the ceremony"));
        }
        sleep(PAUSE).await;
    }
}

async fn done(operator: &mut Operator, ceremony_id: &[u8]) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ceremony = newest_is(&operator.status().await?, ceremony_id);
        match ceremony.as_ref().map(CeremonyStatus::phase) {
            Some(CeremonyPhase::Done) => return Ok(()),
            Some(CeremonyPhase::Aborted) => {
                let reason = ceremony.map(|ceremony| ceremony.reason).unwrap_or_default();
                return Err(late(operator, &format!("has aborted the ceremony: {reason}")));
            }
            _ if Instant::now() > deadline => {
                return Err(late(operator, "has not finished the ceremony"));
            }
            _ => sleep(PAUSE).await,
        }
    }
}

fn late(operator: &Operator, what: &str) -> Failure {
    Failure::error(
        format!("crypto node {} {what}", operator.name()),
        "read its log in the cluster's directory",
    )
}

fn decode(bytes: &[u8]) -> Outcome<SignedManifest> {
    SignedManifest::from_bytes(bytes).map_err(|error| {
        Failure::error(
            format!("the committee manifest does not decode: {error}"),
            "run `quorate dev --reset`",
        )
    })
}
