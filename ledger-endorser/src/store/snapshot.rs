//! Reading the store as it was at one final block.

use golden_record::{Header, StateError, StateReader};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use threshold::{encoding::Canonical, ids::BlockHash};

use super::{StoreError, tables};

/// One line of the log as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its place in the log, from 0.
    pub index: u64,
    /// The height of its block.
    pub height: u64,
    /// The canonical bytes of the [`golden_record::Entry`].
    pub entry: Vec<u8>,
}

/// A consistent view of everything up to one final block. It does not see what is appended later.
pub struct Snapshot {
    transaction: ReadTransaction,
    state: ReadOnlyTable<&'static [u8], &'static [u8]>,
    header: Header,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("height", &self.header.height)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(super) fn new(transaction: ReadTransaction) -> Result<Self, StoreError> {
        let state = transaction.open_table(tables::STATE)?;
        let headers = transaction.open_table(tables::HEADERS)?;
        let (_, newest) = headers.last()?.ok_or(StoreError::Damaged("there is no header"))?;
        let header = parse_header(newest.value())?;
        Ok(Self {
            transaction,
            state,
            header,
        })
    }

    /// The header of the newest block of this view.
    #[must_use]
    pub fn newest(&self) -> &Header {
        &self.header
    }

    /// The header at `height`.
    ///
    /// # Errors
    /// When the store fails or the header does not parse.
    pub fn header(&self, height: u64) -> Result<Option<Header>, StoreError> {
        let headers = self.transaction.open_table(tables::HEADERS)?;
        headers
            .get(height)?
            .map(|bytes| parse_header(bytes.value()))
            .transpose()
    }

    /// The header of the block with which the log has `log_size` entries; nothing when it never had, or when that is in
    /// the middle of a block. Of a size that several blocks have, that of the first: the others are empty.
    ///
    /// # Errors
    /// When the store fails or is damaged.
    pub fn header_with(&self, log_size: u64) -> Result<Option<Header>, StoreError> {
        let Some(last) = log_size.checked_sub(1) else {
            return self.header(0);
        };
        let Some(line) = self.line(last)? else {
            return Ok(None);
        };
        let header = self
            .header(line.height)?
            .ok_or(StoreError::Damaged("a header is missing"))?;
        Ok((header.log_size == log_size).then_some(header))
    }

    /// The lowest height from `height` on that has its own finality evidence, with its canonical bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub fn evidence_from(&self, height: u64) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let evidence = self.transaction.open_table(tables::EVIDENCE)?;
        let found = evidence.range(height..)?.next().transpose()?;
        Ok(found.map(|(height, bytes)| (height.value(), bytes.value().to_vec())))
    }

    /// The greatest height that has its own finality evidence, with its canonical bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub fn newest_evidence(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let evidence = self.transaction.open_table(tables::EVIDENCE)?;
        Ok(evidence
            .last()?
            .map(|(height, bytes)| (height.value(), bytes.value().to_vec())))
    }

    /// The log index of a transaction.
    ///
    /// # Errors
    /// When the store fails.
    pub fn index_of(&self, id: &[u8; 32]) -> Result<Option<u64>, StoreError> {
        let transactions = self.transaction.open_table(tables::TRANSACTIONS)?;
        Ok(transactions.get(id)?.map(|index| index.value()))
    }

    /// The line at `index`.
    ///
    /// # Errors
    /// When the store fails or the line is damaged.
    pub fn line(&self, index: u64) -> Result<Option<LogLine>, StoreError> {
        let entries = self.transaction.open_table(tables::ENTRIES)?;
        entries
            .get(index)?
            .map(|value| parse_line(index, value.value()))
            .transpose()
    }

    /// Lines from index `from` on, oldest first: at most `limit` of them, and no more once they hold `max_bytes`.
    ///
    /// # Errors
    /// When the store fails or a line is damaged.
    pub fn page(&self, from: u64, limit: usize, max_bytes: usize) -> Result<Vec<LogLine>, StoreError> {
        let entries = self.transaction.open_table(tables::ENTRIES)?;
        let mut page = Page::new(limit, max_bytes);
        for found in entries.range(from..)? {
            let (index, value) = found?;
            if !page.push(parse_line(index.value(), value.value())?) {
                break;
            }
        }
        Ok(page.lines)
    }

    /// As [`Snapshot::page`], but only the lines that concern `tenant`.
    ///
    /// # Errors
    /// When the store fails or a line is damaged.
    pub fn tenant_page(
        &self,
        tenant: &str,
        from: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<LogLine>, StoreError> {
        let tenants = self.transaction.open_table(tables::TENANTS)?;
        let mut page = Page::new(limit, max_bytes);
        for found in tenants.range((tenant, from)..=(tenant, u64::MAX))? {
            let (key, _) = found?;
            let (_, index) = key.value();
            let line = self
                .line(index)?
                .ok_or(StoreError::Damaged("a tenant's line is missing"))?;
            if !page.push(line) {
                break;
            }
        }
        Ok(page.lines)
    }

    /// What follows `prefix` in the keys of the state that begin with it, in their order, from after `after` on, and at
    /// most `limit` of them.
    ///
    /// # Errors
    /// When the store fails.
    pub fn keys_after(&self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let start = [prefix, after].concat();
        let mut found = Vec::new();
        for entry in self.state.range(start.as_slice()..)? {
            let (key, _) = entry?;
            let Some(rest) = key.value().strip_prefix(prefix) else {
                break;
            };
            if rest > after {
                found.push(rest.to_vec());
            }
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    /// The hash of the block at `height`.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub fn block_hash(&self, height: u64) -> Result<BlockHash, StoreError> {
        let header = self
            .header(height)?
            .ok_or(StoreError::Damaged("a header is missing"))?;
        Ok(header.hash())
    }
}

/// A page being filled.
struct Page {
    lines: Vec<LogLine>,
    limit: usize,
    room: usize,
}

impl Page {
    fn new(limit: usize, max_bytes: usize) -> Self {
        Self {
            lines: Vec::new(),
            limit,
            room: max_bytes,
        }
    }

    /// Whether another line may follow. A page has one line at least, whatever its size.
    fn push(&mut self, line: LogLine) -> bool {
        if self.lines.len() >= self.limit || (!self.lines.is_empty() && line.entry.len() > self.room) {
            return false;
        }
        self.room = self.room.saturating_sub(line.entry.len());
        self.lines.push(line);
        self.lines.len() < self.limit
    }
}

fn parse_header(bytes: &[u8]) -> Result<Header, StoreError> {
    Header::from_bytes(bytes).map_err(|_| StoreError::Damaged("a header does not parse"))
}

fn parse_line(index: u64, value: &[u8]) -> Result<LogLine, StoreError> {
    let (height, entry) = value
        .split_first_chunk::<8>()
        .ok_or(StoreError::Damaged("a line of the log is too short"))?;
    Ok(LogLine {
        index,
        height: u64::from_be_bytes(*height),
        entry: entry.to_vec(),
    })
}

impl StateReader for Snapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let value = self.state.get(key).map_err(StoreError::from)?;
        Ok(value.map(|value| value.value().to_vec()))
    }
}
