//! The attack list, part C, and the promises about one read.

use super::*;

fn candidates(reencryption: &Reencryption, r: &Scalar, x: &Point) -> [EdwardsPoint; 6] {
    let (big_r, d, x) = (
        *reencryption.r.as_edwards(),
        *reencryption.d.as_edwards(),
        *x.as_edwards(),
    );
    [d, big_r, d - big_r * r, d + big_r * r, d - x * r, d - big_r]
}

fn nothing_opens(points: &[EdwardsPoint], keys: &[&WrappedKey]) {
    for point in points {
        for key in keys {
            assert!(key.open(point.compress().as_bytes()).is_none());
        }
    }
}

#[test]
fn c1_a_reader_chosen_q_yields_nothing() {
    // The reader may read A, and wants B. With x·(U + Q) this Q would give x·U_B + r·X.
    let mut read = Read::new(3, 5);
    let secret = DataKey::generate(&mut read.rng);
    let key_b = wrap(
        read.manifest().custody_key(),
        &label("b", 1).unwrap(),
        &secret,
        &mut TestRng::new("b"),
    );
    let key_b = key_b.unwrap();
    let r = Scalar::random(&mut read.rng);
    let (u_a, u_b) = (*read.wrapped.u().as_edwards(), *key_b.u().as_edwards());
    let q = Point::from_subgroup(u_b - u_a + ED25519_BASEPOINT_POINT * r).unwrap();
    let context = read.context_with(&PublicKey::from(q));
    let reencryption = combine(&context, &read.verified(&context, &[1, 2, 3])).unwrap();
    let x = *read.manifest().public_key();
    nothing_opens(&candidates(&reencryption, &r, &x), &[&read.wrapped, &key_b]);
    // The naive sum, for comparison: what the attack would have found is B's key.
    let indices = [index(1), index(2), index(3)];
    let lambda = interpolation::coefficients(&indices, Scalar::ZERO).unwrap();
    let shares = read.committee.shares.iter().map(|share| share.secret().expose());
    let naive: EdwardsPoint = lambda
        .iter()
        .zip(shares)
        .map(|(lambda, x_i)| (u_a + q.as_edwards()) * (lambda * x_i))
        .sum();
    let stolen = naive - x.as_edwards() * r;
    assert_eq!(
        key_b.open(stolen.compress().as_bytes()).unwrap().expose(),
        secret.expose()
    );
}

#[test]
fn c2_a_q_with_torsion_is_refused() {
    for torsion in EIGHT_TORSION.iter().skip(1) {
        let q = ED25519_BASEPOINT_POINT * Scalar::from(9_u8) + torsion;
        assert!(PublicKey::from_bytes(q.compress().as_bytes()).is_err());
    }
}

#[test]
fn c3_special_points_as_q_are_refused_or_harmless() {
    let read = Read::new(2, 3);
    let mut identity = [0; 32];
    identity[0] = 1;
    assert!(PublicKey::from_bytes(&identity).is_err());
    let u = *read.wrapped.u();
    let x = *read.manifest().public_key();
    let other_share = read.manifest().members()[2].public_share;
    let minus_u = Point::from_subgroup(-u.as_edwards()).unwrap();
    for q in [minus_u, u, Point::base(), x, other_share] {
        let context = read.context_with(&PublicKey::from(q));
        let reencryption = combine(&context, &read.verified(&context, &[1, 2])).unwrap();
        // B as Q has the known logarithm 1, and so is an ordinary reader's key that opens A by right.
        if q != Point::base() {
            nothing_opens(&candidates(&reencryption, &Scalar::ONE, &x), &[&read.wrapped]);
        }
    }
}

#[test]
fn c4_u_comes_from_the_wrapped_key_itself() {
    let read = Read::new(2, 3);
    let mut rng = TestRng::new("c4");
    let other = wrap(
        read.manifest().custody_key(),
        read.wrapped.label(),
        &DataKey::generate(&mut rng),
        &mut rng,
    );
    let other = other.unwrap();
    assert_ne!(other.write_id(), read.wrapped.write_id());
    // A node that was given another U with this approval answers in another context.
    let wrong = Context::new(read.manifest(), &other, read.approve_id, &read.reader.public()).unwrap();
    let share = read.shares(&wrong, &[1])[0];
    let fault = Culprit {
        index: index(1),
        fault: ShareFault::Proof,
    };
    assert_eq!(verify_share(&read.context(), &share).unwrap_err(), fault);
}

