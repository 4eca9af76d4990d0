//! A coordinator, or the nodes behind it, that lies.

use approval::{ApprovalFields, Authority, Limits, Policy, TrustBundle, TrustedOrganisation};
use threshold::ids::{ApproveId, BlockHash, ChainId};
use threshold::reencrypt::{ReaderKey, open, reencrypt};
use threshold::secret::DataKey;
use threshold::testing::{TestCommittee, TestRng, label};
use threshold::wrap::wrap;

use super::*;
use threshold::committee::ParticipantIndex;

const NOW_MS: u64 = 1_800_000_000_000;
const APPROVE_ID: ApproveId = ApproveId([7; 32]);

/// A committee of 3 of 5, an approved read, and the answer that an honest coordinator gives.
struct Scene {
    nodes: TestCommittee,
    committee: Committee,
    approved: Approved,
    wrapped: WrappedKey,
    reader: ReaderKey,
    answer: ReencryptResponse,
}

impl Scene {
    fn new() -> Self {
        let mut rng = TestRng::new("release");
        let nodes = TestCommittee::generate(3, 5, &mut rng).unwrap();
        let label = label("contract", 1).unwrap();
        let data_key = DataKey::from_bytes([9; 32]);
        let wrapped = wrap(nodes.manifest().custody_key(), &label, &data_key, &mut rng).unwrap();
        let reader = ReaderKey::generate(&mut rng);
        let approved = approve(&wrapped, &reader);
        let mut scene = Self {
            committee: Committee::new(nodes.signed.clone()),
            nodes,
            approved,
            wrapped,
            reader,
            answer: ReencryptResponse::default(),
        };
        scene.answer = scene.honest(&[1, 3, 4]);
        scene
    }

    fn context(&self) -> Context<'_> {
        Context::new(
            self.nodes.manifest(),
            &self.wrapped,
            APPROVE_ID,
            &self.reader.public(),
        )
        .unwrap()
    }

    /// What these nodes and an honest coordinator answer.
    fn honest(&self, seats: &[u16]) -> ReencryptResponse {
        let context = self.context();
        let mut rng = TestRng::new("shares");
        let shares: Vec<ReencryptionShare> = seats
            .iter()
            .map(|seat| {
                let index = ParticipantIndex::new(*seat).unwrap();
                reencrypt(self.nodes.share(index).unwrap(), &context, &mut rng).unwrap()
            })
            .collect();
        let (verified, culprits) = verify_shares(&context, &shares, &mut rng);
        assert!(culprits.is_empty());
        let combined = combine(&context, verified.get(..3).unwrap()).unwrap();
        ReencryptResponse {
            manifest_digest: self.committee.digest().as_bytes().to_vec(),
            statements: shares
                .iter()
                .map(|share| self.state(share, share.index()).to_bytes())
                .collect(),
            shares: shares.iter().map(Canonical::to_bytes).collect(),
            combined: combined.to_bytes(),
            faults: Vec::new(),
        }
    }

    /// The statement about a share, signed by the node in a seat.
    fn state(&self, share: &ReencryptionShare, signer: ParticipantIndex) -> ReleaseStatement {
        ReleaseStatement {
            manifest_digest: self.committee.digest(),
            index: share.index(),
            approve_id: APPROVE_ID,
            write_id: self.wrapped.write_id(),
            q: self.reader.public(),
            share_digest: share.digest(),
            repeat: false,
            time_ms: NOW_MS,
            journal_position: 1,
            journal_head: [0; 32],
            signature: threshold::signature::Signature([0; 64]),
        }
        .sign(&self.nodes.identities[signer.position()])
    }

    fn check(&self) -> Result<Released, Error> {
        check(
            &coordinator(),
            &self.committee,
            &self.approved,
            &self.wrapped,
            &self.answer,
        )
    }

    /// The check by which the coordinator was caught.
    fn caught(&self) -> &'static str {
        match self.check() {
            Err(Error::Lied(fault)) => {
                assert_eq!(fault.party, coordinator());
                fault.check
            }
            Err(other) => panic!("not a lie of the coordinator: {other}"),
            Ok(_) => panic!("believed"),
        }
    }

    /// A share of a node's for another read: well formed, and its proof does not hold in this one.
    fn for_another_reader(&self, index: ParticipantIndex) -> ReencryptionShare {
        let other = ReaderKey::generate(&mut TestRng::new("other reader"));
        let (manifest, wrapped) = (self.nodes.manifest(), &self.wrapped);
        let context = Context::new(manifest, wrapped, APPROVE_ID, &other.public()).unwrap();
        let mut rng = TestRng::new("bad");
        reencrypt(self.nodes.share(index).unwrap(), &context, &mut rng).unwrap()
    }

    /// The evidence alone, to somebody who knows the committee and the read: a member has signed that it gave this share for
    /// this read, and the share's proof does not hold.
    fn convinces_a_third_party(&self, evidence: &[u8], bad: &ReencryptionShare) {
        let mut reader = Reader::new(evidence);
        let share = ReencryptionShare::from_bytes(reader.bytes(512).unwrap()).unwrap();
        let statement = ReleaseStatement::from_bytes(reader.bytes(512).unwrap()).unwrap();
        reader.finish().unwrap();
        assert_eq!(share, *bad);
        let member = self.nodes.manifest().member(share.index()).unwrap();
        statement.verify(&member.identity).unwrap();
        assert_eq!(statement.share_digest, share.digest());
        assert_eq!(
            (statement.approve_id, statement.q),
            (APPROVE_ID, self.reader.public())
        );
        verify_share(&self.context(), &share).unwrap_err();
    }

    fn share(&self, place: usize) -> ReencryptionShare {
        ReencryptionShare::from_bytes(&self.answer.shares[place]).unwrap()
    }
}

