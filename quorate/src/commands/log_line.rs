//! One entry of the log, in words.

use client::Line;
use golden_record::{Body, Change, Configuration, Outcome};
use serde_json::{Value, json};
use threshold::signature::PublicKey;

use crate::output::timestamp;

/// An entry as people read it.
pub(crate) struct LogLine {
    index: u64,
    height: u64,
    time_ms: u64,
    tx_id: String,
    author: String,
    kind: &'static str,
    outcome: Outcome,
    tenant: Option<String>,
    dataset: Option<String>,
    document: Option<String>,
    version: Option<u64>,
    user: Option<String>,
    purpose: Option<String>,
    /// Who did what to what.
    pub(crate) what: String,
    /// A read request or a receipt.
    pub(crate) is_about_reads: bool,
}

impl LogLine {
    pub(crate) fn new(line: &Line) -> Self {
        let transaction = &line.entry.transaction;
        let body = &transaction.body;
        Self {
            index: line.index,
            height: line.height,
            time_ms: line.time_ms,
            tx_id: transaction.tx_id().to_string(),
            author: transaction.author.to_string(),
            kind: body.kind(),
            outcome: line.entry.outcome,
            tenant: body.tenant().map(ToString::to_string),
            dataset: body.dataset().map(ToString::to_string),
            document: body.document().map(ToString::to_string),
            version: version(body, &line.entry.outcome),
            user: body.user().map(ToString::to_string),
            purpose: match body {
                Body::RequestRead { purpose, .. } => Some(purpose.clone()),
                _ => None,
            },
            what: describe(body),
            is_about_reads: matches!(body, Body::RequestRead { .. } | Body::RecordReleases { .. }),
        }
    }

    pub(crate) fn headline(&self) -> String {
        format!(
            "entry {} at {}: {} ({})",
            self.index,
            timestamp(self.time_ms),
            self.verdict(),
            self.tx_id
        )
    }

    pub(crate) fn row(&self) -> Vec<String> {
        vec![
            self.index.to_string(),
            timestamp(self.time_ms),
            self.what.clone(),
            self.verdict(),
            self.tx_id.chars().take(16).collect(),
        ]
    }

    pub(crate) fn value(&self) -> Value {
        json!({
            "index": self.index,
            "height": self.height,
            "time_ms": self.time_ms,
            "time": timestamp(self.time_ms),
            "tx_id": self.tx_id,
            "author": self.author,
            "kind": self.kind,
            "tenant": self.tenant,
            "dataset": self.dataset,
            "document": self.document,
            "version": self.version,
            "user": self.user,
            "purpose": self.purpose,
            "what": self.what,
            "outcome": self.outcome.kind(),
            "reason": self.outcome.reason(),
        })
    }

    fn verdict(&self) -> String {
        match self.outcome.reason() {
            Some(reason) => format!("{}: {reason}", self.outcome.kind()),
            None => self.outcome.kind().to_owned(),
        }
    }
}

/// The version of a document that a verdict is about; else the one that is named, where 0 is the latest or all.
fn version(body: &Body, outcome: &Outcome) -> Option<u64> {
    match (outcome, body) {
        (Outcome::Approved { version, .. } | Outcome::Permitted { version }, _)
        | (
            _,
            Body::RequestRead { version, .. }
            | Body::WriteDocument { version, .. }
            | Body::EraseDocument { version, .. },
        ) => Some(*version),
        _ => None,
    }
}

