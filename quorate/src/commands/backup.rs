//! A crypto node's share in custodians' hands: made, inspected, handed over, tried, put back. All of it offline.

use std::path::Path;

use crypto_node::backup::custodian::{self, PublicKey, SealedPart, SecretKey, Stage};
use crypto_node::backup::offline::{self, RestoreError};
use crypto_node::backup::sharing::Part;
use crypto_node::backup::{Backup, BackupError, Custodian};
use crypto_node::reseal::Which;
use rand_core::OsRng;
use serde_json::json;
use service::files::{Secrecy, is_there, write_atomically};
use service::{Passphrase, seal};
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;

use super::{Context, parse, write_new};
use crate::cli::{BackupCommand, KeySeal, OpenArgs};
use crate::failure::{Failure, Outcome};
use crate::home::private_directory;
use crate::{daemon, prompt};

/// Offline work: files and Argon2, and nothing else runs in this process meanwhile.
pub(super) fn run(context: &Context, command: BackupCommand) -> Outcome {
    tokio::task::block_in_place(|| match command {
        BackupCommand::Key { key, seal } => make_key(context, &key, &seal),
        BackupCommand::Make {
            config,
            custodian,
            threshold,
            out,
            passphrase_file,
        } => {
            let custodians = custodian
                .iter()
                .map(|text| parse_custodian(text))
                .collect::<Outcome<_>>()?;
            let ask = |which| Ok(node_passphrase(context, which, passphrase_file.as_deref())?);
            make(context, &config, custodians, threshold, &out, ask)
        }
        BackupCommand::Inspect { backup } => inspect(context, &read(&backup)?),
        BackupCommand::HandOver {
            backup,
            part,
            key,
            seal,
            to,
            out,
        } => {
            let (backup, part): (Backup, SealedPart) = (read(&backup)?, read(&part)?);
            backup.check_part(&part).map_err(|error| refused(&error))?;
            let key = open_key(context, &key, &seal)?;
            let handed = part
                .hand_over(&key, &parse_key(&to)?, &mut OsRng)
                .map_err(|error| refused(&error))?;
            write_new(&out, &handed.to_bytes())?;
            let text = format!(
                "{}: send it to whoever restores; only their key opens it",
                out.display()
            );
            context.output.result(&json!({ "file": out }), &text)
        }
        BackupCommand::Drill(open) => {
            let (backup, parts) = open_parts(context, &open)?;
            offline::drill(&backup, &parts).map_err(|error| refused(&error))?;
            let manifest = &backup.signed_manifest().manifest;
            let text = format!(
                "the backup works: {} custodians' parts bring back the share of member {} of key {}, epoch {}; nothing was \
                 written",
                parts.len(),
                backup.index(),
                manifest.key_id(),
                manifest.epoch()
            );
            context
                .output
                .result(&json!({ "works": true, "parts": parts.len() }), &text)
        }
        BackupCommand::Restore {
            open,
            config,
            committee,
            passphrase_file,
        } => {
            let committee: Option<SignedManifest> = committee.as_deref().map(read).transpose()?;
            let (backup, parts) = open_parts(context, &open)?;
            let recovered = backup.recover(&parts).map_err(|error| refused(&error))?;
            let config = daemon::node_config(&config)?;
            let ask = |which| Ok(node_passphrase(context, which, passphrase_file.as_deref())?);
            let written = offline::restore(&config, &backup, &recovered, committee.as_ref(), ask)
                .map_err(restore_failed)?;
            let files: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
            let text = format!(
                "restored into {}; if its journal was lost too, wait until the approvals from before have expired (two \
                 minutes by default) before you start the node",
                files.join(", ")
            );
            context.output.result(&json!({ "restored": files }), &text)
        }
    })
}

