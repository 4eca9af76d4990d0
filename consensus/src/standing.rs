//! Whether this validator may vote: one that has lost the record of its votes watches first.
//!
//! A validator that voted, lost its directory and votes again in the same views could vote twice, and so help
//! to finalize two blocks at one height (attack E3). So a validator whose directory holds no record of a vote asks its peers
//! how far they are before it votes:
//!
//! - When n - f validators, itself included, know of no view that ever ended, its application has no block, and it has seen
//!   no final one: the chain begins now. It votes. Those may have left long ago, and be as new as they say: whether it took
//!   part in what followed shows at the end of the epoch, and if not, it has no record in the next.
//! - When f + 1 others know of later views, at least one of them honest: it follows the chain without voting,
//!   until 2f + 1 others have said how far they are, and a block is final [`MARGIN`] views above what all but f
//!   of them said. Every view that it can have voted in is over by then, since nobody enters a view before the
//!   one below it has ended with certificates that honest validators spread. Then it votes.
//!
//! What this does not cover: a directory that is not lost but old (restored from a backup, attack E9) holds a
//! record, and cannot be told from a validator that was away; and more than f validators that lose their
//! directories at once stop the chain, until operators decide (see [`VOTE_ANYWAY`](crate::VOTE_ANYWAY)).
//!
//! Views are counted in each epoch, so that only what others in the same epoch report says anything about votes, and of those only
//! its validators: at most f of them lie. Whoever is in
//! an earlier epoch is told with which block that one ended; it asks the teller for the votes for that block, which it can
//! check, and so comes from epoch to epoch to the present one.
//!
//! A report on the wire, all numbers 8 bytes, big-endian: 2 ‖ whether an answer is wanted (0 or 1) ‖ epoch ‖ the highest view
//! known to have ended in it ‖ the last height of the receiver's epoch, or 0 when that has not ended or is not known.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use commonware_actor::Feedback;
use commonware_consensus::{
    Reporter, Viewable as _,
    simplex::{
        scheme::ed25519::Scheme,
        types::{Activity, Attributable as _},
    },
};
use commonware_cryptography::{ed25519::PublicKey, sha256::Digest};
use commonware_macros::select;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::IoBufs;
use commonware_utils::{Faults as _, N3f1, channel::oneshot, ordered::Set};
use tracing::{info, warn};

use crate::{
    application::Application,
    epochs::Epochs,
    error::Error,
    gossip::{Connected, raw},
    validator::{End, Ended, Finals, Runtime},
};

/// How far above the others' newest view the chain must be final before a validator without a record votes.
pub(crate) const MARGIN: u64 = 8;

/// How often a validator tells the others how far it is: often while it asks, seldom afterwards.
const ASKING: Duration = Duration::from_millis(100);
const SETTLED: Duration = Duration::from_secs(1);

const VERSION: u8 = 2;
const REPORT: usize = 26;

/// What a validator says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Report {
    /// Whether an answer is wanted.
    asks: bool,
    epoch: u64,
    /// The highest view known to have ended in the epoch.
    view: u64,
    /// The last height of the receiver's epoch; 0 when it has none yet, or the receiver's epoch is not known.
    last: u64,
}

impl Report {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![VERSION, u8::from(self.asks)];
        for number in [self.epoch, self.view, self.last] {
            bytes.extend(number.to_be_bytes());
        }
        bytes
    }

    /// `None` for anything but one report.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; REPORT] = bytes.try_into().ok()?;
        let [VERSION, asks @ (0 | 1), numbers @ ..] = bytes else {
            return None;
        };
        let mut numbers = numbers.as_chunks::<8>().0.iter().copied().map(u64::from_be_bytes);
        Some(Self {
            asks: *asks == 1,
            epoch: numbers.next()?,
            view: numbers.next()?,
            last: numbers.next()?,
        })
    }
}

/// The newest views that this validator knows of.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Views>);

#[derive(Default)]
struct Views {
    ended: AtomicU64,
    last_final: AtomicU64,
}

impl Progress {
    pub(crate) fn ended(&self) -> u64 {
        self.0.ended.load(Relaxed)
    }

    /// The highest view whose block is final. 0 when none is known.
    fn last_final(&self) -> u64 {
        self.0.last_final.load(Relaxed)
    }

