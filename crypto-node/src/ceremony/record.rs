//! What a node keeps of a ceremony on disk: its promises and the other parties' signed ones, nothing secret.
//!
//! ```text
//! record  u8 version (3) ‖ plan ‖ proposer's identity key (32) ‖ u64 deadline, milliseconds ‖ u8 phase
//!         ‖ bytes transcript (empty or 32) ‖ joins ‖ rejections ‖ option expected ‖ counted ‖ option manifest
//!         ‖ signs ‖ option signed manifest ‖ confirms ‖ bool used ‖ messages in use ‖ faults ‖ str reason ‖ option culprit's identity key (32) ‖ option message
//! joins, signs, confirms              u32 count ‖ messages
//! rejections                          u32 count ‖ identity keys (32)
//! expected, counted                   u32 count ‖ u16 dealers' indices
//! faults                              u32 count ‖ times (identity key (32) ‖ str what ‖ option evidence)
//! ```

use super::message::{Body, Evidence, Message, MessageError, Proof};
use super::plan::{Party, Plan};
use std::collections::{BTreeMap, BTreeSet};
use threshold::committee::{CommitteeManifest, MAX_MEMBERS, ParticipantIndex, SignedManifest};
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::signature::{PublicKey, Signature};

const VERSION: u8 = 3;
const MAX_REASON: usize = 1024;
/// A ceremony has no more parties than two committees have members.
const MAX_PARTIES: usize = 2 * MAX_MEMBERS as usize;

/// How far a ceremony is, as far as it matters after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Known; members consent or not.
    Proposed,
    /// Under way; its secrets are in memory only.
    Running,
    /// This node has stored its share and signed the manifest; or, without a seat, knows the manifest.
    Signed,
    /// All seats have signed: this node tries the key, and with its confirmation it can no longer go back.
    Canary,
    /// All have confirmed: the result is in use.
    Active,
    /// Over, without a result; unless this node has confirmed, and all others turn out to have, too.
    Aborted,
}

/// The messages of parties, by identity key.
pub type Messages = BTreeMap<PublicKey, Message>;

/// What is held against a dealer that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Who.
    pub who: PublicKey,
    /// What, in words.
    pub what: String,
    /// What shows it, if it is more than silence.
    pub evidence: Option<Evidence>,
}

/// Holds something against a dealer, once: what is shown counts more than what is not.
pub fn blame(faults: &mut Vec<Fault>, fault: Fault) {
    match faults.iter_mut().find(|known| known.who == fault.who) {
        Some(known) if known.evidence.is_none() => *known = fault,
        Some(_) => {}
        None => faults.push(fault),
    }
}

/// A ceremony on disk.
#[derive(Debug, Clone)]
pub struct Record {
    /// What it is to do.
    pub plan: Plan,
    /// Who proposed it.
    pub proposer: PublicKey,
    /// When a party that has not confirmed gives up.
    pub deadline_ms: u64,
    /// How far it is.
    pub phase: Phase,
    /// To be read aloud: the digest of all round-1 messages of a key generation, that of the new manifest of a
    /// resharing, once known.
    pub transcript: Option<[u8; 32]>,
    /// Who consented.
    pub joins: Messages,
    /// Old members without a new seat that refused, or left. Of what they said nothing is kept: they choose how long it is.
    pub rejections: BTreeSet<PublicKey>,
    /// Who is to deal, since the ceremony began.
    pub expected: Option<Vec<ParticipantIndex>>,
    /// Whose dealings count, once known.
    pub counted: Vec<ParticipantIndex>,
    /// The result, once this node has it.
    pub manifest: Option<CommitteeManifest>,
    /// Who signed the manifest.
    pub signs: Messages,
    /// The manifest with all signatures, where it came from somebody else.
    pub signed: Option<SignedManifest>,
    /// Who has used the key.
    pub confirms: Messages,
    /// Whether this node knows that the new epoch is used for reads, and so published.
    pub used: bool,
    /// The seats that have said that their share of the new epoch is in use.
    pub in_use: Messages,
    /// Dealers that do not count, and why.
    pub faults: Vec<Fault>,
    /// Why it was aborted.
    pub reason: String,
    /// Who is to blame, where it is proven.
    pub culprit: Option<PublicKey>,
    /// The abort that ended it: this node's own, or a member's that this node passes on.
    pub abort: Option<Message>,
}

impl Record {
    /// A ceremony that was just proposed.
    #[must_use]
    pub const fn new(plan: Plan, proposer: PublicKey, deadline_ms: u64) -> Self {
        Self {
            plan,
            proposer,
            deadline_ms,
            phase: Phase::Proposed,
            transcript: None,
            joins: BTreeMap::new(),
            rejections: BTreeSet::new(),
            expected: None,
            counted: Vec::new(),
            manifest: None,
            signs: BTreeMap::new(),
            signed: None,
            confirms: BTreeMap::new(),
            used: false,
            in_use: BTreeMap::new(),
            faults: Vec::new(),
            reason: String::new(),
            culprit: None,
            abort: None,
        }
    }

