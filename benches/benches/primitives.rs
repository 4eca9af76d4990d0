//! The primitives, each beside its floor: the curve operations it cannot do without, measured in the same run.
//!
//! After criterion's figures, every pair is measured once more with its two sides taken in turn, so that a change
//! of the machine's speed meets both, and the ratios of the medians are printed. The re-encryption share is to
//! stay within 1.25 times its floor. Its operation is all that a crypto node does once it has checked the certificates: the
//! context of the read, with the hash of the wrapped key, is made anew each time. The others work within a context that
//! the coordinator or the reader has made once for the whole read.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

use criterion::Criterion;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, ED25519_BASEPOINT_TABLE};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsBasepointTable, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{BasepointTable, MultiscalarMul, VartimeMultiscalarMul};
use rand_core::{OsRng, RngCore};
use std::hint::black_box;
use std::time::{Duration, Instant};
use threshold::group::{Point, second_generator};
use threshold::ids::ApproveId;
use threshold::reencrypt::{Context, ReaderKey, combine, open, reencrypt, verify_share, verify_shares};
use threshold::secret::DataKey;
use threshold::testing::{TestCommittee, label};
use threshold::wrap::wrap;

/// One operation and its floor.
struct Pair<'a> {
    name: &'static str,
    operation: Box<dyn FnMut() + 'a>,
    floor: Box<dyn FnMut() + 'a>,
}

fn pair<'a>(name: &'static str, operation: impl FnMut() + 'a, floor: impl FnMut() + 'a) -> Pair<'a> {
    Pair {
        name,
        operation: Box::new(operation),
        floor: Box::new(floor),
    }
}

fn short_scalar() -> Scalar {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    Scalar::from(u128::from_le_bytes(bytes))
}

fn points(count: usize) -> Vec<EdwardsPoint> {
    (0..count)
        .map(|_| EdwardsPoint::mul_base(&Scalar::random(&mut OsRng)))
        .collect()
}

/// The scalars of a verification of `shares` shares: for each, three whole and three short; then B, U and Q.
fn verification_scalars(shares: usize) -> Vec<Scalar> {
    let each = (0..3 * shares).flat_map(|_| [Scalar::random(&mut OsRng), short_scalar()]);
    each.chain((0..3).map(|_| Scalar::random(&mut OsRng))).collect()
}

