//! What the endorsers have answered so far, and whether it is enough. No I/O; the time is an argument.

use approval::{ApprovalFields, Approved, Limits, Policy, TrustBundle};
use golden_record::{Body, DenialReason, DocumentVersion, Outcome, Transaction};
use proto::field;
use proto::ledger::{Approval, RequestReadResponse};
use threshold::encoding::Canonical;
use threshold::ids::KeyId;
use threshold::label::Label;
use threshold::name::Name;

use super::ApprovedRead;
use crate::error::{Error, Fault, Party};
use crate::submit::{Recorded, recorded};

#[cfg(test)]
mod tests;

/// The check that a certificate fails, or the document that came with it.
const CERTIFICATE: &str = "certificate";
/// The check that a certificate fails which is of another version of the policy than the profile.
const POLICY_VERSION: &str = "policy_version";

/// All that certificates say: known once they have been looked at one by one.
type Certified = Option<ApprovalFields>;

/// Approvals that agree on the document and, once they have been looked at one by one, on all that they certify.
struct Group {
    document: Vec<u8>,
    certified: Certified,
    approvals: Vec<(Name, Vec<u8>)>,
    recorded: Recorded,
}

/// The answers to one read request.
pub(super) struct Tally<'a> {
    bundle: &'a TrustBundle,
    key_id: Option<KeyId>,
    tolerated: usize,
    transaction: &'a Transaction,
    label: &'a Label,
    groups: Vec<Group>,
    denials: Vec<(Name, DenialReason)>,
    /// Endorsers that say that there is nothing to approve, because the document has no wrapped key.
    permissions: Vec<Name>,
    faults: Vec<Fault>,
    unavailable: Vec<(Party, Error)>,
    /// Some certificates did not hold together, so all are looked at one by one from then on.
    suspicious: bool,
}

impl<'a> Tally<'a> {
    /// Of a request for the document `label`, of version 0 for the latest, where up to `tolerated` endorsers may lie.
    pub(super) fn new(
        bundle: &'a TrustBundle,
        key_id: Option<KeyId>,
        tolerated: usize,
        transaction: &'a Transaction,
        label: &'a Label,
    ) -> Self {
        let (groups, denials, permissions, faults, unavailable, suspicious) = Default::default();
        Self {
            bundle,
            key_id,
            tolerated,
            transaction,
            label,
            groups,
            denials,
            permissions,
            faults,
            unavailable,
            suspicious,
        }
    }

    /// Sorts one answer to the others that agree with it.
    pub(super) fn take(&mut self, organisation: &Name, answer: RequestReadResponse) {
        let party = Party::Endorser(organisation.clone());
        let recorded = match recorded(&party, self.transaction, answer.entry) {
            Ok(recorded) => recorded,
            Err(fault) => return self.faults.push(fault),
        };
        match (&recorded.entry.outcome, answer.approval) {
            (Outcome::Denied(reason), _) => self.denials.push((organisation.clone(), *reason)),
            (Outcome::Approved { version, .. }, _) if ![0, *version].contains(&self.label.version) => {
                let what = format!("recorded an approval of version {version}");
                self.faults
                    .push(Fault::new(party, "outcome", what, &recorded.entry.to_bytes()));
            }
            (
                Outcome::Approved { .. },
                Some(Approval {
                    certificate,
                    document,
                }),
            ) => {
                self.add(organisation.clone(), certificate, &document, None, &recorded);
            }
            (Outcome::Approved { .. }, None) => {
                let what = "recorded an approval and gave no certificate";
                self.faults.push(Fault::new(party, "certificate", what, &[]));
            }
            (Outcome::Permitted { .. }, _) => self.permissions.push(organisation.clone()),
            (other, _) => {
                let what = format!("recorded a read request as {other}");
                self.faults
                    .push(Fault::new(party, "outcome", what, &recorded.entry.to_bytes()));
            }
        }
    }

    /// An endorser that gave no answer.
    pub(super) fn unavailable(&mut self, party: Party, error: Error) {
        self.unavailable.push((party, error));
    }

    /// The end of it, if there is one already.
    pub(super) fn verdict(&mut self, now_ms: u64) -> Option<Result<ApprovedRead, Error>> {
        // One endorser beyond those that may lie: at least one honest one says no, and for this reason.
        let alike = |(_, reason): &&(Name, DenialReason)| {
            let denials = self.denials.iter();
            denials.filter(|(_, said)| said == reason).count() > self.tolerated
        };
        if let Some((_, reason)) = self.denials.iter().find(alike) {
            return Some(Err(Error::Denied {
                reason: *reason,
                tx_id: self.transaction.tx_id(),
            }));
        }
        if self.permissions.len() > self.tolerated {
            let what = "it has no wrapped key, because its dataset is not threshold-encrypted; the read is on record, \
                        and the document can be fetched as it is";
            return Some(Err(Error::Object(what.into())));
        }
        self.satisfied(now_ms).map(Ok)
    }

