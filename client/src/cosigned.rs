//! Checkpoints that a quorum of the endorsers has signed, each a continuation of what was verified before.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use golden_record::merkle::{Hash, MAX_PATH, verify_consistency};
use golden_record::{Checkpoint as LogCheckpoint, CheckpointError, Header, SignedCheckpoint};
use proto::field;
use proto::ledger::{GetCheckpointRequest, GetConsistencyProofRequest};
use proto::limits;
use tonic::Code;

use crate::Client;
use crate::checkpoint::Checkpoint;
use crate::connection::{CATCH_UP_ATTEMPTS, CATCH_UP_PAUSE, Endorser, request, whole};
use crate::error::{Error, Fault};
use crate::in_turn::{PATIENCE, in_turn};

/// The check of a [`Fault`] that an endorser has signed another log than 2f+1 validators; its evidence is what it has signed.
pub const EQUIVOCATION: &str = "equivocation";

/// The log as a quorum of the endorsers has signed it.
#[derive(Debug, Clone)]
pub struct VerifiedCheckpoint {
    /// The C2SP checkpoint with the signatures.
    pub signed: SignedCheckpoint,
    /// The newest block with this log, for which 2f+1 validators have voted as well.
    pub header: Header,
    /// How many endorsers have signed the checkpoint.
    pub signatures: usize,
    /// How many endorsers there are.
    pub endorsers: usize,
    /// Endorsers that lied on the way.
    pub faults: Vec<Fault>,
}

impl Client {
    /// The newest log that any endorser proves, signed by a quorum of them. It continues what was verified before, and is
    /// remembered.
    ///
    /// # Errors
    /// [`Error::Forked`] when it does not continue the log verified before; [`Error::Behind`] when that was longer;
    /// [`Error::TooFew`] when no quorum signs; [`Error::Checkpoint`]; no endorser that answers.
    pub async fn signed_checkpoint(&self) -> Result<VerifiedCheckpoint, Error> {
        caught_up(async || self.checkpoint_now().await).await
    }

    async fn checkpoint_now(&self) -> Result<VerifiedCheckpoint, Error> {
        let mut faults = Vec::new();
        let (given_by, header) = self.newest_proven(&mut faults).await?;
        self.require_continuation(given_by, &header, &mut faults).await?;
        let signed = self.cosigned(&LogCheckpoint::of(&header), &mut faults).await?;
        Ok(VerifiedCheckpoint {
            signatures: signed.signature_count(),
            endorsers: self.epochs().endorsers().members().len(),
            signed,
            header,
            faults,
        })
    }

    /// The newest header that an endorser proves, of all endorsers but those that may fail.
    pub(crate) async fn newest_proven(&self, faults: &mut Vec<Fault>) -> Result<(&Endorser, Header), Error> {
        let mut asked: FuturesUnordered<_> = self
            .0
            .endorsers
            .iter()
            .map(|endorser| async move { (endorser, self.endorser_status(endorser).await) })
            .collect();
        let tolerated = self.tolerated();
        let enough = asked.len().saturating_sub(tolerated).max(tolerated + 1);
        let mut newest: Option<(&Endorser, Header)> = None;
        let mut last = Error::Request("the profile names no endorser".into());
        let mut answered = 0;
        while answered < enough
            && let Some((endorser, status)) = asked.next().await
        {
            match status {
                Ok(status) => {
                    answered += 1;
                    let header = status.proven.map_or_else(
                        || self.genesis().block().0.header().clone(),
                        |proven| proven.header,
                    );
                    if newest
                        .as_ref()
                        .is_none_or(|(_, known)| header.height > known.height)
                    {
                        newest = Some((endorser, header));
                    }
                }
                Err(Error::Lied(fault)) => faults.push(*fault),
                Err(error) => last = error,
            }
        }
        newest.ok_or(match faults.is_empty() {
            true => last,
            false => too_few("an endorser that proves its log", faults),
        })
    }

