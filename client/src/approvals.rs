//! A read request to all endorsers at once, and the first approvals that satisfy the policy.

use approval::{ApprovalFields, Approved, Limits, Policy};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use golden_record::{Body, DenialReason, DocumentVersion, Outcome, Transaction};
use proto::field;
use proto::ledger::{Approval, RequestReadRequest, RequestReadResponse};
use threshold::encoding::Canonical;
use threshold::ids::BlockHash;
use threshold::label::Label;
use threshold::name::Name;
use tonic::Code;

use crate::connection::{CATCH_UP_ATTEMPTS, CATCH_UP_PAUSE, Endorser, request};
use crate::error::{Error, Fault, Party};
use crate::submit::{Recorded, recorded};
use crate::{Client, now_ms};

/// A read that a policy-satisfying set of organisations has approved.
pub(crate) struct ApprovedRead {
    /// What the certificates say, checked as a crypto node checks it.
    pub(crate) approved: Approved,
    /// The certificates themselves, DER, for the crypto nodes.
    pub(crate) certificates: Vec<Vec<u8>>,
    /// The document version that all of these endorsers gave alike.
    pub(crate) document: DocumentVersion,
    /// Where the request is in the log.
    pub(crate) recorded: Recorded,
    /// Endorsers that lied on the way.
    pub(crate) faults: Vec<Fault>,
}

/// The block that certificates name: known once they have been looked at one by one.
type Block = Option<(u64, BlockHash)>;

/// Approvals that agree on the document and, once they have been looked at one by one, on the block.
struct Group {
    document: Vec<u8>,
    block: Block,
    approvals: Vec<(Name, Vec<u8>)>,
    recorded: Recorded,
}

/// What has come in so far.
#[derive(Default)]
struct Answers {
    groups: Vec<Group>,
    denials: Vec<(Name, DenialReason)>,
    faults: Vec<Fault>,
    unavailable: Vec<Fault>,
}

impl Client {
    /// Asks every endorser and returns as soon as enough have approved.
    pub(crate) async fn request_approvals(
        &self,
        transaction: &Transaction,
        label: &Label,
    ) -> Result<ApprovedRead, Error> {
        let bytes = transaction.to_bytes();
        let mut asked: FuturesUnordered<_> = self.0.endorsers.iter().map(|endorser| ask(endorser, &bytes)).collect();
        let mut answers = Answers::default();
        while let Some((endorser, answer)) = asked.next().await {
            match answer {
                Ok(answer) => self.take(&mut answers, endorser, transaction, answer),
                Err(error) => answers.unavailable.push(Fault::new(endorser.party(), "no_answer", error.to_string(), &[])),
            }
            // One endorser beyond those that may lie: at least one honest one says no.
            if answers.denials.len() > self.tolerated() {
                return Err(denied(&answers, transaction));
            }
            if let Some(approved) = self.satisfied(&mut answers, transaction, label) {
                return Ok(approved);
            }
        }
        Err(self.too_few(answers))
    }

    /// Sorts one answer to the others that agree with it.
    fn take(&self, answers: &mut Answers, endorser: &Endorser, transaction: &Transaction, answer: RequestReadResponse) {
        let recorded = match recorded(endorser, transaction, answer.entry) {
            Ok(recorded) => recorded,
            Err(Error::Lied(fault)) => return answers.faults.push(*fault),
            Err(error) => return answers.faults.push(Fault::new(endorser.party(), "entry", error.to_string(), &[])),
        };
        let name = endorser.organisation.clone();
        match (&recorded.entry.outcome, answer.approval) {
            (Outcome::Denied(reason), _) => answers.denials.push((name, *reason)),
            (Outcome::Approved { .. }, Some(Approval { certificate, document })) => {
                answers.add(name, certificate, &document, None, &recorded);
            }
            (Outcome::Approved { .. }, None) => {
                let what = "recorded an approval and gave no certificate";
                answers.faults.push(Fault::new(endorser.party(), "certificate", what, &[]));
            }
            (other, _) => {
                let what = format!("recorded a read request as {other:?}");
                answers.faults.push(Fault::new(endorser.party(), "outcome", what, &recorded.entry.to_bytes()));
            }
        }
    }

    /// The first group whose organisations satisfy the policy and whose certificates hold.
    fn satisfied(&self, answers: &mut Answers, transaction: &Transaction, label: &Label) -> Option<ApprovedRead> {
        let policy = self.0.trust.bundle.policy();
        while let Some(ready) = answers.groups.iter().position(|group| group.satisfies(policy)) {
            let group = answers.groups.swap_remove(ready);
            match self.check(&group, transaction, label) {
                Ok((approved, document)) => {
                    return Some(ApprovedRead {
                        approved,
                        certificates: group.approvals.into_iter().map(|(_, certificate)| certificate).collect(),
                        document,
                        recorded: group.recorded,
                        faults: std::mem::take(&mut answers.faults),
                    });
                }
                Err(why) => self.split(answers, group, transaction, label, &why),
            }
        }
        None
    }

