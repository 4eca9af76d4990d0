//! One module for each group of verbs, and what they share.

mod admin;
mod advice;
pub(crate) mod audit;
mod backup;
mod dev;
mod documents;
mod endorser;
pub(crate) mod log_line;
mod node;
mod receipts;
mod status;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use client::{Checkpoints, Client, Profile};
use service::files::{Secrecy, is_there, write_atomically};
use service::identity::Identity;
use threshold::name::{DocumentName, Name};

use crate::cli::{BenchCommand, Command, Global};
use crate::failure::{Failure, Outcome};
use crate::home::Home;
use crate::keyring::{Keyring, Owner};
use crate::output::Output;
use crate::{bench, demo, profile};

/// What every command has at hand.
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) home: Home,
    pub(crate) no_input: bool,
    profile: PathBuf,
}

impl Context {
    /// From the global options; touches nothing.
    pub(crate) fn new(global: &Global) -> Outcome<Self> {
        let home = Home::find()?;
        let profile = global.profile.clone().unwrap_or_else(|| home.profile());
        Ok(Self {
            output: Output::new(global.json),
            home,
            no_input: global.no_input,
            profile,
        })
    }

    /// With everything in one home.
    #[cfg(test)]
    fn in_home(home: Home) -> Self {
        Self {
            output: Output::new(false),
            profile: home.profile(),
            home,
            no_input: true,
        }
    }

    pub(crate) fn profile(&self) -> Outcome<Profile> {
        profile::load(&self.profile)
    }

    pub(crate) fn profile_path(&self) -> &std::path::Path {
        &self.profile
    }

    pub(crate) fn keyring(&self) -> Keyring {
        Keyring::of(&self.home)
    }

    /// A client that signs as one of the keyring's owners.
    pub(crate) async fn client_as(&self, owner: &Owner) -> Outcome<Client> {
        // The profile first: without one, advice about keys would lead astray.
        let profile = self.profile()?;
        let identity = self.keyring().open(owner)?;
        self.connect(profile, identity).await
    }

    /// Where what is verified of the log and of mirrors is kept.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.profile.with_file_name("checkpoints")
    }

    /// What is verified of the log is kept beside the profile.
    async fn connect(&self, profile: Profile, identity: Arc<Identity>) -> Outcome<Client> {
        let checkpoints = Checkpoints::in_directory(self.checkpoints());
        Ok(Client::connect_with(profile, identity, checkpoints).await?)
    }

    /// A client that signs with this key.
    pub(crate) async fn client_with(&self, identity: Arc<Identity>) -> Outcome<Client> {
        self.connect(self.profile()?, identity).await
    }

    /// A client for looking at things, with the key of the keyring that may see most: endorsers show the log to those
    /// whom it concerns. With none, a key of the moment does for what is public.
    pub(crate) async fn client(&self, tenant: Option<&Name>) -> Outcome<Client> {
        let profile = self.profile()?;
        self.connect(profile, self.looker(tenant)?).await
    }

    /// The key of the keyring that may see most.
    fn looker(&self, tenant: Option<&Name>) -> Outcome<Arc<Identity>> {
        let keyring = self.keyring();
        let mut owners = vec![Owner::Auditor, Owner::Admin];
        if let Some(tenant) = tenant {
            owners.push(Owner::TenantAdmin(tenant.to_string()));
            owners.extend(
                keyring
                    .users(tenant.as_str())
                    .into_iter()
                    .map(|user| Owner::User(tenant.to_string(), user)),
            );
        }
        match owners.iter().find(|owner| keyring.has(owner)) {
            Some(owner) => keyring.open(owner),
            None => Ok(Arc::new(
                Identity::ephemeral("quorate").map_err(anyhow::Error::from)?,
            )),
        }
    }

    /// The named user, or the tenant's only one in the keyring.
    pub(crate) fn user(&self, tenant: &Name, named: Option<&str>) -> Outcome<Name> {
        if let Some(named) = named {
            return parse("user", named);
        }
        let mut users = self.keyring().users(tenant.as_str());
        match (users.pop(), users.is_empty()) {
            (Some(only), true) => parse("user", &only),
            (None, _) => Err(Failure::error(
                format!("the keyring has no user of tenant {tenant}"),
                format!("run `quorate user create {tenant} NAME` first"),
            )),
            (Some(last), false) => {
                users.push(last);
                Err(Failure::error(
                    format!(
                        "the keyring has several users of tenant {tenant}: {}",
                        users.join(", ")
                    ),
                    "say who you are with --as USER",
                ))
            }
        }
    }
}

