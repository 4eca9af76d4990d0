//! Who decides since the genesis, beside the lines, so that the checkpoint can be verified with nothing but the genesis.
//!
//! One line for each epoch of endorsers after the first, in order: base64 of the handover ‖ LF.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use golden_record::{Epochs, Genesis, Handover};
use service::files::{Secrecy, write_atomically};
use threshold::encoding::Canonical;

use super::contents::Damage;
use crate::error::Error;

const FILE: &str = "handovers";
/// A file is not looked at beyond this, nor written: some thousand handovers.
const MOST_BYTES: u64 = 8 << 20;

/// The epochs that follow from the genesis and the handovers of a mirror.
pub(super) fn read(directory: &Path, genesis: &Genesis) -> Result<Epochs, Error> {
    let path = directory.join(FILE);
    let mut epochs = Epochs::new(genesis.clone());
    let reading = || Error::io(format!("reading {}", path.display()));
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(epochs),
        Err(error) => return Err(reading()(error)),
    };
    let mut text = String::new();
    file.take(MOST_BYTES)
        .read_to_string(&mut text)
        .map_err(reading())?;
    for line in text.split_inclusive('\n') {
        let handover = parse(line).and_then(|handover| epochs.advance(handover).ok());
        handover.ok_or_else(|| Damage::of(&path, CHANGED))?;
    }
    Ok(epochs)
}

/// Makes what is known of the epochs durable.
pub(super) fn write(directory: &Path, epochs: &Epochs) -> Result<(), Error> {
    let handovers = epochs.handovers_to(epochs.newest());
    if handovers.is_empty() {
        return Ok(());
    }
    let path = directory.join(FILE);
    let line = |handover: &Handover| STANDARD.encode(handover.to_bytes()) + "\n";
    let text: String = handovers.iter().map(line).collect();
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MOST_BYTES {
        return Err(Error::Request(format!(
            "the endorsers have changed {} times, and the handovers do not fit into {MOST_BYTES} bytes",
            handovers.len()
        )));
    }
    write_atomically(&path, text.as_bytes(), Secrecy::Public)
        .map_err(Error::io(format!("writing {}", path.display())))
}

fn parse(line: &str) -> Option<Handover> {
    let bytes = STANDARD.decode(line.strip_suffix('\n')?).ok()?;
    Handover::from_bytes(&bytes).ok()
}

const CHANGED: &str = "does not lead from the genesis to the endorsers of today: it was changed";
