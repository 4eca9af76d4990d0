//! What is wrong with a node, and what its operator does about it: from what the node knows, without I/O.
//!
//! ```text
//! seal
//! key ── quorum    how many members answer, and how many are needed
//!     ├─ epoch     who is in another epoch
//!     └─ old-share whether a share of the epoch before is still there
//! ceremony, journal, certificates, clock
//! ```

use crate::ceremony::record::Phase;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use threshold::committee::CommitteeManifest;
use threshold::ids::{CeremonyId, ManifestDigest};
use threshold::name::Name;
use threshold::signature::PublicKey;

#[cfg(test)]
mod tests;

/// Before a root expires by so much, its organisation makes another.
const SOON_S: u64 = 30 * 24 * 60 * 60;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Somebody should look at it.
    Warn,
    /// Something does not work, or stops to with the next failure.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// The check that it is a part of; empty for one of its own.
    pub part_of: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do; empty when there is nothing to do.
    pub advice: String,
}

/// What another node has said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its clock less this node's when it answered, in milliseconds; what the way took is in it.
    pub offset_ms: i64,
    /// The manifest that it uses, if it has a key.
    pub manifest: Option<ManifestDigest>,
    /// That manifest's epoch; 0 without a key.
    pub epoch: u32,
}

/// The newest ceremony.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceremony {
    /// Its id.
    pub id: CeremonyId,
    /// How far it is.
    pub phase: Phase,
    /// Whether this node's operator has consented.
    pub joined: bool,
    /// When whoever has not confirmed gives up.
    pub deadline_ms: u64,
    /// Whose confirmation is missing, of those that count.
    pub missing: Vec<Name>,
}

/// What the node knows.
#[derive(Debug, Clone)]
pub struct Facts {
    /// This node.
    pub me: PublicKey,
    /// Its clock.
    pub now_ms: u64,
    /// The manifest in use, if there is one.
    pub manifest: Option<CommitteeManifest>,
    /// The other nodes that it knows, and what they say when they answer.
    pub others: BTreeMap<PublicKey, (Name, Option<Seen>)>,
    /// The epoch before whose share is still there.
    pub serves_epoch: Option<u32>,
    /// The newest ceremony.
    pub ceremony: Option<Ceremony>,
    /// Whether no step of a ceremony has failed.
    pub ceremonies_work: bool,
    /// Whether the journal can be written.
    pub journal_works: bool,
    /// The organisations' roots, in seconds since 1970.
    pub roots: Vec<(Name, RangeInclusive<u64>)>,
    /// How far clocks may be apart.
    pub max_skew_s: u64,
}

/// The figures behind some of the checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Members that answer and use this node's manifest, itself among them.
    pub reachable: usize,
    /// How many of them can still be lost; negative when reads have stopped.
    pub margin: i64,
    /// Members that answer and use another manifest, or none.
    pub other_epoch: usize,
    /// The largest difference to another node's clock, in milliseconds.
    pub offset_ms: u64,
    /// When the first root expires, in seconds since 1970.
    pub root_expires_s: u64,
}

