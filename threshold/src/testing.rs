//! Test support, behind the feature `testing`: a repeatable generator, and whole committees in one process.
//!
//! None of this may be in a daemon: whoever runs every seat of a ceremony holds the custody key.

use crate::committee::{CommitteeManifest, ParticipantIndex, SignedManifest, Threshold};
use crate::dkg::{Agreement, Ceremony, DkgError, Round1, Seat, SignedMessage, part1, part2, part3};
use crate::encoding::Canonical;
use crate::label::Label;
use crate::name::{DocumentName, Name};
use crate::reshare::{self, Received, ReshareError, Resharing, deal};
use crate::secret::KeyShare;
use crate::signature::PublicKey;
use ed25519_dalek::SigningKey;
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};

/// A repeatable generator for tests: the SHA-256 of seed and counter, block after block. Not for secrets.
#[derive(Debug, Clone)]
pub struct TestRng {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl TestRng {
    /// The generator of a seed.
    #[must_use]
    pub fn new(seed: &str) -> Self {
        Self {
            seed: Sha256::digest(seed.as_bytes()).into(),
            counter: 0,
            block: [0; 32],
            used: 32,
        }
    }

    fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            let hash = Sha256::new()
                .chain_update(self.seed)
                .chain_update(self.counter.to_be_bytes());
            self.block = hash.finalize().into();
            self.counter += 1;
            self.used = 0;
        }
        let byte = self.block.get(self.used).copied().unwrap_or(0);
        self.used += 1;
        byte
    }
}

impl RngCore for TestRng {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, destination: &mut [u8]) {
        destination.fill_with(|| self.byte());
    }

    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(destination);
        Ok(())
    }
}

impl CryptoRng for TestRng {}

/// A committee with everybody's secrets.
#[derive(Debug)]
pub struct TestCommittee {
    /// The ceremony it came from.
    pub ceremony: Ceremony,
    /// Each member's identity key, in order.
    pub identities: Vec<SigningKey>,
    /// Each member's key share, in order.
    pub shares: Vec<KeyShare>,
    /// The manifest with all signatures.
    pub signed: SignedManifest,
}

impl TestCommittee {
    /// Runs a whole key generation for `t` of `n` members named `node-1` to `node-n`.
    ///
    /// # Errors
    /// [`DkgError`], if t and n are no threshold or the generation fails.
    pub fn generate(t: u16, n: u16, rng: &mut (impl RngCore + CryptoRng)) -> Result<Self, DkgError> {
        let (ceremony, identities) = ceremony(t, n, rng)?;
        Self::run(ceremony, identities, rng)
    }

