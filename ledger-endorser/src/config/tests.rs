use super::*;

/// Why limits are refused.
fn refused(change: fn(&mut Limits)) -> String {
    let mut limits = Limits::default();
    change(&mut limits);
    limits.check().unwrap_err().to_string()
}

#[test]
fn limits_that_are_out_of_their_range_are_refused_with_it() {
    Limits::default().check().unwrap();
    type Spoil = fn(&mut Limits);
    let zero: [(Spoil, &str); 12] = [
        (|limits| limits.requests_per_second = 0, "requests_per_second"),
        (|limits| limits.request_burst = 0, "request_burst"),
        (|limits| limits.searches_per_second = 0, "searches_per_second"),
        (|limits| limits.search_burst = 0, "search_burst"),
        (|limits| limits.gossip_per_second = 0, "gossip_per_second"),
        (|limits| limits.gossip_burst = 0, "gossip_burst"),
        (|limits| limits.mempool_transactions = 0, "mempool_transactions"),
        (|limits| limits.author_transactions = 0, "author_transactions"),
        (|limits| limits.tenant_transactions = 0, "tenant_transactions"),
        (|limits| limits.block_transactions = 0, "block_transactions"),
        (|limits| limits.submit_deadline_ms = 0, "submit_deadline_ms"),
        (|limits| limits.connections = 0, "connections"),
    ];
    for (spoil, key) in zero {
        let why = refused(spoil);
        assert!(
            why.starts_with(&format!("limits.{key} is 0, and must be ")),
            "{why}"
        );
    }
    // A transaction that is allowed and never fits would be taken, and never be in a block.
    let small: [(Spoil, &str); 4] = [
        (|limits| limits.mempool_bytes = 65_535, "mempool_bytes"),
        (|limits| limits.author_bytes = 65_535, "author_bytes"),
        (|limits| limits.tenant_bytes = 65_535, "tenant_bytes"),
        (|limits| limits.block_bytes = 65_535, "block_bytes"),
    ];
    for (spoil, key) in small {
        let expected = format!("limits.{key} is 65535, and must be at least 65536");
        assert_eq!(refused(spoil), expected);
    }
    let others: [(Spoil, &str); 4] = [
        (
            |limits| limits.connections = 65_537,
            "limits.connections is 65537, and must be 1 to 65536",
        ),
        (
            |limits| limits.block_interval_ms = 626,
            "limits.block_interval_ms is 626, and must be 0 to 625",
        ),
        (
            |limits| limits.clock_skew_ms = 60_001,
            "limits.clock_skew_ms is 60001, and must be 0 to 60000",
        ),
        (
            |limits| limits.stale_after_ms = 800,
            "limits.stale_after_ms is 800, and must be at least 801",
        ),
    ];
    for (spoil, expected) in others {
        assert_eq!(refused(spoil), expected);
    }
}