fn make_key(context: &Context, path: &Path, key_seal: &KeySeal) -> Outcome {
    if is_there(path)? {
        return Err(Failure::error(
            format!("{} exists already", path.display()),
            "choose another name: a key is not overwritten",
        ));
    }
    let file = key_seal.key_passphrase_file.as_deref();
    let passphrase = prompt::passphrase(context.no_input, "Passphrase of the new key", true, file)?;
    let key = SecretKey::generate(&mut OsRng);
    let public = hex::encode(key.public().map_err(|error| refused(&error))?.to_bytes());
    let sealed = seal::seal(&passphrase, custodian::CONTEXT, key.to_secret_bytes(), &mut OsRng)
        .map_err(anyhow::Error::from)?;
    write_atomically(path, &sealed, Secrecy::Secret)?;
    context.output.result(&json!({ "public_key": public }), &public)
}

fn open_key(context: &Context, path: &Path, key_seal: &KeySeal) -> Outcome<SecretKey> {
    let blob = read_file(path)?;
    let question = format!("Passphrase of {}", path.display());
    let file = key_seal.key_passphrase_file.as_deref();
    let passphrase = prompt::passphrase(context.no_input, &question, false, file)?;
    let secret = seal::open(&passphrase, custodian::CONTEXT, &blob).map_err(|error| {
        Failure::error(
            format!("the key {} does not open: {error}", path.display()),
            "check that it is the right key, and its passphrase",
        )
    })?;
    SecretKey::from_secret_bytes(&secret).map_err(|error| refused(&error))
}

fn make(
    context: &Context,
    config: &Path,
    custodians: Vec<Custodian>,
    threshold: u16,
    out: &Path,
    ask: impl FnMut(Which) -> anyhow::Result<Passphrase>,
) -> Outcome {
    if is_there(out)? {
        return Err(Failure::error(
            format!("{} exists already", out.display()),
            "name a directory that does not exist",
        ));
    }
    let config = daemon::node_config(config)?;
    let (backup, parts) = offline::take(&config, custodians, threshold, ask)?;
    private_directory(out)?;
    let mut files = vec![out.join("backup")];
    for (custodian, part) in backup.custodians().iter().zip(&parts) {
        let path = out.join(format!("{}.part", custodian.name));
        write_new(&path, &part.to_bytes())?;
        files.push(path);
    }
    // The backup last: with it, the directory is whole.
    write_new(&out.join("backup"), &backup.to_bytes())?;
    let text = format!(
        "{} has the backup and {} parts; any {threshold} of their custodians bring the share back. Give each custodian \
         the backup and their part, keep the backup, and drill it",
        out.display(),
        parts.len()
    );
    context
        .output
        .result(&json!({ "id": hex::encode(backup.id()), "files": files }), &text)
}

fn inspect(context: &Context, backup: &Backup) -> Outcome {
    let manifest = &backup.signed_manifest().manifest;
    let member = manifest
        .member(backup.index())
        .map(|member| member.name.to_string());
    let member = member.unwrap_or_default();
    let custodians: Vec<_> = backup
        .custodians()
        .iter()
        .map(|custodian| json!({ "name": custodian.name.to_string(), "key": hex::encode(custodian.key.to_bytes()) }))
        .collect();
    let mut lines = vec![
        format!("backup      {}", hex::encode(backup.id())),
        format!("share       of {member} (seat {})", backup.index()),
        format!("key         {}, epoch {}", manifest.key_id(), manifest.epoch()),
        format!(
            "custodians  any {} of {}",
            backup.threshold(),
            backup.custodians().len()
        ),
    ];
    for custodian in backup.custodians() {
        lines.push(format!(
            "            {}  {}",
            hex::encode(custodian.key.to_bytes()),
            custodian.name
        ));
    }
    let value = json!({
        "id": hex::encode(backup.id()), "member": member, "index": backup.index().get(),
        "key_id": manifest.key_id().to_string(), "epoch": manifest.epoch(),
        "threshold": backup.threshold(), "custodians": custodians,
    });
    context.output.result(&value, &lines.join("\n"))
}