    /// Runs a key generation between given seats.
    ///
    /// # Errors
    /// [`DkgError`].
    pub fn run(
        ceremony: Ceremony,
        identities: Vec<SigningKey>,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, DkgError> {
        let (mut secrets, mut commitments) = (Vec::new(), Vec::new());
        for identity in &identities {
            let (secret, message) = part1(&ceremony, identity, rng)?;
            secrets.push(secret);
            commitments.push(message);
        }
        let round1 = Round1::collect(&ceremony, commitments)?;
        let report = |identity| round1.report(&ceremony, identity);
        let reports = identities.iter().map(report).collect::<Result<_, _>>()?;
        let agreement = Agreement::reach(&ceremony, round1.clone(), reports)?;
        let (mut dealt, mut remaining) = (Vec::new(), Vec::new());
        for (secret, identity) in secrets.into_iter().zip(&identities) {
            let (secret, messages) = part2(secret, &agreement, identity)?;
            remaining.push(secret);
            dealt.extend(messages);
        }
        let (mut shares, mut manifest) = (Vec::new(), None);
        for (secret, index) in remaining.into_iter().zip(ceremony.threshold().indices()) {
            let (mine, others) = dealt
                .into_iter()
                .partition(|message| message.recipient() == Some(index));
            dealt = others;
            let (share, own) = part3(secret, &agreement, mine)?;
            shares.push(share);
            manifest = Some(own);
        }
        let manifest: CommitteeManifest = manifest.ok_or(DkgError::NotASeat)?;
        let signatures = identities
            .iter()
            .map(|identity| manifest.sign(identity))
            .collect();
        Ok(Self {
            ceremony,
            identities,
            shares,
            signed: SignedManifest { manifest, signatures },
        })
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &CommitteeManifest {
        &self.signed.manifest
    }

    /// A member's key share.
    #[must_use]
    pub fn share(&self, index: ParticipantIndex) -> Option<&KeyShare> {
        self.shares.get(index.position())
    }
}

/// A ceremony of `t` of `n` fresh identities named `node-1` to `node-n` at `127.0.0.1:7101` and so on.
///
/// # Errors
/// [`DkgError::NotASeat`] if t and n are no threshold.
pub fn ceremony(
    t: u16,
    n: u16,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(Ceremony, Vec<SigningKey>), DkgError> {
    let threshold = Threshold::new(t, n).map_err(|_| DkgError::NotASeat)?;
    let identities: Vec<SigningKey> = (0..n).map(|_| SigningKey::generate(rng)).collect();
    let seats = threshold.indices().zip(&identities).map(|(index, identity)| {
        let name = Name::new(&format!("node-{index}")).map_err(|_| DkgError::NotASeat)?;
        let address = format!("127.0.0.1:{}", 7100 + index.get());
        Ok(Seat {
            index,
            name,
            identity: PublicKey::of(identity),
            address,
        })
    });
    let mut nonce = [0; 32];
    rng.fill_bytes(&mut nonce);
    let seats = seats.collect::<Result<_, DkgError>>()?;
    let ceremony = Ceremony::new(nonce, threshold, seats).map_err(|_| DkgError::NotASeat)?;
    Ok((ceremony, identities))
}

/// The label `test:north/loans/<document>#<version>`.
///
/// # Errors
/// [`crate::name::NameError`] for what is not a document name.
pub fn label(document: &str, version: u64) -> Result<Label, crate::name::NameError> {
    Ok(Label {
        installation: Name::new("test")?,
        tenant: Name::new("north")?,
        dataset: Name::new("loans")?,
        document: DocumentName::new(document)?,
        version,
    })
}

/// A copy of a message, by way of its bytes.
///
/// # Errors
/// None that occur.
pub fn copy(message: &SignedMessage) -> Result<SignedMessage, crate::encoding::DecodeError> {
    SignedMessage::from_bytes(&message.to_secret_bytes())
}

/// A committee after a resharing, with everybody's secrets.
#[derive(Debug)]
pub struct Reshared {
    /// Each new seat's key share, in order.
    pub shares: Vec<KeyShare>,
    /// The new manifest with all signatures.
    pub signed: SignedManifest,
}

/// Runs a whole resharing, in which the given members deal to every new seat.
///
/// # Errors
/// [`ReshareError`].
pub fn reshare(
    resharing: &Resharing,
    shares: &[KeyShare],
    dealers: &[SigningKey],
    seats: &[SigningKey],
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Reshared, ReshareError> {
    let mut dealt = Vec::new();
    for (share, identity) in shares.iter().zip(dealers) {
        dealt.push(deal(resharing, share, identity, rng)?);
    }
    let (mut received, mut reports) = (Vec::new(), Vec::new());
    for (position, identity) in seats.iter().enumerate() {
        let commitments = dealt.iter().map(|(commitments, _)| commitments);
        let shares = dealt.iter().filter_map(|(_, shares)| shares.get(position));
        let messages = commitments.chain(shares).map(reshare::SignedMessage::duplicate);
        let seat = Received::collect(resharing, &PublicKey::of(identity), messages.collect())?;
        reports.push(seat.report(resharing, identity)?);
        received.push(seat);
    }
    let (mut agreements, mut confirmations) = (Vec::new(), Vec::new());
    for (seat, identity) in received.into_iter().zip(seats) {
        let reports = reports.iter().map(reshare::SignedMessage::duplicate);
        let agreement = reshare::Agreement::reach(resharing, seat, reports.collect())?;
        confirmations.push(agreement.confirm(identity)?);
        agreements.push(agreement);
    }
    let first = agreements.first().ok_or(ReshareError::NotASeat)?;
    let signed = first.conclude(confirmations)?;
    Ok(Reshared {
        shares: agreements
            .into_iter()
            .filter_map(|mut agreement| agreement.take_share())
            .collect(),
        signed,
    })
}
