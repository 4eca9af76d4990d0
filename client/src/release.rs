//! The coordinator's answer, checked: nothing it says is taken on its word.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use approval::Approved;
use proto::coordinator::{FaultKind, ReencryptRequest, ReencryptResponse};
use proto::field;
use rand_core::OsRng;
use threshold::committee::{MAX_MEMBERS, Member};
use threshold::encoding::{Canonical, Reader, Writer};
use threshold::name::Name;
use threshold::reencrypt::{Context, Reencryption, ReencryptionShare, combine, verify_share, verify_shares};
use threshold::statement::ReleaseStatement;
use threshold::wrap::WrappedKey;
use tonic::Status;

use crate::Client;
use crate::committee::Committee;
use crate::connection::{Coordinator, request, whole};
use crate::error::{Error, Fault, Party};
use crate::in_turn::in_turn;

#[cfg(test)]
mod tests;

/// The check that an answer fails which is for another committee.
const MANIFEST: &str = "manifest";
/// The check that a node fails which has signed for a share whose proof does not hold.
const SHARE_PROOF: &str = "share_proof";

/// A checked re-encryption.
pub(crate) struct Released {
    /// The wrapped key, re-encrypted to the reader's key; combined here.
    pub(crate) reencryption: Reencryption,
    /// The crypto nodes whose shares hold and who have signed that they released them.
    pub(crate) released_by: Vec<(u16, Name)>,
    /// The shares that were combined, each with its node's statement.
    pub(crate) used: Vec<(ReencryptionShare, ReleaseStatement)>,
    /// Who misbehaved on the way.
    pub(crate) faults: Vec<Fault>,
}

/// How often, and after what pause, a committee is looked for that follows the one known here, or a coordinator that
/// has heard of it: a moment after it was published not everybody has.
const EPOCH_ATTEMPTS: u32 = 20;
const EPOCH_PAUSE: Duration = Duration::from_millis(250);

/// How long a coordinator is waited for before the next is asked too: it has nodes of its own to wait for, and a second
/// one costs them the same work again.
const RELEASE_PATIENCE: Duration = Duration::from_secs(3);

impl Client {
    /// Has a wrapped key re-encrypted by the committee of the present epoch. When that has gone on meanwhile, the same
    /// approval is used again with the next one.
    pub(crate) async fn release(
        &self,
        approved: &Approved,
        certificates: &[Vec<u8>],
        wrapped: &WrappedKey,
    ) -> Result<(Arc<Committee>, Released), Error> {
        let mut committee = self.committee().await?;
        for attempt in 1.. {
            let released = self.release_by(&committee, approved, certificates, wrapped).await;
            let error = match released {
                Ok(released) => return Ok((committee, released)),
                Err(error) => error,
            };
            if !is_of_another_epoch(&error) || attempt == EPOCH_ATTEMPTS {
                return Err(error);
            }
            self.forget_committee().await;
            let newest = self.committee().await?;
            if newest.digest() == committee.digest() {
                tokio::time::sleep(EPOCH_PAUSE).await;
            }
            committee = newest;
        }
        Err(Error::Request("no attempt was made".into()))
    }

    /// Asks one coordinator after the other until one brings what holds.
    async fn release_by(
        &self,
        committee: &Committee,
        approved: &Approved,
        certificates: &[Vec<u8>],
        wrapped: &WrappedKey,
    ) -> Result<Released, Error> {
        let message = ReencryptRequest {
            wrapped_key: wrapped.to_bytes(),
            certificates: certificates.to_vec(),
            manifest_digest: committee.digest().as_bytes().to_vec(),
        };
        let ask = |coordinator: &'_ Coordinator| {
            let (mut rpc, message) = (coordinator.rpc(), request(message.clone()));
            async move { whole(rpc.reencrypt(message)).await }
        };
        let mut failures = Failures::default();
        let take = |coordinator: &Coordinator, answer: Result<_, Status>| {
            let released = answer
                .map_err(|status| coordinator.failed(&status))
                .and_then(|answer| check(&coordinator.party(), committee, approved, wrapped, &answer));
            released
                .map_err(|error| failures.add(coordinator.party(), error))
                .ok()
        };
        match in_turn(self.0.coordinators.iter(), RELEASE_PATIENCE, ask, take).await {
            Some(mut released) => {
                released.faults.extend(failures.faults());
                Ok(released)
            }
            None => Err(failures.end()),
        }
    }
}

