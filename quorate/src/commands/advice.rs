//! What a person can do about an error of the client.

use client::{Error, Fault};
use golden_record::{DenialReason, RejectionReason};

use crate::failure::{Failure, GENERAL_ADVICE};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let next = next(&error);
        if error.is_no() {
            Self::no(error.code(), error.to_string(), next)
        } else {
            Self {
                code: error.code().into(),
                ..Self::error(error.to_string(), next)
            }
        }
    }
}

fn next(error: &Error) -> String {
    match error {
        Error::Denied { reason, .. } => denied(*reason).into(),
        Error::Rejected { reason, .. } => rejected(*reason).into(),
        Error::NotFound(_) => {
            "check the spelling, and that it has been created; `quorate audit log` lists what was".into()
        }
        Error::Forbidden(_) => {
            "use the key of somebody whom it concerns: a user or administrator of that tenant, or an auditor"
                .into()
        }
        Error::Lied(fault) => lied(fault),
        Error::Forked { .. } => {
            "believe neither history: ask the organisations' operators which validators have signed both, and keep the checkpoint and this message as evidence"
                .into()
        }
        Error::Damaged(_) => {
            "find out who could write there; keep the directory as evidence, and make a new mirror in another one".into()
        }
        Error::MirrorForked { .. } => {
            "believe neither history: the mirror and the endorsers' new checkpoint together are evidence; ask the organisations' operators".into()
        }
        Error::Behind { .. } | Error::MirrorAhead { .. } => {
            "wait for the endorser to catch up and try again; if it never does, tell its operator".into()
        }
        Error::Checkpoint { .. } => {
            "restore the file from a backup; to begin afresh, and trust what the endorsers say now, delete it".into()
        }
        Error::TooFew { .. } => format!("bring back those that are named, then try again; {GENERAL_ADVICE}"),
        Error::Unavailable { .. } => format!("check that the cluster runs; {GENERAL_ADVICE}"),
        Error::Request(_) => "correct the command; add --help to see what it takes".into(),
        Error::Profile { .. } => {
            "correct the profile; for a local cluster `quorate dev` writes a new one".into()
        }
        Error::Object(_) => {
            "ask the writer to write it again; an earlier version may still be readable with --version".into()
        }
        Error::Io { .. } => "check the path, its permissions and the room on the disk".into(),
        _ => GENERAL_ADVICE.into(),
    }
}

fn lied(fault: &Fault) -> String {
    let evidence = if fault.evidence.is_empty() {
        String::new()
    } else {
        format!(" with this evidence: {}", hex::encode(&fault.evidence))
    };
    format!("do not trust {}; tell its operator{evidence}", fault.party)
}

fn denied(reason: DenialReason) -> &'static str {
    match reason {
        DenialReason::NotAReader => {
            "ask an owner for `quorate grant TENANT/DATASET reader USER`, or check the dataset's name"
        }
        DenialReason::NotAUser | DenialReason::WrongTenant | DenialReason::UserMismatch => {
            "check that you read as a user of that tenant (--as)"
        }
        DenialReason::DatasetInactive => "ask an owner to activate the dataset",
        DenialReason::Erased => "it is gone for good; an earlier version may be there (--version)",
        DenialReason::UnknownDocument | DenialReason::UnknownVersion => {
            "check the document's name and version; `quorate inspect` shows the latest"
        }
    }
}

fn rejected(reason: RejectionReason) -> &'static str {
    match reason {
        RejectionReason::NotOrganisationAdmin
        | RejectionReason::NotTenantAdmin
        | RejectionReason::NotDatasetOwner
        | RejectionReason::NotOwner
        | RejectionReason::NotUserOrAdmin
        | RejectionReason::NotAWriter
        | RejectionReason::WrongTenant => "sign as somebody who has that right (--as), or ask for it",
        RejectionReason::TenantExists | RejectionReason::UserExists | RejectionReason::DatasetExists => {
            "choose another name"
        }
        RejectionReason::VersionNotNext => "somebody wrote at the same moment; run the command again",
        RejectionReason::StaleVersion => {
            "somebody changed it since you looked; look again, and repeat what still makes sense"
        }
        RejectionReason::AlreadyGranted
        | RejectionReason::NotGranted
        | RejectionReason::AlreadyConfirmed
        | RejectionReason::AlreadyRevoked
        | RejectionReason::ConfigurationUnchanged => "nothing has to be done",
        RejectionReason::UnknownUser => "create the user first: `quorate user create TENANT USER`",
        RejectionReason::UnknownDataset => {
            "create the dataset first: `quorate dataset create TENANT/DATASET --owner USER`"
        }
        _ => "see the reason; `quorate audit log` shows the record",
    }
}
