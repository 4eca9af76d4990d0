//! The seal of a crypto node: opened by a person, or changed.

use crypto_node::reseal::{Which, reseal as reseal_node};
use proto::custody::seal_service_client::SealServiceClient;
use proto::custody::{GetSealStatusRequest, SealState, UnsealRequest};
use serde_json::json;
use tonic::{Code, Status};

use super::{Context, operator_of};
use crate::cli::{ResealArgs, UnsealArgs};
use crate::cluster::operator;
use crate::failure::{Failure, Outcome};
use crate::{daemon, prompt};

pub(super) async fn unseal(context: &Context, arguments: &UnsealArgs) -> Outcome {
    let (node, identity) = operator_of(context, &arguments.node)?;
    let channel = operator::channel(&node.name, &node.address, &node.identity, &identity)?;
    let mut rpc = SealServiceClient::new(channel);
    // Nobody is asked for a passphrase that is not wanted, or not in this way.
    let state = rpc
        .get_seal_status(GetSealStatusRequest {})
        .await
        .map_err(|status| failed(&node.name, &status))?;
    match (state.into_inner().state(), arguments.first) {
        (SealState::New, false) => {
            return Err(Failure::no(
                "no_passphrase",
                format!("crypto node {} has no passphrase yet", node.name),
                "choose one and set it with --first; without it the node's share is lost",
            ));
        }
        (SealState::Sealed, true) => {
            return Err(Failure::no(
                "has_passphrase",
                format!("crypto node {} has a passphrase already", node.name),
                "unseal with that one, without --first",
            ));
        }
        _ => {}
    }
    let question = format!("Passphrase of crypto node {}", node.name);
    let file = arguments.passphrase_file.as_deref();
    let passphrase = prompt::passphrase(context.no_input, &question, arguments.first, file)?;
    let request = UnsealRequest {
        passphrase: passphrase.expose().to_vec(),
        first: arguments.first,
    };
    rpc.unseal(request)
        .await
        .map_err(|status| failed(&node.name, &status))?;
    context.output.result(
        &json!({ "node": node.name, "unsealed": true }),
        &format!("crypto node {} is unsealed, and starts to serve", node.name),
    )
}

fn failed(name: &str, status: &Status) -> Failure {
    let message = status.message();
    match status.code() {
        Code::Unavailable => Failure::error(
            format!("crypto node {name} cannot be reached: {message}"),
            "check that it runs, and that the profile has its address and key",
        ),
        Code::Unimplemented => Failure::no(
            "not_sealed",
            format!("crypto node {name} is not sealed"),
            format!("look at `quorate node status --node {name}`"),
        ),
        Code::PermissionDenied => Failure::no(
            "wrong_passphrase",
            format!("crypto node {name}: {message}"),
            "try again; nothing is locked by a wrong one",
        ),
        _ => Failure::error(format!("crypto node {name}: {message}"), "look at the node's log"),
    }
}

pub(super) fn reseal(context: &Context, arguments: &ResealArgs) -> Outcome {
    let old = daemon::node_config(&arguments.config)?;
    let new = daemon::node_config(&arguments.to)?;
    let ask = |which| {
        let (question, file) = match which {
            Which::Old => ("Old passphrase of the share", &arguments.old_passphrase_file),
            Which::New => ("New passphrase of the share", &arguments.new_passphrase_file),
        };
        let twice = which == Which::New;
        Ok(prompt::passphrase(
            context.no_input,
            question,
            twice,
            file.as_deref(),
        )?)
    };
    // Files, tokens and Argon2: nothing else runs in this process meanwhile.
    let done = tokio::task::block_in_place(|| reseal_node(&old, &new, ask))?;
    let names = |paths: &[std::path::PathBuf]| -> Vec<String> {
        paths.iter().map(|path| path.display().to_string()).collect()
    };
    let text = format!(
        "{} files have the new seal, {} had it before; now put {} in the place of {} and start the node",
        done.changed.len(),
        done.already.len(),
        arguments.to.display(),
        arguments.config.display()
    );
    context.output.result(
        &json!({ "changed": names(&done.changed), "already": names(&done.already) }),
        &text,
    )
}
