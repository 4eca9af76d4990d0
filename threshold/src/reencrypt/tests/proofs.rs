//! What a share's proof binds, and how it is checked.

use super::*;
use crate::reencrypt::share::{ProofStatement, nonces};
use crate::reencrypt::verify::own_weights;

/// A part of a share, and how it is moved by a point.
type Shift = (&'static str, fn(&mut ReencryptionShare, EdwardsPoint));

#[test]
fn c9_every_hashed_field_of_the_share_proof_counts() {
    let read = Read::new(2, 3);
    let context = read.context();
    let share = read.shares(&context, &[1])[0];
    let honest = share.statement(&context, &read.manifest().members()[0].public_share);
    let changes: [Change<ProofStatement>; 14] = [
        ("key id", |s| s.key_id = KeyId([1; 32])),
        ("epoch", |s| s.epoch += 1),
        ("manifest digest", |s| s.manifest_digest = ManifestDigest([1; 32])),
        ("index", |s| s.index = index(3)),
        ("write id", |s| s.write_id = WriteId([1; 32])),
        ("approve id", |s| s.approve_id = ApproveId([1; 32])),
        ("X_i", |s| s.public_share[0] ^= 1),
        ("U", |s| s.u[0] ^= 1),
        ("Q", |s| s.q[0] ^= 1),
        ("R_i", |s| s.r[0] ^= 1),
        ("D_i", |s| s.d[0] ^= 1),
        ("T1", |s| s.t1[0] ^= 1),
        ("T2", |s| s.t2[0] ^= 1),
        ("T3", |s| s.t3[0] ^= 1),
    ];
    for (field, change) in changes {
        let mut changed = honest;
        change(&mut changed);
        assert_ne!(changed.challenge(), honest.challenge(), "{field} is not hashed");
    }
}

/// A prover who leaves one field out of the hash, by hashing another value, convinces nobody.
#[test]
fn c9_a_proof_with_another_challenge_fails() {
    let read = Read::new(2, 3);
    let context = read.context();
    let changes: [Change<ProofStatement>; 14] = [
        ("key id", |s| s.key_id = KeyId([0; 32])),
        ("epoch", |s| s.epoch = 0),
        ("manifest digest", |s| s.manifest_digest = ManifestDigest([0; 32])),
        ("index", |s| s.index = index(64)),
        ("write id", |s| s.write_id = WriteId([0; 32])),
        ("approve id", |s| s.approve_id = ApproveId([0; 32])),
        ("X_i", |s| s.public_share = [0; 32]),
        ("U", |s| s.u = [0; 32]),
        ("Q", |s| s.q = [0; 32]),
        ("R_i", |s| s.r = [0; 32]),
        ("D_i", |s| s.d = [0; 32]),
        ("T1", |s| s.t1 = [0; 32]),
        ("T2", |s| s.t2 = [0; 32]),
        ("T3", |s| s.t3 = [0; 32]),
    ];
    let prove =
        |change: fn(&mut ProofStatement)| Forger::new(&read, &context).prove(&read, &context, |_| {}, change);
    assert!(
        verify_share(&context, &prove(|_| {})).is_ok(),
        "the forger's arithmetic is right"
    );
    for (field, change) in changes {
        let fault = Culprit {
            index: index(1),
            fault: ShareFault::Proof,
        };
        assert_eq!(
            verify_share(&context, &prove(change)).unwrap_err(),
            fault,
            "{field}"
        );
    }
}

/// Member 1 with its secrets in hand, free to deviate.
struct Forger {
    x: Scalar,
    k: Scalar,
    a: Scalar,
    b: Scalar,
    share: ReencryptionShare,
}

impl Forger {
    fn new(read: &Read, context: &Context<'_>) -> Self {
        let [k, a, b] = [3_u8, 5, 7].map(Scalar::from);
        let x = *read.committee.shares[0].secret().expose();
        let (u, q) = (context.u().as_edwards(), context.q().as_edwards());
        let base = ED25519_BASEPOINT_POINT;
        let share = ReencryptionShare {
            index: index(1),
            r: Point::from_subgroup(base * k).unwrap(),
            d: Point::from_subgroup(u * x + q * k).unwrap(),
            t: [(base * a).into(), (base * b).into(), (u * a + q * b).into()],
            z1: Scalar::ZERO,
            z2: Scalar::ZERO,
        };
        Self { x, k, a, b, share }
    }

    fn prove(
        mut self,
        read: &Read,
        context: &Context<'_>,
        deviate: impl FnOnce(&mut ReencryptionShare),
        hash: fn(&mut ProofStatement),
    ) -> ReencryptionShare {
        deviate(&mut self.share);
        let mut statement = self
            .share
            .statement(context, &read.manifest().members()[0].public_share);
        hash(&mut statement);
        let e = statement.challenge();
        self.share.z1 = self.a + e * self.x;
        self.share.z2 = self.b + e * self.k;
        self.share
    }
}

fn both_forms(context: &Context<'_>, share: &ReencryptionShare) -> [bool; 2] {
    let (verified, _) = verify_shares(context, &[*share], &mut TestRng::new("weights"));
    [verify_share(context, share).is_ok(), verified.len() == 1]
}

#[test]
fn errors_that_would_cancel_without_weights_do_not() {
    let read = Read::new(2, 3);
    let context = read.context();
    let shift = ED25519_BASEPOINT_POINT;
    let shifted = Forger::new(&read, &context).prove(
        &read,
        &context,
        |share| {
            share.t[0] = (share.t[0].point + shift).into();
            share.t[1] = (share.t[1].point - shift).into();
        },
        |_| {},
    );
    assert_eq!(both_forms(&context, &shifted), [false; 2]);
    // Across two shares of a batch.
    let mut shares = read.shares(&context, &[1, 2]);
    shares[0].z1 += Scalar::ONE;
    shares[1].z1 -= Scalar::ONE;
    let (verified, culprits) = verify_shares(&context, &shares, &mut TestRng::new("weights"));
    assert!(verified.is_empty());
    assert_eq!(
        culprits.iter().map(|culprit| culprit.index).collect::<Vec<_>>(),
        [index(1), index(2)]
    );
}

#[test]
fn a_proof_is_fixed_before_its_weights_are_known() {
    // Equation 1 is false by B. Whoever could keep the weights while changing z2 would make up for it in the sum:
    // z2 stands there with w2·B + w3·Q, and this reader knows q.
    let read = Read::new(2, 3);
    let context = read.context();
    let mut share = Forger::new(&read, &context).prove(
        &read,
        &context,
        |share| share.t[0] = (share.t[0].point + ED25519_BASEPOINT_POINT).into(),
        |_| {},
    );
    let statement = share.statement(&context, &read.manifest().members()[0].public_share);
    let e = statement.challenge();
    let [_, w2, w3] = own_weights(e, &share);
    share.z2 += (w2 + w3 * *read.reader.scalar()).invert();
    assert_eq!(both_forms(&context, &share), [false; 2]);
    // What the challenge hashes beside the share moves the weights too.
    assert_ne!(own_weights(e, &share), own_weights(e + Scalar::ONE, &share));
}

#[test]
fn every_equation_is_checked() {
    let read = Read::new(2, 3);
    let context = read.context();
    let one = ED25519_BASEPOINT_POINT;
    let wrong: [Shift; 5] = [
        ("T1", |s, p| s.t[0] = (s.t[0].point + p).into()),
        ("T2", |s, p| s.t[1] = (s.t[1].point + p).into()),
        ("T3", |s, p| s.t[2] = (s.t[2].point + p).into()),
        ("R", |s, p| {
            s.r = Point::from_subgroup(s.r.as_edwards() + p).unwrap()
        }),
        ("D", |s, p| {
            s.d = Point::from_subgroup(s.d.as_edwards() + p).unwrap()
        }),
    ];
    for (what, change) in wrong {
        let share = Forger::new(&read, &context).prove(&read, &context, |s| change(s, one), |_| {});
        assert_eq!(both_forms(&context, &share), [false; 2], "{what}");
    }
}

#[test]
fn torsion_in_a_commitment_divides_no_verifiers() {
    let read = Read::new(2, 3);
    let context = read.context();
    for torsion in EIGHT_TORSION {
        for i in 0..3 {
            let share = Forger::new(&read, &context).prove(
                &read,
                &context,
                |share| share.t[i] = Commitment::from(share.t[i].point + torsion),
                |_| {},
            );
            let back = ReencryptionShare::from_bytes(&share.to_bytes()).unwrap();
            assert_eq!(both_forms(&context, &back), [true; 2]);
        }
    }
}

#[test]
fn c2_torsion_in_r_or_d_is_refused_when_parsed() {
    let read = Read::new(2, 3);
    let context = read.context();
    let honest = read.shares(&context, &[1])[0];
    for at in [4, 36] {
        let mut bytes = honest.to_bytes();
        let point = if at == 4 { honest.r } else { honest.d };
        let mixed = (point.as_edwards() + EIGHT_TORSION[1]).compress();
        bytes[at..at + 32].copy_from_slice(mixed.as_bytes());
        assert_eq!(
            ReencryptionShare::from_bytes(&bytes),
            Err(DecodeError::Invalid("point"))
        );
    }
}

#[test]
fn c10_nonces_are_hedged() {
    let mut read = Read::new(2, 3);
    let stuck = |read: &Read, member: u16| {
        let share = read.committee.share(index(member)).unwrap();
        reencrypt(share, &read.context(), &mut Stuck).unwrap()
    };
    let first = stuck(&read, 1);
    assert_eq!(
        first,
        stuck(&read, 1),
        "the same question may have the same answer"
    );
    assert!(verify_share(&read.context(), &first).is_ok());
    let other_member = stuck(&read, 2);
    read.approve_id = ApproveId([0xbb; 32]);
    let other_approval = stuck(&read, 1);
    read.reader = ReaderKey::generate(&mut TestRng::new("another reader"));
    let other_reader = stuck(&read, 1);
    // Equal commitments with different challenges would give the share away.
    let all = [first, other_member, other_approval, other_reader];
    for (i, one) in all.iter().enumerate() {
        for other in &all[..i] {
            assert_ne!(one.r, other.r);
            for t in 0..3 {
                assert_ne!(one.t[t].bytes, other.t[t].bytes);
            }
        }
    }
    // k, a and b are not one another.
    assert!(first.r.as_bytes() != &first.t[0].bytes && first.t[0].bytes != first.t[1].bytes);
    // And fresh randomness counts.
    let share = read.committee.share(index(1)).unwrap();
    let fresh = reencrypt(share, &read.context(), &mut TestRng::new("fresh")).unwrap();
    assert_ne!(fresh.r, other_reader.r);
}

#[test]
fn c10_whoever_knows_the_generator_does_not_know_the_nonces() {
    // Two nodes of one index, one context and one stuck generator have nothing but their shares to differ in.
    let read = Read::new(2, 3);
    let context = read.context();
    let other = TestCommittee::generate(2, 3, &mut TestRng::new("other committee")).unwrap();
    let [one, two] = [&read.committee.shares[0], &other.shares[0]].map(|share| {
        assert_eq!(share.index(), index(1));
        nonces(share, &context, &mut Stuck)
    });
    for (one, two) in one.iter().zip(&two) {
        assert_ne!(one.expose(), two.expose());
    }
}

#[test]
fn a_context_is_of_one_manifest() {
    // The same key, epoch and public shares; a member has moved.
    let read = Read::new(2, 3);
    let mut members = read.manifest().members().to_vec();
    members[2].address = "127.0.0.1:1".to_owned();
    let manifest = read.manifest();
    let moved = CommitteeManifest::first(*manifest.public_key(), manifest.threshold(), members).unwrap();
    let there = Context::new(&moved, &read.wrapped, read.approve_id, &read.reader.public()).unwrap();
    assert_ne!(there.digest(), read.context().digest());
    let shares = read.verified(&read.context(), &[1, 2]);
    assert_eq!(
        combine(&there, &shares).unwrap_err(),
        CombineError::OtherContext(index(1))
    );
}