    /// A certificate ended this view.
    pub(crate) fn note_ended(&self, view: u64) {
        self.0.ended.fetch_max(view, Relaxed);
    }

    /// The block of this view is final.
    pub(crate) fn note_final(&self, view: u64) {
        self.note_ended(view);
        self.0.last_final.fetch_max(view, Relaxed);
    }
}

/// Sees all activity of the engine before the next reporter does.
#[derive(Clone)]
pub(crate) struct Witness<R> {
    pub(crate) next: R,
    pub(crate) progress: Progress,
}

impl<R: Reporter<Activity = Activity<Scheme, Digest>>> Reporter for Witness<R> {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        match &activity {
            Activity::Notarization(certificate) | Activity::Certification(certificate) => {
                self.progress.note_ended(certificate.view().get());
            }
            Activity::Nullification(certificate) => self.progress.note_ended(certificate.view().get()),
            Activity::Finalization(certificate) => self.progress.note_final(certificate.view().get()),
            Activity::ConflictingNotarize(fault) => equivocated(fault.signer().get(), fault.view().get()),
            Activity::ConflictingFinalize(fault) => equivocated(fault.signer().get(), fault.view().get()),
            Activity::NullifyFinalize(fault) => equivocated(fault.signer().get(), fault.view().get()),
            Activity::Notarize(_) | Activity::Nullify(_) | Activity::Finalize(_) => {}
        }
        self.next.report(activity)
    }
}

fn equivocated(validator: u32, view: u64) {
    warn!(validator, view, "a validator voted for two things in one view");
}

/// What a validator without a record of votes does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Vote: the chain begins, or the record of all votes is there.
    Vote,
    /// Follow without voting until the chain is final beyond this view and the margin.
    CatchUp(u64),
}

/// What the other validators of the epoch report, the newest of each.
struct Reports {
    members: Set<PublicKey>,
    views: BTreeMap<PublicKey, u64>,
}

impl Reports {
    fn new(members: Set<PublicKey>) -> Self {
        Self {
            members,
            views: BTreeMap::new(),
        }
    }

    /// Whoever else is connected says nothing about votes: of them any number may lie.
    fn take(&mut self, peer: PublicKey, view: u64) {
        if self.members.position(&peer).is_some() {
            self.views.insert(peer, view);
        }
    }

    fn faults(&self) -> Option<usize> {
        usize::try_from(N3f1::max_faults(self.members.len())).ok()
    }

    /// Decides what a validator without a record does. `None` while they are too few. `begun` when it knows of a final block.
    fn judge(&self, begun: bool) -> Option<Verdict> {
        let faults = self.faults()?;
        let new = self.views.values().filter(|view| **view == 0).count();
        if !begun && new + 1 >= self.members.len() - faults {
            return Some(Verdict::Vote);
        }
        let mut later: Vec<u64> = self.views.values().copied().filter(|view| *view > 0).collect();
        later.sort_unstable_by(|a, b| b.cmp(a));
        // At most f others lie, so that the highest f reports may be invented; the next is an honest one's, or below it.
        later.get(faults).copied().map(Verdict::CatchUp)
    }

    /// The view beyond which this validator cannot have voted, as far as others can tell; `None` while too few have
    /// told. Of 2f + 1 reports at most f are lies, so that the one that f others exceed is neither above nor below all
    /// honest ones. Of fewer, a single liar's could be the one, and let this validator vote at once.
    fn beyond(&self) -> Option<u64> {
        let faults = self.faults()?;
        let mut views: Vec<u64> = self.views.values().copied().collect();
        views.sort_unstable_by(|a, b| b.cmp(a));
        (views.len() > 2 * faults).then(|| views.get(faults).copied())?
    }
}

/// Tells the others how far this validator is, and finds out whether it may vote.
pub(crate) struct Standing<E: Runtime> {
    /// The validators of the epoch.
    pub(crate) members: Set<PublicKey>,
    pub(crate) epoch: u64,
    pub(crate) epochs: Epochs,
    pub(crate) finals: Finals,
    /// Notes with which block others say that the epoch is over.
    pub(crate) over: Ended<E>,
    pub(crate) progress: Progress,
    pub(crate) application: Arc<dyn Application>,
    pub(crate) connected: Connected,
    /// Where the verdict goes. `None` when it needs none.
    pub(crate) verdict: Option<oneshot::Sender<Verdict>>,
}

