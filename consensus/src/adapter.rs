//! Brings the engine's questions to the application, and its answers back.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use commonware_consensus::{
    Application as ConsensusApplication, Heightable as _,
    marshal::ancestry::Ancestry,
    simplex::{scheme::ed25519::Scheme, types::Context},
};
use commonware_cryptography::{Digested, Digestible as _, ed25519::PublicKey, sha256::Digest};
use futures::{FutureExt as _, StreamExt as _, future::pending};
use tracing::{debug, error, warn};

use crate::{
    application::{Application, BlockBytes},
    block::{Admission, Block},
    validator::{Finals, Runtime},
};

/// How many blocks an application may be behind and still be asked about the next one. Final blocks reach
/// it within milliseconds, so more than a few means that it is catching up.
const MAX_ANCESTRY: usize = 256;

/// The application as the engine calls it.
#[derive(Clone)]
pub(crate) struct Adapter {
    pub(crate) application: Arc<dyn Application>,
    pub(crate) admission: Admission,
    pub(crate) finals: Finals,
}

/// The blocks above `applied` of a stream that runs from the newest to the oldest, oldest first.
/// `None` when one cannot be had, or they are too many.
async fn above(applied: u64, mut ancestry: impl Ancestry<Block>) -> Option<Vec<Digested<Block>>> {
    let mut blocks = Vec::new();
    loop {
        let block = ancestry.next().await?;
        let height = block.height().get();
        if height > applied {
            blocks.push(block);
        }
        if height <= applied.saturating_add(1) {
            blocks.reverse();
            return Some(blocks);
        }
        if blocks.len() > MAX_ANCESTRY {
            return None;
        }
    }
}

fn bytes(blocks: &[Digested<Block>]) -> Vec<BlockBytes> {
    blocks.iter().map(|block| block.inner().bytes()).collect()
}

/// Runs an application's future where it may compute for long without holding up the engine, and ends it
/// when the engine loses interest. `None` when it panicked, which one bad block must not make all validators do at
/// once, or when the engine is stopping.
async fn aside<E: Runtime, T: Send + 'static>(
    context: &E,
    label: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let caught = AssertUnwindSafe(work).catch_unwind();
    let task = context.child(label).shared(true).spawn(move |_| caught);
    let result = task.abort_on_drop().join().await.ok()?;
    result
        .inspect_err(|_| error!("the application panicked over a block"))
        .ok()
}

impl Adapter {
    /// Checks what the application has built before it is signed: our own block must not be the invalid one.
    fn seal(&self, parent: &Digested<Block>, built: Vec<u8>) -> Option<Digested<Block>> {
        use commonware_consensus::Block as _;
        let Some(block) = self.admission.admit(built.into()) else {
            error!("the application proposed bytes that are not a block, or too many");
            return None;
        };
        if block.parent() != parent.digest() || block.height() != parent.height().next() {
            // The application has moved on: the view's parent is no longer what it builds on.
            debug!(height = %block.height(), "the application built on another parent");
            return None;
        }
        Some(block.digested())
    }

    /// Whether the block at this height that became final meanwhile is this one. Never answers when it is not:
    /// then the view is about to end, and there is nothing to vote for.
    async fn settled(&self, block: &Digested<Block>) -> bool {
        match self.finals.digest(block.height().get()).await {
            Some(digest) if digest == block.digest() => true,
            _ => pending().await,
        }
    }
}

impl<E: Runtime> ConsensusApplication<E> for Adapter {
    type SigningScheme = Scheme;
    type Context = Context<Digest, PublicKey>;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        (context, place): (E, Self::Context),
        ancestry: impl Ancestry<Block>,
        (): (),
    ) -> Option<Digested<Block>> {
        let parent = ancestry.peek()?.clone();
        let blocks = bytes(&above(self.application.applied_height(), ancestry).await?);
        let (application, epoch) = (Arc::clone(&self.application), place.round.epoch().get());
        let built = aside(&context, "build", async move {
            application.propose(blocks, epoch).await
        })
        .await??;
        self.seal(&parent, built)
    }

    async fn verify(&mut self, (context, place): (E, Self::Context), ancestry: impl Ancestry<Block>) -> bool {
        let Some(block) = ancestry.peek().cloned() else {
            return pending().await;
        };
        if block.height().get() <= self.application.applied_height() {
            return self.settled(&block).await;
        }
        let Some(mut blocks) = above(self.application.applied_height(), ancestry).await else {
            // An ancestor cannot be had: no verdict, which is not a verdict against the block.
            return pending().await;
        };
        if blocks.pop().is_none() {
            return self.settled(&block).await;
        }
        let (application, candidate, blocks) = (
            Arc::clone(&self.application),
            block.inner().bytes(),
            bytes(&blocks),
        );
        let epoch = place.round.epoch().get();
        let verdict = async move { application.verify(candidate, blocks, epoch).await };
        let Some(valid) = aside(&context, "check", verdict).await else {
            return pending().await;
        };
        if !valid && self.application.applied_height() >= block.height().get() {
            // Applied while the application looked at it: it may have been judged against its own state.
            return self.settled(&block).await;
        }
        if !valid {
            warn!(height = %block.height(), digest = %block.digest(), "refused an invalid block");
        }
        valid
    }
}