/// Runs one command.
pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Demo(arguments) => demo::run(context.output, arguments.keep).await,
        Command::Dev(arguments) => dev::run(context, &arguments).await,
        Command::Status => status::run(context).await,
        Command::Tenant(command) => admin::tenant(context, command).await,
        Command::User(command) => admin::user(context, command).await,
        Command::Dataset(command) => admin::dataset(context, command).await,
        Command::Grant(arguments) => admin::grant(context, &arguments).await,
        Command::Revoke(arguments) => admin::revoke(context, &arguments).await,
        Command::Write(arguments) => documents::write(context, &arguments).await,
        Command::Read(arguments) => documents::read(context, &arguments).await,
        Command::Inspect(arguments) => documents::inspect(context, &arguments).await,
        Command::Erase(arguments) => admin::erase(context, &arguments).await,
        Command::Audit(command) => audit::run(context, command).await,
        Command::Endorser(command) => endorser::run(context, command).await,
        Command::Node(command) => node::run(context, command).await,
        Command::Backup(command) => backup::run(context, command),
        Command::Bench(BenchCommand::Reads(arguments)) => bench::run(context.output, &arguments).await,
        Command::Bench(BenchCommand::Ledger(arguments)) => bench::ledger(context.output, &arguments).await,
        Command::Bench(BenchCommand::Ceremonies(arguments)) => {
            bench::ceremonies::run(context.output, &arguments).await
        }
        Command::Daemon(arguments) => crate::daemon::run(&arguments),
    }
}

/// Writes a public file that must not be there yet.
pub(crate) fn write_new(path: &std::path::Path, contents: &[u8]) -> Outcome {
    if is_there(path)? {
        return Err(Failure::error(
            format!("{} exists already", path.display()),
            "choose another name, or move that file away",
        ));
    }
    Ok(write_atomically(path, contents, Secrecy::Public)?)
}

/// Parses a name of some kind.
pub(crate) fn parse<T: FromStr>(what: &str, text: &str) -> Outcome<T>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error| Failure::error(format!("{what} {text:?}: {error}"), "correct the name"))
}

/// `TENANT/DATASET`
pub(crate) fn parse_dataset(text: &str) -> Outcome<(Name, Name)> {
    match text.split_once('/') {
        Some((tenant, dataset)) if !dataset.contains('/') => {
            Ok((parse("tenant", tenant)?, parse("dataset", dataset)?))
        }
        _ => Err(Failure::error(
            format!("{text:?} does not name a dataset"),
            "write it as TENANT/DATASET, for example acme/reports",
        )),
    }
}

/// `TENANT/DATASET/DOCUMENT`, where the document may have slashes of its own.
pub(crate) fn parse_document(text: &str) -> Outcome<(Name, Name, DocumentName)> {
    let mut parts = text.splitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(tenant), Some(dataset), Some(document)) => Ok((
            parse("tenant", tenant)?,
            parse("dataset", dataset)?,
            parse("document", document)?,
        )),
        _ => Err(Failure::error(
            format!("{text:?} does not name a document"),
            "write it as TENANT/DATASET/DOCUMENT, for example acme/reports/2026/q3.pdf",
        )),
    }
}
