//! Whether a daemon is up and can serve: what its operations port says.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::layout::Seat;

/// Between two looks.
pub(super) const PAUSE: Duration = Duration::from_millis(30);
const PATIENCE: Duration = Duration::from_secs(2);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// The process runs.
    Alive,
    /// It serves what it is for.
    Ready,
}

/// Asks once.
pub(super) async fn is(seat: &Seat, wanted: Condition) -> bool {
    matches!(
        tokio::time::timeout(PATIENCE, ask(seat, wanted)).await,
        Ok(Ok(true))
    )
}

async fn ask(seat: &Seat, wanted: Condition) -> std::io::Result<bool> {
    let path = match wanted {
        Condition::Alive => "/livez",
        Condition::Ready => "/readyz",
    };
    let mut stream = TcpStream::connect(seat.operations).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        seat.operations
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    Ok(head.ends_with(b" 200"))
}
