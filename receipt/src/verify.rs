//! The verification: each step a function that says what it found.

use std::collections::BTreeSet;

use approval::{ApprovalFields, Approved, check, read_unverified};
use golden_record::{
    Body, Checkpoint, CheckpointError, DenialReason, Endorsers as _, EntryProofError, Epochs, EvidenceError,
    Outcome, Transaction, VerifiedTransaction, log_origin,
};
use threshold::committee::{CommitteeManifest, SignedManifest};
use threshold::ids::{KeyId, WriteId};
use threshold::label::Label;
use threshold::name::Name;
use threshold::reencrypt::{Context, verify_share};
use threshold::signature::PublicKey;
use threshold::statement::ReleaseStatement;
use threshold::wrap::WrappedKey;

use crate::Receipt;
use crate::report::{Found, NotValid, Report, Steps, Trouble, cannot_tell, fails};
use crate::roots::PinnedRoots;
use crate::text::timestamp;

/// Every step, cheapest first where the order is free.
pub(crate) fn run(receipt: &Receipt, roots: &PinnedRoots) -> Result<Report, NotValid> {
    let mut steps = Steps::default();
    steps.need("chain", chain(receipt, roots))?;
    steps.take("request", request(&receipt.entry.transaction))?;
    let endorsers = endorsers(receipt, roots, &mut steps)?;
    log(receipt, &endorsers, &mut steps)?;
    if let Some(checkpoint) = checkpoint(receipt, &endorsers) {
        steps.take("checkpoint", checkpoint)?;
    }
    match receipt.entry.outcome {
        Outcome::Approved {
            version,
            write_id,
            key_id,
        } => {
            steps.take("verdict", allowed(receipt, "approved", version))?;
            let read = ApprovedRead {
                receipt,
                roots,
                version,
                write_id,
                key_id,
            };
            steps.take("wrapped_key", read.wrapped_key())?;
            steps.take("approval", read.approval())?;
            steps.take("committee", read.committee())?;
            steps.take("shares", read.shares())?;
            steps.take("statements", read.statements())?;
        }
        Outcome::Permitted { version } => steps.take("verdict", permitted(receipt, version))?,
        Outcome::Denied(reason) => steps.take("verdict", denied(receipt, reason))?,
        other => steps.take(
            "verdict",
            fails(format!("the ledger recorded a request to read as: {other}")),
        )?,
    }
    steps.finish()
}

/// The parts speak of one chain, and it is the pinned one.
fn chain(receipt: &Receipt, roots: &PinnedRoots) -> Found {
    let chain_id = receipt.entry.transaction.chain_id;
    let other_header = receipt
        .proof
        .headers
        .iter()
        .any(|header| header.chain_id != chain_id);
    let other_checkpoint = receipt
        .checkpoint
        .as_ref()
        .is_some_and(|signed| signed.checkpoint().origin != log_origin(&chain_id));
    let pinned = roots.genesis().chain_id();
    if other_header || other_checkpoint {
        return fails("the request, the blocks and the checkpoint are not all of one chain");
    }
    if chain_id != pinned {
        return cannot_tell(format!(
            "the receipt is of chain {chain_id}, and the pinned roots are of chain {pinned}"
        ));
    }
    Ok(format!("the receipt is of the pinned chain {chain_id}"))
}

/// The request is one to read, signed by its author and by the key that the document's key is released to.
fn request(transaction: &Transaction) -> Found {
    let Body::RequestRead { user, tenant, .. } = &transaction.body else {
        return fails("the entry is not a request to read");
    };
    if let Err(error) = VerifiedTransaction::verify(transaction.clone()) {
        return fails(error.to_string());
    }
    Ok(format!(
        "{user} of {tenant} has signed request {} with key {}, and so has the key that reads",
        transaction.tx_id(),
        transaction.author
    ))
}

/// If there are handovers, each epoch's endorsers have handed over to the next, from those of the genesis on, and to the same
/// as is pinned. What the roots know beyond the receipt's own counts as well: those who have handed over have no say.
fn endorsers(receipt: &Receipt, roots: &PinnedRoots, steps: &mut Steps) -> Result<Epochs, NotValid> {
    let mut epochs = Epochs::new(roots.genesis().clone());
    for handover in &receipt.handovers {
        if let Err(error) = epochs.advance(handover.clone()) {
            let which = epochs.newest() + 1;
            steps.take(
                "endorsers",
                fails(format!("the handover to epoch {which}: {error}")),
            )?;
        }
    }
    let pinned = roots.epochs();
    let mut both = 0..=pinned.newest().min(epochs.newest());
    if let Some(other) = both.find(|epoch| pinned.of_epoch(*epoch) != epochs.of_epoch(*epoch)) {
        steps.take(
            "endorsers",
            fails(format!(
                "the endorsers of epoch {other} are others than those pinned"
            )),
        )?;
    }
    if pinned.newest() > epochs.newest() {
        epochs = pinned.clone();
    }
    if epochs.newest() > 0 {
        let set = epochs.endorsers();
        let names: BTreeSet<Name> = set.members().iter().map(|(name, _)| name.clone()).collect();
        let found = format!(
            "the endorsers have handed over {} times, since block {} to {}",
            epochs.newest(),
            set.first(),
            list(&names)
        );
        steps.take("endorsers", Ok(found))?;
    }
    Ok(epochs)
}