    /// What a crypto node checks, and that it is what this client asked for.
    fn check(
        &self,
        group: &Group,
        transaction: &Transaction,
        label: &Label,
    ) -> Result<(Approved, DocumentVersion), String> {
        let document: DocumentVersion =
            field::parse("document", &group.document).map_err(|error| format!("bad {error}"))?;
        let wrapped = &document.wrapped_key;
        let certificates: Vec<&[u8]> = group.approvals.iter().map(|(_, certificate)| certificate.as_slice()).collect();
        let approved = approval::check(&certificates, wrapped, &self.0.trust.bundle, now_ms(), &Limits::default())
            .map_err(|refusal| refusal.to_string())?;
        check_fields(approved.fields(), transaction, label)?;
        if self.0.trust.key_id.is_some_and(|pinned| pinned != wrapped.key_id()) {
            return Err("the data key is wrapped under another custody key than the pinned one".into());
        }
        Ok((approved, document))
    }

    /// Approvals that do not hold together: each certificate by itself shows whose fault that is, and those that
    /// hold are sorted by the block and the wrapped key that they name.
    fn split(&self, answers: &mut Answers, group: Group, transaction: &Transaction, label: &Label, why: &str) {
        let document: Option<DocumentVersion> = field::parse("document", &group.document).ok();
        let write_id = document.map(|found| found.wrapped_key.write_id());
        for (name, certificate) in group.approvals {
            let verdict = self.check_alone(&name, &certificate, transaction, label);
            match verdict {
                // Looked at one by one before, or a document that is not the certified one.
                Ok(fields) if group.block.is_some() || write_id != Some(fields.write_id) => {
                    answers.blame(name, why, &certificate);
                }
                Ok(fields) => {
                    let block = Some((fields.height, fields.block_hash));
                    answers.add(name, certificate, &group.document, block, &group.recorded);
                }
                Err(why) => answers.blame(name, &why, &certificate),
            }
        }
    }

    fn check_alone(
        &self,
        name: &Name,
        certificate: &[u8],
        transaction: &Transaction,
        label: &Label,
    ) -> Result<ApprovalFields, String> {
        let (issuer, fields) =
            approval::check_certificate(certificate, &self.0.trust.bundle, now_ms(), &Limits::default())
                .map_err(|fault| fault.to_string())?;
        if issuer != *name {
            return Err(format!("the certificate is {issuer}'s"));
        }
        check_fields(&fields, transaction, label)?;
        Ok(fields)
    }

    fn too_few(&self, mut answers: Answers) -> Error {
        for (name, reason) in &answers.denials {
            let what = format!("denied the read: {reason}");
            answers.faults.push(Fault::new(Party::Endorser(name.clone()), "denied", what, &[]));
        }
        answers.faults.append(&mut answers.unavailable);
        let needed = format!("the policy {} is not satisfied by those that approved", self.0.trust.bundle.policy());
        Error::TooFew { needed, faults: answers.faults }
    }
}

impl Group {
    fn satisfies(&self, policy: &Policy) -> bool {
        policy.evaluate(&self.approvals.iter().map(|(name, _)| name.clone()).collect())
    }
}

/// Certified is this very request.
fn check_fields(fields: &ApprovalFields, transaction: &Transaction, label: &Label) -> Result<(), String> {
    let same_key = matches!(&transaction.body, Body::RequestRead { q, .. } if *q == fields.q);
    if fields.approve_id != transaction.tx_id() {
        return Err("the certificate approves another request".into());
    }
    if !same_key {
        return Err("the certificate is for another reader's key".into());
    }
    if fields.label != *label {
        return Err(format!("the certificate is for {}", fields.label));
    }
    Ok(())
}

impl Answers {
    fn blame(&mut self, name: Name, why: &str, certificate: &[u8]) {
        let what = format!("gave an approval that does not hold: {why}");
        self.faults.push(Fault::new(Party::Endorser(name), "certificate", what, certificate));
    }

    /// Puts an approval with those that agree with it.
    fn add(&mut self, name: Name, certificate: Vec<u8>, document: &[u8], block: Block, recorded: &Recorded) {
        let same = self.groups.iter_mut().find(|group| group.document == document && group.block == block);
        match same {
            Some(group) => group.approvals.push((name, certificate)),
            None => self.groups.push(Group {
                document: document.to_vec(),
                block,
                approvals: vec![(name, certificate)],
                recorded: recorded.clone(),
            }),
        }
    }
}

async fn ask<'a>(endorser: &'a Endorser, transaction: &[u8]) -> (&'a Endorser, Result<RequestReadResponse, Error>) {
    let message = RequestReadRequest { transaction: transaction.to_vec() };
    let mut attempt = 0;
    loop {
        attempt += 1;
        match endorser.rpc().request_read(request(message.clone())).await {
            Ok(answer) => return (endorser, Ok(answer.into_inner())),
            Err(status) if status.code() == Code::PermissionDenied && attempt < CATCH_UP_ATTEMPTS => {
                tokio::time::sleep(CATCH_UP_PAUSE).await;
            }
            Err(status) => return (endorser, Err(endorser.failed(&status))),
        }
    }
}

fn denied(answers: &Answers, transaction: &Transaction) -> Error {
    match answers.denials.first() {
        Some((_, reason)) => Error::Denied { reason: *reason, tx_id: transaction.tx_id() },
        None => Error::Request("no endorser has denied the read".into()),
    }
}