    /// Where among those that gave no answer one is whose refusal more give alike than can lie.
    fn refused_alike(&self) -> Option<usize> {
        let said = |(_, error): &(Party, Error)| match error {
            Error::Forbidden(_) => Some(error.code().to_owned()),
            Error::Refused { code, .. } => Some(code.clone()),
            _ => None,
        };
        let mut refused = self.unavailable.iter().map(said);
        refused.position(|one| {
            let alike = self.unavailable.iter().map(said).filter(|other| *other == one);
            one.is_some() && alike.count() > self.tolerated
        })
    }

    /// The error when nobody is left to answer: that the author may not ask, or the request is not taken, when more say so
    /// than can lie; else who said what.
    pub(super) fn too_few(mut self) -> Error {
        if let Some(place) = self.refused_alike() {
            return self.unavailable.swap_remove(place).1;
        }
        for (name, reason) in &self.denials {
            let what = format!("denied the read: {reason}");
            self.faults
                .push(Fault::new(Party::Endorser(name.clone()), "denied", what, &[]));
        }
        for name in &self.permissions {
            let what = "says that the document has no wrapped key";
            self.faults
                .push(Fault::new(Party::Endorser(name.clone()), "outcome", what, &[]));
        }
        for (name, certificate) in self.groups.drain(..).flat_map(|group| group.approvals) {
            let what = "approved the read, and too few others alike";
            self.faults
                .push(Fault::new(Party::Endorser(name), "approval", what, &certificate));
        }
        let silent = self.unavailable.drain(..);
        let silent = silent.map(|(party, error)| Fault::instead_of_an_answer(party, error));
        self.faults.extend(silent);
        let needed = format!(
            "the policy {} is not satisfied by those that approved",
            self.bundle.policy()
        );
        Error::TooFew {
            needed,
            faults: self.faults,
        }
    }

    /// The first group whose organisations satisfy the policy and whose certificates hold.
    fn satisfied(&mut self, now_ms: u64) -> Option<ApprovedRead> {
        let policy = self.bundle.policy();
        if self.suspicious {
            self.split_all(now_ms);
        }
        while let Some(ready) = self.groups.iter().position(|group| group.satisfies(policy)) {
            let group = self.groups.swap_remove(ready);
            match self.check(&group, now_ms) {
                Ok((approved, document)) => {
                    return Some(ApprovedRead {
                        approved,
                        certificates: group
                            .approvals
                            .into_iter()
                            .map(|(_, certificate)| certificate)
                            .collect(),
                        document,
                        recorded: group.recorded,
                        faults: std::mem::take(&mut self.faults),
                    });
                }
                Err(why) => self.split(group, now_ms, &why),
            }
        }
        None
    }

    /// What a crypto node checks, and that it is what this client asked for.
    fn check(&self, group: &Group, now_ms: u64) -> Result<(Approved, DocumentVersion), String> {
        let document: DocumentVersion =
            field::parse("document", &group.document).map_err(|error| format!("bad {error}"))?;
        let wrapped = document.wrapped_key.as_ref();
        let wrapped = wrapped.ok_or("the document is approved and has no wrapped key")?;
        let certificates: Vec<&[u8]> = group
            .approvals
            .iter()
            .map(|(_, certificate)| certificate.as_slice())
            .collect();
        let approved = approval::check(&certificates, wrapped, self.bundle, now_ms, &Limits::default())
            .map_err(|refusal| refusal.to_string())?;
        self.check_fields(approved.fields(), &group.recorded)?;
        if approved.fields().height != group.recorded.height {
            return Err("the certificate names another block than the entry".into());
        }
        if self.key_id.is_some_and(|pinned| pinned != wrapped.key_id()) {
            return Err("the data key is wrapped under another custody key than the pinned one".into());
        }
        Ok((approved, document))
    }

    /// Looks at those that have come since.
    fn split_all(&mut self, now_ms: u64) {
        let groups = std::mem::take(&mut self.groups);
        let (unseen, seen): (Vec<Group>, _) = groups.into_iter().partition(|group| group.certified.is_none());
        self.groups = seen;
        for group in unseen {
            self.split(group, now_ms, "the document is not the certified one");
        }
    }

