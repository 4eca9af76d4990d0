//! How coordinators say they are doing.

use proto::coordinator::GetCoordinatorStatusRequest;
use threshold::name::Name;

use crate::Client;
use crate::connection::{Coordinator, request, whole};
use crate::error::Error;

/// What a coordinator says of itself and the crypto nodes. Nothing is decided by it.
#[derive(Debug, Clone)]
pub struct CoordinatorStatus {
    /// The crypto nodes, as it sees them.
    pub nodes: Vec<NodeHealth>,
    /// Receipts that are not on the chain yet.
    pub receipts_pending: u32,
}

/// A crypto node as a coordinator sees it.
#[derive(Debug, Clone)]
pub struct NodeHealth {
    /// Its seat.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it answers.
    pub reachable: bool,
    /// Smoothed time of an answer.
    pub latency_seconds: f64,
    /// Answers that did not verify.
    pub invalid_answers: u64,
}

impl Client {
    /// How every coordinator is doing, by its name.
    pub async fn coordinator_statuses(&self) -> Vec<(Name, Result<CoordinatorStatus, Error>)> {
        let asked = self
            .0
            .coordinators
            .iter()
            .map(|coordinator| async move { (coordinator.name().clone(), status(coordinator).await) });
        futures::future::join_all(asked).await
    }
}

async fn status(coordinator: &Coordinator) -> Result<CoordinatorStatus, Error> {
    let mut rpc = coordinator.rpc();
    let answer = whole(rpc.get_coordinator_status(request(GetCoordinatorStatusRequest {}))).await;
    let answer = answer.map_err(|status| coordinator.failed(&status))?;
    let nodes = answer.nodes.into_iter().map(|node| NodeHealth {
        index: node.index,
        name: node.name,
        reachable: node.reachable,
        latency_seconds: node.latency_seconds,
        invalid_answers: node.invalid_answers_total,
    });
    Ok(CoordinatorStatus {
        nodes: nodes.collect(),
        receipts_pending: answer.receipts_pending,
    })
}