fn coordinator() -> Party {
    Party::Coordinator("coordinator".parse().unwrap())
}

fn approve(wrapped: &WrappedKey, reader: &ReaderKey) -> Approved {
    let north: Name = "north".parse().unwrap();
    let root = Authority::generate(&north, &[3; 32], NOW_MS).unwrap();
    let authority = Authority::from_seed(&[3; 32], &root).unwrap();
    let chain_id = ChainId([1; 32]);
    let fields = ApprovalFields {
        approve_id: APPROVE_ID,
        write_id: wrapped.write_id(),
        q: reader.public(),
        key_id: wrapped.key_id(),
        label: wrapped.label().clone(),
        chain_id,
        height: 5,
        block_hash: BlockHash([2; 32]),
        policy_version: 1,
    };
    let certificate = authority.issue(&fields, NOW_MS, 60).unwrap();
    let policy: Policy = "north".parse().unwrap();
    let organisation = TrustedOrganisation::new(north, &root).unwrap();
    let installation = wrapped.label().installation.clone();
    let trust = TrustBundle::new(1, chain_id, installation, vec![organisation], policy).unwrap();
    approval::check(&[certificate], wrapped, &trust, NOW_MS, &Limits::default()).unwrap()
}

#[test]
fn an_honest_answer_opens() {
    let scene = Scene::new();
    let released = scene.check().unwrap();
    assert_eq!(
        released
            .released_by
            .iter()
            .map(|(seat, _)| *seat)
            .collect::<Vec<_>>(),
        [1, 3, 4]
    );
    assert!(released.faults.is_empty());
    let data_key = open(&scene.reader, &released.reencryption, &scene.wrapped).unwrap();
    assert_eq!(data_key.expose(), &[9; 32]);
}

#[test]
fn another_committee_is_refused() {
    let mut scene = Scene::new();
    scene.answer.manifest_digest = vec![0; 32];
    assert_eq!(scene.caught(), "manifest");
}

#[test]
fn a_coordinator_in_another_epoch_is_tried_again_whoever_came_last_and_is_not_blamed() {
    let mut scene = Scene::new();
    scene.answer.manifest_digest = vec![0; 32];
    let mut failures = Failures::default();
    failures.add(coordinator(), scene.check().err().unwrap());
    failures.add(coordinator(), Error::Request("unreachable".into()));
    assert!(failures.faults().is_empty());
    assert!(is_of_another_epoch(&failures.end()));
    let mut failures = Failures::default();
    failures.add(coordinator(), Error::Request("unreachable".into()));
    assert!(!is_of_another_epoch(&failures.end()));
}

#[test]
fn malformed_shares_are_refused() {
    let mut scene = Scene::new();
    scene.answer.shares[0].push(0);
    assert_eq!(scene.caught(), "answer");
    let mut scene = Scene::new();
    scene.answer.statements.pop();
    assert_eq!(scene.caught(), "answer");
}

#[test]
fn c11_a_share_that_comes_twice_is_refused() {
    let mut scene = Scene::new();
    scene.answer.shares[1] = scene.answer.shares[0].clone();
    scene.answer.statements[1] = scene.answer.statements[0].clone();
    assert_eq!(scene.caught(), "statement");
}

