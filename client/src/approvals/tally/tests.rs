//! Endorsers of which one lies.

use approval::{Authority, TrustedOrganisation};
use ed25519_dalek::SigningKey;
use golden_record::Entry;
use proto::ledger::LogEntry;
use threshold::ids::{ApproveId, BlockHash, ChainId, WriteId};
use threshold::reencrypt::ReaderKey;
use threshold::secret::DataKey;
use threshold::testing::{TestCommittee, TestRng, label};
use threshold::wrap::{WrappedKey, wrap};

use super::*;

const NOW_MS: u64 = 1_800_000_000_000;
const CHAIN: ChainId = ChainId([1; 32]);
const HEIGHT: u64 = 5;

/// Four organisations, three of which must approve; a read request; what each answers.
struct Scene {
    authorities: Vec<(Name, Authority)>,
    bundle: TrustBundle,
    label: Label,
    key_id: KeyId,
    request: Transaction,
    document: DocumentVersion,
}

impl Scene {
    fn new() -> Self {
        let mut rng = TestRng::new("tally");
        let committee = TestCommittee::generate(2, 3, &mut rng).unwrap();
        let label = label("contract", 1).unwrap();
        let key = committee.manifest().custody_key();
        let wrapped = wrap(key, &label, &DataKey::from_bytes([9; 32]), &mut rng).unwrap();
        let authorities: Vec<(Name, Authority)> = ["north", "east", "south", "west"]
            .into_iter()
            .zip(1..)
            .map(authority)
            .collect();
        let trusted = authorities
            .iter()
            .map(|(name, authority)| TrustedOrganisation::new(name.clone(), authority.root_der()).unwrap())
            .collect();
        let policy = "OUTOF(3, north, east, south, west)".parse().unwrap();
        let bundle = TrustBundle::new(1, CHAIN, label.installation.clone(), trusted, policy).unwrap();
        let request = request(&label, &ReaderKey::generate(&mut rng));
        Self {
            authorities,
            bundle,
            key_id: key.key_id(),
            request,
            document: document(&label, wrapped),
            label,
        }
    }

    fn tally(&self) -> Tally<'_> {
        Tally::new(&self.bundle, Some(self.key_id), 1, &self.request, &self.label)
    }

    fn wrapped(&self) -> &WrappedKey {
        self.document.wrapped_key.as_ref().unwrap()
    }

    fn fields(&self) -> ApprovalFields {
        let Body::RequestRead { q, .. } = &self.request.body else {
            panic!("a read request")
        };
        ApprovalFields {
            approve_id: self.request.tx_id(),
            write_id: self.wrapped().write_id(),
            q: *q,
            key_id: self.wrapped().key_id(),
            label: self.label.clone(),
            chain_id: CHAIN,
            height: HEIGHT,
            block_hash: BlockHash([2; 32]),
            policy_version: 1,
        }
    }

    fn entry(&self, outcome: Outcome) -> LogEntry {
        let entry = Entry {
            transaction: self.request.clone(),
            outcome,
        };
        LogEntry {
            index: 3,
            height: HEIGHT,
            entry: entry.to_bytes(),
            time_ms: NOW_MS,
        }
    }

    fn approved(&self) -> LogEntry {
        let write_id = self.wrapped().write_id();
        self.entry(Outcome::Approved {
            version: self.label.version,
            write_id,
            key_id: self.key_id,
        })
    }

    /// An answer with a certificate of these fields by this organisation's CA.
    fn answer(&self, organisation: usize, fields: &ApprovalFields) -> RequestReadResponse {
        self.answer_at(organisation, fields, NOW_MS)
    }

    fn answer_at(&self, organisation: usize, fields: &ApprovalFields, at_ms: u64) -> RequestReadResponse {
        let certificate = self.authorities[organisation].1.issue(fields, at_ms, 60).unwrap();
        let approval = Approval {
            certificate,
            document: self.document.to_bytes(),
        };
        RequestReadResponse {
            entry: Some(self.approved()),
            approval: Some(approval),
        }
    }

    fn name(&self, organisation: usize) -> &Name {
        &self.authorities[organisation].0
    }

    /// The liar answers first, then the three honest ones: the read is approved and the liar named.
    fn survives(&self, lie: RequestReadResponse, check: &str) {
        let mut tally = self.tally();
        tally.take(self.name(0), lie);
        assert!(tally.verdict(NOW_MS).is_none());
        let honest = self.fields();
        for organisation in 1..4 {
            assert!(tally.verdict(NOW_MS).is_none(), "approved by too few");
            tally.take(self.name(organisation), self.answer(organisation, &honest));
        }
        let read = tally.verdict(NOW_MS).unwrap().unwrap();
        assert_eq!(read.certificates.len(), 3);
        assert_eq!(read.document, self.document);
        let [fault] = read.faults.as_slice() else {
            panic!("one fault: {:?}", read.faults)
        };
        assert_eq!(fault.party, Party::Endorser(self.name(0).clone()));
        assert_eq!(fault.check, check);
    }
}

