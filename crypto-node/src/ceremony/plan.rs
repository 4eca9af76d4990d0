//! What a ceremony is to do, and who takes part in it.
//!
//! ```text
//! plan  01 ‖ ceremony | 02 ‖ resharing | 03 ‖ repair       each as docs/protocol-bytes.md has it
//! ```

use threshold::committee::{ParticipantIndex, SignedManifest, Threshold};
use threshold::dkg::{Ceremony, Seat};
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::ids::CeremonyId;
use threshold::name::Name;
use threshold::repair::Repair;
use threshold::reshare::Resharing;
use threshold::signature::PublicKey;

/// What a ceremony is to do. Its id binds all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Generate a key: every party has a seat.
    Generation(Ceremony),
    /// Hand a key over to its next epoch: the new seats get shares that the old members deal. Refreshing is this, with the
    /// same seats and threshold.
    Resharing(Box<Resharing>),
    /// Give a member the share again that it lost, with the help of t others.
    Repair(Box<Repair>),
}

/// A node that has to do with a ceremony.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Its name.
    pub name: Name,
    /// The key that it signs with, and is known by on the network.
    pub identity: PublicKey,
    /// Where it is reached.
    pub address: String,
    /// Its place among those that get a share.
    pub seat: Option<ParticipantIndex>,
    /// Its place among those whose shares are dealt.
    pub dealer: Option<ParticipantIndex>,
}

impl Party {
    fn of(seat: &Seat) -> Self {
        Self {
            name: seat.name.clone(),
            identity: seat.identity,
            address: seat.address.clone(),
            seat: Some(seat.index),
            dealer: None,
        }
    }
}

impl Plan {
    /// The id of the ceremony.
    #[must_use]
    pub const fn id(&self) -> CeremonyId {
        match self {
            Self::Generation(ceremony) => ceremony.id(),
            Self::Resharing(resharing) => resharing.id(),
            Self::Repair(repair) => repair.id(),
        }
    }

    /// How many of how many, when it is done.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        match self {
            Self::Generation(ceremony) => ceremony.threshold(),
            Self::Resharing(resharing) => resharing.threshold(),
            Self::Repair(repair) => repair.manifest().threshold(),
        }
    }

    /// The manifest that it starts from; a key generation has none.
    #[must_use]
    pub const fn starts_from(&self) -> Option<&SignedManifest> {
        match self {
            Self::Generation(_) => None,
            Self::Resharing(resharing) => Some(resharing.signed_previous()),
            Self::Repair(repair) => Some(repair.signed_manifest()),
        }
    }

    /// Everybody, those with a seat first, each in the order of the indices.
    #[must_use]
    pub fn parties(&self) -> Vec<Party> {
        match self {
            Self::Generation(ceremony) => ceremony.seats().iter().map(Party::of).collect(),
            Self::Resharing(resharing) => {
                let seated = resharing.seats().iter().map(|seat| Party {
                    dealer: resharing.dealer_of(&seat.identity).map(|member| member.index),
                    ..Party::of(seat)
                });
                let members = resharing.previous().members().iter();
                let leaving = members.filter(|member| resharing.seat_of(&member.identity).is_none());
                let leaving = leaving.map(|member| Party {
                    name: member.name.clone(),
                    identity: member.identity,
                    address: member.address.clone(),
                    seat: None,
                    dealer: Some(member.index),
                });
                seated.chain(leaving).collect()
            }
            Self::Repair(repair) => {
                let lost = repair.lost();
                let indices = std::iter::once(lost).chain(repair.helpers().iter().copied());
                let members = indices.filter_map(|index| repair.manifest().member(index));
                let party = |member: &threshold::committee::Member| Party {
                    name: member.name.clone(),
                    identity: member.identity,
                    address: member.address.clone(),
                    seat: (member.index == lost).then_some(member.index),
                    dealer: (member.index != lost).then_some(member.index),
                };
                members.map(party).collect()
            }
        }
    }

    /// One of them, by its identity.
    #[must_use]
    pub fn party(&self, identity: &PublicKey) -> Option<Party> {
        self.parties()
            .into_iter()
            .find(|party| party.identity == *identity)
    }

    /// The index under which an identity gets a share.
    #[must_use]
    pub fn seat_of(&self, identity: &PublicKey) -> Option<ParticipantIndex> {
        self.party(identity).and_then(|party| party.seat)
    }

    /// The index under which an identity deals its share.
    #[must_use]
    pub fn dealer_of(&self, identity: &PublicKey) -> Option<ParticipantIndex> {
        self.party(identity).and_then(|party| party.dealer)
    }

    /// The identity of whoever gets the share with this index.
    #[must_use]
    pub fn seated(&self, index: ParticipantIndex) -> Option<PublicKey> {
        let mut parties = self.parties().into_iter();
        parties
            .find(|party| party.seat == Some(index))
            .map(|party| party.identity)
    }

    /// The identity of whoever deals under this index.
    #[must_use]
    pub fn dealing(&self, index: ParticipantIndex) -> Option<PublicKey> {
        let mut parties = self.parties().into_iter();
        parties
            .find(|party| party.dealer == Some(index))
            .map(|party| party.identity)
    }

    /// Whether the ceremony cannot begin without this party's consent. Old members who get no share only deal, and t of
    /// them are enough.
    #[must_use]
    pub const fn needs(&self, party: &Party) -> bool {
        party.seat.is_some() || !matches!(self, Self::Resharing(_))
    }

    /// How many must deal.
    #[must_use]
    pub fn dealers_needed(&self) -> usize {
        match self {
            Self::Generation(_) => 0,
            Self::Resharing(resharing) => resharing.previous().threshold().t().into(),
            Self::Repair(repair) => repair.helpers().len(),
        }
    }

    /// A party in words; whoever is none is named by its key.
    #[must_use]
    pub fn name_of(&self, identity: &PublicKey) -> String {
        self.party(identity)
            .map_or_else(|| identity.to_string(), |party| party.name.to_string())
    }

    /// What it is, in words.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Generation(ceremony) => format!("generate a key, {}", ceremony.threshold()),
            Self::Resharing(resharing) => {
                let previous = resharing.previous();
                let same = previous.threshold() == resharing.threshold()
                    && resharing
                        .seats()
                        .iter()
                        .all(|seat| resharing.dealer_of(&seat.identity).is_some());
                let verb = if same { "refresh" } else { "reshare" };
                let (key, epoch) = (previous.key_id(), previous.epoch());
                format!("{verb} key {key}, epoch {epoch}, to {}", resharing.threshold())
            }
            Self::Repair(repair) => {
                let manifest = repair.manifest();
                format!(
                    "repair the share of member {} of key {}",
                    repair.lost(),
                    manifest.key_id()
                )
            }
        }
    }
}

impl Canonical for Plan {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Generation(ceremony) => {
                writer.u8(1);
                writer.put(ceremony);
            }
            Self::Resharing(resharing) => {
                writer.u8(2);
                writer.put(resharing.as_ref());
            }
            Self::Repair(repair) => {
                writer.u8(3);
                writer.put(repair.as_ref());
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Generation(reader.get()?)),
            2 => Ok(Self::Resharing(Box::new(reader.get()?))),
            3 => Ok(Self::Repair(Box::new(reader.get()?))),
            _ => Err(DecodeError::Invalid("kind of ceremony")),
        }
    }
}