/// What came of coordinators that brought nothing.
#[derive(Default)]
struct Failures {
    /// That of a coordinator that may be ahead, or behind: to be tried again, and no fault meanwhile.
    other_epoch: Option<Error>,
    others: Vec<(Party, Error)>,
}

impl Failures {
    fn add(&mut self, party: Party, error: Error) {
        if is_of_another_epoch(&error) {
            self.other_epoch = Some(error);
        } else {
            self.others.push((party, error));
        }
    }

    /// Who misbehaved.
    fn faults(&self) -> Vec<Fault> {
        self.others.iter().flat_map(|(_, error)| error.faults()).collect()
    }

    /// Whichever coordinator was asked last: if any is in another epoch, that is worth another attempt. Else what every
    /// one of them has shown or said.
    fn end(mut self) -> Error {
        if let Some(error) = self.other_epoch {
            return error;
        }
        if self.others.len() == 1 {
            return self.others.remove(0).1;
        }
        if self.others.is_empty() {
            return Error::Request("the profile names no coordinator".into());
        }
        let failed = self.others.into_iter().flat_map(|(party, error)| match error {
            Error::TooFew { faults, .. } => faults,
            error => vec![Fault::instead_of_an_answer(party, error)],
        });
        Error::TooFew {
            needed: "one coordinator with enough shares that hold".into(),
            faults: failed.collect(),
        }
    }
}

fn is_of_another_epoch(error: &Error) -> bool {
    matches!(error, Error::Lied(fault) if fault.check == MANIFEST)
}

/// Recomputes everything: proofs in a batch, statements, combination.
fn check(
    party: &Party,
    committee: &Committee,
    approved: &Approved,
    wrapped: &WrappedKey,
    answer: &ReencryptResponse,
) -> Result<Released, Error> {
    let lied = |check, what: &str| Error::from(Fault::new(party.clone(), check, what, &[]));
    if answer.manifest_digest != committee.digest().as_bytes() {
        return Err(lied(
            MANIFEST,
            "answered for another committee than the one on the chain",
        ));
    }
    let (shares, statements) = decode(answer).map_err(|what| lied("answer", &what))?;
    let manifest = &committee.signed().manifest;
    let context = Context::new(manifest, wrapped, approved.approve_id(), &approved.q())
        .map_err(|error| Error::Request(error.to_string()))?;
    let mut faults = reported(answer, &context, committee, approved);
    let stated =
        stated(&shares, &statements, committee, approved).map_err(|what| lied("statement", &what))?;
    let (verified, culprits) = verify_shares(&context, &shares, &mut OsRng);
    for culprit in culprits {
        // The node has signed for this very share, so it is the node's fault and not the coordinator's.
        let Some(member) = committee.member(culprit.index) else {
            continue;
        };
        let given = shares.iter().zip(&statements);
        for (share, statement) in given.filter(|(share, _)| share.index() == culprit.index) {
            faults.push(signed_for_nothing(member, &evidence(share, statement)));
        }
    }
    let needed = manifest.threshold();
    let Some(used) = verified.get(..usize::from(needed.t())) else {
        let needed = format!("{} shares hold where the key needs {needed}", verified.len());
        return Err(Error::TooFew { needed, faults });
    };
    let released_by = stated
        .into_iter()
        .filter(|(index, _)| used.iter().any(|share| share.index().get() == *index));
    let reencryption = combine(&context, used).map_err(|error| lied("combination", &error.to_string()))?;
    // With more shares than needed there is more than one right combination.
    if shares.len() == used.len() && answer.combined != reencryption.to_bytes() {
        faults.push(Fault::new(
            party.clone(),
            "combination",
            "gave a combination that is not that of its shares",
            &answer.combined,
        ));
    }
    let used = shares
        .iter()
        .copied()
        .zip(statements.iter().copied())
        .filter(|(share, _)| used.iter().any(|verified| verified.index() == share.index()))
        .collect();
    Ok(Released {
        released_by: released_by.collect(),
        used,
        reencryption,
        faults,
    })
}

