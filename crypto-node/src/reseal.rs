//! Changing what seals a node's secrets: offline, file by file, without a ceremony.
//!
//! Every new file is made, and tried, before the first old one is replaced; each is replaced by rename. After a crash in
//! between some files have the old seal and some the new, and the same command again changes the rest.

use crate::ceremony::record::Record;
use crate::config::Config;
use crate::seals::{self, SealCheck, Seals};
use crate::share::{self, share_files};
use crate::store::Store;
use anyhow::{Context, bail, ensure};
use rand_core::OsRng;
use service::files::{Secrecy, write_atomically};
use service::seal::{self, SealError};
use service::{Identity, KeyWrap, Passphrase, SealConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use threshold::encoding::Canonical;
use threshold::ids::CeremonyId;

/// Which passphrase of an operator is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one that seals the shares so far.
    Old,
    /// The one that is to seal them.
    New,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resealed {
    /// Files that have the new seal now.
    pub changed: Vec<PathBuf>,
    /// Files that had it before: from an earlier run that did not end.
    pub already: Vec<PathBuf>,
}

/// Seals the secrets of a stopped node as `new` says, which now are sealed as `old` says. Asks for the passphrases that
/// only a person has. Blocks.
///
/// # Errors
/// The node runs; the configurations are not of one node; a file opens with neither seal, and then no file was
/// changed; the file system's.
pub fn reseal(
    old: &Config,
    new: &Config,
    ask: impl FnMut(Which) -> anyhow::Result<Passphrase>,
) -> anyhow::Result<Resealed> {
    let plan = Plan::make(old, new, ask)?;
    plan.run()
}

/// What is to be written, each file tried.
struct Plan {
    /// Held so that the node does not start meanwhile.
    store: Store,
    files: Vec<(PathBuf, Vec<u8>)>,
    already: Vec<PathBuf>,
    /// The check of an operator's passphrase, when there will be no such passphrase.
    obsolete: Option<PathBuf>,
}

impl Plan {
    fn make(
        old: &Config,
        new: &Config,
        mut ask: impl FnMut(Which) -> anyhow::Result<Passphrase>,
    ) -> anyhow::Result<Self> {
        ensure!(
            old.name == new.name
                && old.directory == new.directory
                && seals::identity_file(old) == seals::identity_file(new),
            "the two configurations differ in name, directory or identity_file: they are not of one node"
        );
        let store = Store::open(&old.directory.join("ceremonies.redb"))
            .context("the node's directory is in use: stop the node first")?;
        let mut plan = Self {
            store,
            files: Vec::new(),
            already: Vec::new(),
            obsolete: None,
        };
        let (old_seals, new_seals) = (Seals::open(old)?, Seals::open(new)?);
        let identity_file = seals::identity_file(old);
        let (from, to) = (old_seals.identity.as_ref(), new_seals.identity.as_ref());
        let identity = Identity::load(&identity_file, from).or_else(|error| {
            // Where an earlier run came so far, the new seal opens it; otherwise the old one's error is the one to tell.
            Identity::load(&identity_file, to).map_err(|_| error)
        })?;
        let node = identity.public_key();
        plan.add(identity_file, from, to, |_| {
            Ok(service::identity::CONTEXT.to_owned())
        })?;

        let mut person = |which, seal: Option<Arc<dyn KeyWrap>>| match seal {
            Some(seal) => Ok(seal),
            None => ask(which).map(|passphrase| Arc::new(passphrase) as Arc<dyn KeyWrap>),
        };
        let shares = share_files(&seals::share_directory(old))?;
        let check = SealCheck::new(&old.directory, &node);
        let to = person(Which::New, new_seals.share)?;
        let from = if shares.is_empty() && !check.exists()? {
            Arc::clone(&to)
        } else {
            person(Which::Old, old_seals.share)?
        };
        for path in shares {
            let file = path.clone();
            plan.add(path, from.as_ref(), to.as_ref(), |plan| {
                plan.share_context(&node, &file)
            })?;
        }
        plan.add_check(&check, new, from.as_ref(), to.as_ref())?;
        Ok(plan)
    }

    /// Plans one file. `context` is asked for what a file of version 1 does not say.
    fn add(
        &mut self,
        path: PathBuf,
        from: &dyn KeyWrap,
        to: &dyn KeyWrap,
        context: impl FnOnce(&Self) -> anyhow::Result<String>,
    ) -> anyhow::Result<()> {
        let blob = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let sealed = match seal::rewrap(&blob, from, to, &mut OsRng) {
            Err(SealError::Version1) => {
                let context = context(self)?;
                let secret = seal::open(from, &context, &blob).with_context(|| path.display().to_string())?;
                seal::seal(to, &context, &secret, &mut OsRng)?
            }
            Err(_) if seal::check(to, &blob).is_ok() => {
                self.already.push(path);
                return Ok(());
            }
            other => other.with_context(|| {
                format!(
                    "{} opens with neither seal, so that nothing was changed",
                    path.display()
                )
            })?,
        };
        self.files.push((path, sealed));
        Ok(())
    }

    fn add_check(
        &mut self,
        check: &SealCheck,
        new: &Config,
        from: &dyn KeyWrap,
        to: &dyn KeyWrap,
    ) -> anyhow::Result<()> {
        let wanted = seals::share(new)? == SealConfig::Operator;
        let path = check.path().to_owned();
        match (check.exists()?, wanted) {
            (true, true) => self.add(path, from, to, |_| bail!("written by no version 1"))?,
            (true, false) => self.obsolete = Some(path),
            (false, true) => self.files.push((path, check.sealed(to)?)),
            (false, false) => {}
        }
        Ok(())
    }

    /// What a share's file of version 1 is sealed for, which the record of its ceremony says.
    fn share_context(&self, node: &[u8; 32], path: &Path) -> anyhow::Result<String> {
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let unknown = || {
            format!(
                "{} is not the share of a ceremony that this node knows",
                path.display()
            )
        };
        let mut id = [0; 32];
        hex::decode_to_slice(name, &mut id).with_context(unknown)?;
        let record = self.store.record(CeremonyId(id))?.with_context(unknown)?;
        let manifest = Record::from_bytes(&record)?.manifest.with_context(unknown)?;
        let member = manifest
            .members()
            .iter()
            .find(|member| member.identity.as_bytes() == node);
        let index = member.with_context(unknown)?.index;
        Ok(share::context(node, &manifest, index))
    }

    fn run(self) -> anyhow::Result<Resealed> {
        let mut changed = Vec::new();
        for (path, blob) in self.files {
            write_atomically(&path, &blob, Secrecy::Secret).with_context(|| {
                format!(
                    "cannot write {}; {} files have the new seal: run the same command again",
                    path.display(),
                    changed.len()
                )
            })?;
            changed.push(path);
        }
        if let Some(path) = self.obsolete {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(Resealed {
            changed,
            already: self.already,
        })
    }
}

#[cfg(test)]
mod tests;
