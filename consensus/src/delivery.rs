//! Hands final blocks to the application, in order, and acknowledges what it has made durable.

use std::{sync::Arc, time::Duration};

use commonware_actor::Feedback;
use commonware_consensus::{Heightable as _, Reporter, marshal::Update};
use commonware_cryptography::{Digested, ed25519::PublicKey};
use commonware_utils::{
    Acknowledgement as _,
    acknowledgement::Exact,
    channel::{mpsc, oneshot},
};
use futures::future::pending;
use tracing::{debug, warn};

use crate::{
    application::{Application, Finalized},
    block::Block,
    epochs::Epochs,
    error::Error,
    evidence::Evidence,
    standing::Progress,
    validator::{End, Finals, Runtime, Setup},
};

/// How often to look whether evidence that was asked for has come, and how many times.
const LOOK: (Duration, u32) = (Duration::from_millis(50), 40);

/// A final block that waits to be applied.
type Pending = (Digested<Block>, Exact);

/// Where the engine reports final blocks. It never blocks: the engine has at most
/// [`Limits::max_batch`](crate::Limits::max_batch) blocks unacknowledged.
#[derive(Clone)]
pub(crate) struct Inbox {
    sender: mpsc::UnboundedSender<Pending>,
    progress: Progress,
    epoch: u64,
}

impl Reporter for Inbox {
    type Activity = Update<Block>;

    fn report(&mut self, update: Update<Block>) -> Feedback {
        match update {
            Update::Tip(round, height, digest) => {
                debug!(%round, %height, %digest, "new final tip");
                // At the start it is the newest block of all, and views are counted in each epoch.
                if round.epoch().get() == self.epoch {
                    self.progress.note_final(round.view().get());
                }
                Feedback::Ok
            }
            Update::Block(block, acknowledgement) => match self.sender.send((block, acknowledgement)) {
                Ok(()) => Feedback::Ok,
                Err(_) => Feedback::Closed,
            },
        }
    }
}

/// Applies final blocks until the engine stops.
pub(crate) struct Delivery {
    receiver: mpsc::UnboundedReceiver<Pending>,
    application: Arc<dyn Application>,
    finals: Finals,
    max_batch: usize,
    /// The other validators.
    others: Vec<PublicKey>,
    epoch: u64,
    epochs: Epochs,
    evidence_gap: u64,
    /// How many blocks were applied since the last one with evidence.
    without_evidence: u64,
    unacknowledged: Vec<Pending>,
}

