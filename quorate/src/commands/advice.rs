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
        Error::TooFew { faults, .. } if faults.iter().any(|fault| fault.check == "policy_version") => {
            "put the policy of those that are named, with its version, into the profile, once the organisations have agreed on it; then try again"
                .into()
        }
        Error::TooFew { .. } => format!("bring back those that are named, then try again; {GENERAL_ADVICE}"),
        Error::Unavailable { .. } => format!("check that the cluster runs; {GENERAL_ADVICE}"),
        Error::Refused { code, .. } => refused(code).into(),
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

/// What a daemon does not take, by its name for the reason.
fn refused(code: &str) -> &'static str {
    match code {
        "expired" | "lifetime_too_long" => {
            "check this machine's clock: by theirs, the request is of another time; then run the command again"
        }
        "malformed" | "too_large" | "not_a_read" => "correct the command; add --help to see what it takes",
        "wrong_chain" => "correct the profile: it names the endorsers of another chain",
        "author_may_not_write" => "sign as somebody who may change something (--as): an auditor only looks",
        _ => "see the reason; when it is none of your doing, tell the operator of whoever refuses",
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_mistake_it_was_decides_what_to_do_next() {
        let party = client::Party::Endorser("north".parse().unwrap());
        let refused = |code: &str| Error::Refused {
            party: party.clone(),
            code: code.into(),
            reason: "because".into(),
        };
        assert!(next(&refused("expired")).contains("clock"));
        assert!(next(&refused("lifetime_too_long")).contains("clock"));
        assert!(next(&refused("malformed")).contains("--help"));
        assert!(next(&Error::Request("too long".into())).contains("--help"));
        let fault = |check| Fault {
            party: party.clone(),
            what: String::new(),
            check,
            evidence: Vec::new(),
        };
        let too_few = |check| Error::TooFew {
            needed: String::new(),
            faults: vec![fault(check)],
        };
        assert!(next(&too_few("policy_version")).contains("profile"));
        assert!(next(&too_few("no_answer")).contains("bring back"));
    }
}
