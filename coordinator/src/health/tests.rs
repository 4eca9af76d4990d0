use super::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_faster_node_is_asked_first_and_an_unknown_one_before_it() {
    let (fast, slow, unknown) = (Health::default(), Health::default(), Health::default());
    let now = Instant::now();
    fast.answered(10 * MS);
    slow.answered(40 * MS);
    assert!(unknown.score(now) < fast.score(now) && fast.score(now) < slow.score(now));
}

#[test]
fn a_busy_node_looks_slower() {
    let (busy, idle) = (Health::default(), Health::default());
    let now = Instant::now();
    busy.answered(10 * MS);
    idle.answered(11 * MS);
    assert!(busy.score(now) < idle.score(now));
    for _ in 0..8 {
        busy.asked(now);
    }
    assert!(busy.score(now) > idle.score(now));
    for _ in 0..8 {
        busy.released();
    }
    assert!(busy.score(now) < idle.score(now));
}

#[test]
fn p3_a_failed_node_is_asked_last_until_it_is_forgiven() {
    let (failed, slow) = (Health::default(), Health::default());
    let now = Instant::now();
    failed.answered(1 * MS);
    slow.answered(50 * MS);
    failed.lost(now);
    assert!(failed.score(now) > slow.score(now) && !failed.reachable());
    assert!(failed.score(now + Duration::from_secs(60)) < slow.score(now));
    failed.answered(1 * MS);
    assert!(failed.reachable());
    assert!(failed.score(now) < slow.score(now));
}

#[test]
fn p3_a_hung_node_looks_slower_with_every_wait() {
    let (hung, other) = (Health::default(), Health::default());
    hung.answered(1 * MS);
    other.answered(5 * MS);
    for _ in 0..3 {
        hung.slow(100 * MS);
    }
    let now = Instant::now();
    assert!(hung.score(now) > other.score(now));
    // An early look at a node known to be slow does not make it look faster.
    let before = hung.latency_seconds();
    hung.slow(1 * MS);
    assert!(hung.latency_seconds() >= before);
}

#[test]
fn patience_follows_the_nodes_within_bounds() {
    let patience = Patience::new(20 * MS, 500 * MS);
    assert_eq!(patience.delay(), UNKNOWN);
    for _ in 0..SAMPLES {
        patience.learn(2 * MS);
    }
    assert_eq!(patience.delay(), 20 * MS);
    for _ in 0..SAMPLES {
        patience.learn(100 * MS);
    }
    assert_eq!(patience.delay(), 150 * MS);
    for _ in 0..SAMPLES {
        patience.learn(5000 * MS);
    }
    assert_eq!(patience.delay(), 500 * MS);
}

#[test]
fn a_few_outliers_do_not_change_patience() {
    let patience = Patience::new(20 * MS, 500 * MS);
    for place in 0..SAMPLES {
        patience.learn(if place % 50 == 0 { 5000 * MS } else { 40 * MS });
    }
    assert_eq!(patience.delay(), 60 * MS);
}

#[test]
fn a_node_found_again_is_reachable_and_still_asked_after_others() {
    let (found, other) = (Health::default(), Health::default());
    found.answered(1 * MS);
    other.answered(5 * MS);
    let now = Instant::now();
    found.lost(now);
    found.found();
    assert!(found.reachable());
    assert!(found.score(now) > other.score(now));
}