fn decode(answer: &ReencryptResponse) -> Result<(Vec<ReencryptionShare>, Vec<ReleaseStatement>), String> {
    if answer.shares.len() != answer.statements.len() {
        return Err("gave shares and statements that do not go together".into());
    }
    let bad = |error| format!("gave bad {error}");
    let most = usize::from(MAX_MEMBERS);
    Ok((
        field::parse_all("shares", &answer.shares, most).map_err(bad)?,
        field::parse_all("statements", &answer.statements, most).map_err(bad)?,
    ))
}

/// Each share has its own node's signed statement, about this read and about these bytes.
fn stated(
    shares: &[ReencryptionShare],
    statements: &[ReleaseStatement],
    committee: &Committee,
    approved: &Approved,
) -> Result<Vec<(u16, Name)>, String> {
    let mut seen = BTreeSet::new();
    let mut nodes = Vec::new();
    for (share, statement) in shares.iter().zip(statements) {
        let member = committee
            .member(share.index())
            .ok_or("gave a share of a node that is not in the committee")?;
        if !seen.insert(share.index()) {
            return Err(format!("gave two shares of {}", member.name));
        }
        statement
            .verify(&member.identity)
            .map_err(|_| format!("gave a statement that {} has not signed", member.name))?;
        if !is_about(statement, share, committee, approved) {
            return Err(format!(
                "gave a statement of {} about another release",
                member.name
            ));
        }
        nodes.push((share.index().get(), member.name.clone()));
    }
    Ok(nodes)
}

/// Whether a node states that it released this share for this very read.
fn is_about(
    statement: &ReleaseStatement,
    share: &ReencryptionShare,
    committee: &Committee,
    approved: &Approved,
) -> bool {
    statement.index == share.index()
        && statement.manifest_digest == committee.digest()
        && statement.approve_id == approved.approve_id()
        && statement.write_id == approved.write_id()
        && statement.q == approved.q()
        && statement.share_digest == share.digest()
}

/// What shows to anybody that a node has signed for a share: `bytes share ‖ bytes statement`, as coordinators give it.
fn evidence(share: &ReencryptionShare, statement: &ReleaseStatement) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.bytes(&share.to_bytes());
    writer.bytes(&statement.to_bytes());
    writer.finish()
}

fn signed_for_nothing(member: &Member, evidence: &[u8]) -> Fault {
    let party = Party::CryptoNode(member.index.get(), member.name.clone());
    let what = "signed for a share whose proof does not hold";
    Fault::new(party, SHARE_PROOF, what, evidence)
}

/// Whose evidence a coordinator passes on, if it shows that a member of the committee has signed, for this read, for a share
/// whose proof does not hold.
fn convicted<'a>(
    bytes: &[u8],
    context: &Context<'_>,
    committee: &'a Committee,
    approved: &Approved,
) -> Option<&'a Member> {
    let mut reader = Reader::new(bytes);
    let share = ReencryptionShare::from_bytes(reader.bytes(bytes.len()).ok()?).ok()?;
    let statement = ReleaseStatement::from_bytes(reader.bytes(bytes.len()).ok()?).ok()?;
    reader.finish().ok()?;
    let member = committee.member(share.index())?;
    statement.verify(&member.identity).ok()?;
    let lied = is_about(&statement, &share, committee, approved) && verify_share(context, &share).is_err();
    lied.then_some(member)
}

/// The faults that the coordinator reports: those that it proves are the nodes'; the others are hearsay, and passed on as such.
fn reported(
    answer: &ReencryptResponse,
    context: &Context<'_>,
    committee: &Committee,
    approved: &Approved,
) -> Vec<Fault> {
    let faults = answer.faults.iter().take(64);
    faults
        .filter_map(|fault| {
            if fault.kind() == FaultKind::Invalid
                && let Some(member) = convicted(&fault.evidence, context, committee, approved)
            {
                return Some(signed_for_nothing(member, &fault.evidence));
            }
            let name: Name = fault.name.parse().ok()?;
            let index = u16::try_from(fault.index).ok()?;
            let check = match fault.kind() {
                FaultKind::Unspecified => "reported",
                FaultKind::Unreachable => "reported_unreachable",
                FaultKind::Refused => "reported_refused",
                FaultKind::Invalid => "reported_invalid",
            };
            let what = format!("failed, as the coordinator reports: {}", fault.detail);
            Some(Fault::new(
                Party::CryptoNode(index, name),
                check,
                what,
                &fault.evidence,
            ))
        })
        .collect()
}
