use super::*;

#[test]
fn a_burst_passes_then_the_average_rate() {
    let limit = RateLimit::new(10, 3, 8);
    let start = Instant::now();
    for _ in 0..3 {
        limit.check(&[1; 32], start).unwrap();
    }
    let over = limit.check(&[1; 32], start).unwrap_err();
    assert_eq!(over.retry_after, Duration::from_millis(100));
    limit.check(&[1; 32], start + Duration::from_millis(101)).unwrap();
    limit
        .check(&[1; 32], start + Duration::from_millis(102))
        .unwrap_err();
}

#[test]
fn one_peer_does_not_use_up_anothers_tokens() {
    let limit = RateLimit::new(1, 1, 8);
    let now = Instant::now();
    limit.check(&[1; 32], now).unwrap();
    limit.check(&[1; 32], now).unwrap_err();
    limit.check(&[2; 32], now).unwrap();
}

#[test]
fn idleness_does_not_add_up_beyond_the_burst() {
    let limit = RateLimit::new(1, 2, 8);
    let start = Instant::now();
    limit.check(&[1; 32], start).unwrap();
    let later = start + Duration::from_secs(3600);
    limit.check(&[1; 32], later).unwrap();
    limit.check(&[1; 32], later).unwrap();
    limit.check(&[1; 32], later).unwrap_err();
}

#[test]
fn c12_memory_is_bounded_by_the_number_of_keys() {
    let limit = RateLimit::new(1, 1, 4);
    let start = Instant::now();
    for key in 0..100_u8 {
        limit
            .check(&[key; 32], start + Duration::from_millis(key.into()))
            .unwrap();
    }
    assert_eq!(limit.buckets.lock().unwrap().len(), 4);
    // The newest are still remembered.
    limit
        .check(&[99; 32], start + Duration::from_millis(100))
        .unwrap_err();
}