fn authority((name, seed): (&str, u8)) -> (Name, Authority) {
    let name: Name = name.parse().unwrap();
    let root = Authority::generate(&name, &[seed; 32], NOW_MS).unwrap();
    (name, Authority::from_seed(&[seed; 32], &root).unwrap())
}

fn request(label: &Label, reader: &ReaderKey) -> Transaction {
    let body = Body::RequestRead {
        tenant: label.tenant.clone(),
        dataset: label.dataset.clone(),
        document: label.document.clone(),
        version: label.version,
        user: "bob".parse().unwrap(),
        q: reader.public(),
        purpose: String::new(),
    };
    Transaction::sign_read(
        CHAIN,
        &SigningKey::from_bytes(&[5; 32]),
        reader,
        [0; 16],
        NOW_MS + 1000,
        body,
    )
}

fn document(label: &Label, wrapped_key: WrappedKey) -> DocumentVersion {
    DocumentVersion {
        tenant: label.tenant.clone(),
        dataset: label.dataset.clone(),
        document: label.document.clone(),
        version: label.version,
        wrapped_key: Some(wrapped_key),
        material: vec![1],
        checksum: [0; 32],
        size: 0,
        inline: None,
        writer: "alice".parse().unwrap(),
        height: 1,
        log_index: 1,
        time_ms: NOW_MS,
    }
}

#[test]
fn three_of_four_are_enough() {
    let scene = Scene::new();
    let mut tally = scene.tally();
    for organisation in 0..2 {
        tally.take(
            scene.name(organisation),
            scene.answer(organisation, &scene.fields()),
        );
        assert!(tally.verdict(NOW_MS).is_none());
    }
    tally.take(scene.name(3), scene.answer(3, &scene.fields()));
    let read = tally.verdict(NOW_MS).unwrap().unwrap();
    assert_eq!(read.approved.organisations().len(), 3);
    assert!(read.faults.is_empty());
}

#[test]
fn a_certificate_for_another_request_reader_or_document_is_its_endorsers_fault() {
    let scene = Scene::new();
    let other = ReaderKey::generate(&mut TestRng::new("other"));
    let lies: [&dyn Fn(&mut ApprovalFields); 3] = [
        &|fields| fields.approve_id = ApproveId([8; 32]),
        &|fields| fields.q = other.public(),
        &|fields| fields.label = label("another", 1).unwrap(),
    ];
    for lie in lies {
        let mut fields = scene.fields();
        lie(&mut fields);
        scene.survives(scene.answer(0, &fields), "certificate");
    }
}

/// Another statement than the others'.
type Lie = fn(&mut ApprovalFields);

/// A liar's certificate, or that of an organisation that has the next policy already: the others approve without it, and
/// only it is named, if anybody is.
#[test]
fn d14_a_certificate_of_another_block_spoils_nothing() {
    let scene = Scene::new();
    let certificate_of_another: [(Lie, Option<&str>); 5] = [
        (|fields| fields.height += 1, None),
        (|fields| fields.block_hash = BlockHash([3; 32]), None),
        (|fields| fields.policy_version += 1, Some("policy_version")),
        (|fields| fields.chain_id = ChainId([3; 32]), Some("certificate")),
        (|fields| fields.key_id = KeyId([3; 32]), Some("certificate")),
    ];
    for (lie, check) in certificate_of_another {
        let mut fields = scene.fields();
        lie(&mut fields);
        let mut tally = scene.tally();
        tally.take(scene.name(0), scene.answer(0, &fields));
        for organisation in 1..4 {
            assert!(tally.verdict(NOW_MS).is_none());
            tally.take(
                scene.name(organisation),
                scene.answer(organisation, &scene.fields()),
            );
        }
        let read = tally.verdict(NOW_MS).unwrap().unwrap();
        assert_eq!(*read.approved.fields(), scene.fields());
        assert_eq!(read.certificates.len(), 3);
        let named = Party::Endorser(scene.name(0).clone());
        let expected: Vec<_> = check.map(|check| (&named, check)).into_iter().collect();
        let faults = read.faults.iter();
        let found: Vec<_> = faults.map(|fault| (&fault.party, fault.check)).collect();
        assert_eq!(found, expected);
    }
}

