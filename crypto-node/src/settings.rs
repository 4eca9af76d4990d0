//! The checked form of a [`Config`]: every field parsed, every key in one role.

use crate::config::{Config, LimitsConfig};
use anyhow::{Context, bail, ensure};
use approval::TrustBundle;
use service::config::{OutOfRange, in_range};
use std::collections::BTreeSet;
use threshold::committee::ParticipantIndex;
use threshold::dkg::Seat;
use threshold::name::Name;
use threshold::signature::PublicKey;

#[cfg(test)]
mod tests;

/// What the node runs by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The installation.
    pub installation: Name,
    /// This node's place among those that it knows.
    pub me: ParticipantIndex,
    /// All nodes that it knows, numbered as configured. Who of them has a share under which index, a manifest says.
    pub seats: Vec<Seat>,
    /// Who may ask for re-encryption.
    pub coordinators: BTreeSet<[u8; 32]>,
    /// Who may command the node.
    pub operators: BTreeSet<[u8; 32]>,
    /// Whose approvals count.
    pub trust: TrustBundle,
    /// How approvals are checked.
    pub limits: approval::Limits,
}

impl Settings {
    /// Checks a configuration for the node with this identity key.
    ///
    /// # Errors
    /// Names the key of the configuration that does not hold.
    pub fn check(config: &Config, identity: &[u8; 32]) -> anyhow::Result<Self> {
        check_limits(&config.limits)?;
        let installation = Name::new(&config.installation).context("installation")?;
        let seats = seats(config)?;
        let me = seats
            .iter()
            .find(|seat| seat.identity.as_bytes() == identity)
            .with_context(|| format!("members: none has this node's identity {}", hex::encode(identity)))?;
        ensure!(
            me.name.as_str() == config.name,
            "name: this node's identity is that of member {}, not of {}",
            me.name,
            config.name
        );
        let coordinators = keys("coordinators", &config.coordinators)?;
        let operators = keys("operators", &config.operators)?;
        one_role_each(&seats, &coordinators, &operators)?;
        let trust = config
            .approval
            .bundle(installation.clone(), |path| std::fs::read_to_string(path))?;
        let limits = approval::Limits {
            max_lifetime_s: config.limits.approval_lifetime_s.into(),
            max_skew_s: config.limits.clock_skew_s.into(),
        };
        Ok(Self {
            installation,
            me: me.index,
            seats,
            coordinators,
            operators,
            trust,
            limits,
        })
    }

    /// The node that a peer is, if it is one.
    #[must_use]
    pub fn node(&self, peer: &[u8; 32]) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.identity.as_bytes() == peer)
    }

    /// Every key that may connect at all.
    #[must_use]
    pub fn peers(&self) -> BTreeSet<[u8; 32]> {
        let members = self.seats.iter().map(|seat| seat.identity.to_bytes());
        members
            .chain(self.coordinators.iter().copied())
            .chain(self.operators.iter().copied())
            .collect()
    }
}

/// What a node could not work with, or what would take a bound away that others rely on: an approval that lives for long
/// is one that can be used for long.
fn check_limits(limits: &LimitsConfig) -> Result<(), OutOfRange> {
    in_range(
        "limits.requests_per_second",
        limits.requests_per_second,
        1..=u64::MAX,
    )?;
    in_range("limits.burst", limits.burst, 1..=u64::MAX)?;
    in_range("limits.approval_lifetime_s", limits.approval_lifetime_s, 1..=600)?;
    in_range("limits.clock_skew_s", limits.clock_skew_s, 0..=60)?;
    in_range("limits.ceremony_s", limits.ceremony_s, 1..=86_400)?;
    in_range("limits.connections", limits.connections, 1..=65_536)
}

fn seats(config: &Config) -> anyhow::Result<Vec<Seat>> {
    let mut seats = Vec::new();
    let (mut identities, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (place, member) in config.members.iter().enumerate() {
        let at = || format!("members[{place}]");
        let index = u32::try_from(place + 1).context("members: too many")?;
        let index = ParticipantIndex::try_from(index).with_context(at)?;
        let name = Name::new(&member.name).with_context(at)?;
        let identity: PublicKey = member.identity.parse().with_context(at)?;
        ensure!(
            identities.insert(identity.to_bytes()),
            "members[{place}]: another member has this identity"
        );
        ensure!(
            names.insert(name.clone()),
            "members[{place}]: another member has this name"
        );
        seats.push(Seat {
            index,
            name,
            identity,
            address: member.address.clone(),
        });
    }
    ensure!(seats.len() >= 2, "members: a committee has at least two");
    Ok(seats)
}

fn keys(what: &str, texts: &[String]) -> anyhow::Result<BTreeSet<[u8; 32]>> {
    let parse = |text: &String| {
        text.parse::<PublicKey>()
            .map(|key| key.to_bytes())
            .with_context(|| format!("{what}: {text}"))
    };
    texts.iter().map(parse).collect()
}

/// A key in two roles would carry the rights of both, which nobody means.
fn one_role_each(
    seats: &[Seat],
    coordinators: &BTreeSet<[u8; 32]>,
    operators: &BTreeSet<[u8; 32]>,
) -> anyhow::Result<()> {
    let members: BTreeSet<[u8; 32]> = seats.iter().map(|seat| seat.identity.to_bytes()).collect();
    let twice = members
        .intersection(coordinators)
        .chain(members.intersection(operators))
        .chain(coordinators.intersection(operators))
        .next();
    match twice {
        Some(key) => bail!(
            "key {} has two roles; members, coordinators and operators differ",
            hex::encode(key)
        ),
        None => Ok(()),
    }
}
