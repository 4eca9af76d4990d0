//! What an operator says to a crypto node.

use proto::custody::operator_service_client::OperatorServiceClient;
use proto::custody::{GetNodeStatusRequest, GetNodeStatusResponse};
use service::identity::Identity;
use service::tls::{self, ChannelLimits};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::failure::{Failure, Outcome};

/// A connection to one crypto node as its operator.
pub(crate) struct Operator {
    name: String,
    pub(crate) rpc: OperatorServiceClient<Channel>,
}

/// Connects with the first request. `key` is the node's identity, hexadecimal.
pub(crate) fn connect(name: &str, address: &str, key: &str, identity: &Identity) -> Outcome<Operator> {
    Ok(Operator {
        name: name.to_owned(),
        rpc: OperatorServiceClient::new(channel(name, address, key, identity)?),
    })
}

/// The connection under it.
pub(crate) fn channel(name: &str, address: &str, key: &str, identity: &Identity) -> Outcome<Channel> {
    let advice = "correct the node's entry in the profile";
    let mut pinned = [0; 32];
    hex::decode_to_slice(key, &mut pinned)
        .map_err(|error| Failure::error(format!("identity of {name}: {error}"), advice))?;
    tls::connect(address, pinned, identity, &ChannelLimits::default())
        .map_err(|error| Failure::error(format!("address of {name}: {error}"), advice))
}

impl Operator {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn status(&mut self) -> Outcome<GetNodeStatusResponse> {
        let answer = self.rpc.get_node_status(GetNodeStatusRequest {}).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| self.failed(&status))
    }

    pub(crate) fn failed(&self, status: &Status) -> Failure {
        let name = &self.name;
        match status.code() {
            Code::Unavailable => Failure::error(
                format!("crypto node {name} cannot be reached: {}", status.message()),
                "check that it runs, and that the profile has its address and key",
            ),
            Code::PermissionDenied | Code::Unauthenticated => Failure::no(
                "not_operator",
                format!("crypto node {name} refuses: {}", status.message()),
                "use the key of this node's own operator",
            ),
            // All that a sealed node serves is its unsealing.
            Code::Unimplemented => Failure::no(
                "sealed",
                format!("crypto node {name} is sealed: it serves nothing until it has its passphrase"),
                format!("run `quorate node unseal --node {name}`"),
            ),
            _ => Failure::error(
                format!("crypto node {name} refuses: {}", status.message()),
                format!("look at `quorate node status --node {name}`"),
            ),
        }
    }
}
