//! A daemon's one configuration file, and the environment that overrides it.
//!
//! The file is TOML. Any key that stands for one value can be overridden by an environment variable: the
//! daemon's prefix, then the key's path in upper case, joined by two underscores, with numbers for places in a
//! list. With the prefix `QUORATE_COORDINATOR`, `QUORATE_COORDINATOR__NODES__0__ADDRESS` overrides `nodes[0].address`.
//! Secrets are never in either; the configuration names the files that hold them.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ::config::{Config, File, FileFormat, Value, ValueKind};
use serde::de::DeserializeOwned;

#[cfg(test)]
mod tests;

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file, or a variable, does not say what the daemon needs. The error names the key.
    #[error(
        "configuration {path}: {source}; correct it there, or set the key in the environment as {prefix}__SECTION__KEY"
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What the daemon's variables begin with.
        prefix: String,
        /// Why.
        source: Box<::config::ConfigError>,
    },
}

/// A number of the configuration is not in its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value}, and must be {}", said(range))]
pub struct OutOfRange {
    /// The key's path.
    pub key: &'static str,
    /// What it is.
    pub value: u64,
    /// What it may be.
    pub range: RangeInclusive<u64>,
}

fn said(range: &RangeInclusive<u64>) -> String {
    match (range.start(), range.end()) {
        (least, &u64::MAX) => format!("at least {least}"),
        (least, most) => format!("{least} to {most}"),
    }
}

/// Checks a number of the configuration, which is named by its path.
///
/// # Errors
/// When it is not in the range.
pub fn in_range(
    key: &'static str,
    value: impl TryInto<u64>,
    range: RangeInclusive<u64>,
) -> Result<(), OutOfRange> {
    // Nothing here is wider than 64 bits.
    let value = value.try_into().unwrap_or(u64::MAX);
    if range.contains(&value) {
        Ok(())
    } else {
        Err(OutOfRange { key, value, range })
    }
}

/// Loads the configuration at `path`, with overrides from the variables that begin with `env_prefix` and two
/// underscores. Blocks.
///
/// # Errors
/// Names the file, the key and what is wrong with it.
pub fn load<T: DeserializeOwned>(path: &Path, env_prefix: &str) -> Result<T, ConfigError> {
    load_with(
        path,
        env_prefix,
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )
}

fn load_with<T: DeserializeOwned>(
    path: &Path,
    env_prefix: &str,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, env_prefix, variables).map_err(|source| ConfigError::Invalid {
        path: path.to_owned(),
        prefix: env_prefix.to_owned(),
        source: Box::new(source),
    })
}

fn parse<T: DeserializeOwned>(
    text: &str,
    env_prefix: &str,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<T, ::config::ConfigError> {
    let mut builder = Config::builder().add_source(File::from_str(text, FileFormat::Toml));
    for (name, text) in variables {
        let Some(key) = name
            .strip_prefix(env_prefix)
            .and_then(|rest| rest.strip_prefix("__"))
        else {
            continue;
        };
        let origin = format!("the environment variable {name}");
        builder = builder.set_override(key_path(key), Value::new(Some(&origin), ValueKind::String(text)))?;
    }
    builder.build()?.try_deserialize()
}

/// `NODES__0__ADDRESS` to `nodes[0].address`.
fn key_path(variable: &str) -> String {
    let mut path = String::new();
    for segment in variable.split("__") {
        if !path.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{segment}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&segment.to_ascii_lowercase());
        }
    }
    path
}
