//! A committee of machines with a network between them, in one thread.
//!
//! Messages between two members arrive in order and stay on their way until they are taken, as an outbox keeps
//! them; what a member had still to send is lost when it crashes, as is everything that was not on its disk.

use crate::ceremony::commands::Wish;
use crate::ceremony::machine::{Machine, Memory, NotTaken, Outcome};
use crate::ceremony::message::{Message, Round};
use crate::ceremony::outbox::Queue;
use crate::ceremony::plan::Plan;
use crate::ceremony::record::{Phase, Record};
use crate::journal::{Activated, Step};
use crate::share::Guard;
use rand_core::OsRng;
use service::Identity;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use threshold::committee::{ParticipantIndex, SignedManifest};
use threshold::dkg::Seat;
use threshold::encoding::Canonical;
use threshold::ids::{CeremonyId, KeyId};
use threshold::message::{MessageKind, SignedMessage};
use threshold::name::Name;
use threshold::secret::KeyShare;
use threshold::signature::{PublicKey, sign};
use threshold::transcript::{Domain, Transcript};

pub(crate) const WINDOW_MS: u64 = 60_000;

pub(crate) fn index(number: usize) -> ParticipantIndex {
    ParticipantIndex::new(u16::try_from(number).unwrap()).unwrap()
}

/// The identity of a member.
pub(crate) fn who(number: usize) -> PublicKey {
    let seed = [u8::try_from(number).unwrap(); 32];
    PublicKey::of(&ed25519_dalek::SigningKey::from_bytes(&seed))
}

/// The public key of an identity.
pub(crate) fn key_of(identity: &Identity) -> PublicKey {
    PublicKey::of(identity.signing_key())
}

/// The member with an identity.
pub(crate) fn number(who: &PublicKey) -> usize {
    (1..=64).find(|number| self::who(*number) == *who).unwrap()
}

/// When a member dies while it carries an outcome out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    BeforeStoring,
    AfterShare,
    AfterJournal,
    AfterStoring,
}

#[derive(Default, Clone)]
pub(crate) struct Disk {
    newest: Option<CeremonyId>,
    doubt: Option<CeremonyId>,
    in_use: Option<CeremonyId>,
    before: Option<CeremonyId>,
    pub(crate) records: BTreeMap<CeremonyId, Vec<u8>>,
    refused: BTreeMap<CeremonyId, PublicKey>,
    pub(crate) past: BTreeSet<CeremonyId>,
    /// What the journal says of keys.
    activated: Activated,
    pub(crate) shares: BTreeMap<CeremonyId, Vec<u8>>,
}

pub(crate) struct Member {
    pub(crate) identity: Identity,
    pub(crate) machine: Option<Machine>,
    pub(crate) disk: Disk,
    /// The epoch that it knows to be in use, whether it has a share in it or not.
    pub(crate) active: Option<SignedManifest>,
    /// Its share in that epoch.
    pub(crate) key: Option<Arc<Guard>>,
    /// Its share of the epoch before.
    pub(crate) before: Option<Arc<Guard>>,
}

pub(crate) type Tamper = Box<dyn FnMut(PublicKey, PublicKey, Message) -> Message>;

pub(crate) type Lost = Box<dyn Fn(PublicKey, PublicKey, &Message) -> bool>;

pub(crate) struct Simulation {
    pub(crate) members: Vec<Member>,
    pub(crate) seats: Vec<Seat>,
    pub(crate) now_ms: u64,
    pub(crate) tamper: Option<Tamper>,
    /// Which messages are lost.
    pub(crate) lost: Option<Lost>,
    /// At which carried-out outcome which member crashes, and how.
    pub(crate) crash: Option<(u64, usize, Crash)>,
    pub(crate) carried_out: u64,
    ways: BTreeMap<(usize, usize), Queue>,
    canaries: VecDeque<(usize, CeremonyId)>,
    seed: u64,
    /// What operators were told of the key, by another way.
    pub(crate) key_id: Option<KeyId>,
}

/// The message of a round with another payload, as properly signed by the member as the first.
pub(crate) fn say_instead<K: MessageKind>(
    member: usize,
    round: &Round,
    change: impl FnOnce(&mut Vec<u8>),
) -> Round {
    const ENVELOPE: usize = 37;
    let honest = round.unpack::<K>().unwrap().to_bytes();
    let envelope = &honest[..ENVELOPE];
    let mut payload = honest[ENVELOPE + 4..honest.len() - 64].to_vec();
    change(&mut payload);
    let digest = Transcript::new(Domain::CeremonyPayload)
        .append("payload", &payload)
        .digest();
    let signed = [envelope, digest.as_slice()].concat();
    let key = ed25519_dalek::SigningKey::from_bytes(&[u8::try_from(member).unwrap(); 32]);
    let signature = sign(&key, Domain::CeremonyMessage, &signed).0;
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let bytes = [envelope, length.as_slice(), &payload, signature.as_slice()].concat();
    Round::pack(&SignedMessage::<K>::from_bytes(&bytes).unwrap())
}

