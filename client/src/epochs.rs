//! Who decides on the chain, epoch after epoch: learned when an answer is of an epoch that is not known yet.

use std::sync::{Arc, PoisonError};

use golden_record::{Epochs, Handover};
use proto::field;
use proto::ledger::GetHandoversRequest;

use crate::Client;
use crate::connection::{Endorser, request, whole};
use crate::error::{Error, Fault};

impl Client {
    /// The epochs of endorsers, as far as they are proven to this client by now.
    #[must_use]
    pub fn epochs(&self) -> Arc<Epochs> {
        let known = self.0.epochs.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&known)
    }

    /// Makes sure that the endorsers of an epoch are known, if this endorser can prove them.
    ///
    /// # Errors
    /// [`Error::Lied`] when it gives a handover that does not hold; no answer.
    pub(crate) async fn learn(&self, endorser: &Endorser, epoch: u64) -> Result<(), Error> {
        let mut epochs = self.epochs();
        while epochs.newest() < epoch {
            let message = GetHandoversRequest {
                known: epochs.newest(),
            };
            let answer = whole(endorser.rpc().get_handovers(request(message))).await;
            let answer = answer.map_err(|status| endorser.failed(&status))?;
            if answer.handovers.is_empty() {
                // What is asked of an epoch that nobody proves does not hold, and is refused for that.
                return Ok(());
            }
            let mut next = (*epochs).clone();
            for bytes in &answer.handovers {
                let lied = |what: String| Error::from(Fault::new(endorser.party(), "handover", what, bytes));
                let handover: Handover =
                    field::parse("handover", bytes).map_err(|error| lied(format!("gave a bad {error}")))?;
                next.advance(handover)
                    .map_err(|error| lied(format!("gave a handover that does not hold: {error}")))?;
            }
            epochs = self.keep_epochs(next);
        }
        Ok(())
    }

    /// Keeps what was learned, unless somebody else has learned more meanwhile.
    fn keep_epochs(&self, learned: Epochs) -> Arc<Epochs> {
        let mut known = self.0.epochs.write().unwrap_or_else(PoisonError::into_inner);
        if learned.newest() > known.newest() {
            *known = Arc::new(learned);
        }
        Arc::clone(&known)
    }
}