/// Two organisations that change the policy at the same moment, before this client does: too few are left, and nobody is
/// called a liar.
#[test]
fn organisations_that_have_the_next_policy_are_named_with_it() {
    let scene = Scene::new();
    let mut ahead = scene.fields();
    ahead.policy_version += 1;
    let mut tally = scene.tally();
    for organisation in 0..4 {
        let fields = if organisation < 2 { &ahead } else { &scene.fields() };
        tally.take(scene.name(organisation), scene.answer(organisation, fields));
        assert!(tally.verdict(NOW_MS).is_none());
    }
    let Error::TooFew { faults, .. } = tally.too_few() else {
        panic!("too few")
    };
    let checks: Vec<_> = faults.iter().map(|fault| fault.check).collect();
    assert_eq!(
        checks,
        ["policy_version", "policy_version", "approval", "approval"]
    );
}

/// A certificate that held when it was looked at, and holds no more when there are enough.
#[test]
fn d14_for_a_certificate_that_has_expired_meanwhile_only_its_endorser_is_named() {
    let scene = Scene::new();
    let mut other = scene.fields();
    other.height += 1;
    let mut tally = scene.tally();
    // All are looked at one by one, because one is of another block.
    tally.take(scene.name(3), scene.answer(3, &other));
    tally.take(scene.name(0), scene.answer(0, &scene.fields()));
    tally.take(
        scene.name(1),
        scene.answer_at(1, &scene.fields(), NOW_MS + 30_000),
    );
    assert!(tally.verdict(NOW_MS + 50_000).is_none());
    tally.take(
        scene.name(2),
        scene.answer_at(2, &scene.fields(), NOW_MS + 60_000),
    );
    assert!(tally.verdict(NOW_MS + 80_000).is_none());
    let Error::TooFew { faults, .. } = tally.too_few() else {
        panic!("too few")
    };
    let blamed: Vec<_> = faults
        .iter()
        .filter(|fault| fault.check == "certificate")
        .map(|fault| fault.party.clone())
        .collect();
    assert_eq!(blamed, [Party::Endorser(scene.name(0).clone())]);
}

#[test]
fn an_endorser_that_gives_another_place_in_the_log_or_outcome_does_not_count() {
    let scene = Scene::new();
    let other_outcome = scene.entry(Outcome::Approved {
        version: 1,
        write_id: WriteId([0; 32]),
        key_id: scene.key_id,
    });
    let lies: [&dyn Fn(&mut LogEntry); 4] = [
        &|entry| entry.index = 1_000,
        &|entry| entry.height += 1,
        &|entry| entry.time_ms += 1,
        &|entry| entry.entry.clone_from(&other_outcome.entry),
    ];
    let honest = recorded_of(&scene);
    for lie in lies {
        let mut answer = scene.answer(0, &scene.fields());
        lie(answer.entry.as_mut().unwrap());
        let mut tally = scene.tally();
        tally.take(scene.name(0), answer);
        for organisation in 1..4 {
            assert!(tally.verdict(NOW_MS).is_none());
            let honest = scene.answer(organisation, &scene.fields());
            tally.take(scene.name(organisation), honest);
        }
        let found = tally.verdict(NOW_MS).unwrap().unwrap().recorded;
        assert_eq!(
            (found.index, found.height, found.time_ms, found.entry.outcome),
            (honest.index, honest.height, honest.time_ms, honest.entry.outcome)
        );
    }
}

/// What an honest endorser reports of the request.
fn recorded_of(scene: &Scene) -> Recorded {
    let party = Party::Endorser(scene.name(1).clone());
    recorded(&party, &scene.request, Some(scene.approved())).unwrap()
}