fn open_parts(context: &Context, open: &OpenArgs) -> Outcome<(Backup, Vec<Part>)> {
    let backup: Backup = read(&open.backup)?;
    let sealed: Vec<SealedPart> = open.parts.iter().map(|path| read(path)).collect::<Outcome<_>>()?;
    let key = open_key(context, &open.key, &open.seal)?;
    let mut parts = Vec::new();
    for (path, part) in open.parts.iter().zip(&sealed) {
        let opened = if part.backup() == &backup.id() {
            part.open(Stage::Handed, &key)
        } else {
            Err(BackupError::OtherBackup(part.number()))
        };
        parts.push(opened.map_err(|error| refused(&error).while_doing(&path.display().to_string()))?);
    }
    Ok((backup, parts))
}

fn node_passphrase(context: &Context, which: Which, file: Option<&Path>) -> Outcome<Passphrase> {
    let (question, twice) = match which {
        Which::Old => ("Passphrase of the node's share", false),
        Which::New => ("New passphrase of the node's share", true),
    };
    prompt::passphrase(context.no_input, question, twice, file)
}

fn parse_custodian(text: &str) -> Outcome<Custodian> {
    let (name, key) = text.split_once('=').ok_or_else(|| {
        Failure::error(
            format!("{text:?} is not a custodian"),
            "write it as NAME=KEY, the key as `quorate backup key` printed it",
        )
    })?;
    Ok(Custodian {
        name: parse("custodian", name)?,
        key: parse_key(key)?,
    })
}

fn parse_key(text: &str) -> Outcome<PublicKey> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| BackupError::Key(text.to_owned()))
        .and_then(|()| PublicKey::from_bytes(&bytes))
        .map_err(|error| refused(&error))
}

/// The answer is no, and why.
fn refused(error: &BackupError) -> Failure {
    let next = match error {
        BackupError::TooFew { .. } => "ask further custodians to run `quorate backup hand-over`",
        BackupError::WrongPart(_) | BackupError::OtherPart(_) => {
            "ask that custodian for the part that they were given, or do without them"
        }
        BackupError::Closed => {
            "check that the part was handed over to this key, and by the part's own custodian"
        }
        BackupError::Threshold { .. } | BackupError::SameCustodian(_) | BackupError::Key(_) => {
            "correct the custodians or the threshold"
        }
        BackupError::NoManifest | BackupError::TooLong(_) | BackupError::NotTheMembers(..) => {
            "look at `quorate node status`"
        }
        BackupError::OtherBackup(_)
        | BackupError::Twice(_)
        | BackupError::Malformed(_)
        | BackupError::Damaged
        | BackupError::Share(_)
        | BackupError::Sharing(_) => "compare the files with `quorate backup inspect`, or use another backup",
    };
    Failure::no("backup_refused", error.to_string(), next)
}

fn restore_failed(error: anyhow::Error) -> Failure {
    match error.downcast_ref::<RestoreError>() {
        Some(refusal) => Failure::no(
            "not_current",
            refusal.to_string(),
            "nothing was written; see the runbook in deploy/README.md",
        ),
        None => error.into(),
    }
}

fn read<T: Canonical>(path: &Path) -> Outcome<T> {
    T::from_bytes(&read_file(path)?).map_err(|error| {
        Failure::error(
            format!("{}: {error}", path.display()),
            "check that it is the right file and complete",
        )
    })
}

/// The largest file of a backup.
const MAX_FILE: u64 = 512 * 1024;

fn read_file(path: &Path) -> Outcome<Vec<u8>> {
    use std::io::Read;
    let advice = "check the path";
    let unreadable = |error| Failure::error(format!("cannot read {}: {error}", path.display()), advice);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(Failure::error(
            format!("{} is larger than any file of a backup", path.display()),
            advice,
        ));
    }
    Ok(bytes)
}