/// A new key for everybody.
pub(crate) fn generation(threshold: u16) -> Wish {
    Wish::Generate {
        threshold,
        members: Vec::new(),
    }
}

/// The next epoch for these members, or for the same.
pub(crate) fn resharing(threshold: u16, members: &[usize]) -> Wish {
    Wish::Reshare {
        threshold,
        members: members.iter().map(|member| name(*member)).collect(),
    }
}

pub(crate) fn name(member: usize) -> Name {
    Name::new(&format!("node-{member}")).unwrap()
}

impl Simulation {
    pub(crate) fn new(n: usize, seed: u64) -> Self {
        let identities: Vec<Identity> = (1..=n)
            .map(|number| {
                let byte = u8::try_from(number).unwrap();
                Identity::from_seed(&format!("node-{number}"), &[byte; 32]).unwrap()
            })
            .collect();
        let seats: Vec<Seat> = identities
            .iter()
            .enumerate()
            .map(|(place, identity)| Seat {
                index: index(place + 1),
                name: Name::new(identity.name()).unwrap(),
                identity: PublicKey::from_bytes(&identity.public_key()).unwrap(),
                address: format!("127.0.0.1:{}", 7000 + place),
            })
            .collect();
        let members = identities
            .into_iter()
            .map(|identity| Member {
                identity,
                machine: None,
                disk: Disk::default(),
                active: None,
                key: None,
                before: None,
            })
            .collect();
        let mut simulation = Self {
            members,
            seats,
            now_ms: 1_000_000,
            tamper: None,
            lost: None,
            crash: None,
            carried_out: 0,
            ways: BTreeMap::new(),
            canaries: VecDeque::new(),
            seed,
            key_id: None,
        };
        (1..=n).for_each(|member| simulation.restart(member));
        simulation
    }

    fn member(&mut self, member: usize) -> &mut Member {
        &mut self.members[member - 1]
    }

    pub(crate) fn machine(&mut self, member: usize) -> &mut Machine {
        self.member(member).machine.as_mut().unwrap()
    }

    pub(crate) fn is_up(&self, member: usize) -> bool {
        self.members[member - 1].machine.is_some()
    }

    pub(crate) fn kill(&mut self, member: usize) {
        self.member(member).machine = None;
        self.ways.retain(|(from, _), _| *from != member);
        self.canaries.retain(|(canary, _)| *canary != member);
    }

    pub(crate) fn restart(&mut self, member: usize) {
        let seats = self.seats.clone();
        let me = self.member(member);
        let read = |id: Option<CeremonyId>| id.map(|id| Record::from_bytes(&me.disk.records[&id]).unwrap());
        // As a node loads the keys in use when it starts.
        let (active, before) = (read(me.disk.in_use), read(me.disk.before));
        let guard = |record: &Record| {
            let signed = record.signed_manifest().unwrap();
            signed.manifest.member_by_identity(&who(member))?;
            let share = KeyShare::from_secret_bytes(&me.disk.shares[&record.plan.id()], &signed.manifest);
            Some(Arc::new(Guard::new(share.unwrap(), signed)))
        };
        let key = active.as_ref().and_then(guard);
        let before = before.as_ref().and_then(guard);
        let memory = Memory {
            record: read(me.disk.newest),
            doubt: read(me.disk.doubt),
            past: {
                let known = me.disk.records.keys().chain(me.disk.refused.keys());
                known.chain(&me.disk.past).copied().collect()
            },
            waiting: {
                let records = me
                    .disk
                    .records
                    .values()
                    .map(|bytes| Record::from_bytes(bytes).unwrap());
                let waits =
                    |record: &Record| record.waits(&who(member)) && Some(record.plan.id()) != me.disk.newest;
                records.filter(waits).collect()
            },
            refused: me.disk.refused.clone(),
            key: key.clone(),
            serves_old: me.disk.before.is_some(),
            active,
        };
        // A node whose journal and store are not of one time does not start.
        if let Some(unfinished) = me.disk.activated.unfinished(&memory.stored()).unwrap() {
            let disk = &mut self.members[member - 1].disk;
            disk.activated.step(unfinished, Step::Withdrawn);
        }
        let me = &self.members[member - 1];
        let signed = memory.active.as_ref().and_then(Record::signed_manifest);
        let identity = me.identity.clone();
        let mut machine = Machine::new(identity, seats, memory, WINDOW_MS);
        let out = machine.resume(self.now_ms);
        let me = self.member(member);
        (me.active, me.key, me.before) = (signed, key, before);
        me.machine = Some(machine);
        self.carry_out(member, out);
    }

