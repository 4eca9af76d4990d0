//! Tells a supervisor of systemd's kind (`Type=notify`) how the daemon is.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Reports that the daemon serves. Does nothing without a supervisor, that is when `NOTIFY_SOCKET` is not set.
pub fn ready() {
    report("READY=1\nSTATUS=serving");
}

/// Reports that the daemon has started and waits for a person, in words: what it cannot do before is no failure to
/// start, and must not be ended by the supervisor's timeout.
pub fn sealed(status: &str) {
    report(&format!("READY=1\nSTATUS={status}"));
}

/// Reports that the daemon is draining.
pub fn stopping() {
    report("STOPPING=1");
}

fn report(state: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, state)
    {
        // Serving matters more than saying so; the supervisor has its own timeout.
        tracing::warn!(%error, "cannot notify the supervisor");
    }
}

/// A path, or a name in the abstract namespace written with a leading `@`.
fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(state.as_bytes(), &address)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_supervisor_hears_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let supervisor = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), "READY=1").unwrap();
        let mut buffer = [0; 16];
        let length = supervisor.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
    }
}
