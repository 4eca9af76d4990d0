//! The development cluster: started, kept running, stopped. Nothing that may be another cluster's is replaced or deleted for it.

use std::fs;
use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use golden_record::Genesis;
use serde_json::json;
use service::files;

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
    let made = cluster::genesis(&directory)?;
    refuse_others(context, made.as_ref())?;
    if arguments.reset {
        reset(context, &directory, made.as_ref(), arguments.yes)?;
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

/// Refuses when the profile or a key that would be replaced is not this cluster's: they may be the only ones of an installation.
fn refuse_others(context: &Context, made: Option<&Genesis>) -> Outcome {
    let path = context.profile_path();
    let chain_id = made.map(|genesis| genesis.chain_id().to_string());
    let is_ours =
        || chain_id.is_some() && profile::load(path).ok().map(|profile| profile.chain_id) == chain_id;
    if files::is_there(path)? && !is_ours() {
        return Err(Failure::error(
            format!("the profile {} is not this cluster's", path.display()),
            "nothing was changed: set QUORATE_HOME to another directory, or move that file away if it is no longer wanted",
        ));
    }
    let keyring = context.keyring();
    for (owner, key) in people(made) {
        keyring.holds(&owner, key.as_ref())?;
    }
    Ok(())
}

/// Those whose keys a cluster puts into the keyring, with the keys, if it was made already.
fn people(made: Option<&Genesis>) -> [(Owner, Option<[u8; 32]>); 2] {
    let [first, ..] = cluster::ORGANISATIONS;
    let admin = made.and_then(|genesis| {
        let mut organisations = genesis.organisations().iter();
        organisations.find(|organisation| organisation.name.as_str() == first)
    });
    let auditor = made.and_then(|genesis| genesis.auditors().first());
    [
        (
            Owner::Admin,
            admin.map(|organisation| *organisation.admin.as_bytes()),
        ),
        (Owner::Auditor, auditor.map(|key| *key.as_bytes())),
    ]
}

/// Deletes the cluster, its profile and its keys, when the person has said so.
fn reset(context: &Context, directory: &Path, made: Option<&Genesis>, confirmed: bool) -> Outcome {
    if !confirmed {
        confirm(context, directory)?;
    }
    cluster::remove(directory)?;
    let keyring = context.keyring();
    for (owner, key) in people(made) {
        if let Some(key) = key {
            keyring.remove(&owner, &key)?;
        }
    }
    if let Some(retired) = keyring.retire_tenants()? {
        context.output.message(&format!(
            "the keys of tenants and users are kept in {}",
            retired.display()
        ));
    }
    match fs::remove_file(context.profile_path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn confirm(context: &Context, directory: &Path) -> Outcome {
    let what = format!(
        "this deletes {}, its profile and the keys of its administrator and auditor: every document in it can never be read again",
        directory.display()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Size;
    use crate::home::Home;
    use crate::keyring::Keyring;

    fn contents(path: &Path) -> Vec<u8> {
        fs::read(path).unwrap()
    }

    #[test]
    fn what_was_cut_short_is_begun_anew_and_what_nobody_began_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("dev");
        let prepare = || Cluster::prepare(&directory, Size::default(), &|_| {}).map(drop);
        let genesis = || contents(&directory.join("genesis"));
        prepare().unwrap();
        let first = genesis();
        prepare().unwrap();
        assert_eq!(genesis(), first, "what is whole is kept");
        // As it is when nothing says that it is a cluster: not even an attempt deletes it.
        fs::remove_file(directory.join("cluster.toml")).unwrap();
        assert!(prepare().unwrap_err().message.contains("no cluster.toml"));
        assert!(cluster::remove(&directory).is_err());
        assert_eq!(genesis(), first);
        // As an attempt leaves it that ended before the layout was written.
        fs::write(directory.join("cluster.begun"), b"").unwrap();
        prepare().unwrap();
        assert_ne!(genesis(), first);
        assert!(!directory.join("cluster.begun").exists());
        cluster::remove(&directory).unwrap();
        let left: Vec<_> = fs::read_dir(&directory).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "the lock");
    }

    #[test]
    fn a_reset_deletes_the_clusters_own_keys_and_profile_and_moves_tenants_aside() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let context = Context::in_home(home.clone());
        let directory = home.dev();
        let cluster = Cluster::prepare(&directory, Size::default(), &|_| {}).unwrap();
        let keyring = context.keyring();
        let [north, ..] = cluster::ORGANISATIONS;
        let admin = cluster.admin(north).unwrap();
        keyring.adopt(&Owner::Admin, &admin).unwrap();
        keyring
            .adopt(&Owner::Auditor, &cluster.auditor().unwrap())
            .unwrap();
        let tenant = Owner::TenantAdmin("acme".into());
        let key = keyring.create(&tenant).unwrap().public_key();
        profile::save(context.profile_path(), cluster.profile()).unwrap();
        drop(cluster);
        let made = cluster::genesis(&directory).unwrap();
        refuse_others(&context, made.as_ref()).unwrap();

        // Another administrator's key at the name: nothing is replaced, and nothing of the cluster deleted.
        let other = tempfile::tempdir().unwrap();
        let other = Keyring::of(&Home::at(other.path()))
            .create(&Owner::Admin)
            .unwrap();
        let path = home.keys().join("admin.key");
        let own = contents(&path);
        fs::remove_file(&path).unwrap();
        keyring.adopt(&Owner::Admin, &other).unwrap();
        let others = contents(&path);
        assert!(refuse_others(&context, made.as_ref()).is_err());
        assert!(keyring.adopt(&Owner::Admin, &admin).is_err());
        assert!(keyring.remove(&Owner::Admin, &admin.public_key()).is_err());
        assert_eq!(contents(&path), others);
        fs::write(&path, own).unwrap();

        reset(&context, &directory, made.as_ref(), true).unwrap();
        assert!(cluster::genesis(&directory).unwrap().is_none());
        assert!(!path.exists() && !home.keys().join("auditor.key").exists());
        assert!(!context.profile_path().exists());
        assert!(!keyring.has(&tenant));
        let kept = home.keys().join("tenants.retired-1");
        assert!(kept.join("t-acme/admin.key").is_file());
        // The next reset does not touch what the last one has kept.
        keyring.create(&tenant).unwrap();
        reset(&context, &directory, None, true).unwrap();
        assert!(
            kept.with_extension("retired-2")
                .join("t-acme/admin.key")
                .is_file()
        );
        fs::rename(kept, home.keys().join("tenants")).unwrap();
        assert_eq!(keyring.open(&tenant).unwrap().public_key(), key);
    }
}