#[test]
fn c5_shares_of_different_reads_do_not_combine() {
    let mut read = Read::new(2, 3);
    let one = read.verified(&read.context(), &[1]);
    read.approve_id = ApproveId([0xbb; 32]);
    let two = read.verified(&read.context(), &[2]);
    let mixed = [one[0], two[0]];
    assert_eq!(
        combine(&read.context(), &mixed).unwrap_err(),
        CombineError::OtherContext(index(1))
    );
}

#[test]
fn c8_p3_bad_shares_that_come_first_are_named_and_do_not_block() {
    let read = Read::new(3, 5);
    let context = read.context();
    let mut shares = read.shares(&context, &[4, 5, 1, 2, 3]);
    shares[0].z2 += Scalar::ONE;
    shares[1].d = shares[2].d;
    let (verified, culprits) = verify_shares(&context, &shares, &mut TestRng::new("weights"));
    let named: Vec<_> = culprits
        .iter()
        .map(|culprit| (culprit.index, culprit.fault))
        .collect();
    assert_eq!(
        named,
        [(index(4), ShareFault::Proof), (index(5), ShareFault::Proof)]
    );
    let reencryption = combine(&context, &verified).unwrap();
    assert_eq!(
        open(&read.reader, &reencryption, &read.wrapped).unwrap().expose(),
        read.data_key.expose()
    );
}

#[test]
fn p9_a_share_under_another_members_index_blames_nobody_honest() {
    let read = Read::new(2, 3);
    let context = read.context();
    let mut share = read.shares(&context, &[1])[0];
    share.index = index(2);
    // The share itself fails; that member 2 sent it would take member 2's statement.
    assert!(verify_share(&context, &share).is_err());
    share.index = index(9);
    let unknown = Culprit {
        index: index(9),
        fault: ShareFault::UnknownIndex,
    };
    assert_eq!(verify_share(&context, &share).unwrap_err(), unknown);
    assert_eq!(
        verify_shares(&context, &[share], &mut TestRng::new("w")).1,
        [unknown]
    );
}

#[test]
fn p5_a_share_is_for_one_read_only() {
    let read = Read::new(2, 3);
    let context = read.context();
    let share = read.shares(&context, &[1])[0];
    let mut rng = TestRng::new("p5");
    let other_q = read.context_with(&ReaderKey::generate(&mut rng).public());
    let public = read.reader.public();
    let other_approval = Context::new(read.manifest(), &read.wrapped, ApproveId([1; 32]), &public).unwrap();
    let next = next_epoch(read.manifest());
    let other_epoch = Context::new(&next, &read.wrapped, read.approve_id, &public).unwrap();
    let mut other_write = context.clone();
    other_write.write_id = WriteId([1; 32]);
    for (what, other) in [
        ("Q", &other_q),
        ("approval", &other_approval),
        ("epoch", &other_epoch),
        ("write id", &other_write),
    ] {
        assert!(verify_share(other, &share).is_err(), "{what}");
    }
    assert!(verify_share(&context, &share).is_ok());
}

#[test]
fn p5_a_share_of_another_epoch_or_key_is_not_used() {
    let read = Read::new(2, 3);
    let next = next_epoch(read.manifest());
    let public = read.reader.public();
    let context = Context::new(&next, &read.wrapped, read.approve_id, &public).unwrap();
    let old = read.committee.share(index(1)).unwrap();
    let refusal = reencrypt(old, &context, &mut TestRng::new("p5")).unwrap_err();
    assert_eq!(refusal, ReencryptError::OtherManifest);
    let other = TestCommittee::generate(2, 3, &mut TestRng::new("other key")).unwrap();
    let refusal = Context::new(other.manifest(), &read.wrapped, read.approve_id, &public).unwrap_err();
    assert_eq!(refusal, ContextError::OtherKey);
}

fn next_epoch(manifest: &CommitteeManifest) -> CommitteeManifest {
    manifest
        .next(manifest.threshold(), manifest.members().to_vec())
        .unwrap()
}

#[test]
fn every_part_of_the_context_is_in_its_digest() {
    let read = Read::new(2, 3);
    let honest = read.context();
    let changes: [Change<Context<'_>>; 4] = [
        ("write id", |c| c.write_id = WriteId([1; 32])),
        ("approve id", |c| c.approve_id = ApproveId([1; 32])),
        ("U", |c| c.u = Point::base()),
        ("Q", |c| c.q = Point::base()),
    ];
    for (field, change) in changes {
        let mut changed = honest.clone();
        change(&mut changed);
        assert_ne!(changed.compute_digest(), *honest.digest(), "{field}");
    }
    let next = next_epoch(read.manifest());
    let other = Context::new(&next, &read.wrapped, read.approve_id, &read.reader.public()).unwrap();
    assert_ne!(other.digest(), honest.digest(), "manifest");
}