/// Two steps from one proof: the entry is in its block's log; and that block is final.
fn log(receipt: &Receipt, endorsers: &Epochs, steps: &mut Steps) -> Result<(), NotValid> {
    let (proof, entry) = (&receipt.proof, &receipt.entry);
    let unknown_epoch =
        |error: &EntryProofError| matches!(error, EntryProofError::Evidence(EvidenceError::UnknownEpoch(_)));
    let finality = match proof.verify(endorsers, entry) {
        Ok(_) => Ok(()),
        Err(error) if unknown_epoch(&error) => {
            cannot_tell(format!("{error}: the receipt has no handover to them"))
        }
        Err(error @ (EntryProofError::WrongPayload | EntryProofError::Evidence(_))) => {
            fails(error.to_string())
        }
        Err(error) => return steps.take("inclusion", fails(error.to_string())),
    };
    let first = proof.headers.first();
    let (size, height, time_ms) = first.map_or((0, 0, 0), |header| {
        (header.log_size, header.height, header.time_ms)
    });
    let included = format!(
        "request and verdict are entry {} of {size} in the log, of block {height} at {}",
        proof.index,
        timestamp(time_ms)
    );
    steps.take("inclusion", Ok(included))?;
    let voted = format!(
        "{} of {} endorsers have voted for block {}, which makes the entry's block final",
        proof.evidence.signatures.len(),
        endorsers
            .of_epoch(proof.evidence.epoch)
            .map_or(0, |set| set.members().len()),
        proof.headers.last().map_or(0, |header| header.height),
    );
    steps.take("finality", finality.map(|()| voted))
}

/// If there is a checkpoint, it is of the log with the entry's block, and nobody but the endorsers has signed it: what a
/// receipt holds is checked, and a stranger's signature could not be.
fn checkpoint(receipt: &Receipt, endorsers: &Epochs) -> Option<Found> {
    let signed = receipt.checkpoint.as_ref()?;
    if receipt.proof.headers.first().map(Checkpoint::of).as_ref() != Some(signed.checkpoint()) {
        return Some(fails(
            "the checkpoint is of another log size or root than the entry's block",
        ));
    }
    // Signatures of endorsers to whom no handover leads are not known to be anybody's.
    let epoch = receipt.proof.evidence.epoch;
    let known = endorsers.of_epoch(epoch).is_some();
    // Of whatever epoch: that the block with this size and root is final, and in its epoch, the votes have shown.
    Some(match signed.verify_kept(endorsers) {
        Err(error @ CheckpointError::TooFew { .. }) if !known => {
            cannot_tell(format!("{error}; the endorsers of epoch {epoch} are not known"))
        }
        Err(error) => fails(error.to_string()),
        Ok(signers) if signers.unknown > 0 => fails("somebody who is no endorser has signed the checkpoint"),
        Ok(signers) => Ok(format!(
            "{} have signed the checkpoint of {} entries",
            list(&signers.organisations),
            signed.checkpoint().size
        )),
    })
}

/// The verdict is about the version that was asked for; 0 asked for the latest.
fn allowed(receipt: &Receipt, verdict: &str, version: u64) -> Found {
    match &receipt.entry.transaction.body {
        Body::RequestRead { version: asked, .. } if ![0, version].contains(asked) => fails(format!(
            "version {asked} was asked for, and the verdict is about version {version}"
        )),
        _ => Ok(format!("the ledger's verdict is: {verdict}, version {version}")),
    }
}

/// Of a version without a wrapped key there is nothing to certify and to re-encrypt.
fn permitted(receipt: &Receipt, version: u64) -> Found {
    let verdict = allowed(receipt, "permitted", version)?;
    if has_release(receipt) {
        return fails("the version that was read has no wrapped key, and the receipt shows a release");
    }
    Ok(format!("{verdict}, which has no wrapped key"))
}

/// A denied read released nothing.
fn denied(receipt: &Receipt, reason: DenialReason) -> Found {
    if has_release(receipt) {
        return fails("the read was denied, and the receipt shows a release");
    }
    Ok(format!("the ledger's verdict is: denied, because {reason}"))
}