    /// Whether it is a proposal to which this party has not consented.
    #[must_use]
    pub fn waits(&self, party: &PublicKey) -> bool {
        self.phase == Phase::Proposed && !self.joins.contains_key(party)
    }

    /// Whether it is a proposal that ended without the consent of this party: that it was there is all that it has to know.
    #[must_use]
    pub fn is_past(&self, party: &PublicKey) -> bool {
        self.phase == Phase::Aborted && !self.joins.contains_key(party)
    }

    /// Who is to deal, once the ceremony can begin: every seat has consented, and every other old member has consented or
    /// refused, or whoever proposed it does not wait for those any longer.
    #[must_use]
    pub fn can_begin(&self) -> Option<Vec<ParticipantIndex>> {
        let parties = self.plan.parties();
        let joined = |party: &&Party| self.joins.contains_key(&party.identity);
        let mut needed = parties.iter().filter(|party| self.plan.needs(party));
        if !needed.all(|party| joined(&party)) {
            return None;
        }
        let deals = |party: &&Party| {
            let join = self.joins.get(&party.identity);
            join.is_some_and(|join| matches!(join.body, Body::Join { deals: true }))
        };
        let willing = parties.iter().filter(deals).filter_map(|party| party.dealer);
        let mut willing: Vec<ParticipantIndex> = willing.collect();
        willing.sort_unstable();
        let dealers = match &self.expected {
            Some(expected) if expected.iter().all(|dealer| willing.contains(dealer)) => expected.clone(),
            Some(_) => return None,
            None => {
                let answered = |party: &Party| joined(&party) || self.rejections.contains(&party.identity);
                if !parties.iter().all(answered) {
                    return None;
                }
                willing
            }
        };
        (dealers.len() >= self.plan.dealers_needed()).then_some(dealers)
    }

    /// The parties whose confirmations count, in order: whoever gets a share, and the dealers that it comes from.
    #[must_use]
    pub fn confirmers(&self) -> Vec<PublicKey> {
        let counts = |party: &Party| match self.plan {
            Plan::Generation(_) | Plan::Repair(_) => party.seat.is_some(),
            Plan::Resharing(_) => {
                party.seat.is_some() || party.dealer.is_some_and(|dealer| self.counted.contains(&dealer))
            }
        };
        let parties = self.plan.parties().into_iter();
        parties.filter(counts).map(|party| party.identity).collect()
    }

    /// The manifest of the key to use: once everybody whose confirmation counts has confirmed.
    #[must_use]
    pub fn confirmed_manifest(&self) -> Option<SignedManifest> {
        let all = |confirmers: &[PublicKey]| confirmers.iter().all(|who| self.has_confirmed(who));
        // Without a manifest it is not known yet who counts.
        let signed = self.signed_manifest()?;
        all(&self.confirmers()).then_some(signed)
    }

    /// Whether a dealer's dealing is to be collected: it was to deal, and has not left since.
    #[must_use]
    pub fn expects(&self, dealer: ParticipantIndex) -> bool {
        let expected = self
            .expected
            .as_ref()
            .is_some_and(|expected| expected.contains(&dealer));
        let left = |who: PublicKey| self.rejections.contains(&who);
        expected && !self.plan.dealing(dealer).is_none_or(left)
    }

    /// What proves to any party that the ceremony is done.
    #[must_use]
    pub fn proof(&self) -> Option<Proof> {
        let confirmers = self.confirmers();
        let confirmations = confirmers
            .iter()
            .map(|who| {
                let message = self.confirms.get(who).filter(|_| self.has_confirmed(who));
                message.map(|message| *message.signature())
            })
            .collect::<Option<_>>()?;
        Some(Proof {
            signed: self.signed_manifest()?,
            dealers: self.counted.clone(),
            confirmations,
        })
    }

    /// What a party says that confirms this end of the ceremony, once the end is known.
    #[must_use]
    pub fn confirmation(&self) -> Option<Body> {
        let manifest = match &self.plan {
            Plan::Repair(repair) => repair.manifest().digest(),
            Plan::Generation(_) | Plan::Resharing(_) => self.manifest.as_ref()?.digest(),
        };
        Some(Body::Confirm {
            manifest,
            dealers: self.counted.clone(),
        })
    }

    /// Whether a party has confirmed the end that this node knows.
    #[must_use]
    pub fn has_confirmed(&self, who: &PublicKey) -> bool {
        let said = self.confirms.get(who).map(|message| &message.body);
        said.is_some() && said == self.confirmation().as_ref()
    }

