//! The tables of the store: what is kept under which key.

use redb::TableDefinition;

/// `layout` → u64, `chain` → the chain id.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Height → canonical header. The genesis block is height 0. Empty blocks that no proof needs are forgotten.
pub(super) const HEADERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("headers");

/// Height → canonical finality evidence, for the heights that have their own and are not forgotten.
pub(super) const EVIDENCE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("evidence");

/// Log index → height of its block (u64, big-endian) ‖ canonical entry.
pub(super) const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");

/// Transaction id → log index.
pub(super) const TRANSACTIONS: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("transactions");

/// (tenant, log index): the entries that concern a tenant.
pub(super) const TENANTS: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("tenants");

/// The world state, as `golden_record` names its keys.
pub(super) const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");

/// The layout of these tables.
pub(super) const LAYOUT: u64 = 2;