    /// A copy of a member's disk.
    pub(crate) fn disk_of(&self, member: usize) -> Disk {
        self.members[member - 1].disk.clone()
    }

    /// Puts a copy of the member's disk back.
    pub(crate) fn put_disk_back(&mut self, member: usize, disk: Disk) {
        self.member(member).disk = disk;
    }

    /// The member's disk is replaced by an empty one; its identity is not on it.
    pub(crate) fn wipe(&mut self, member: usize) {
        self.kill(member);
        self.member(member).disk = Disk::default();
        self.restart(member);
    }

    /// Time passes, and every member that is up notices.
    pub(crate) fn tick(&mut self, passed_ms: u64) {
        self.now_ms += passed_ms;
        for member in 1..=self.members.len() {
            if self.is_up(member) {
                let now_ms = self.now_ms;
                let out = self.machine(member).tick(now_ms);
                self.carry_out(member, out);
            }
        }
    }

    /// The operator of a member that is up gives a ceremony up, if it still can.
    pub(crate) fn abort(&mut self, member: usize, id: CeremonyId) {
        if let Ok(out) = self.machine(member).abort(id) {
            self.carry_out(member, out);
        }
    }

    /// Proposes at one member; the others' operators join as soon as they know of it.
    pub(crate) fn propose(&mut self, member: usize, t: u16) -> CeremonyId {
        self.wish(member, &generation(t))
    }

    /// As [`Self::propose`], for any ceremony.
    pub(crate) fn wish(&mut self, member: usize, wish: &Wish) -> CeremonyId {
        let now_ms = self.now_ms;
        let (id, out) = self.machine(member).propose(wish, now_ms, &mut OsRng).unwrap();
        self.carry_out(member, out);
        id
    }

    pub(crate) fn join_everywhere(&mut self, id: CeremonyId) {
        for member in 1..=self.members.len() {
            self.join(member, id);
        }
    }

    pub(crate) fn join(&mut self, member: usize, id: CeremonyId) {
        if !self.is_up(member) {
            return;
        }
        let mut out = Outcome::default();
        let key = self.key_id;
        if self.machine(member).join(id, key, &mut OsRng, &mut out).is_ok() {
            self.carry_out(member, out);
        }
    }

    fn dies(&mut self, member: usize, how: Crash) -> bool {
        let due = self
            .crash
            .is_some_and(|(at, who, when)| at <= self.carried_out && who == member && when == how);
        if due {
            self.crash = None;
            self.kill(member);
        }
        due
    }

    pub(crate) fn carry_out(&mut self, member: usize, out: Outcome) {
        self.carried_out += 1;
        if self.dies(member, Crash::BeforeStoring) {
            return;
        }
        self.member(member).disk.refused.extend(out.refused);
        let record = self.machine(member).record().cloned();
        let Some(record) = record else {
            for (to, message) in out.send {
                self.send(member, &to, &message);
            }
            return;
        };
        let id = record.plan.id();
        if let Some((share, _)) = &out.share {
            self.member(member)
                .disk
                .shares
                .insert(id, share.to_secret_bytes().to_vec());
            if self.dies(member, Crash::AfterShare) {
                return;
            }
        }
        for (ceremony, step, _) in &out.journal {
            self.member(member).disk.activated.step(*ceremony, *step);
        }
        if !out.journal.is_empty() && self.dies(member, Crash::AfterJournal) {
            return;
        }
        let in_use = record.phase == Phase::Active && record.changes_key_of(&who(member));
        if out.persist {
            let doubt = self.machine(member).doubt().map(|record| record.plan.id());
            let newest = Some(id);
            let disk = &mut self.member(member).disk;
            for record in out.others.iter().chain([&record]) {
                let id = record.plan.id();
                if record.is_past(&who(member)) && Some(id) != newest {
                    disk.records.remove(&id);
                    disk.past.insert(id);
                } else {
                    disk.records.insert(id, record.to_bytes());
                }
            }
            (disk.newest, disk.doubt) = (Some(id), doubt);
            if in_use && disk.in_use != Some(id) {
                let serves = matches!(record.plan, Plan::Resharing(_));
                disk.before = disk.in_use.replace(id).filter(|_| serves);
            }
        }
        if self.dies(member, Crash::AfterStoring) {
            return;
        }
        if out.canary.is_some() {
            assert!(
                self.member(member).disk.shares.contains_key(&id),
                "a promise without a stored share"
            );
            self.canaries.push_back((member, id));
        }
        if let Some(signed) = out.activate {
            self.activate(member, id, signed);
        }
        if out.retire {
            let me = self.member(member);
            let kept = [me.disk.in_use, me.disk.newest, me.disk.doubt];
            me.disk.shares.retain(|id, _| kept.contains(&Some(*id)));
            if self.dies(member, Crash::AfterStoring) {
                return;
            }
            let me = self.member(member);
            (me.before, me.disk.before) = (None, None);
        }
        for (to, message) in out.send {
            self.send(member, &to, &message);
        }
    }