#[test]
fn a_read_request_that_is_recorded_as_something_else_is_its_endorsers_fault() {
    let scene = Scene::new();
    let lie = RequestReadResponse {
        entry: Some(scene.entry(Outcome::Applied)),
        approval: None,
    };
    scene.survives(lie, "outcome");
}

#[test]
fn entries_of_another_block_than_the_certified_are_not_believed() {
    let scene = Scene::new();
    let mut tally = scene.tally();
    for organisation in 0..3 {
        let mut lie = scene.answer(organisation, &scene.fields());
        lie.entry.as_mut().unwrap().height = HEIGHT + 1;
        tally.take(scene.name(organisation), lie);
        assert!(tally.verdict(NOW_MS).is_none());
    }
}

#[test]
fn d2_an_endorser_that_gives_anothers_certificate_is_named() {
    let scene = Scene::new();
    scene.survives(scene.answer(1, &scene.fields()), "certificate");
}

#[test]
fn an_endorser_that_gives_another_document_does_not_count() {
    let scene = Scene::new();
    let mut lie = scene.answer(0, &scene.fields());
    let mut document = scene.document.clone();
    document.material = vec![2];
    lie.approval.as_mut().unwrap().document = document.to_bytes();
    let mut tally = scene.tally();
    tally.take(scene.name(0), lie);
    for organisation in 1..4 {
        assert!(tally.verdict(NOW_MS).is_none());
        tally.take(
            scene.name(organisation),
            scene.answer(organisation, &scene.fields()),
        );
    }
    assert_eq!(tally.verdict(NOW_MS).unwrap().unwrap().document, scene.document);
}

#[test]
fn an_answer_about_another_transaction_is_its_endorsers_fault() {
    let scene = Scene::new();
    let other = request(&scene.label, &ReaderKey::generate(&mut TestRng::new("other")));
    let mut lie = scene.answer(0, &scene.fields());
    let entry = Entry {
        transaction: other,
        outcome: Outcome::Denied(DenialReason::NotAReader),
    };
    lie.entry.as_mut().unwrap().entry = entry.to_bytes();
    scene.survives(lie, "entry");
}

#[test]
fn an_approval_without_certificate_is_its_endorsers_fault() {
    let scene = Scene::new();
    let lie = RequestReadResponse {
        entry: Some(scene.approved()),
        approval: None,
    };
    scene.survives(lie, "certificate");
}

#[test]
fn one_denial_may_be_a_lie_and_two_are_not() {
    let scene = Scene::new();
    let denied = || RequestReadResponse {
        entry: Some(scene.entry(Outcome::Denied(DenialReason::NotAReader))),
        approval: None,
    };
    let mut tally = scene.tally();
    tally.take(scene.name(0), denied());
    assert!(tally.verdict(NOW_MS).is_none());
    tally.take(scene.name(1), denied());
    let verdict = tally.verdict(NOW_MS).unwrap();
    assert!(matches!(
        verdict,
        Err(Error::Denied {
            reason: DenialReason::NotAReader,
            ..
        })
    ));
}

/// The reason as well: one liar does not choose it.
#[test]
fn p3_the_reason_of_a_denial_is_one_that_more_give_than_can_lie() {
    let scene = Scene::new();
    let denied = |reason| RequestReadResponse {
        entry: Some(scene.entry(Outcome::Denied(reason))),
        approval: None,
    };
    let mut tally = scene.tally();
    tally.take(scene.name(0), denied(DenialReason::Erased));
    tally.take(scene.name(1), denied(DenialReason::NotAReader));
    assert!(tally.verdict(NOW_MS).is_none(), "one of the two may lie");
    tally.take(scene.name(2), denied(DenialReason::NotAReader));
    assert!(matches!(
        tally.verdict(NOW_MS),
        Some(Err(Error::Denied {
            reason: DenialReason::NotAReader,
            ..
        }))
    ));
}

#[test]
fn a_document_under_another_custody_key_than_the_pinned_is_refused() {
    let scene = Scene::new();
    let pinned = Some(KeyId([0; 32]));
    let mut tally = Tally::new(&scene.bundle, pinned, 1, &scene.request, &scene.label);
    for organisation in 0..4 {
        tally.take(
            scene.name(organisation),
            scene.answer(organisation, &scene.fields()),
        );
        assert!(tally.verdict(NOW_MS).is_none());
    }
    let Error::TooFew { faults, .. } = tally.too_few() else {
        panic!("too few")
    };
    assert!(faults.iter().any(|fault| fault.what.contains("custody key")));
}