impl<E: Runtime> Standing<E> {
    /// Ends with [`End::Promoted`] once a validator that follows may vote.
    pub(crate) async fn run(
        mut self,
        context: impl Runtime,
        mut sender: impl Sender<PublicKey = PublicKey>,
        mut receiver: impl Receiver<PublicKey = PublicKey>,
    ) -> End {
        let mut reports = Reports::new(self.members.clone());
        let mut asked = BTreeSet::new();
        let (mut following, mut target) = (false, None);
        let mut next = context.current();
        loop {
            let begun = self.application.applied_height() > 0 || self.progress.last_final() > 0;
            if self.verdict.is_some()
                && let Some(verdict) = reports.judge(begun)
            {
                following = self.decide(verdict);
            }
            if following && target.is_none() {
                target = reports.beyond().map(|view| view.saturating_add(MARGIN));
            }
            if target.is_some_and(|target| self.progress.last_final() >= target) {
                info!("this validator has followed the chain far enough to vote");
                return End::Promoted;
            }
            select! {
                _ = context.sleep_until(next) => {
                    let asks = self.verdict.is_some() || (following && target.is_none());
                    let reached = sender.send(Recipients::All, self.report(asks, 0), false);
                    self.note_connected(reached.iter().map(raw).collect());
                    let settled = self.verdict.is_none() && !following;
                    next = context.current() + if settled { SETTLED } else { ASKING };
                },
                message = receiver.recv() => {
                    let (peer, bytes) = match message {
                        Ok(message) => message,
                        Err(error) => return End::Failed(Error::Stopped(format!("the standing channel ended: {error}"))),
                    };
                    let Some(report) = Report::parse(bytes.as_ref()) else { continue };
                    match report.epoch.cmp(&self.epoch) {
                        Ordering::Less => {
                            let last = self.epochs.last_height(report.epoch).unwrap_or(0);
                            let _ = sender.send(Recipients::One(peer), self.report(false, last), false);
                        }
                        Ordering::Equal => {
                            if report.asks {
                                let _ = sender.send(Recipients::One(peer.clone()), self.report(false, 0), false);
                            }
                            reports.take(peer, report.view);
                        }
                        Ordering::Greater => {
                            // Once of each: who says something false is asked for nothing else.
                            if report.last > self.application.applied_height() && asked.insert(peer.clone()) {
                                self.over = match self.over.note(self.epoch, report.last).await {
                                    Ok(over) => over,
                                    Err(error) => return End::Failed(error),
                                };
                                self.finals.ask_for_evidence(report.last, &[peer]);
                            }
                        }
                    }
                },
            }
        }
    }

    /// Passes the verdict on, and says whether this validator is to follow before it votes.
    fn decide(&mut self, verdict: Verdict) -> bool {
        if let Some(sender) = self.verdict.take() {
            let _ = sender.send(verdict);
        }
        if let Verdict::CatchUp(beyond) = verdict {
            warn!(
                beyond,
                "no record of earlier votes: following the chain before voting"
            );
        }
        verdict != Verdict::Vote
    }

    fn report(&self, asks: bool, last: u64) -> IoBufs {
        // Every block has a view of its own, so that as many have ended. The engine takes a moment after a start to find
        // out how far it was, and until then this validator must not pass for a new one.
        let before = self
            .epochs
            .first_height(self.epoch)
            .map_or(0, |first| first.saturating_sub(1));
        let applied = self.application.applied_height().saturating_sub(before);
        let report = Report {
            asks,
            epoch: self.epoch,
            view: self.progress.ended().max(applied),
            last,
        };
        IoBufs::from(report.to_bytes())
    }

    fn note_connected(&self, now: Vec<[u8; 32]>) {
        let before = self.connected.get();
        for key in now.iter().filter(|key| !before.contains(key)) {
            self.application.connected(*key);
        }
        self.connected.set(now);
    }
}

#[cfg(test)]
mod tests {
    use commonware_cryptography::{Signer as _, ed25519::PrivateKey};

    use super::*;

    fn key(index: usize) -> PublicKey {
        PrivateKey::from_seed(index as u64).public_key()
    }