    fn activate(&mut self, member: usize, id: CeremonyId, signed: SignedManifest) {
        let me = self.member(member);
        let key = signed.manifest.member_by_identity(&who(member)).map(|_| {
            let share = KeyShare::from_secret_bytes(&me.disk.shares[&id], &signed.manifest).unwrap();
            Arc::new(Guard::new(share, signed.clone()))
        });
        let earlier = std::mem::replace(&mut me.key, key.clone());
        me.before = earlier.filter(|_| me.disk.before.is_some());
        if me.disk.before.is_none() {
            let kept = [me.disk.in_use, me.disk.newest, me.disk.doubt];
            me.disk.shares.retain(|id, _| kept.contains(&Some(*id)));
        }
        me.active = Some(signed);
        self.machine(member).use_key(key);
    }

    fn send(&mut self, from: usize, to: &PublicKey, message: &Message) {
        let other = number(to);
        let lost = self.lost.as_ref();
        if lost.is_some_and(|lost| lost(who(from), *to, message)) {
            return;
        }
        let message = match &mut self.tamper {
            Some(tamper) => tamper(who(from), *to, message.clone()),
            None => message.clone(),
        };
        self.ways.entry((from, other)).or_default().push(message);
    }

    fn random(&mut self, below: usize) -> usize {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.seed >> 33).unwrap() % below
    }

    /// Delivers one message, or finishes one canary, of those that can be; says whether there was one.
    pub(crate) fn step(&mut self) -> bool {
        let mut ready: Vec<(usize, usize)> = self
            .ways
            .iter()
            .filter(|((_, to), way)| way.first().is_some() && self.is_up(*to))
            .map(|(way, _)| *way)
            .collect();
        let canaries: Vec<usize> = (0..self.canaries.len())
            .filter(|place| self.opens(self.canaries[*place]))
            .collect();
        while !ready.is_empty() {
            let place = self.random(ready.len() + canaries.len());
            if let Some(canary) = canaries.get(place.wrapping_sub(ready.len())) {
                return self.try_key(*canary);
            }
            let (from, to) = ready.swap_remove(place);
            let message = self.ways[&(from, to)].first().unwrap().clone();
            let now_ms = self.now_ms;
            match self
                .machine(to)
                .message(&who(from), message.clone(), now_ms, &mut OsRng)
            {
                Ok(out) => {
                    self.taken(from, to, &message, out);
                    return true;
                }
                Err(NotTaken::Early | NotTaken::TooMany) => {}
                Err(NotTaken::Wrong(error)) => panic!("member {to} finds a message of {from} wrong: {error}"),
            }
        }
        canaries.first().is_some_and(|canary| self.try_key(*canary))
    }

    fn try_key(&mut self, canary: usize) -> bool {
        let (member, id) = self.canaries.remove(canary).unwrap();
        let out = self.machine(member).canary_opened(id, &mut OsRng);
        self.carry_out(member, out);
        true
    }

    /// A canary opens when enough members answer it: those that are up and have all signatures.
    fn opens(&self, (_, id): (usize, CeremonyId)) -> bool {
        let members = self.members.iter().filter_map(|member| {
            let record = member.machine.as_ref()?.record()?;
            record
                .plan
                .seat_of(&PublicKey::of(member.identity.signing_key()))?;
            Some(record)
        });
        let of_ceremony = members.filter(|record| record.plan.id() == id);
        let mut answers = of_ceremony.filter(|record| matches!(record.phase, Phase::Canary | Phase::Active));
        let t = self.threshold(id);
        answers.nth(t - 1).is_some()
    }

    fn threshold(&self, id: CeremonyId) -> usize {
        let mut records = self
            .members
            .iter()
            .filter_map(|member| member.machine.as_ref().and_then(Machine::record));
        let record = records.find(|record| record.plan.id() == id);
        record.map_or(usize::MAX, |record| record.plan.threshold().t().into())
    }

    /// The receiver acknowledges what it has carried out; its answer is not answered.
    fn taken(&mut self, from: usize, to: usize, message: &Message, mut out: Outcome) {
        let answer = out.answer.take();
        self.carry_out(to, out);
        let Some(way) = self
            .ways
            .get_mut(&(from, to))
            .filter(|_| self.members[to - 1].machine.is_some())
        else {
            return;
        };
        way.done(message);
        let lost = self.lost.as_ref();
        let arrives = |answer: &Message| !lost.is_some_and(|lost| lost(who(to), who(from), answer));
        let answer = answer.filter(arrives);
        if let Some(answer) = answer.filter(|_| self.is_up(from)) {
            let now_ms = self.now_ms;
            let mut out = self
                .machine(from)
                .message(&who(to), answer, now_ms, &mut OsRng)
                .unwrap();
            out.answer = None;
            self.carry_out(from, out);
        }
    }

    pub(crate) fn settle(&mut self) {
        for _ in 0..20_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the committee does not come to rest");
    }

    /// Proposes, joins as the proposal arrives, and runs to rest.
    pub(crate) fn run(&mut self, proposer: usize, t: u16) -> CeremonyId {
        let id = self.propose(proposer, t);
        self.run_on(id);
        id
    }

    /// Joins as the proposal arrives, and runs to rest.
    pub(crate) fn run_on(&mut self, id: CeremonyId) {
        for _ in 0..20_000 {
            self.join_everywhere_unjoined(id);
            if !self.step() {
                return;
            }
        }
        panic!("the committee does not come to rest");
    }

    fn join_everywhere_unjoined(&mut self, id: CeremonyId) {
        for member in 1..=self.members.len() {
            let waits = self.members[member - 1]
                .machine
                .as_ref()
                .and_then(|machine| machine.waiting.get(&id).or(machine.record()))
                .is_some_and(|record| {
                    record.phase == Phase::Proposed
                        && record.plan.id() == id
                        && record.plan.party(&who(member)).is_some()
                        && !record.joins.contains_key(&who(member))
                });
            if waits {
                self.join(member, id);
            }
        }
    }

    pub(crate) fn phases(&self) -> Vec<Option<Phase>> {
        let phase = |member: &Member| {
            member
                .machine
                .as_ref()
                .and_then(Machine::record)
                .map(|record| record.phase)
        };
        self.members.iter().map(phase).collect()
    }

    pub(crate) fn all_are(&self, phase: Phase) -> bool {
        self.phases().iter().all(|found| *found == Some(phase))
    }

    /// Whether these members all use one key, or all none and wait for nothing; anything between fails the test.
    pub(crate) fn all_or_nothing(&self, members: impl Iterator<Item = usize>, case: &str) -> bool {
        let members: Vec<&Member> = members.map(|member| &self.members[member - 1]).collect();
        let manifests: BTreeSet<Vec<u8>> = members
            .iter()
            .filter_map(|member| member.active.as_ref().map(Canonical::to_bytes))
            .collect();
        let using = members.iter().filter(|member| member.active.is_some()).count();
        let phases = self.phases();
        assert!(manifests.len() <= 1, "{case}: two keys; {phases:?}");
        assert!(
            using == 0 || using == members.len(),
            "{case}: some use a key; {phases:?}"
        );
        let waits = |member: &&Member| member.machine.as_ref().and_then(Machine::live).is_some();
        assert!(!members.iter().any(waits), "{case}: some wait; {phases:?}");
        using > 0
    }

    /// The one manifest that all members use, each with a share that fits it.
    pub(crate) fn common_key(&self) -> SignedManifest {
        let manifests: Vec<&SignedManifest> = self
            .members
            .iter()
            .map(|member| member.active.as_ref().expect("no key in use"))
            .collect();
        assert!(
            manifests.windows(2).all(|pair| pair[0] == pair[1]),
            "members use different keys"
        );
        manifests[0].verify().unwrap();
        (1..=self.members.len()).for_each(|member| drop(self.share(member)));
        manifests[0].clone()
    }

    pub(crate) fn share(&self, member: usize) -> KeyShare {
        let member = &self.members[member - 1];
        let manifest = &member.active.as_ref().unwrap().manifest;
        let id = member.disk.in_use.unwrap();
        KeyShare::from_secret_bytes(&member.disk.shares[&id], manifest).unwrap()
    }

    pub(crate) fn guard(&self, member: usize) -> Guard {
        Guard::new(self.share(member), self.common_key())
    }
}
