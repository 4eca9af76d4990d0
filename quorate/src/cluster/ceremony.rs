//! The key generation of a new cluster, in the roles of all its operators, and its committee put on the chain.

use std::time::Duration;

use golden_record::RejectionReason;
use proto::custody::{
    CeremonyPhase, GetNodeStatusResponse, JoinCeremonyRequest, ProposeKeyGenerationRequest,
};
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;
use tokio::time::{Instant, sleep};

use super::layout::{ORGANISATIONS, THRESHOLD};
use super::operator::{self, Operator};
use super::{Cluster, Say, provision};
use crate::failure::{Failure, Outcome};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

impl Cluster {
    /// Generates the custody key unless there is one, and publishes its committee unless it is on the chain.
    pub async fn ensure_key(&mut self, say: Say<'_>) -> Outcome {
        let mut operators = self.operators()?;
        let manifest = match active(&mut operators).await? {
            Some(manifest) => manifest,
            None => {
                say("generating the custody key");
                generate(&mut operators).await?
            }
        };
        self.profile.key_id = Some(manifest.manifest.key_id().to_string());
        provision::pin_key(&self.paths, &manifest.manifest.key_id())?;
        say("checking that the committee is on the chain");
        self.publish(manifest).await?;
        say("waiting for all to be ready");
        self.all_ready().await
    }

    /// Every crypto node, each as its own operator.
    fn operators(&self) -> Outcome<Vec<Operator>> {
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

    async fn publish(&self, manifest: SignedManifest) -> Outcome {
        for organisation in ORGANISATIONS {
            let client = self.client(self.admin(organisation)?).await?;
            match client.committee().await {
                Ok(_) => return Ok(()),
                Err(client::Error::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
            // Each organisation compares the committee with what its own operators know, and confirms it; here one
            // program has all their keys.
            match client.publish_committee(manifest.clone()).await {
                Ok(recorded) if recorded.entry.outcome.succeeded() => {
                    // The other endorsers have it a moment later.
                    return Ok(client.await_committee().await?);
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

/// The manifest, when every node has the same active key.
async fn active(operators: &mut [Operator]) -> Outcome<Option<SignedManifest>> {
    let mut found: Option<Vec<u8>> = None;
    for operator in operators {
        let manifest = up(operator).await?.manifest;
        if manifest.is_empty() || found.as_ref().is_some_and(|other| *other != manifest) {
            return Ok(None);
        }
        found = Some(manifest);
    }
    found.map(|bytes| decode(&bytes)).transpose()
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

/// Proposes at the first node, joins at every node as its own operator, waits for all to be done.
async fn generate(operators: &mut [Operator]) -> Outcome<SignedManifest> {
    let Some(first) = operators.first_mut() else {
        return Err(Failure::error(
            "the cluster has no crypto nodes",
            "run `quorate dev --reset`",
        ));
    };
    let message = ProposeKeyGenerationRequest {
        threshold: THRESHOLD.into(),
    };
    let proposed = first
        .rpc
        .propose_key_generation(message)
        .await
        .map_err(|status| first.failed(&status))?;
    let ceremony_id = proposed.into_inner().ceremony_id;
    for operator in operators.iter_mut() {
        join(operator, &ceremony_id).await?;
    }
    for operator in operators.iter_mut() {
        done(operator, &ceremony_id).await?;
    }
    active(operators).await?.ok_or_else(|| {
        Failure::error(
            "the crypto nodes do not hold one and the same key",
            "run `quorate dev --reset`",
        )
    })
}

/// A proposal reaches a node a moment after it has been made.
async fn join(operator: &mut Operator, ceremony_id: &[u8]) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ceremony = operator.status().await?.ceremony;
        let known = ceremony.is_some_and(|ceremony| ceremony.ceremony_id == ceremony_id);
        if known {
            let message = JoinCeremonyRequest {
                ceremony_id: ceremony_id.to_vec(),
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
        let status = operator.status().await?;
        let ceremony = status
            .ceremony
            .filter(|ceremony| ceremony.ceremony_id == ceremony_id);
        match ceremony.as_ref().map(|ceremony| ceremony.phase()) {
            Some(CeremonyPhase::Done) if !status.manifest.is_empty() => return Ok(()),
            Some(CeremonyPhase::Aborted) => {
                let reason = ceremony.map(|ceremony| ceremony.reason).unwrap_or_default();
                return Err(late(
                    operator,
                    &format!("has aborted the key generation: {reason}"),
                ));
            }
            _ if Instant::now() > deadline => {
                return Err(late(operator, "has not finished the key generation"));
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