impl Delivery {
    pub(crate) fn new(
        setup: &Setup,
        finals: Finals,
        progress: Progress,
        others: Vec<PublicKey>,
    ) -> (Self, Inbox) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (
            Self {
                receiver,
                application: Arc::clone(&setup.application),
                finals,
                max_batch: setup.limits.max_batch,
                others,
                epoch: setup.epoch,
                epochs: setup.epochs.clone(),
                evidence_gap: setup.limits.evidence_gap,
                without_evidence: 0,
                unacknowledged: Vec::new(),
            },
            Inbox {
                sender,
                progress,
                epoch: setup.epoch,
            },
        )
    }

    /// Runs until it is aborted, and says so when the epoch has ended or no more blocks can be applied.
    pub(crate) async fn run(mut self, context: impl Runtime, ending: oneshot::Sender<End>) {
        match self.serve(&context).await {
            Ok(true) => drop(ending.send(End::NextEpoch)),
            Ok(false) => {}
            Err(error) => drop(ending.send(End::Failed(error))),
        }
        pending::<()>().await;
    }

    /// Whether the epoch has ended; not so when there is nobody any more who reports blocks.
    async fn serve(&mut self, context: &impl Runtime) -> Result<bool, Error> {
        // What the engine counts as delivered but the application has lost is not delivered again.
        if let Some(processed) = self.finals.processed().await {
            self.fill(context, processed).await?;
        }
        if self.has_ended()? {
            return Ok(true);
        }
        while let Some(first) = self.receiver.recv().await {
            let mut batch = vec![first];
            while batch.len() < self.max_batch
                && let Ok(next) = self.receiver.try_recv()
            {
                batch.push(next);
            }
            if let Err(error) = self.apply(context, &batch).await {
                // The engine fails when an acknowledgement is dropped. Kept, so that the cause is what is reported.
                self.unacknowledged = batch;
                return Err(error);
            }
            for (_, acknowledgement) in batch {
                acknowledgement.acknowledge();
            }
            if self.has_ended()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the last block of the epoch is applied. What blocks have decided about epochs is known from here on.
    fn has_ended(&self) -> Result<bool, Error> {
        self.epochs.refresh(self.application.as_ref())?;
        let last = self.epochs.last_height(self.epoch);
        Ok(last.is_some_and(|last| self.application.applied_height() >= last))
    }

    async fn apply(&mut self, context: &impl Runtime, batch: &[Pending]) -> Result<(), Error> {
        let applied = self.application.applied_height();
        let mut blocks = Vec::with_capacity(batch.len());
        for (block, _) in batch {
            let height = block.height().get();
            if height <= applied {
                continue;
            }
            if blocks.is_empty() {
                self.fill(context, height - 1).await?;
            }
            blocks.push((block.inner().bytes(), self.evidence(context, height).await));
        }
        self.hand_over(context, blocks).await
    }

    /// The evidence of a block that is about to be applied. While catching up most blocks come by their hash alone,
    /// so that now and then it is asked for; after the block is acknowledged it could not be any more.
    async fn evidence(&mut self, context: &impl Runtime, height: u64) -> Option<Evidence> {
        let mut found = self.finals.evidence(height).await;
        if found.is_none() && self.is_due() {
            debug!(height, "asking for evidence");
            self.finals.ask_for_evidence(height, &self.others);
            let (pause, times) = LOOK;
            for _ in 0..times {
                context.sleep(pause).await;
                found = self.finals.evidence(height).await;
                if found.is_some() {
                    break;
                }
            }
        }
        self.without_evidence = found
            .as_ref()
            .map_or(self.without_evidence.saturating_add(1), |_| 0);
        found
    }

    /// Whether it is time to ask, or to ask again: not at every block, or a block without evidence anywhere
    /// would hold up all after it.
    fn is_due(&self) -> bool {
        let again = (self.evidence_gap / 4).max(1);
        let beyond = self.without_evidence.checked_sub(self.evidence_gap);
        !self.others.is_empty() && beyond.is_some_and(|beyond| beyond.is_multiple_of(again))
    }

    /// Brings the application up to `height` from what the engine keeps.
    async fn fill(&self, context: &impl Runtime, height: u64) -> Result<(), Error> {
        loop {
            let applied = self.application.applied_height();
            if applied >= height {
                return Ok(());
            }
            warn!(
                applied,
                height,
                "the application is behind the engine's own store: an old copy? It gets the blocks again"
            );
            let mut blocks = Vec::new();
            while blocks.len() < self.max_batch && applied + (blocks.len() as u64) < height {
                let next = applied + 1 + blocks.len() as u64;
                let Some(bytes) = self.finals.block(next).await else {
                    return Err(Error::Stopped(format!(
                        "block {next} is neither applied nor kept"
                    )));
                };
                blocks.push((bytes, self.finals.evidence(next).await));
            }
            self.hand_over(context, blocks).await?;
            if self.application.applied_height() <= applied {
                return Err(Error::Stopped(format!(
                    "the application did not advance above {applied}"
                )));
            }
        }
    }

    async fn hand_over(&self, context: &impl Runtime, blocks: Vec<Finalized>) -> Result<(), Error> {
        if blocks.is_empty() {
            return Ok(());
        }
        let application = Arc::clone(&self.application);
        let apply = context
            .child("apply")
            .shared(true)
            .spawn(move |_| async move { application.finalized(blocks) });
        match apply.await {
            Ok(result) => result.map_err(Error::Application),
            Err(error) => Err(Error::Stopped(format!(
                "applying final blocks was interrupted: {error}"
            ))),
        }
    }
}
