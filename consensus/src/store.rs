//! Where final blocks and their certificates are kept: two append-only archives, by height and by hash.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    sync::Arc,
};

use commonware_consensus::simplex::{scheme::ed25519::Scheme, types::Finalization};
use commonware_cryptography::{certificate::Verifier as _, sha256::Digest};
use commonware_runtime::buffer::paged::{self, CacheRef};
use commonware_storage::archive::{
    Error,
    immutable::{Archive, Config},
};
use commonware_utils::{NZU64, NZUsize};

use crate::{
    block::{Admission, Block},
    validator::Runtime,
};

/// One page on disk, checksum included, is what the disk writes at once.
pub(crate) const PAGE_SIZE: NonZeroU16 = paged::page_size(4096);

/// Pages kept in memory: 8 MiB.
pub(crate) const PAGES: NonZeroUsize = NZUsize!(2048);

/// Read ahead while replaying a journal at the start.
pub(crate) const REPLAY_BUFFER: NonZeroUsize = NZUsize!(1 << 20);

/// Gathered before it is written; what must be durable is written at once all the same.
pub(crate) const WRITE_BUFFER: NonZeroUsize = NZUsize!(64 << 10);

/// Slots of the hash table at first; it grows.
const TABLE_SLOTS: u32 = 16_384;

/// The certificates and the blocks, by height.
pub(crate) struct Archives<E: Runtime> {
    pub(crate) certificates: Archive<E, Digest, Finalization<Scheme, Digest>>,
    pub(crate) blocks: Archive<E, Digest, Arc<Block>>,
}

/// Opens both archives, and repairs what a crash left half written.
pub(crate) async fn open<E: Runtime>(
    context: &E,
    partition: &str,
    cache: &CacheRef,
    admission: Admission,
) -> Result<Archives<E>, Error> {
    let certificates = Archive::init(
        context.child("certificates"),
        config(
            &format!("{partition}-certificates"),
            cache,
            Scheme::certificate_codec_config_unbounded(),
        ),
    )
    .await?;
    let blocks = Archive::init(
        context.child("blocks"),
        config(&format!("{partition}-blocks"), cache, admission),
    )
    .await?;
    Ok(Archives { certificates, blocks })
}

fn config<C>(prefix: &str, cache: &CacheRef, codec_config: C) -> Config<C> {
    Config {
        metadata_partition: format!("{prefix}-metadata"),
        freezer_table_partition: format!("{prefix}-table"),
        freezer_table_initial_size: TABLE_SLOTS,
        freezer_table_resize_frequency: 4,
        freezer_table_resize_chunk_size: TABLE_SLOTS / 4,
        freezer_key_partition: format!("{prefix}-keys"),
        freezer_key_page_cache: cache.clone(),
        freezer_value_partition: format!("{prefix}-values"),
        freezer_value_target_size: 64 << 20,
        freezer_value_compression: None,
        ordinal_partition: format!("{prefix}-ordinal"),
        items_per_section: NZU64!(4096),
        freezer_key_write_buffer: WRITE_BUFFER,
        freezer_value_write_buffer: WRITE_BUFFER,
        ordinal_write_buffer: WRITE_BUFFER,
        replay_buffer: REPLAY_BUFFER,
        codec_config,
    }
}