fn has_release(receipt: &Receipt) -> bool {
    receipt.wrapped_key.is_some()
        || !receipt.certificates.is_empty()
        || receipt.committee.is_some()
        || !receipt.shares.is_empty()
        || !receipt.statements.is_empty()
}

/// The parts of an approved read.
struct ApprovedRead<'a> {
    receipt: &'a Receipt,
    roots: &'a PinnedRoots,
    version: u64,
    write_id: WriteId,
    key_id: KeyId,
}

impl ApprovedRead<'_> {
    /// The wrapped key is the one of the verdict and of the document, and it was wrapped for that document.
    fn wrapped_key(&self) -> Found {
        let wrapped = self.need_wrapped_key()?;
        if wrapped.write_id() != self.write_id || wrapped.key_id() != self.key_id {
            return fails("the wrapped key is not the one that the ledger approved");
        }
        if Some(wrapped.label()) != self.label().as_ref() {
            return fails(format!(
                "the wrapped key is that of {}, which was not asked for",
                wrapped.label()
            ));
        }
        if wrapped.verify().is_err() {
            return fails("the wrapped key's proof does not hold");
        }
        Ok(format!(
            "the wrapped key {} is that of {}, and its proof holds",
            self.write_id,
            wrapped.label()
        ))
    }

    /// A policy-satisfying set of organisations has certified this read, and every node's release was in their time.
    fn approval(&self) -> Found {
        let certificates = &self.receipt.certificates;
        let version = policy_version(certificates)?;
        let Some(pinned) = self.roots.approval(version) else {
            return cannot_tell(format!(
                "the approvals were issued under version {version} of roots and policy, which is not pinned"
            ));
        };
        let wrapped = self.need_wrapped_key()?;
        let Some((first, others)) = self.receipt.statements.split_first() else {
            return cannot_tell("the receipt has no statement that says when the approvals were used");
        };
        let approved = check(
            certificates,
            wrapped,
            &pinned.bundle,
            first.time_ms,
            &pinned.limits,
        )
        .or_else(|refusal| fails(refusal.to_string()))?;
        let too_late = |statement: &&ReleaseStatement| approved.still_valid(statement.time_ms).is_err();
        if let Some(statement) = others.iter().find(too_late) {
            return fails(format!(
                "the approvals were not valid at {}, when node {} released its share",
                timestamp(statement.time_ms),
                statement.index
            ));
        }
        self.check_fields(approved.fields())?;
        Ok(approved_by(&approved, &pinned.bundle.policy().to_string()))
    }

    /// What was certified is what the ledger has recorded.
    fn check_fields(&self, fields: &ApprovalFields) -> Result<(), Trouble> {
        let block = self.receipt.proof.headers.first();
        if fields.approve_id != self.receipt.entry.transaction.tx_id() {
            return fails("the certificates approve another request");
        }
        if Some(fields.q) != self.q() {
            return fails("the certificates are for another reader's key");
        }
        if block.map(|header| (header.height, header.hash())) != Some((fields.height, fields.block_hash)) {
            return fails("the certificates name another block than the one that holds the request");
        }
        Ok(())
    }

    /// The committee is a pinned one, of the custody key that the data key is wrapped under.
    fn committee(&self) -> Found {
        let signed = self.need_committee()?;
        let manifest = &signed.manifest;
        if let Err(error) = signed.verify() {
            return fails(error.to_string());
        }
        if manifest.key_id() != self.key_id {
            return fails(
                "the committee holds another custody key than the one that the data key is wrapped under",
            );
        }
        if !self.roots.has_committee(&manifest.digest()) {
            return cannot_tell(format!(
                "the committee {} of epoch {} is not pinned",
                manifest.digest(),
                manifest.epoch()
            ));
        }
        Ok(format!(
            "the committee of epoch {} is pinned, and all its {} members have signed it; {} are needed",
            manifest.epoch(),
            manifest.members().len(),
            manifest.threshold()
        ))
    }

    /// Enough shares, of distinct members, whose proofs hold for this read.
    fn shares(&self) -> Found {
        let shares = &self.receipt.shares;
        if shares.is_empty() {
            return cannot_tell("the receipt has no shares");
        }
        let (manifest, wrapped) = (self.need_manifest()?, self.need_wrapped_key()?);
        let distinct: BTreeSet<_> = shares.iter().map(|share| share.index()).collect();
        if distinct.len() < shares.len() {
            return fails("a crypto node's share is there twice");
        }
        let needed = manifest.threshold();
        if shares.len() < usize::from(needed.t()) {
            return fails(format!(
                "there are {} shares, and {needed} are needed",
                shares.len()
            ));
        }
        let Some(q) = self.q() else {
            return fails("the entry is not a request to read");
        };
        let context = Context::new(manifest, wrapped, self.receipt.entry.transaction.tx_id(), &q)
            .or_else(|error| fails(error.to_string()))?;
        for share in shares {
            if let Err(culprit) = verify_share(&context, share) {
                return fails(culprit.to_string());
            }
        }
        let names: Vec<String> = distinct
            .iter()
            .filter_map(|index| Some(manifest.member(*index)?.name.to_string()))
            .collect();
        Ok(format!(
            "the shares of {} re-encrypt this wrapped key to this reader's key, by their proofs",
            names.join(", ")
        ))
    }

    /// Each node has signed for its own share, in this read.
    fn statements(&self) -> Found {
        let (shares, statements) = (&self.receipt.shares, &self.receipt.statements);
        if statements.is_empty() {
            return cannot_tell("the receipt has no statements of the crypto nodes");
        }
        let manifest = self.need_manifest()?;
        let mut seen = BTreeSet::new();
        for statement in statements {
            if !seen.insert(statement.index) {
                return fails(format!("node {} states its release twice", statement.index));
            }
            self.check_statement(manifest, statement)?;
        }
        if shares.is_empty() {
            return cannot_tell(
                "the statements hold, and the shares that they are about are not in the receipt",
            );
        }
        let stated = statements.iter().map(|one| (one.index, one.share_digest));
        if !shares
            .iter()
            .map(|share| (share.index(), share.digest()))
            .eq(stated)
        {
            return fails("the statements are not about these shares, one each and in their order");
        }
        let first = statements.iter().map(|statement| statement.time_ms).min();
        Ok(format!(
            "each of the {} crypto nodes has signed that it released its share in this read, the first at {}",
            statements.len(),
            timestamp(first.unwrap_or_default())
        ))
    }

    fn check_statement(
        &self,
        manifest: &CommitteeManifest,
        statement: &ReleaseStatement,
    ) -> Result<(), Trouble> {
        let index = statement.index;
        let Some(member) = manifest.member(index) else {
            return fails(format!("the committee has no member {index}"));
        };
        if statement.verify(&member.identity).is_err() {
            return fails(format!(
                "{} has not signed the statement of node {index}",
                member.name
            ));
        }
        let about_this_read = statement.manifest_digest == manifest.digest()
            && statement.approve_id == self.receipt.entry.transaction.tx_id()
            && statement.write_id == self.write_id
            && Some(statement.q) == self.q();
        if about_this_read {
            Ok(())
        } else {
            fails(format!("the statement of {} is about another read", member.name))
        }
    }

    fn need_wrapped_key(&self) -> Result<&WrappedKey, Trouble> {
        let wrapped = self.receipt.wrapped_key.as_ref();
        wrapped.map_or_else(|| cannot_tell("the receipt has no wrapped key"), Ok)
    }

    fn need_committee(&self) -> Result<&SignedManifest, Trouble> {
        let committee = self.receipt.committee.as_ref();
        committee.map_or_else(|| cannot_tell("the receipt has no committee manifest"), Ok)
    }

    fn need_manifest(&self) -> Result<&CommitteeManifest, Trouble> {
        self.need_committee().map(|signed| &signed.manifest)
    }

    /// The reader's ephemeral key.
    fn q(&self) -> Option<PublicKey> {
        match &self.receipt.entry.transaction.body {
            Body::RequestRead { q, .. } => Some(*q),
            _ => None,
        }
    }

    /// What was asked for, in the version that the verdict names.
    fn label(&self) -> Option<Label> {
        match &self.receipt.entry.transaction.body {
            Body::RequestRead {
                tenant,
                dataset,
                document,
                ..
            } => Some(Label {
                installation: self.roots.genesis().installation().clone(),
                tenant: tenant.clone(),
                dataset: dataset.clone(),
                document: document.clone(),
                version: self.version,
            }),
            _ => None,
        }
    }
}

/// The version of roots and policy that all certificates name.
fn policy_version(certificates: &[Vec<u8>]) -> Result<u32, Trouble> {
    let mut versions = BTreeSet::new();
    for (place, certificate) in certificates.iter().enumerate() {
        let fields = read_unverified(certificate)
            .or_else(|fault| fails(format!("certificate {}: {fault}", place + 1)))?;
        versions.insert(fields.policy_version);
    }
    match (versions.pop_first(), versions.is_empty()) {
        (None, _) => cannot_tell("the receipt has no approval certificates"),
        (Some(version), true) => Ok(version),
        (Some(_), false) => fails("the certificates name different versions of roots and policy"),
    }
}

fn approved_by(approved: &Approved, policy: &str) -> String {
    format!(
        "{} have approved the read of {} by certificate, in time for every release, which satisfies {policy}",
        list(approved.organisations()),
        approved.label()
    )
}

fn list(names: &BTreeSet<Name>) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}