fn medians(pair: &mut Pair<'_>, rounds: usize) -> (Duration, Duration) {
    let time = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        f();
        start.elapsed()
    };
    let (mut operation, mut floor) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
    for _ in 0..rounds {
        operation.push(time(&mut *pair.operation));
        floor.push(time(&mut *pair.floor));
    }
    operation.sort_unstable();
    floor.sort_unstable();
    (operation[rounds / 2], floor[rounds / 2])
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let committee = TestCommittee::generate(3, 5, &mut OsRng).unwrap();
    let manifest = committee.manifest();
    let key = manifest.custody_key();
    let label = label("2026/q3/report.pdf", 1).unwrap();
    let data_key = DataKey::generate(&mut OsRng);
    let wrapped = wrap(key, &label, &data_key, &mut OsRng).unwrap();
    let reader = ReaderKey::generate(&mut OsRng);
    let (approve_id, reader_key) = (ApproveId([7; 32]), reader.public());
    let context = Context::new(manifest, &wrapped, approve_id, &reader_key).unwrap();
    let share = &committee.shares[0];
    let three: Vec<_> = committee.shares[..3]
        .iter()
        .map(|s| reencrypt(s, &context, &mut OsRng).unwrap())
        .collect();
    let (verified, _) = verify_shares(&context, &three, &mut OsRng);
    let combined = combine(&context, &verified).unwrap();

    let (u, q) = (*context.u().as_edwards(), *context.q().as_edwards());
    let x = *key.public_key().as_edwards();
    let b2 = *second_generator().as_edwards();
    let b2_table = EdwardsBasepointTable::create(&b2);
    let [x_i, k, a, b] = [(); 4].map(|()| Scalar::random(&mut OsRng));
    let (one_scalars, one_points) = (verification_scalars(1), points(9));
    let (batch_scalars, batch_points) = (verification_scalars(3), points(21));
    let encodings: Vec<[u8; 32]> = points(4096).iter().map(|p| p.compress().to_bytes()).collect();
    let mut fresh = encodings.iter().cycle();
    let base = |scalar: &Scalar| black_box(ED25519_BASEPOINT_TABLE * black_box(scalar));

    let mut pairs = vec![
        pair(
            "wrap",
            || {
                _ = black_box(wrap(key, &label, &data_key, &mut OsRng));
            },
            || {
                // r·B, s·B, r·B2, s·B2, r·X
                base(&a);
                base(&b);
                black_box(&b2_table * black_box(&a));
                black_box(&b2_table * black_box(&b));
                black_box(black_box(x) * black_box(a));
            },
        ),
        pair(
            "wrap verify",
            || {
                _ = black_box(wrapped.verify());
            },
            || {
                // f·B - e·U, f·B2 - e·U2
                black_box(EdwardsPoint::vartime_double_scalar_mul_basepoint(
                    black_box(&a),
                    &u,
                    &b,
                ));
                black_box(EdwardsPoint::vartime_multiscalar_mul(black_box([a, b]), [u, b2]));
            },
        ),
        pair(
            "reencrypt share",
            || {
                let context = Context::new(manifest, black_box(&wrapped), approve_id, &reader_key).unwrap();
                _ = black_box(reencrypt(share, &context, &mut OsRng));
            },
            || {
                // k·B, x·U + k·Q, a·B, b·B, a·U + b·Q
                base(&k);
                base(&a);
                base(&b);
                black_box(EdwardsPoint::multiscalar_mul(black_box([x_i, k]), [u, q]));
                black_box(EdwardsPoint::multiscalar_mul(black_box([a, b]), [u, q]));
            },
        ),
        pair(
            "verify one share",
            || {
                _ = black_box(verify_share(&context, &three[0]));
            },
            || {
                black_box(EdwardsPoint::vartime_multiscalar_mul(
                    black_box(&one_scalars),
                    &one_points,
                ));
            },
        ),
        pair(
            "verify batch of 3",
            || {
                black_box(verify_shares(&context, &three, &mut OsRng));
            },
            || {
                black_box(EdwardsPoint::vartime_multiscalar_mul(
                    black_box(&batch_scalars),
                    &batch_points,
                ));
            },
        ),
        pair(
            "combine 3",
            || {
                _ = black_box(combine(&context, &verified));
            },
            || {
                for _ in 0..2 {
                    black_box(EdwardsPoint::vartime_multiscalar_mul(
                        black_box([k, a, b]),
                        [u, q, x],
                    ));
                }
            },
        ),
        pair(
            "parse point",
            || {
                // More of them than the checks that are remembered.
                let encoding = fresh.next().unwrap();
                _ = black_box(Point::from_bytes(black_box(encoding)));
            },
            || {
                // Decompress, compress again, multiply by the group order.
                let point = CompressedEdwardsY(*black_box(context.u().as_bytes()))
                    .decompress()
                    .unwrap();
                black_box(point.compress());
                black_box(point.is_torsion_free());
            },
        ),
        pair(
            "open",
            || {
                _ = black_box(open(&reader, &combined, &wrapped));
            },
            || {
                black_box(black_box(u) * black_box(a));
            },
        ),
    ];
    assert_eq!(base(&Scalar::ONE), ED25519_BASEPOINT_POINT);

    for pair in &mut pairs {
        let mut group = criterion.benchmark_group(pair.name);
        group.bench_function("operation", |bench| bench.iter(&mut pair.operation));
        group.bench_function("floor", |bench| bench.iter(&mut pair.floor));
        group.finish();
    }
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    println!("\n{:<20} {:>12} {:>12} {:>8}", "", "operation", "floor", "ratio");
    for pair in &mut pairs {
        let (operation, floor) = medians(pair, 5000);
        let [operation, floor] = [operation, floor].map(|time| time.as_secs_f64() * 1e6);
        println!(
            "{:<20} {operation:>9.1} us {floor:>9.1} us {:>8.3}",
            pair.name,
            operation / floor
        );
    }
    criterion.final_summary();
}
