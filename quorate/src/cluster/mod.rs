//! A whole cluster on this machine: every daemon a process of its own, on real sockets, with real certificates.
//!
//! It is what `quorate demo`, `quorate dev`, `quorate bench` and the integration tests run. Each daemon is this
//! same program started again as `quorate daemon KIND`. A daemon ends when its standard input closes, so none
//! outlives the cluster, not even when this process is killed.

mod ceremony;
mod layout;
pub(crate) mod operator;
pub(crate) mod process;
mod provision;
mod readiness;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Profile};
use golden_record::Genesis;
use service::identity::Identity;
use threshold::encoding::Canonical;

pub use self::layout::{
    COORDINATOR, INSTALLATION, Layout, NODES, ORGANISATIONS, POLICY, Paths, Seat, Size, THRESHOLD,
};
use self::process::Process;
use self::readiness::Condition;
use crate::cli::DaemonKind;
use crate::failure::{Failure, Outcome};
use crate::home::private_directory;
use crate::keyring;

/// How long a daemon may take to come up.
const START: Duration = Duration::from_secs(120);

/// Says what is being done, for a person who waits.
pub type Say<'a> = &'a (dyn Fn(&str) + Sync);

/// A cluster and its running processes. Dropping it ends them.
#[derive(Debug)]
pub struct Cluster {
    program: PathBuf,
    paths: Paths,
    layout: Layout,
    profile: Profile,
    running: BTreeMap<String, Process>,
    /// Held as long as this cluster may have processes.
    _lock: File,
}

/// Deletes the cluster in `directory`, unless it runs. Nothing else is ever deleted there.
pub fn remove(directory: &Path) -> Outcome {
    if !directory.exists() {
        return Ok(());
    }
    let paths = Paths::new(directory);
    let _lock = lock(&paths)?;
    provision::clear(&paths)
}

