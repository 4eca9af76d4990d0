//! Everybody who writes on the generated chain, with their keys.

use anyhow::{Context as _, Result};
use approval::Authority;
use ed25519_dalek::SigningKey;
use golden_record::{Genesis, Limits, Organisation};
use ledger_endorser::setup::PublicParts;
use rand_core::{OsRng, RngCore};
use threshold::committee::{ParticipantIndex, SignedManifest, Threshold};
use threshold::dkg::{Agreement, Ceremony, Round1, Seat, part1, part2, part3};
use threshold::name::Name;
use threshold::secret::KeyShare;
use threshold::signature::PublicKey;

use crate::cluster::{NODES, ORGANISATIONS, THRESHOLD};

/// Tenants, datasets of each, documents in each of these, users of each tenant.
pub(super) const TENANTS: usize = 4;
pub(super) const DATASETS: usize = 2;
pub(super) const DOCUMENTS: usize = 16;
pub(super) const USERS: usize = 8;

/// An organisation of which the generator has all keys.
pub(super) struct Voter {
    pub(super) name: Name,
    pub(super) validator: SigningKey,
    pub(super) authority: Authority,
}

/// A tenant with its users; the last of them may read nothing.
pub(super) struct Tenant {
    pub(super) name: Name,
    pub(super) admin: SigningKey,
    pub(super) users: Vec<(Name, SigningKey)>,
}

/// Everybody.
pub(super) struct Parties {
    pub(super) genesis: Genesis,
    /// All organisations but the first, whose endorser runs: together they are a quorum.
    pub(super) voters: Vec<Voter>,
    pub(super) admins: Vec<SigningKey>,
    pub(super) coordinator: SigningKey,
    pub(super) auditor: SigningKey,
    pub(super) tenants: Vec<Tenant>,
    pub(super) committee: Committee,
}

/// A committee whose members are all here: its key guards nothing.
pub(super) struct Committee {
    pub(super) signed: SignedManifest,
    pub(super) identities: Vec<SigningKey>,
    pub(super) shares: Vec<KeyShare>,
}

pub(super) fn name(text: &str) -> Result<Name> {
    Name::new(text).with_context(|| text.to_owned())
}

fn key() -> SigningKey {
    SigningKey::generate(&mut OsRng)
}

impl Parties {
    /// With the endorser of the first organisation as it is, and a chain that begins then.
    pub(super) fn new(endorser: &PublicParts, created_ms: u64) -> Result<Self> {
        let admins: Vec<SigningKey> = ORGANISATIONS.iter().map(|_| key()).collect();
        let voters = ORGANISATIONS
            .iter()
            .skip(1)
            .map(|organisation| voter(organisation, created_ms))
            .collect::<Result<Vec<_>>>()?;
        let running = (
            endorser.organisation.clone(),
            PublicKey::from_bytes(&endorser.validator)?,
            endorser.ca_certificate.clone(),
        );
        let others = voters.iter().map(|voter| {
            let validator = PublicKey::of(&voter.validator);
            (voter.name.clone(), validator, voter.authority.root_der().to_vec())
        });
        let organisations = std::iter::once(running).chain(others).zip(&admins);
        let organisations = organisations.map(|((name, validator, ca_certificate), admin)| Organisation {
            name,
            validator,
            admin: PublicKey::of(admin),
            ca_certificate,
        });
        let (coordinator, auditor) = (key(), key());
        let genesis = Genesis::new(
            name("bench")?,
            created_ms,
            organisations.collect(),
            vec![PublicKey::of(&coordinator)],
            vec![PublicKey::of(&auditor)],
            Limits::default(),
        )?;
        let tenants = (0..TENANTS).map(|number| {
            let users = (0..USERS).map(|user| Ok((name(&format!("user-{user}"))?, key())));
            Ok(Tenant {
                name: name(&format!("tenant-{number}"))?,
                admin: key(),
                users: users.collect::<Result<_>>()?,
            })
        });
        Ok(Self {
            genesis,
            voters,
            admins,
            coordinator,
            auditor,
            tenants: tenants.collect::<Result<_>>()?,
            committee: Committee::generate()?,
        })
    }
}

fn voter(organisation: &str, created_ms: u64) -> Result<Voter> {
    let name = name(organisation)?;
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    OsRng.fill_bytes(seed.as_mut());
    let root = Authority::generate(&name, &seed, created_ms)?;
    Ok(Voter {
        authority: Authority::from_seed(&seed, &root)?,
        validator: key(),
        name,
    })
}

impl Committee {
    /// A key generation with all seats in one place.
    fn generate() -> Result<Self> {
        let threshold = Threshold::new(THRESHOLD, NODES)?;
        let identities: Vec<SigningKey> = (0..NODES).map(|_| key()).collect();
        let seats = threshold.indices().zip(&identities).map(|(index, identity)| {
            Ok(Seat {
                index,
                name: name(&format!("node-{index}"))?,
                identity: PublicKey::of(identity),
                address: format!("127.0.0.1:{}", 7100 + index.get()),
            })
        });
        let mut nonce = [0; 32];
        OsRng.fill_bytes(&mut nonce);
        let ceremony = Ceremony::new(nonce, threshold, seats.collect::<Result<_>>()?)?;
        let (mut secrets, mut commitments) = (Vec::new(), Vec::new());
        for identity in &identities {
            let (secret, message) = part1(&ceremony, identity, &mut OsRng)?;
            secrets.push(secret);
            commitments.push(message);
        }
        let round1 = Round1::collect(&ceremony, commitments)?;
        let reports = identities
            .iter()
            .map(|identity| round1.report(&ceremony, identity));
        let agreement = Agreement::reach(&ceremony, round1.clone(), reports.collect::<Result<_, _>>()?)?;
        let (mut dealt, mut remaining) = (Vec::new(), Vec::new());
        for (secret, identity) in secrets.into_iter().zip(&identities) {
            let (secret, messages) = part2(secret, &agreement, identity)?;
            remaining.push(secret);
            dealt.extend(messages);
        }
        let (mut shares, mut manifest) = (Vec::new(), None);
        for (secret, index) in remaining.into_iter().zip(threshold.indices()) {
            let (mine, others) = dealt
                .into_iter()
                .partition(|message| message.recipient() == Some(index));
            dealt = others;
            let (share, own) = part3(secret, &agreement, mine)?;
            shares.push(share);
            manifest = Some(own);
        }
        let manifest = manifest.context("a committee has members")?;
        let signatures = identities
            .iter()
            .map(|identity| manifest.sign(identity))
            .collect();
        Ok(Self {
            signed: SignedManifest { manifest, signatures },
            identities,
            shares,
        })
    }

    /// As many members as are needed, each with its identity key and its share.
    pub(super) fn quorum(&self) -> impl Iterator<Item = (ParticipantIndex, &SigningKey, &KeyShare)> {
        let threshold = self.signed.manifest.threshold();
        let members = threshold.indices().zip(&self.identities).zip(&self.shares);
        members
            .take(usize::from(threshold.t()))
            .map(|((index, identity), share)| (index, identity, share))
    }
}