    /// What the first of so many validators say.
    fn reported(validators: usize, views: &[u64]) -> Reports {
        let mut reports = Reports::new(Set::from_iter_dedup((0..validators).map(key)));
        for (index, view) in views.iter().enumerate() {
            reports.take(key(index), *view);
        }
        reports
    }

    fn judged(validators: usize, begun: bool, views: &[u64]) -> Option<Verdict> {
        reported(validators, views).judge(begun)
    }

    #[test]
    fn a_new_chain_begins_when_a_quorum_is_new() {
        assert_eq!(judged(1, false, &[]), Some(Verdict::Vote));
        assert_eq!(judged(4, false, &[0]), None);
        assert_eq!(judged(4, false, &[0, 0]), Some(Verdict::Vote));
        assert_eq!(judged(4, false, &[0, 0, 9]), Some(Verdict::Vote));
        assert_eq!(judged(7, false, &[0, 0, 0]), None);
        assert_eq!(judged(7, false, &[0, 0, 0, 0]), Some(Verdict::Vote));
    }

    #[test]
    fn e3_a_validator_without_its_record_does_not_vote_before_the_others_are_past_it() {
        assert_eq!(judged(4, false, &[100]), None);
        assert_eq!(judged(4, false, &[100, 99]), Some(Verdict::CatchUp(99)));
        // One of four may lie: it can neither make this one wait for ever, nor let it vote at once.
        assert_eq!(
            judged(4, false, &[u64::MAX, 99, 100]),
            Some(Verdict::CatchUp(100))
        );
        assert_eq!(judged(4, false, &[0, 99, 100]), Some(Verdict::CatchUp(99)));
        assert_eq!(judged(4, false, &[0, 100]), None);
    }

    #[test]
    fn e3_one_liar_does_not_make_a_validator_without_its_record_vote_early() {
        let beyond = |validators, views: &[u64]| reported(validators, views).beyond();
        // The liar and one honest validator: nobody can tell which is which.
        assert_eq!(beyond(4, &[1, 100]), None);
        assert_eq!(beyond(4, &[1, 100, 99]), Some(99));
        assert_eq!(beyond(4, &[u64::MAX, 100, 99]), Some(100));
        assert_eq!(beyond(7, &[1, 2, 100, 99]), None);
        assert_eq!(beyond(7, &[1, 2, 100, 99, 98]), Some(98));
        assert_eq!(beyond(2, &[100]), Some(100));
        assert_eq!(beyond(1, &[]), None);
    }

    #[test]
    fn e3_only_the_validators_of_the_epoch_say_how_far_it_is() {
        let mut reports = reported(4, &[100, 99]);
        // Others are connected as well: those of the epoch before, and whoever is to join.
        for (stranger, view) in [(4, 0), (5, 1), (6, u64::MAX), (7, u64::MAX)] {
            reports.take(key(stranger), view);
        }
        assert_eq!(reports.beyond(), None);
        assert_eq!(reports.judge(true), Some(Verdict::CatchUp(99)));
        reports.take(key(2), 98);
        assert_eq!(reports.beyond(), Some(99));
        let mut reports = reported(4, &[0]);
        reports.take(key(4), 0);
        assert_eq!(reports.judge(false), None);
    }

    #[test]
    fn an_application_with_blocks_is_not_at_the_beginning() {
        assert_eq!(judged(4, true, &[0, 0, 0]), None);
        assert_eq!(judged(1, true, &[]), None);
    }

    #[test]
    fn only_a_report_is_a_report() {
        let report = Report {
            asks: true,
            epoch: 3,
            view: 256,
            last: 9,
        };
        let bytes = report.to_bytes();
        assert_eq!(bytes.len(), REPORT);
        assert_eq!(Report::parse(&bytes), Some(report));
        assert_eq!(Report::parse(&[]), None);
        assert_eq!(Report::parse(&bytes[1..]), None);
        assert_eq!(Report::parse(&[bytes.as_slice(), &[0]].concat()), None);
        for (place, value) in [(0, 1), (0, 3), (1, 2)] {
            let mut bad = bytes.clone();
            bad[place] = value;
            assert_eq!(Report::parse(&bad), None);
        }
    }
}
