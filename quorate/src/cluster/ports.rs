//! Free loopback ports for a new cluster.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rand_core::{OsRng, RngCore};

use crate::failure::{Failure, Outcome};

/// Below the range from which Linux gives ports to outgoing connections, so that a cluster finds its ports free
/// again when it is restarted.
const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// `count` free ports of 127.0.0.1, from a random place on, so that two clusters seldom want the same.
pub(crate) fn free(count: usize) -> Outcome<Vec<SocketAddr>> {
    let span = u32::from(LAST - FIRST) + 1;
    let start = OsRng.next_u32() % span;
    let mut held = Vec::with_capacity(count);
    for step in 0..span {
        if held.len() == count {
            break;
        }
        let offset = u16::try_from((start + step) % span).unwrap_or(0);
        // Held until all are found, so that none is found twice.
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + offset)) {
            held.push(listener);
        }
    }
    if held.len() < count {
        return Err(Failure::error(
            format!("fewer than {count} ports of 127.0.0.1 between {FIRST} and {LAST} are free"),
            "stop other programs on this machine and try again",
        ));
    }
    held.iter()
        .map(|listener| listener.local_addr().map_err(Failure::from))
        .collect()
}