impl Facts {
    /// The figures.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let (mut figures, offsets) = (Figures::default(), self.seen().map(|(_, seen)| seen.offset_ms));
        figures.offset_ms = offsets.map(i64::unsigned_abs).max().unwrap_or(0);
        figures.root_expires_s = self.roots.iter().map(|(_, root)| *root.end()).min().unwrap_or(0);
        let Some(manifest) = &self.manifest else {
            return figures;
        };
        let own = usize::from(manifest.member_by_identity(&self.me).is_some());
        let members = || {
            self.seen()
                .filter(|(who, _)| manifest.member_by_identity(who).is_some())
        };
        let same = |seen: &Seen| seen.manifest == Some(manifest.digest());
        figures.reachable = own + members().filter(|(_, seen)| same(seen)).count();
        figures.other_epoch = members().filter(|(_, seen)| !same(seen)).count();
        let needed = i64::from(manifest.threshold().t());
        figures.margin = i64::try_from(figures.reachable).unwrap_or(i64::MAX) - needed;
        figures
    }

    fn seen(&self) -> impl Iterator<Item = (&PublicKey, &Seen)> {
        let others = self.others.iter();
        others.filter_map(|(who, (_, seen))| Some((who, seen.as_ref()?)))
    }

    /// Every check, each before its parts.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let mut checks = vec![check("seal", Level::Ok, "the node is unsealed", "")];
        match &self.manifest {
            None => checks.push(check(
                "key",
                Level::Error,
                "the node holds no share of a key in use",
                "take part in a key generation, a resharing or a repair: `quorate node propose`",
            )),
            Some(manifest) => {
                let found = format!(
                    "key {}, epoch {}, {}",
                    manifest.key_id(),
                    manifest.epoch(),
                    manifest.threshold()
                );
                checks.push(check("key", Level::Ok, &found, ""));
                checks.push(self.quorum(manifest));
                checks.push(self.epoch(manifest));
            }
        }
        checks.push(self.old_share());
        checks.push(self.ceremony());
        checks.push(if self.journal_works {
            check("journal", Level::Ok, "it can be written", "")
        } else {
            check(
                "journal",
                Level::Error,
                "it failed: the node releases nothing",
                "look at the log and at the disk, then restart the node",
            )
        });
        checks.push(self.certificates());
        checks.push(self.clock());
        checks
    }

    /// Half of what can be lost is lost: look. One more loss stops the service: act.
    fn quorum(&self, manifest: &CommitteeManifest) -> Check {
        let (figures, threshold) = (self.figures(), manifest.threshold());
        let spare = i64::from(threshold.n()) - i64::from(threshold.t());
        let silent = manifest.members().iter().filter(|member| {
            let answer = self
                .others
                .get(&member.identity)
                .and_then(|(_, seen)| seen.as_ref());
            member.identity != self.me && answer.is_none()
        });
        let silent: Vec<&str> = silent.map(|member| member.name.as_str()).collect();
        let mut found = format!(
            "{} of {} members answer in this epoch, {} are needed",
            figures.reachable,
            threshold.n(),
            threshold.t()
        );
        if !silent.is_empty() {
            found = format!("{found}; silent: {}", silent.join(", "));
        }
        let (level, advice) = match figures.margin {
            ..0 => (Level::Error, "reads have stopped: bring members back"),
            0 => (
                Level::Error,
                "one more loss stops all reads: bring members back, or reshare to others",
            ),
            margin if margin * 2 <= spare && margin < spare => (
                Level::Warn,
                "half of the members that can be lost are lost: bring them back",
            ),
            _ => (Level::Ok, ""),
        };
        part("quorum", "key", level, &found, advice)
    }

    fn epoch(&self, manifest: &CommitteeManifest) -> Check {
        let is_other = |(who, (_, seen)): &(&PublicKey, &(Name, Option<Seen>))| {
            let member = manifest.member_by_identity(who).is_some();
            member && seen.is_some_and(|seen| seen.manifest != Some(manifest.digest()))
        };
        let others: Vec<_> = self.others.iter().filter(is_other).collect();
        if others.is_empty() {
            return part("epoch", "key", Level::Ok, "all that answer are in this epoch", "");
        }
        let epoch = |seen: &Option<Seen>| seen.map_or(0, |seen| seen.epoch);
        let words = others.iter().map(|(_, (name, seen))| match epoch(seen) {
            0 => format!("{name} has no key"),
            epoch => format!("{name} is in epoch {epoch}"),
        });
        let found = words.collect::<Vec<_>>().join(", ");
        let newer = others.iter().any(|(_, (_, seen))| epoch(seen) > manifest.epoch());
        let advice = if newer {
            "this node may be behind: look at `quorate node status` of all, then have its share repaired"
        } else {
            "wait for the end of the ceremony, or have their shares repaired: `quorate node propose --repair NAME`"
        };
        part("epoch", "key", Level::Warn, &found, advice)
    }

    fn old_share(&self) -> Check {
        match self.serves_epoch {
            None => part("old-share", "key", Level::Ok, "none is kept", ""),
            Some(epoch) => part(
                "old-share",
                "key",
                Level::Warn,
                &format!(
                    "the share of epoch {epoch} is kept until the new epoch is published, read with and reported by enough seats"
                ),
                "publish the report of the ceremony and read; if seats never answer, `quorate node retire`",
            ),
        }
    }

    fn ceremony(&self) -> Check {
        if !self.ceremonies_work {
            return check(
                "ceremony",
                Level::Error,
                "a step failed: the node takes no part in any ceremony",
                "look at the log and at the disk, then restart the node",
            );
        }
        let Some(ceremony) = &self.ceremony else {
            return check("ceremony", Level::Ok, "there was none yet", "");
        };
        let Ceremony { id, phase, .. } = ceremony;
        let missing: Vec<&str> = ceremony.missing.iter().map(Name::as_str).collect();
        let late = self.now_ms >= ceremony.deadline_ms;
        match phase {
            Phase::Active => check("ceremony", Level::Ok, &format!("{id} is done"), ""),
            Phase::Aborted => check("ceremony", Level::Ok, &format!("{id} was given up"), ""),
            Phase::Proposed if !ceremony.joined => check(
                "ceremony",
                Level::Warn,
                &format!("{id} waits for this node's operator"),
                "look at `quorate node status`, compare by telephone, then accept or reject it",
            ),
            Phase::Canary if late => check(
                "ceremony",
                Level::Warn,
                &format!("{id} waits beyond its deadline for {}", missing.join(", ")),
                "bring them back; if they never come, all operators agree to `quorate node abort`",
            ),
            _ => check("ceremony", Level::Ok, &format!("{id} is under way"), ""),
        }
    }

    fn certificates(&self) -> Check {
        let now_s = self.now_ms / 1000;
        let names = |holds: &dyn Fn(&RangeInclusive<u64>) -> bool| {
            let roots = self.roots.iter().filter(|(_, root)| holds(root));
            let names: Vec<&str> = roots.map(|(name, _)| name.as_str()).collect();
            names.join(", ")
        };
        let invalid = names(&|root| !root.contains(&now_s));
        let soon = names(&|root| root.contains(&now_s) && *root.end() < now_s.saturating_add(SOON_S));
        let advice = "get the organisation's next root from it, and put it into the configuration";
        if !invalid.is_empty() {
            let found = format!("the roots of these organisations are not valid now: {invalid}");
            return check("certificates", Level::Error, &found, advice);
        }
        if !soon.is_empty() {
            let found = format!("the roots of these organisations expire within 30 days: {soon}");
            return check("certificates", Level::Warn, &found, advice);
        }
        check(
            "certificates",
            Level::Ok,
            "all roots are valid for more than 30 days",
            "",
        )
    }

    /// One clock that differs is that member's; most of them, this node's.
    fn clock(&self) -> Check {
        let far = |seen: &Seen| seen.offset_ms.unsigned_abs() > self.max_skew_s.saturating_mul(1000);
        let others = self.others.values();
        let wrong = others.filter(|(_, seen)| seen.as_ref().is_some_and(far));
        let wrong: Vec<&str> = wrong.map(|(name, _)| name.as_str()).collect();
        let all = self.seen().count();
        if wrong.is_empty() {
            let found = match all {
                0 => "nobody answers to compare with".to_owned(),
                _ => format!("within {} s of all that answer", self.max_skew_s),
            };
            return check("clock", Level::Ok, &found, "");
        }
        if wrong.len() * 2 > all {
            let found = format!("{} of {all} nodes have another time than this one", wrong.len());
            return check(
                "clock",
                Level::Error,
                &found,
                "set this node's clock: approvals are refused by it",
            );
        }
        let found = format!("these nodes have another time: {}", wrong.join(", "));
        check("clock", Level::Warn, &found, "tell their operators")
    }
}

fn check(name: &'static str, level: Level, found: &str, advice: &str) -> Check {
    part(name, "", level, found, advice)
}

fn part(name: &'static str, part_of: &'static str, level: Level, found: &str, advice: &str) -> Check {
    Check {
        name,
        part_of,
        level,
        found: found.to_owned(),
        advice: advice.to_owned(),
    }
}