    /// Takes a confirmation in, and says whether it is news. Until the end is known any may be the right one; after that, one of
    /// another end says nothing.
    pub fn take_confirmation(&mut self, message: Message) -> bool {
        let news =
            !self.has_confirmed(&message.sender) && self.confirms.get(&message.sender) != Some(&message);
        if news {
            self.confirms.insert(message.sender, message);
        }
        news
    }

    /// Takes in what another party proves: all of it, or it proves nothing.
    ///
    /// # Errors
    /// [`MessageError::BadSignature`].
    pub fn take_proof(&mut self, proof: &Proof) -> Result<(), MessageError> {
        let unproven = Err(MessageError::BadSignature);
        let manifest = &proof.signed.manifest;
        let as_planned = self.plan.threshold() == manifest.threshold()
            && manifest
                .members()
                .iter()
                .all(|member| self.is_planned(member.index, &member.identity));
        let follows = match &self.plan {
            Plan::Generation(_) => manifest.previous().is_none() && proof.dealers.is_empty(),
            Plan::Resharing(resharing) => {
                let old = resharing.previous();
                manifest.follows(old).is_ok()
                    && proof.dealers.len() >= usize::from(old.threshold().t())
                    && proof.dealers.is_sorted_by(|one, other| one < other)
                    && proof
                        .dealers
                        .iter()
                        .all(|dealer| old.threshold().contains(*dealer))
            }
            Plan::Repair(repair) => *manifest == *repair.manifest() && proof.dealers.is_empty(),
        };
        let as_known = self
            .manifest
            .as_ref()
            .is_none_or(|known| known == manifest && (self.counted == proof.dealers));
        if !as_planned || !follows || !as_known || proof.signed.verify().is_err() {
            return unproven;
        }
        let counted = std::mem::replace(&mut self.counted, proof.dealers.clone());
        let confirmers = self.confirmers();
        let said = Body::Confirm {
            manifest: manifest.digest(),
            dealers: proof.dealers.clone(),
        };
        let confirms = if confirmers.len() == proof.confirmations.len() {
            confirmers
                .iter()
                .zip(&proof.confirmations)
                .map(|(who, signature)| {
                    let id = self.plan.id();
                    Ok((*who, Message::confirmation(id, *who, said.clone(), *signature)?))
                })
                .collect::<Result<Messages, MessageError>>()
        } else {
            unproven.map(|()| Messages::new())
        };
        match confirms {
            Ok(confirms) => {
                self.confirms = confirms;
                self.keep_manifest(&proof.signed);
                Ok(())
            }
            Err(error) => {
                self.counted = counted;
                Err(error)
            }
        }
    }

    /// How many seats say that their share of exactly this result is in use, and how many of them know that it was read with.
    #[must_use]
    pub fn seats_in_use(&self) -> (usize, usize) {
        let digest = self.manifest.as_ref().map(CommitteeManifest::digest);
        let said = self
            .in_use
            .iter()
            .filter_map(|(who, message)| match message.body {
                Body::InUse { manifest, read } if Some(manifest) == digest => {
                    self.plan.seat_of(who).map(|_| usize::from(read))
                }
                _ => None,
            });
        said.fold((0, 0), |(seats, reads), read| (seats + 1, reads + read))
    }

    /// Whether the share of the epoch before is needed by nobody any more: reads use the new one, and so many seats have it
    /// that t of them are honest though t - 1 lie. With fewer, the old epoch may be all that the others have.
    #[must_use]
    pub fn ends_epoch_before(&self) -> bool {
        let threshold = self.plan.threshold();
        let (t, n) = (usize::from(threshold.t()), usize::from(threshold.n()));
        let resharing = matches!(self.plan, Plan::Resharing(_)) && self.phase == Phase::Active;
        resharing && self.used && self.seats_in_use().0 >= n.min(2 * t - 1)
    }

    /// Whether the end of the ceremony is a change of the key that a party uses: not for one who merely helped.
    #[must_use]
    pub fn changes_key_of(&self, identity: &PublicKey) -> bool {
        match &self.plan {
            Plan::Generation(_) | Plan::Resharing(_) => true,
            Plan::Repair(_) => self.plan.seat_of(identity).is_some(),
        }
    }

    /// What a backup has of it: the result, and what shows it. Not what parties said before, which they choose the length of.
    #[must_use]
    pub fn result(&self) -> Self {
        Self {
            phase: self.phase,
            transcript: self.transcript,
            counted: self.counted.clone(),
            manifest: self.manifest.clone(),
            signs: self.signs.clone(),
            signed: self.signed.clone(),
            confirms: self.confirms.clone(),
            used: self.used,
            in_use: self.in_use.clone(),
            ..Self::new(self.plan.clone(), self.proposer, self.deadline_ms)
        }
    }

    fn is_planned(&self, index: ParticipantIndex, identity: &PublicKey) -> bool {
        match &self.plan {
            Plan::Repair(_) => true,
            plan => plan.seated(index) == Some(*identity),
        }
    }