    /// Makes sure that a proven header's log continues what was verified before, and remembers it.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::Behind`]; [`Error::TooFew`] when no endorser gives a proof that holds and too few give
    /// wrong ones to know that there is none; [`Error::Checkpoint`].
    pub(crate) async fn require_continuation(
        &self,
        given_by: &Endorser,
        header: &Header,
        faults: &mut Vec<Fault>,
    ) -> Result<(), Error> {
        let chain_id = self.0.trust.chain_id;
        let new = Checkpoint {
            size: header.log_size,
            root: header.log_root,
        };
        if let Some(earlier) = self.0.checkpoints.newest(&chain_id)? {
            if earlier.size > new.size {
                return Err(Error::Behind {
                    party: given_by.party(),
                    size: new.size,
                    proven: earlier.size,
                });
            }
            if !self.continues(&earlier, &new, faults).await? {
                return Err(Error::Forked {
                    party: given_by.party(),
                    earlier,
                    header: Box::new(header.clone()),
                });
            }
        }
        self.0.checkpoints.keep(&chain_id, new)
    }

    /// Whether the new log extends the old one. Nobody can prove that it does not; but when more endorsers give a wrong
    /// proof than may lie, then there is no right one.
    pub(crate) async fn continues(
        &self,
        old: &Checkpoint,
        new: &Checkpoint,
        faults: &mut Vec<Fault>,
    ) -> Result<bool, Error> {
        if old.size == new.size {
            return Ok(old.root == new.root);
        }
        let (mut wrong, mut failed) = (Vec::new(), Vec::new());
        let ask = |endorser| self.consistency(endorser, old.size, new.size);
        let take = |endorser: &Endorser, answer: Result<Vec<Hash>, Error>| {
            let held = answer.and_then(|path| {
                verify_consistency(old.size, new.size, &path, &old.root, &new.root).map_err(|error| {
                    let what = format!(
                        "gave a proof that does not hold, of the log of {} entries extending that of {}: {error}",
                        new.size, old.size
                    );
                    Fault::new(endorser.party(), "consistency", what, &path.concat()).into()
                })
            });
            match held {
                Ok(()) => return Some(true),
                Err(Error::Lied(fault)) => wrong.push(*fault),
                Err(error) => failed.push(Fault::instead_of_an_answer(endorser.party(), error)),
            }
            (wrong.len() > self.tolerated()).then_some(false)
        };
        let end = in_turn(self.0.endorsers.iter(), PATIENCE, ask, take).await;
        match end {
            Some(false) => Ok(false),
            Some(true) => {
                faults.extend(wrong);
                Ok(true)
            }
            None => {
                faults.extend(wrong.into_iter().chain(failed));
                Err(too_few(
                    "an endorser that proves that the log continues the one verified before",
                    faults,
                ))
            }
        }
    }

    /// An endorser's proof that one size of the log extends another, not verified.
    pub(crate) async fn consistency(
        &self,
        endorser: &Endorser,
        old_size: u64,
        new_size: u64,
    ) -> Result<Vec<Hash>, Error> {
        let message = GetConsistencyProofRequest { old_size, new_size };
        for _ in 0..CATCH_UP_ATTEMPTS {
            let answer = whole(endorser.rpc().get_consistency_proof(request(message))).await;
            match answer {
                Ok(answer) => {
                    return hashes(&answer.path)
                        .map_err(|what| Fault::new(endorser.party(), "consistency", what, &[]).into());
                }
                Err(status) if status.code() == Code::NotFound => {
                    tokio::time::sleep(CATCH_UP_PAUSE).await;
                }
                Err(status) => return Err(endorser.failed(&status)),
            }
        }
        Err(Error::NotFound(format!(
            "log of {new_size} entries at the {}",
            endorser.party()
        )))
    }

    /// The checkpoint of a proven header, signed by a quorum of the endorsers, whatever was verified before: when a log
    /// does not continue the one before it, it shows who has signed both.
    ///
    /// # Errors
    /// [`Error::TooFew`].
    pub async fn cosigned_checkpoint(&self, header: &Header) -> Result<SignedCheckpoint, Error> {
        self.cosigned(&LogCheckpoint::of(header), &mut Vec::new()).await
    }

