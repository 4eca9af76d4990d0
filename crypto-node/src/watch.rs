//! Looks at the other nodes, and at this one: for its operator when asked, for the metrics all the time.

use crate::authorise::Authority;
use crate::ceremony::driver::Driver;
use crate::ceremony::machine::Machine;
use crate::diagnosis::{Ceremony, Check, Facts, Level, Seen};
use crate::settings::Settings;
use futures::future::join_all;
use proto::custody::ProbeRequest;
use proto::custody::ceremony_service_client::CeremonyServiceClient;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use threshold::encoding::Canonical;
use threshold::ids::ManifestDigest;
use threshold::signature::PublicKey;
use tonic::transport::Channel;

/// Between two looks.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
/// A node that takes longer to say who it is counts as one that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The other nodes, and how they are asked.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) authority: Arc<Authority>,
    pub(crate) driver: Arc<Driver>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) channels: Vec<(PublicKey, Channel)>,
}

impl Watch {
    /// Asks all, gathers what is known, and tells the metrics.
    pub(crate) async fn look(&self) -> Facts {
        let asked = self.channels.iter().map(|(who, channel)| async {
            let seen = tokio::time::timeout(PATIENCE, self.ask(channel.clone())).await;
            (*who, seen.ok().flatten())
        });
        let mut seen: BTreeMap<PublicKey, Option<Seen>> = join_all(asked).await.into_iter().collect();
        let me = PublicKey::of(self.authority.identity.signing_key());
        let others = self.settings.seats.iter().filter(|seat| seat.identity != me);
        let others = others.map(|seat| {
            let answer = seen.remove(&seat.identity).flatten();
            (seat.identity, (seat.name.clone(), answer))
        });
        let organisations = self.authority.trust.organisations().iter();
        let authority = &self.authority;
        let facts = Facts {
            me,
            now_ms: (authority.clock)(),
            manifest: authority.key().map(|key| key.manifest().clone()),
            others: others.collect(),
            serves_epoch: self.driver.inspect(Machine::epoch_before).await,
            ceremony: self.driver.inspect(ceremony).await,
            ceremonies_work: self.driver.is_healthy(),
            journal_works: authority.journal.is_healthy(),
            roots: organisations
                .map(|organisation| (organisation.name().clone(), organisation.validity().clone()))
                .collect(),
            max_skew_s: authority.limits.max_skew_s,
        };
        authority.metrics.watched(&facts);
        facts
    }

    /// Half of the way there and back is taken for the way back.
    async fn ask(&self, channel: Channel) -> Option<Seen> {
        let asked = Instant::now();
        let answer = CeremonyServiceClient::new(channel).probe(ProbeRequest {}).await;
        let answer = answer.ok()?.into_inner();
        let way_ms = u64::try_from(asked.elapsed().as_millis() / 2).ok()?;
        let (theirs, ours) = (
            i64::try_from(answer.time_ms),
            i64::try_from((self.authority.clock)()),
        );
        let manifest = match answer.manifest.as_slice() {
            [] => None,
            digest => Some(ManifestDigest::from_bytes(digest).ok()?),
        };
        Some(Seen {
            offset_ms: theirs
                .ok()?
                .checked_add_unsigned(way_ms)?
                .checked_sub(ours.ok()?)?,
            manifest,
            epoch: answer.epoch,
        })
    }

    /// Looks again and again, and tells the log of what has become worse or better.
    pub(crate) async fn keep(self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut known = BTreeMap::new();
        loop {
            ticks.tick().await;
            for check in self.look().await.checks() {
                let before = known.insert(check.name, check.level).unwrap_or(Level::Ok);
                if before != check.level {
                    alarm(&check);
                }
            }
        }
    }
}

fn alarm(check: &Check) {
    let Check {
        name, found, advice, ..
    } = check;
    match check.level {
        Level::Ok => tracing::info!(check = name, found, "well again"),
        Level::Warn => tracing::warn!(check = name, found, advice, "alarm"),
        Level::Error => tracing::error!(check = name, found, advice, "alarm"),
    }
}

fn ceremony(machine: &Machine) -> Option<Ceremony> {
    let record = machine.record()?;
    let confirmers = record.confirmers().into_iter();
    let missing = confirmers.filter(|who| !record.has_confirmed(who));
    let parties = record.plan.parties();
    let names = missing.filter_map(|who| parties.iter().find(|party| party.identity == who));
    Some(Ceremony {
        id: record.plan.id(),
        phase: record.phase,
        joined: machine.has_joined(),
        deadline_ms: record.deadline_ms,
        missing: names.map(|party| party.name.clone()).collect(),
    })
}