/// The genesis of the cluster in `directory`, if there is one that can be read: by it a profile and the keys of people are known.
pub(crate) fn genesis(directory: &Path) -> Outcome<Option<Genesis>> {
    match fs::read(Paths::new(directory).genesis()) {
        Ok(bytes) => Ok(Genesis::from_bytes(&bytes).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Cluster {
    /// Starts the cluster in `directory`, making it first when there is none, and waits until it can serve reads:
    /// every daemon ready, the custody key generated, the committee on the chain.
    pub async fn start(directory: &Path, say: Say<'_>) -> Outcome<Self> {
        Self::start_with(program()?, directory, say).await
    }

    /// As [`Cluster::start`], with daemons of another program that is [`crate::main_with`], as tests have one.
    pub async fn start_with(program: PathBuf, directory: &Path, say: Say<'_>) -> Outcome<Self> {
        let mut cluster = Self::prepare_with(program, directory, Size::default(), say)?;
        cluster.start_all(say).await?;
        cluster.ensure_key(say).await?;
        Ok(cluster)
    }

    /// Makes identities, genesis, configurations and ports when `directory` has none; starts nothing.
    pub fn prepare(directory: &Path, size: Size, say: Say<'_>) -> Outcome<Self> {
        Self::prepare_with(program()?, directory, size, say)
    }

    /// As [`Cluster::prepare`], with daemons of another program that is [`crate::main_with`].
    pub fn prepare_with(program: PathBuf, directory: &Path, size: Size, say: Say<'_>) -> Outcome<Self> {
        let paths = Paths::new(directory);
        private_directory(paths.root())?;
        let lock = lock(&paths)?;
        if !paths.layout().exists() {
            say("making keys, certificates, the genesis and configurations");
            provision::provision(&paths, size)?;
        }
        let text = fs::read_to_string(paths.layout())?;
        let layout: Layout = toml::from_str(&text).map_err(|error| {
            Failure::error(
                format!("{} is damaged: {error}", paths.layout().display()),
                "run `quorate dev --reset` to begin anew",
            )
        })?;
        let profile = provision::profile(&paths, &layout)?;
        Ok(Self {
            program,
            paths,
            layout,
            profile,
            running: BTreeMap::new(),
            _lock: lock,
        })
    }

    /// Starts every daemon that is not running and waits for all.
    pub async fn start_all(&mut self, say: Say<'_>) -> Outcome {
        let seats: Vec<String> = self.layout.seats().map(|(_, seat)| seat.name.clone()).collect();
        for name in &seats {
            if !self.running.contains_key(name) {
                say(&format!("starting {name}"));
                self.spawn(name)?;
            }
        }
        for name in &seats {
            say(&format!("waiting for {name}"));
            // Crypto nodes and the coordinator are ready only when there is a key.
            let kind = self.layout.seat(name)?.0;
            let wanted = if kind == DaemonKind::LedgerEndorser {
                Condition::Ready
            } else {
                Condition::Alive
            };
            self.wait_for(name, wanted).await?;
        }
        Ok(())
    }

    /// Starts one daemon and waits until it runs, with a key to serve with or without one.
    pub async fn start_without_key(&mut self, name: &str) -> Outcome {
        self.spawn(name)?;
        self.wait_for(name, Condition::Alive).await
    }

    /// Starts one daemon of a cluster that has its key, and waits until it is ready.
    pub async fn start_one(&mut self, name: &str) -> Outcome {
        self.spawn(name)?;
        self.wait_for(name, Condition::Ready).await
    }

    /// Waits until every running daemon can serve.
    pub(crate) async fn all_ready(&mut self) -> Outcome {
        let names: Vec<String> = self.running.keys().cloned().collect();
        for name in &names {
            self.wait_for(name, Condition::Ready).await?;
        }
        Ok(())
    }

    /// Stops one daemon as an operator does: it drains first.
    pub async fn stop(&mut self, name: &str) -> Outcome {
        self.take(name)?.stop().await
    }

    /// Kills one daemon as `kill -9` does.
    pub fn kill(&mut self, name: &str) -> Outcome {
        self.take(name)?.kill()
    }

    /// Stops everything, each daemon draining.
    pub async fn shutdown(mut self) -> Outcome {
        let all = std::mem::take(&mut self.running);
        for stopped in futures::future::join_all(all.into_values().map(Process::stop)).await {
            stopped?;
        }
        Ok(())
    }

    /// Resident memory of one daemon, in bytes.
    pub fn rss(&self, name: &str) -> Outcome<u64> {
        process::memory(self.pid(name)?, process::Memory::Resident)
    }

    /// The most resident memory that one daemon has had since it started, in bytes.
    pub fn peak_memory(&self, name: &str) -> Outcome<u64> {
        process::memory(self.pid(name)?, process::Memory::Peak)
    }

    /// Processor time that one daemon has used since it started.
    pub fn processor_time(&self, name: &str) -> Outcome<Duration> {
        process::processor_time(self.pid(name)?)
    }

    /// Whether one daemon has ended by itself; then it may be started again.
    pub fn has_ended(&mut self, name: &str) -> bool {
        let ended = self
            .running
            .get_mut(name)
            .is_some_and(|process| process.ended().is_some());
        if ended {
            self.running.remove(name);
        }
        ended
    }

    /// The process id of one daemon.
    pub fn pid(&self, name: &str) -> Outcome<u32> {
        Ok(self.running.get(name).ok_or_else(|| not_running(name))?.id())
    }

    /// The names of the daemons that run.
    pub fn running(&self) -> impl Iterator<Item = &str> {
        self.running.keys().map(String::as_str)
    }

    /// The first daemon that has ended by itself, with its last words.
    pub fn ended(&mut self) -> Option<(String, String)> {
        let ended = self
            .running
            .iter_mut()
            .find_map(|(name, process)| process.ended().map(|_| name.clone()))?;
        let words = self
            .running
            .remove(&ended)
            .map(|process| process.last_words())
            .unwrap_or_default();
        Some((ended, words))
    }

    /// What a client of this cluster must be told. Holds the key id once [`Cluster::start`] has returned.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Who is where.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Which file is where.
    #[must_use]
    pub const fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The identity of an organisation's administrator.
    pub fn admin(&self, organisation: &str) -> Outcome<Arc<Identity>> {
        self.person(&self.paths.admin(organisation))
    }

    /// The identity of the auditor, who may see the whole log.
    pub fn auditor(&self) -> Outcome<Arc<Identity>> {
        self.person(&self.paths.auditor())
    }

    /// The identity of a crypto node's operator.
    pub fn operator(&self, node: &str) -> Outcome<Arc<Identity>> {
        self.person(&self.paths.operator(node))
    }

    /// A client with the given identity.
    pub async fn client(&self, identity: Arc<Identity>) -> Outcome<Client> {
        Ok(Client::connect(self.profile.clone(), identity).await?)
    }

    fn person(&self, sealed: &Path) -> Outcome<Arc<Identity>> {
        let passphrase = keyring::known_passphrase(&self.paths.people().join("passphrase"))?;
        Ok(Arc::new(
            Identity::load(sealed, &passphrase).map_err(anyhow::Error::from)?,
        ))
    }

    fn spawn(&mut self, name: &str) -> Outcome {
        let (kind, _) = self.layout.seat(name)?;
        if self.running.contains_key(name) {
            return Err(Failure::error(
                format!("{name} is running already"),
                "stop it first",
            ));
        }
        let process = Process::start(
            &self.program,
            kind,
            &self.paths.config(name),
            &self.paths.log(name),
        )?;
        self.running.insert(name.to_owned(), process);
        Ok(())
    }

    fn take(&mut self, name: &str) -> Outcome<Process> {
        self.running.remove(name).ok_or_else(|| not_running(name))
    }

    /// Waits until a daemon is alive or ready, or says why it ended.
    async fn wait_for(&mut self, name: &str, wanted: Condition) -> Outcome {
        let (kind, seat) = self.layout.seat(name)?;
        let seat = seat.clone();
        let deadline = tokio::time::Instant::now() + START;
        loop {
            if readiness::is(&seat, wanted).await {
                return Ok(());
            }
            let process = self.running.get_mut(name).ok_or_else(|| not_running(name))?;
            let why = match process.ended() {
                Some(status) => format!("ended ({status})"),
                None if tokio::time::Instant::now() > deadline => format!("is not ready after {START:?}"),
                None => {
                    tokio::time::sleep(readiness::PAUSE).await;
                    continue;
                }
            };
            let words = process.last_words();
            return Err(Failure::error(
                format!("the {} {name} {why}; its last words:\n{words}", kind.as_str()),
                format!("read {}", self.paths.log(name).display()),
            ));
        }
    }
}

/// One at a time: the daemons of a cluster have fixed ports and directories.
fn lock(paths: &Paths) -> Outcome<File> {
    let file = File::create(paths.root().join("lock"))?;
    file.try_lock().map_err(|_| {
        Failure::error(
            format!("the cluster in {} is in use", paths.root().display()),
            "stop the `quorate` that runs it, or choose another directory with --dir",
        )
    })?;
    Ok(file)
}

fn not_running(name: &str) -> Failure {
    Failure::error(format!("{name} is not running"), "start it first")
}

/// This program: each daemon is the same one again.
fn program() -> Outcome<PathBuf> {
    Ok(std::env::current_exe()?)
}