    /// This checkpoint, signed by a quorum of the endorsers.
    ///
    /// # Errors
    /// [`Error::TooFew`].
    pub(crate) async fn cosigned(
        &self,
        checkpoint: &LogCheckpoint,
        faults: &mut Vec<Fault>,
    ) -> Result<SignedCheckpoint, Error> {
        let unsigned = |error: CheckpointError| Error::Request(format!("the checkpoint: {error}"));
        let mut merged = SignedCheckpoint::unsigned(checkpoint.clone()).map_err(unsigned)?;
        let mut asked: FuturesUnordered<_> = self
            .0
            .endorsers
            .iter()
            .map(|endorser| async move { (endorser, self.signature(endorser, checkpoint).await) })
            .collect();
        while let Some((endorser, signed)) = asked.next().await {
            match signed {
                Ok(signed) => {
                    merged.merge(&signed);
                    if merged.verify(&*self.epochs()).is_ok() {
                        return Ok(merged);
                    }
                }
                Err(error) => faults.push(Fault::instead_of_an_answer(endorser.party(), error)),
            }
        }
        Err(too_few("a quorum of endorsers that sign the checkpoint", faults))
    }

    /// One endorser's signature on this checkpoint, verified.
    async fn signature(
        &self,
        endorser: &Endorser,
        checkpoint: &LogCheckpoint,
    ) -> Result<SignedCheckpoint, Error> {
        let text = checkpoint_text(endorser, checkpoint.size).await?;
        let lied =
            |what: String| Error::from(Fault::new(endorser.party(), "checkpoint", what, text.as_bytes()));
        let signed = SignedCheckpoint::parse(text.as_bytes())
            .map_err(|error| lied(format!("gave no checkpoint: {error}")))?;
        let signers = signed
            .signers(&*self.epochs())
            .map_err(|error| lied(format!("gave a checkpoint that does not hold: {error}")))?;
        if !signers.organisations.contains(&endorser.organisation) || signed.signature_count() != 1 {
            return Err(lied(
                "gave a checkpoint without its own signature, or with others".into(),
            ));
        }
        // It has signed that, and what is here is proven: two histories, one of them with its name under it.
        if signed.checkpoint() != checkpoint {
            let what = format!(
                "has signed the root {} over {} entries, where 2f+1 validators have signed {} over {}",
                hex::encode(signed.checkpoint().root),
                signed.checkpoint().size,
                hex::encode(checkpoint.root),
                checkpoint.size
            );
            return Err(Fault::new(endorser.party(), EQUIVOCATION, what, text.as_bytes()).into());
        }
        Ok(signed)
    }
}

/// Asks again for a while, as long as those that answer are behind what was verified before: honest ones catch up.
pub(crate) async fn caught_up<T>(mut ask: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match ask().await {
            Err(Error::Behind { .. }) if attempt < CATCH_UP_ATTEMPTS => {
                tokio::time::sleep(CATCH_UP_PAUSE).await;
            }
            answer => return answer,
        }
    }
}

async fn checkpoint_text(endorser: &Endorser, log_size: u64) -> Result<String, Error> {
    let message = GetCheckpointRequest { log_size };
    for _ in 0..CATCH_UP_ATTEMPTS {
        match whole(endorser.rpc().get_checkpoint(request(message))).await {
            Ok(answer) if answer.checkpoint.len() <= limits::CHECKPOINT => return Ok(answer.checkpoint),
            Ok(_) => {
                return Err(
                    Fault::new(endorser.party(), "checkpoint", "gave too long a checkpoint", &[]).into(),
                );
            }
            // It may be a block behind.
            Err(status) if status.code() == Code::NotFound => tokio::time::sleep(CATCH_UP_PAUSE).await,
            Err(status) => return Err(endorser.failed(&status)),
        }
    }
    Err(Error::NotFound(format!(
        "block with {log_size} entries at the {}",
        endorser.party()
    )))
}

/// A path of the wire.
pub(crate) fn hashes(path: &[Vec<u8>]) -> Result<Vec<Hash>, String> {
    if path.len() > MAX_PATH {
        return Err(format!("gave a path of {} hashes", path.len()));
    }
    path.iter()
        .map(|hash| field::id("path", hash).map_err(|error| format!("gave a bad {error}")))
        .collect()
}

/// Too few answers that hold, and why.
pub(crate) fn too_few(needed: &str, faults: &mut Vec<Fault>) -> Error {
    Error::TooFew {
        needed: needed.into(),
        faults: std::mem::take(faults),
    }
}