#[test]
fn an_expired_certificate_is_refused() {
    let scene = Scene::new();
    let mut tally = scene.tally();
    for organisation in 0..4 {
        tally.take(
            scene.name(organisation),
            scene.answer(organisation, &scene.fields()),
        );
        assert!(tally.verdict(NOW_MS + 600_000).is_none());
    }
}

#[test]
fn one_that_says_that_there_is_no_wrapped_key_may_lie_and_two_do_not() {
    let scene = Scene::new();
    let permitted = || RequestReadResponse {
        entry: Some(scene.entry(Outcome::Permitted { version: 1 })),
        approval: None,
    };
    let mut tally = scene.tally();
    tally.take(scene.name(0), permitted());
    assert!(tally.verdict(NOW_MS).is_none());
    tally.take(scene.name(1), permitted());
    assert!(matches!(tally.verdict(NOW_MS), Some(Err(Error::Object(_)))));
}

#[test]
fn p9_when_too_few_approve_everybody_is_named_with_what_it_said() {
    let scene = Scene::new();
    let without = |outcome| RequestReadResponse {
        entry: Some(scene.entry(outcome)),
        approval: None,
    };
    let approval = scene.answer(2, &scene.fields());
    let certificate = approval.approval.clone().unwrap().certificate;
    let mut tally = scene.tally();
    tally.take(scene.name(0), without(Outcome::Denied(DenialReason::NotAReader)));
    tally.take(scene.name(1), without(Outcome::Permitted { version: 1 }));
    tally.take(scene.name(2), approval);
    let away = Party::Endorser(scene.name(3).clone());
    tally.unavailable(away, Error::Request("away".into()));
    assert!(tally.verdict(NOW_MS).is_none());
    let Error::TooFew { faults, .. } = tally.too_few() else {
        panic!("too few")
    };
    let said: Vec<_> = faults
        .iter()
        .map(|fault| (fault.party.clone(), fault.check, fault.evidence.as_slice()))
        .collect();
    let party = |organisation| Party::Endorser(scene.name(organisation).clone());
    let expected = [
        (party(0), "denied", &b""[..]),
        (party(1), "outcome", b""),
        (party(2), "approval", &certificate),
        (party(3), "no_answer", b""),
    ];
    assert_eq!(said, expected);
}

/// Organisations that satisfy the policy can approve what they like: but not in the name of this request.
#[test]
fn d13_not_even_all_endorsers_approve_another_request_reader_or_document() {
    let scene = Scene::new();
    let other = ReaderKey::generate(&mut TestRng::new("other"));
    let lies: [&dyn Fn(&mut ApprovalFields); 2] =
        [&|fields| fields.approve_id = ApproveId([8; 32]), &|fields| {
            fields.q = other.public()
        }];
    for lie in lies {
        let mut fields = scene.fields();
        lie(&mut fields);
        let mut tally = scene.tally();
        for organisation in 0..4 {
            tally.take(scene.name(organisation), scene.answer(organisation, &fields));
            assert!(tally.verdict(NOW_MS).is_none(), "approved");
        }
        let Error::TooFew { faults, .. } = tally.too_few() else {
            panic!("too few")
        };
        assert_eq!(faults.len(), 4);
        assert!(faults.iter().all(|fault| fault.check == "certificate"));
    }
}

/// The same scene with another version of the document in every answer.
fn second_version(scene: &Scene) -> (ApprovalFields, DocumentVersion, Outcome) {
    let mut rng = TestRng::new("tally");
    let committee = TestCommittee::generate(2, 3, &mut rng).unwrap();
    let label = label("contract", 2).unwrap();
    let key = committee.manifest().custody_key();
    let wrapped = wrap(key, &label, &DataKey::from_bytes([9; 32]), &mut rng).unwrap();
    let outcome = Outcome::Approved {
        version: 2,
        write_id: wrapped.write_id(),
        key_id: scene.key_id,
    };
    let fields = ApprovalFields {
        write_id: wrapped.write_id(),
        label: label.clone(),
        ..scene.fields()
    };
    (fields, document(&label, wrapped), outcome)
}

