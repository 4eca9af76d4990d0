//! Free loopback ports, for several daemons on one machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rand_core::{OsRng, RngCore};

/// Below the range from which Linux gives ports to outgoing connections, so that a daemon finds its ports free again when
/// it is restarted.
const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// `count` free ports of 127.0.0.1: from a random place on, so that two processes seldom want the same, and to one process
/// none twice before it has had all.
///
/// # Errors
/// When fewer are free.
pub fn free(count: usize) -> io::Result<Vec<SocketAddr>> {
    static NEXT: OnceLock<AtomicU32> = OnceLock::new();
    among(
        FIRST,
        LAST,
        NEXT.get_or_init(|| AtomicU32::new(OsRng.next_u32())),
        count,
    )
}

fn among(first: u16, last: u16, next: &AtomicU32, count: usize) -> io::Result<Vec<SocketAddr>> {
    let span = u32::from(last - first) + 1;
    let mut held = Vec::with_capacity(count);
    for _ in 0..span {
        if held.len() == count {
            break;
        }
        let offset = u16::try_from(next.fetch_add(1, Ordering::Relaxed) % span).unwrap_or(0);
        // Held until all are found, so that they are free together.
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, first + offset)) {
            held.push(listener);
        }
    }
    if held.len() < count {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("fewer than {count} ports of 127.0.0.1 between {first} and {last} are free"),
        ));
    }
    held.iter().map(TcpListener::local_addr).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpListener;
    use std::sync::atomic::AtomicU32;

    use super::{among, free};

    #[test]
    fn ports_are_given_once_and_none_that_an_outgoing_connection_may_have() {
        let (first, second) = (free(20).unwrap(), free(20).unwrap());
        let all: BTreeSet<_> = first.iter().chain(&second).collect();
        assert_eq!(all.len(), 40);
        assert!(all.iter().all(|address| address.port() < 32_768));
    }

    #[test]
    fn a_port_that_is_taken_is_not_given() {
        let port = free(1).unwrap()[0].port();
        let next = AtomicU32::new(0);
        assert_eq!(among(port, port, &next, 1).unwrap()[0].port(), port);
        let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert!(among(port, port, &next, 1).is_err());
    }
}
