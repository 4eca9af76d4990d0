//! When to stop.

use tokio::signal::unix::{SignalKind, signal as listen};

/// Completes at the first SIGTERM or SIGINT of this process.
///
/// If the handlers cannot be installed it completes at once, after an error in the log: a daemon that could
/// not be asked to stop should not begin.
pub async fn signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (listen(SignalKind::terminate()), listen(SignalKind::interrupt()))
    else {
        tracing::error!("cannot install the handlers of SIGTERM and SIGINT");
        return;
    };
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "stopping");
}
