//! The profile file: where it is, reading it, writing it.

use std::fs;
use std::path::Path;

use client::Profile;
use service::files::{Secrecy, write_atomically};

use crate::failure::{Failure, Outcome};
use crate::home::private_directory;

/// Reads a profile.
pub(crate) fn load(path: &Path) -> Outcome<Profile> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::error(
            format!("there is no profile at {}: {error}", path.display()),
            "run `quorate dev` in another terminal, or give the profile of your installation with --profile",
        )
    })?;
    toml::from_str(&text).map_err(|error| {
        Failure::error(
            format!("the profile {} cannot be read: {error}", path.display()),
            "correct the field that is named, or ask whoever gave you the profile for a new one",
        )
    })
}

/// Writes a profile in place of the one that is there.
pub(crate) fn save(path: &Path, profile: &Profile) -> Outcome {
    if let Some(directory) = path.parent() {
        private_directory(directory)?;
    }
    let text = toml::to_string(profile).map_err(anyhow::Error::from)?;
    write_atomically(path, text.as_bytes(), Secrecy::Public)?;
    Ok(())
}
