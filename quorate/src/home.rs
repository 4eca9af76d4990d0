//! Where a person's profile, keys and development cluster live.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// `$QUORATE_HOME`, or `.quorate` in the person's home directory.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Home {
    /// Finds it; nothing is created.
    pub fn find() -> Outcome<Self> {
        if let Some(directory) = env::var_os("QUORATE_HOME").filter(|value| !value.is_empty()) {
            return Ok(Self(PathBuf::from(directory)));
        }
        env::var_os("HOME")
            .filter(|value| !value.is_empty())
            .map(|home| Self(Path::new(&home).join(".quorate")))
            .ok_or_else(|| {
                Failure::error(
                    "there is no home directory",
                    "set QUORATE_HOME to a directory of yours",
                )
            })
    }

    /// A home at a given place.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The profile that commands find by themselves.
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        self.0.join("profile.toml")
    }

    /// Sealed keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// The one file that is not sealed: what seals the keys.
    #[must_use]
    pub fn passphrase(&self) -> PathBuf {
        self.0.join("passphrase")
    }

    /// The development cluster.
    #[must_use]
    pub fn dev(&self) -> PathBuf {
        self.0.join("dev")
    }
}

/// Creates a directory that only its owner can enter.
pub(crate) fn private_directory(path: &Path) -> Outcome {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| {
            Failure::error(
                format!("cannot create {}: {error}", path.display()),
                "check that the disk has room and that the directory above it is yours",
            )
        })
}