fn describe(body: &Body) -> String {
    match body {
        Body::PublishCommittee { manifest } => {
            let manifest = &manifest.manifest;
            format!(
                "committee of key {}: {}",
                short(&manifest.key_id().to_string()),
                manifest.threshold()
            )
        }
        Body::CreateTenant { tenant, .. } => format!("tenant {tenant}"),
        Body::CreateUser { tenant, user, .. } => format!("user {user} of {tenant}"),
        Body::CreateDataset { tenant, dataset, .. } => format!("dataset {tenant}/{dataset}"),
        Body::Grant {
            tenant,
            dataset,
            user,
            role,
            ..
        } => format!("{user} becomes {role} of {tenant}/{dataset}"),
        Body::Revoke {
            tenant,
            dataset,
            user,
            role,
            ..
        } => format!("{user} is no longer {role} of {tenant}/{dataset}"),
        Body::SetDatasetActive {
            tenant,
            dataset,
            active,
            ..
        } => {
            format!(
                "dataset {tenant}/{dataset} {}",
                if *active { "activated" } else { "deactivated" }
            )
        }
        Body::WriteDocument {
            tenant,
            dataset,
            document,
            version,
            ..
        } => {
            format!("write {tenant}/{dataset}/{document} version {version}")
        }
        Body::RequestRead {
            tenant,
            dataset,
            document,
            version,
            user,
            purpose,
            ..
        } => {
            let why = if purpose.is_empty() {
                String::new()
            } else {
                format!(" for: {purpose}")
            };
            let version = match version {
                0 => "latest version".to_owned(),
                version => format!("version {version}"),
            };
            format!("{user} asks to read {tenant}/{dataset}/{document} {version}{why}")
        }
        Body::RecordReleases { releases } => {
            let released: Vec<String> = releases
                .iter()
                .map(|release| {
                    format!(
                        "node {} for {}",
                        release.index,
                        short(&release.approve_id.to_string())
                    )
                })
                .collect();
            format!("released: {}", released.join(", "))
        }
        Body::RotateUserKey { tenant, user, .. } => format!("a new key for user {user} of {tenant}"),
        Body::RevokeUser { tenant, user, .. } => format!("user {user} of {tenant} is revoked"),
        Body::RotateTenantAdmin { tenant, .. } => format!("a new key for the admin of {tenant}"),
        Body::ConfigureDataset {
            tenant,
            dataset,
            configuration,
            ..
        } => format!("dataset {tenant}/{dataset}: {}", configured(configuration)),
        Body::EraseDocument {
            tenant,
            dataset,
            document,
            version,
        } => match version {
            0 => format!("erase {tenant}/{dataset}/{document}"),
            version => format!("erase {tenant}/{dataset}/{document} version {version}"),
        },
        Body::PutLink {
            tenant,
            dataset,
            link,
            version,
            relation,
            source,
            target,
        } => {
            let points = match target {
                Some(target) => format!("{relation} {}/{}", target.dataset, target.document),
                None => "ends".to_owned(),
            };
            format!(
                "link {tenant}/{dataset}/{link} version {version}: {} {points}",
                source.document
            )
        }
        Body::Govern { change, .. } => governed(change),
    }
}

fn configured(configuration: &Configuration) -> String {
    format!(
        "encryption {}, storage {}, permissions {}{}",
        configuration.encryption,
        configuration.storage,
        if configuration.permissions { "on" } else { "off" },
        if configuration.fixed { ", for good" } else { "" }
    )
}

fn governed(change: &Change) -> String {
    let key = |key: &PublicKey| short(&key.to_string());
    match change {
        Change::ReplaceAdmin { organisation, .. } => format!("a new key for the admin of {organisation}"),
        Change::RevokeAdmin { organisation } => format!("the admin of {organisation} is revoked"),
        Change::ReplaceCertificate { organisation, .. } => format!("a new CA certificate for {organisation}"),
        Change::AddCoordinator { key: added } => format!("coordinator {} joins", key(added)),
        Change::RemoveCoordinator { key: removed } => format!("coordinator {} leaves", key(removed)),
        Change::AddAuditor { key: added } => format!("auditor {} joins", key(added)),
        Change::RemoveAuditor { key: removed } => format!("auditor {} leaves", key(removed)),
        Change::ReplaceTenantAdmin { tenant, .. } => format!("a new key for the admin of {tenant}"),
        Change::AddOrganisation { organisation, .. } => {
            format!("{} joins with its endorser", organisation.name)
        }
        Change::RemoveOrganisation { organisation } => format!("{organisation} leaves with its endorser"),
        Change::ReplaceEndorser { organisation, .. } => {
            format!("a new key or address for the endorser of {organisation}")
        }
    }
}

fn short(id: &str) -> String {
    id.chars().take(16).collect()
}