#[test]
fn a_statement_that_the_node_has_not_signed_is_refused() {
    let mut scene = Scene::new();
    let other = ParticipantIndex::new(2).unwrap();
    scene.answer.statements[0] = scene.state(&scene.share(0), other).to_bytes();
    assert_eq!(scene.caught(), "statement");
}

#[test]
fn a_statement_about_another_release_is_refused() {
    let index = ParticipantIndex::new(1).unwrap();
    let changes: [fn(&mut ReleaseStatement); 6] = [
        |statement| statement.index = ParticipantIndex::new(2).unwrap(),
        |statement| statement.approve_id = ApproveId([8; 32]),
        |statement| statement.write_id = threshold::ids::WriteId([8; 32]),
        |statement| statement.share_digest = [8; 32],
        |statement| statement.manifest_digest = threshold::ids::ManifestDigest([8; 32]),
        |statement| statement.q = ReaderKey::generate(&mut TestRng::new("other reader")).public(),
    ];
    for change in changes {
        let mut scene = Scene::new();
        let mut statement = scene.state(&scene.share(0), index);
        change(&mut statement);
        // Its own node has signed it, so that only what it says is wrong.
        let statement = statement.sign(&scene.nodes.identities[0]);
        scene.answer.statements[0] = statement.to_bytes();
        assert_eq!(scene.caught(), "statement");
    }
}

#[test]
fn c8_p9_a_node_that_signs_for_a_bad_share_is_named_with_evidence() {
    let mut scene = Scene::new();
    scene.answer = scene.honest(&[1, 2, 3, 4]);
    let index = ParticipantIndex::new(2).unwrap();
    let bad = scene.for_another_reader(index);
    scene.answer.shares[1] = bad.to_bytes();
    scene.answer.statements[1] = scene.state(&bad, index).to_bytes();

    let released = scene.check().unwrap();
    assert!(open(&scene.reader, &released.reencryption, &scene.wrapped).is_ok());
    let [fault] = released.faults.as_slice() else {
        panic!("one fault: {:?}", released.faults)
    };
    assert_eq!(fault.party, Party::CryptoNode(2, "node-2".parse().unwrap()));
    assert_eq!(fault.check, "share_proof");
    scene.convinces_a_third_party(&fault.evidence, &bad);
    assert!(released.released_by.iter().all(|(seat, _)| *seat != 2));
}

#[test]
fn too_few_good_shares_open_nothing() {
    let mut scene = Scene::new();
    scene.answer.shares.pop();
    scene.answer.statements.pop();
    assert!(matches!(scene.check(), Err(Error::TooFew { .. })));
}

#[test]
fn a_wrong_combination_is_named_and_not_used() {
    let mut scene = Scene::new();
    scene.answer.combined = scene.honest(&[1, 2, 5]).shares[0].get(..66).unwrap().to_vec();
    let released = scene.check().unwrap();
    assert!(open(&scene.reader, &released.reencryption, &scene.wrapped).is_ok());
    assert_eq!(
        released.faults.first().map(|fault| fault.check),
        Some("combination")
    );
}

#[test]
fn a_share_of_nobody_in_the_committee_is_refused() {
    let mut scene = Scene::new();
    // Of a larger committee for another key: seat 6 is nobody's here.
    let mut rng = TestRng::new("larger");
    let others = TestCommittee::generate(3, 7, &mut rng).unwrap();
    let wrapped = wrap(
        others.manifest().custody_key(),
        scene.wrapped.label(),
        &DataKey::from_bytes([9; 32]),
        &mut rng,
    )
    .unwrap();
    let context = Context::new(others.manifest(), &wrapped, APPROVE_ID, &scene.reader.public()).unwrap();
    let index = ParticipantIndex::new(6).unwrap();
    let stranger = reencrypt(others.share(index).unwrap(), &context, &mut rng).unwrap();
    let statement = scene.state(&stranger, ParticipantIndex::new(1).unwrap());
    scene.answer.shares.push(stranger.to_bytes());
    scene.answer.statements.push(statement.to_bytes());
    assert_eq!(scene.caught(), "statement");
}

#[test]
fn p12_more_shares_or_statements_than_seats_are_not_looked_at() {
    let most = usize::from(MAX_MEMBERS);
    for many in [most, most + 1] {
        let mut scene = Scene::new();
        scene.answer.shares = vec![scene.answer.shares[0].clone(); many];
        scene.answer.statements = vec![scene.answer.statements[0].clone(); many];
        assert_eq!(scene.caught(), if many > most { "answer" } else { "statement" });
    }
}

