//! The state as keys and values: how it is read, and how a block changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Why the state could not be read. It is the store's fault, or its content's, never a transaction's: whoever
/// meets it stops rather than decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The store failed.
    #[error("the state cannot be read: {0}")]
    Store(String),
    /// A value is missing which the rest of the state says is there, or it does not parse.
    #[error("the state is damaged at {key}: {detail}")]
    Corrupt {
        /// The key, printable.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl StateError {
    /// Names the damaged key, escaped so that it can be printed.
    pub fn corrupt(key: &[u8], detail: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            key: key.escape_ascii().to_string(),
            detail: detail.to_string(),
        }
    }
}

/// Where the state is read from.
pub trait StateReader {
    /// The value at `key`, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;
}

impl<T: StateReader + ?Sized> StateReader for &T {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        (**self).get(key)
    }
}

/// A state in memory, for tests, tools and small replays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState(BTreeMap<Vec<u8>, Vec<u8>>);

impl MemoryState {
    /// A state with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the changes of one block.
    pub fn apply(&mut self, changes: &Changes) {
        for (key, value) in changes.iter() {
            match value {
                Some(value) => self.0.insert(key.to_vec(), value.to_vec()),
                None => self.0.remove(key),
            };
        }
    }

    /// All keys and values whose key starts with `prefix`, in the order of the keys.
    pub fn range<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.0
            .range(prefix.to_vec()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.as_slice(), value.as_slice()))
    }
}

impl StateReader for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.get(key).cloned())
    }
}

/// What one block changes: a value for each key that is set, nothing for each that is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Changes {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key`.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, Some(value));
    }

    /// Removes `key`.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.0.insert(key, None);
    }

    /// What these changes say of `key`: nothing, that it is removed, or its new value.
    pub fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.0.get(key).map(Option::as_deref)
    }

    /// All changes in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// How many keys change.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the changes made after these.
    pub fn extend(&mut self, later: Changes) {
        self.0.extend(later.0);
    }
}

/// The state as it will be when blocks that are not final yet have become so: their changes, the oldest block
/// first, over the state of the newest final block.
pub struct Overlay<'a> {
    base: &'a dyn StateReader,
    pending: Vec<Arc<Changes>>,
}

impl<'a> Overlay<'a> {
    /// `pending` are the changes of the ancestors above `base`, the oldest first.
    pub fn new(base: &'a dyn StateReader, pending: Vec<Arc<Changes>>) -> Self {
        Self { base, pending }
    }

    /// Adds the changes of one more block on top.
    pub fn push(&mut self, changes: Arc<Changes>) {
        self.pending.push(changes);
    }
}

impl StateReader for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        for changes in self.pending.iter().rev() {
            if let Some(value) = changes.get(key) {
                return Ok(value.map(<[u8]>::to_vec));
            }
        }
        self.base.get(key)
    }
}

/// The state while a block, or one of its transactions, is being executed: what it has changed so far over what
/// was before.
pub(crate) struct Draft<'a> {
    base: &'a dyn StateReader,
    changes: Changes,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(base: &'a dyn StateReader) -> Self {
        Self {
            base,
            changes: Changes::new(),
        }
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.put(key, value);
    }

    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.changes.remove(key);
    }

    pub(crate) fn extend(&mut self, later: Changes) {
        self.changes.extend(later);
    }

    pub(crate) fn into_changes(self) -> Changes {
        self.changes
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }
}

impl StateReader for Draft<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.changes.get(key) {
            Some(value) => Ok(value.map(<[u8]>::to_vec)),
            None => self.base.get(key),
        }
    }
}