    fn keep_manifest(&mut self, signed: &SignedManifest) {
        self.manifest = Some(signed.manifest.clone());
        self.signed = Some(signed.clone());
    }

    /// The manifest with all signatures, once they are there.
    #[must_use]
    pub fn signed_manifest(&self) -> Option<SignedManifest> {
        if let Plan::Repair(repair) = &self.plan {
            return Some(repair.signed_manifest().clone());
        }
        if let Some(signed) = &self.signed {
            return Some(signed.clone());
        }
        let manifest = self.manifest.clone()?;
        let signatures = manifest
            .members()
            .iter()
            .map(|member| self.signs.get(&member.identity).and_then(signature))
            .collect::<Option<Vec<Signature>>>()?;
        let signed = SignedManifest { manifest, signatures };
        signed.verify().is_ok().then_some(signed)
    }
}

fn signature(message: &Message) -> Option<Signature> {
    match &message.body {
        Body::Sign { signature, .. } => Some(*signature),
        _ => None,
    }
}

impl Phase {
    const fn number(self) -> u8 {
        match self {
            Self::Proposed => 1,
            Self::Running => 2,
            Self::Signed => 3,
            Self::Canary => 4,
            Self::Active => 5,
            Self::Aborted => 6,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [
            Self::Proposed,
            Self::Running,
            Self::Signed,
            Self::Canary,
            Self::Active,
            Self::Aborted,
        ]
        .into_iter()
        .find(|phase| phase.number() == number)
    }
}

fn write_messages(writer: &mut Writer, messages: &Messages) {
    writer.count(messages.len());
    messages.values().for_each(|message| writer.put(message));
}

fn read_messages(reader: &mut Reader<'_>) -> Result<Messages, DecodeError> {
    let messages: Vec<Message> = reader.list(MAX_PARTIES)?;
    Ok(messages
        .into_iter()
        .map(|message| (message.sender, message))
        .collect())
}

impl Canonical for Fault {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.who);
        writer.str(crate::journal::cut(&self.what, MAX_REASON));
        writer.option(self.evidence.as_ref());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            who: reader.get()?,
            what: reader.str(MAX_REASON)?.to_owned(),
            evidence: reader.option()?,
        })
    }
}

/// A list of dealers as one object, so that there may be none.
struct Dealers(Vec<ParticipantIndex>);

impl Canonical for Dealers {
    fn encode(&self, writer: &mut Writer) {
        writer.list(&self.0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.list(MAX_MEMBERS.into())?))
    }
}

impl Canonical for Record {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.put(&self.plan);
        writer.put(&self.proposer);
        writer.u64(self.deadline_ms);
        writer.u8(self.phase.number());
        writer.bytes(self.transcript.as_ref().map_or(&[], |digest| digest.as_slice()));
        write_messages(writer, &self.joins);
        writer.list(&self.rejections.iter().copied().collect::<Vec<_>>());
        writer.option(self.expected.clone().map(Dealers).as_ref());
        writer.list(&self.counted);
        writer.option(self.manifest.as_ref());
        write_messages(writer, &self.signs);
        writer.option(self.signed.as_ref());
        write_messages(writer, &self.confirms);
        writer.bool(self.used);
        write_messages(writer, &self.in_use);
        writer.list(&self.faults);
        writer.str(crate::journal::cut(&self.reason, MAX_REASON));
        writer.option(self.culprit.as_ref());
        writer.option(self.abort.as_ref());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION {
            return Err(DecodeError::UnknownVersion("ceremony record"));
        }
        let (plan, proposer, deadline_ms) = (reader.get()?, reader.get()?, reader.u64()?);
        let phase = Phase::from_number(reader.u8()?).ok_or(DecodeError::Invalid("ceremony phase"))?;
        let transcript = match reader.bytes(32)? {
            [] => None,
            digest => Some(
                digest
                    .try_into()
                    .map_err(|_| DecodeError::Invalid("transcript digest"))?,
            ),
        };
        Ok(Self {
            plan,
            proposer,
            deadline_ms,
            phase,
            transcript,
            joins: read_messages(reader)?,
            rejections: reader.list(MAX_PARTIES)?.into_iter().collect(),
            expected: reader.option::<Dealers>()?.map(|dealers| dealers.0),
            counted: reader.list(MAX_MEMBERS.into())?,
            manifest: reader.option()?,
            signs: read_messages(reader)?,
            signed: reader.option()?,
            confirms: read_messages(reader)?,
            used: reader.bool()?,
            in_use: read_messages(reader)?,
            faults: reader.list(MAX_MEMBERS.into())?,
            reason: reader.str(MAX_REASON)?.to_owned(),
            culprit: reader.option()?,
            abort: reader.option()?,
        })
    }
}