    /// Approvals that do not hold together: each certificate by itself shows whose fault that is, and those that
    /// hold are sorted by what they certify. Those that certify the same and do not hold together, although each
    /// holds by itself, are all at fault.
    fn split(&mut self, group: Group, now_ms: u64, why: &str) {
        self.suspicious = true;
        let document: Option<DocumentVersion> = field::parse("document", &group.document).ok();
        let write_id = document
            .and_then(|found| found.wrapped_key)
            .map(|wrapped| wrapped.write_id());
        let mut hold = Vec::new();
        let count = group.approvals.len();
        for (name, certificate) in group.approvals {
            match self.check_alone(&name, &certificate, &group.recorded, now_ms) {
                // Given with a document that is not the certified one.
                Ok(fields) if write_id != Some(fields.write_id) => self.blame(name, why, &certificate),
                Ok(fields) => hold.push((name, certificate, fields)),
                Err((check, why)) => self.blame_for(check, name, &why, &certificate),
            }
        }
        let all_hold = hold.len() == count;
        for (name, certificate, fields) in hold {
            if group.certified.is_some() && all_hold {
                self.blame(name, why, &certificate);
            } else {
                self.add(name, certificate, &group.document, Some(fields), &group.recorded);
            }
        }
    }

    /// What can be seen of one certificate by itself, pins included; else the check that it fails, and why.
    fn check_alone(
        &self,
        name: &Name,
        certificate: &[u8],
        recorded: &Recorded,
        now_ms: u64,
    ) -> Result<ApprovalFields, (&'static str, String)> {
        let (issuer, fields) =
            approval::check_certificate(certificate, self.bundle, now_ms, &Limits::default())
                .map_err(|fault| (CERTIFICATE, fault.to_string()))?;
        if issuer != *name {
            return Err((CERTIFICATE, format!("the certificate is {issuer}'s")));
        }
        self.check_fields(&fields, recorded)
            .map_err(|why| (CERTIFICATE, why))?;
        if fields.chain_id != self.bundle.chain_id() {
            return Err((CERTIFICATE, "the certificate is of another chain".into()));
        }
        let Outcome::Approved { key_id, .. } = recorded.entry.outcome else {
            return Err((CERTIFICATE, "the request is not approved".into()));
        };
        if fields.key_id != key_id {
            let why = "the certificate is for another custody key than the recorded one";
            return Err((CERTIFICATE, why.into()));
        }
        // Organisations do not change the policy all at once, nor when this client does: no lie.
        if fields.policy_version != self.bundle.version() {
            let (certified, pinned) = (fields.policy_version, self.bundle.version());
            let why =
                format!("it is of version {certified} of the policy, and the profile has version {pinned}");
            return Err((POLICY_VERSION, why));
        }
        Ok(fields)
    }

    /// Certified is this very request, and the version that was approved.
    fn check_fields(&self, fields: &ApprovalFields, recorded: &Recorded) -> Result<(), String> {
        let same_key = matches!(&self.transaction.body, Body::RequestRead { q, .. } if *q == fields.q);
        if fields.approve_id != self.transaction.tx_id() {
            return Err("the certificate approves another request".into());
        }
        if !same_key {
            return Err("the certificate is for another reader's key".into());
        }
        let Outcome::Approved { version, .. } = recorded.entry.outcome else {
            return Err("the request is not approved".into());
        };
        let label = Label {
            version,
            ..self.label.clone()
        };
        if fields.label != label {
            return Err(format!("the certificate is for {}", fields.label));
        }
        Ok(())
    }

    /// Puts an approval with those that agree with it.
    fn add(
        &mut self,
        name: Name,
        certificate: Vec<u8>,
        document: &[u8],
        certified: Certified,
        recorded: &Recorded,
    ) {
        let same = self.groups.iter_mut().find(|group| {
            group.document == document && group.certified == certified && group.is_at(recorded)
        });
        match same {
            Some(group) => group.approvals.push((name, certificate)),
            None => self.groups.push(Group {
                document: document.to_vec(),
                certified,
                approvals: vec![(name, certificate)],
                recorded: recorded.clone(),
            }),
        }
    }

    fn blame(&mut self, name: Name, why: &str, certificate: &[u8]) {
        self.blame_for(CERTIFICATE, name, why, certificate);
    }

    fn blame_for(&mut self, check: &'static str, name: Name, why: &str, certificate: &[u8]) {
        let what = format!("gave an approval that does not hold here: {why}");
        self.faults
            .push(Fault::new(Party::Endorser(name), check, what, certificate));
    }
}

impl Group {
    /// Whether it says the same of where the request is in the log and what became of it: reported is only what enough
    /// agree on.
    fn is_at(&self, other: &Recorded) -> bool {
        (self.recorded.index, self.recorded.height, self.recorded.time_ms)
            == (other.index, other.height, other.time_ms)
            && self.recorded.entry.outcome == other.entry.outcome
    }

    fn satisfies(&self, policy: &Policy) -> bool {
        policy.evaluate(&self.approvals.iter().map(|(name, _)| name.clone()).collect())
    }
}
