//! Messages between the applications, beside consensus and never in its way.

use std::sync::{Arc, Mutex, PoisonError};

use commonware_cryptography::ed25519::PublicKey;
use commonware_macros::select;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::IoBufs;
use futures::future::pending;

use crate::{application::Application, error::Error, validator::Outgoing};

/// The validators that can be reached at present.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connected(Arc<Mutex<Vec<[u8; 32]>>>);

impl Connected {
    pub(crate) fn get(&self) -> Vec<[u8; 32]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, keys: Vec<[u8; 32]>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }
}

/// The bytes of a public key.
pub(crate) fn raw(key: &PublicKey) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(key.as_ref());
    bytes
}

/// Sends what the application gives and hands it what arrives, until either end is closed.
pub(crate) async fn run(
    mut sender: impl Sender<PublicKey = PublicKey>,
    mut receiver: impl Receiver<PublicKey = PublicKey>,
    outgoing: Outgoing,
    application: Arc<dyn Application>,
    max_bytes: usize,
) -> Error {
    let mut outgoing = outgoing.lock().await;
    loop {
        // Nobody can give more once the handle is gone; what arrives is still taken.
        let next = async {
            match outgoing.recv().await {
                Some(message) => message,
                None => pending().await,
            }
        };
        select! {
            message = next => {
                let _ = sender.send(Recipients::All, IoBufs::from(message), false);
            },
            received = receiver.recv() => match received {
                // Larger than an honest peer sends: dropped, not worth a connection.
                Ok((_, message)) if message.len() > max_bytes => {},
                Ok((peer, message)) => application.received(raw(&peer), message.as_ref().to_vec()),
                Err(error) => return Error::Stopped(format!("the gossip channel ended: {error}")),
            },
        }
    }
}
