//! The development cluster: started, kept running, stopped.

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::Context;
use crate::cli::DevArgs;
use crate::cluster::{self, Cluster};
use crate::failure::{Failure, Outcome};
use crate::keyring::Owner;
use crate::{output::Output, profile};

/// How often the daemons are looked at.
const WATCH: Duration = Duration::from_millis(500);

pub(super) async fn run(context: &Context, arguments: &DevArgs) -> Outcome {
    let directory = arguments.dir.clone().unwrap_or_else(|| context.home.dev());
    let directory = absolute(&directory)?;
    if arguments.reset {
        reset(context, &directory, arguments.yes)?;
    }
    let progress = context.output.progress("starting");
    let mut cluster = Cluster::start(&directory, &|what| progress.say(what)).await?;
    drop(progress);
    profile::save(context.profile_path(), cluster.profile())?;
    let keyring = context.keyring();
    let [organisation, ..] = cluster::ORGANISATIONS;
    keyring.adopt(&Owner::Admin, &*cluster.admin(organisation)?)?;
    keyring.adopt(&Owner::Auditor, &*cluster.auditor()?)?;
    introduce(context, &cluster)?;
    let ended = watch(&mut cluster).await;
    context.output.message("stopping");
    cluster.shutdown().await?;
    ended
}

fn introduce(context: &Context, cluster: &Cluster) -> Outcome {
    let layout = cluster.layout();
    let seats: Vec<_> = layout
        .seats()
        .map(|(_, seat)| (seat.name.as_str(), seat.listen.to_string()))
        .collect();
    let profile = context.profile_path().display().to_string();
    let data = cluster.paths().root().display().to_string();
    let addresses: Vec<String> = seats
        .iter()
        .map(|(name, address)| format!("  {name:16} {address}"))
        .collect();
    let value = json!({
        "profile": profile, "directory": data,
        "daemons": seats.iter().map(|(name, address)| json!({"name": name, "address": address})).collect::<Vec<_>>(),
    });
    let text = format!(
        "the cluster runs; its data is in {data}\n{}\n\n\
         in another terminal:\n\
         \x20 quorate tenant create acme\n\
         \x20 quorate user create acme alice\n\
         \x20 quorate user create acme bob\n\
         \x20 quorate dataset create acme/reports --owner alice --writer alice --reader bob\n\
         \x20 quorate write acme/reports/q3 FILE --as alice\n\
         \x20 quorate read acme/reports/q3 --as bob --output COPY --purpose \"to try it\"\n\
         \x20 quorate audit log\n\n\
         the profile that these find by themselves is {profile}; stop with Ctrl-C, and everything is still there next time",
        addresses.join("\n")
    );
    context.output.result(&value, &text)
}

/// Until Ctrl-C, or until a daemon ends by itself.
async fn watch(cluster: &mut Cluster) -> Outcome {
    let stop = service::shutdown::signal();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(WATCH) => {}
        }
        if let Some((name, words)) = cluster.ended() {
            return Err(Failure::error(
                format!("{name} has ended by itself; its last words:\n{words}"),
                format!(
                    "read {} and run `quorate dev` again",
                    cluster.paths().log(&name).display()
                ),
            ));
        }
    }
}

/// Deletes the cluster and the keys that belong to it, when the person has said so.
fn reset(context: &Context, directory: &Path, confirmed: bool) -> Outcome {
    if !confirmed {
        confirm(context, directory)?;
    }
    cluster::remove(directory)?;
    context.keyring().clear()
}

fn confirm(context: &Context, directory: &Path) -> Outcome {
    let what = format!(
        "this deletes {} and the keys in {}: every document in it can never be read again",
        directory.display(),
        context.home.keys().display()
    );
    if context.no_input || !io::stdin().is_terminal() {
        return Err(Failure::error(what, "add --yes if that is what you want"));
    }
    ask(context.output, &what)
}

fn ask(output: Output, what: &str) -> Outcome {
    output.message(what);
    output.message("type `reset` to go on:");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() == "reset" {
        return Ok(());
    }
    Err(Failure::no(
        "not_confirmed",
        "nothing was deleted",
        "type exactly `reset` to delete",
    ))
}

/// Daemons run with paths of the configuration files, wherever they are started.
fn absolute(path: &Path) -> Outcome<PathBuf> {
    Ok(std::path::absolute(path)?)
}