#[test]
fn of_more_shares_than_needed_as_many_as_needed_are_used_and_any_combination_is_right() {
    let mut scene = Scene::new();
    scene.answer = scene.honest(&[1, 2, 3, 4]);
    scene.answer.combined = scene.honest(&[2, 3, 4]).combined;
    let released = scene.check().unwrap();
    assert!(open(&scene.reader, &released.reencryption, &scene.wrapped).is_ok());
    assert!(released.faults.is_empty(), "{:?}", released.faults);
    assert_eq!((released.released_by.len(), released.used.len()), (3, 3));
    for (share, statement) in &released.used {
        assert_eq!(statement.share_digest, share.digest());
    }
}

#[test]
fn p9_what_the_coordinator_says_of_nodes_is_passed_on_as_hearsay_and_bounded() {
    let mut scene = Scene::new();
    let reported = |index: u32, kind: FaultKind| proto::coordinator::Fault {
        index,
        name: "node-2".into(),
        kind: kind.into(),
        detail: "because".into(),
        evidence: vec![1, 2],
    };
    scene.answer.faults = vec![
        reported(2, FaultKind::Unreachable),
        reported(2, FaultKind::Refused),
        reported(2, FaultKind::Invalid),
        reported(2, FaultKind::Unspecified),
        reported(70_000, FaultKind::Invalid),
    ];
    let released = scene.check().unwrap();
    let checks: Vec<_> = released.faults.iter().map(|fault| fault.check).collect();
    let all = [
        "reported_unreachable",
        "reported_refused",
        "reported_invalid",
        "reported",
    ];
    assert_eq!(checks, all);
    let node = Party::CryptoNode(2, "node-2".parse().unwrap());
    for fault in &released.faults {
        assert_eq!((&fault.party, fault.evidence.as_slice()), (&node, &[1, 2][..]));
        assert!(fault.what.contains("as the coordinator reports: because"));
    }
    scene.answer.faults = vec![reported(2, FaultKind::Invalid); 65];
    assert_eq!(scene.check().unwrap().faults.len(), 64);
}

/// What it says with evidence that convicts a node is no hearsay; evidence that convicts nobody is.
#[test]
fn p9_a_lie_that_the_coordinator_proves_is_its_nodes() {
    let mut scene = Scene::new();
    let index = ParticipantIndex::new(2).unwrap();
    let bad = scene.for_another_reader(index);
    let stated = scene.state(&bad, index);
    let reported = |evidence: Vec<u8>| proto::coordinator::Fault {
        index: 5,
        name: "node-5".into(),
        kind: FaultKind::Invalid.into(),
        detail: "because".into(),
        evidence,
    };
    // Who has signed, and not who the coordinator says it was.
    scene.answer.faults = vec![reported(evidence(&bad, &stated))];
    let released = scene.check().unwrap();
    let [fault] = released.faults.as_slice() else {
        panic!("one fault: {:?}", released.faults)
    };
    let node = Party::CryptoNode(2, "node-2".parse().unwrap());
    assert_eq!((&fault.party, fault.check), (&node, "share_proof"));
    scene.convinces_a_third_party(&fault.evidence, &bad);

    let signed = |statement: ReleaseStatement| statement.sign(&scene.nodes.identities[index.position()]);
    let good = scene.share(0);
    let forged = scene.state(&bad, ParticipantIndex::new(1).unwrap());
    let of_another_read = signed(ReleaseStatement {
        approve_id: ApproveId([8; 32]),
        ..stated
    });
    let for_another_reader = signed(ReleaseStatement {
        q: ReaderKey::generate(&mut TestRng::new("other reader")).public(),
        ..stated
    });
    let of_another_share = signed(ReleaseStatement {
        share_digest: [8; 32],
        ..stated
    });
    let nothing = [
        Vec::new(),
        bad.to_bytes(),
        [evidence(&bad, &stated), vec![0]].concat(),
        evidence(&good, &scene.state(&good, good.index())),
        evidence(&bad, &forged),
        evidence(&bad, &of_another_read),
        evidence(&bad, &for_another_reader),
        evidence(&bad, &of_another_share),
    ];
    for evidence in nothing {
        scene.answer.faults = vec![reported(evidence.clone())];
        let released = scene.check().unwrap();
        let [fault] = released.faults.as_slice() else {
            panic!("one fault: {:?}", released.faults)
        };
        let node = Party::CryptoNode(5, "node-5".parse().unwrap());
        assert_eq!((&fault.party, fault.check), (&node, "reported_invalid"));
        assert_eq!(fault.evidence, evidence);
    }
}