#[test]
fn d13_another_version_than_the_one_asked_for_is_not_taken_from_whoever_gives_it() {
    let mut scene = Scene::new();
    let (fields, document, outcome) = second_version(&scene);
    let answer = |scene: &Scene, organisation: usize| {
        let mut answer = scene.answer(organisation, &fields);
        answer.entry = Some(scene.entry(outcome));
        answer.approval.as_mut().unwrap().document = document.to_bytes();
        answer
    };
    let mut tally = scene.tally();
    for organisation in 0..4 {
        tally.take(scene.name(organisation), answer(&scene, organisation));
        assert!(tally.verdict(NOW_MS).is_none(), "took version 2");
    }
    let Error::TooFew { faults, .. } = tally.too_few() else {
        panic!("too few")
    };
    assert_eq!(faults.len(), 4);
    assert!(faults.iter().all(|fault| fault.check == "outcome"));

    // Whoever asks for the latest is given the version that it was.
    scene.label.version = 0;
    let mut tally = scene.tally();
    for organisation in 0..3 {
        tally.take(scene.name(organisation), answer(&scene, organisation));
    }
    let read = tally.verdict(NOW_MS).unwrap().unwrap();
    assert_eq!(read.document.version, 2);
}

/// Once there is reason to look at each by itself, a document with another key than the certified one is its giver's fault.
#[test]
fn c6_whoever_gives_another_key_than_the_certified_is_named() {
    let scene = Scene::new();
    let mut tally = scene.tally();
    for organisation in 0..3 {
        let mut lie = scene.answer(organisation, &scene.fields());
        lie.entry.as_mut().unwrap().height = HEIGHT + 1;
        tally.take(scene.name(organisation), lie);
    }
    assert!(tally.verdict(NOW_MS).is_none());
    let mut lie = scene.answer(3, &scene.fields());
    let mut document = scene.document.clone();
    document.wrapped_key = second_version(&scene).1.wrapped_key;
    lie.approval.as_mut().unwrap().document = document.to_bytes();
    tally.take(scene.name(3), lie);
    assert!(tally.verdict(NOW_MS).is_none());
    let Error::TooFew { faults, .. } = tally.too_few() else {
        panic!("too few")
    };
    let of_the_last = faults
        .iter()
        .find(|fault| fault.party == Party::Endorser(scene.name(3).clone()));
    assert_eq!(of_the_last.unwrap().check, "certificate");
}

#[test]
fn a_read_is_forbidden_when_more_say_so_than_can_lie() {
    let scene = Scene::new();
    for (forbidding, expected) in [(1, "too_few_answers"), (2, "forbidden")] {
        let mut tally = scene.tally();
        for number in 0..4 {
            let party = Party::Endorser(format!("endorser-{number}").parse().unwrap());
            let error = if number < forbidding {
                Error::Forbidden(party.clone())
            } else {
                Error::Request("no answer".into())
            };
            tally.unavailable(party, error);
        }
        assert_eq!(tally.too_few().code(), expected);
    }
}

/// As when the clock of whoever asks is wrong: nobody has to be brought back.
#[test]
fn a_refusal_that_more_give_than_can_lie_is_the_answer() {
    let scene = Scene::new();
    let refused = |code: &str| Error::Refused {
        party: Party::Endorser(scene.name(0).clone()),
        code: code.into(),
        reason: "because".into(),
    };
    for (codes, expected) in [
        (["expired", "expired", "expired", "expired"], Some("expired")),
        (["malformed", "expired", "other", "expired"], Some("expired")),
        (["malformed", "expired", "other", "another"], None),
    ] {
        let mut tally = scene.tally();
        for (number, code) in codes.into_iter().enumerate() {
            tally.unavailable(Party::Endorser(scene.name(number).clone()), refused(code));
        }
        match (tally.too_few(), expected) {
            (Error::Refused { code, .. }, Some(expected)) => assert_eq!(code, expected),
            (Error::TooFew { faults, .. }, None) => {
                assert_eq!(faults.len(), 4);
                assert!(faults.iter().all(|fault| fault.check == "refused"));
            }
            (other, _) => panic!("{other}"),
        }
    }
}
