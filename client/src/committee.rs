//! The committee that guards the custody key: believed when its members have signed it and more endorsers give it
//! than can lie.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use proto::field;
use proto::ledger::GetCommitteeRequest;
use threshold::committee::{Member, ParticipantIndex, SignedManifest};
use threshold::encoding::Canonical;
use threshold::ids::ManifestDigest;
use threshold::wrap::CustodyKey;

use crate::Client;
use crate::alike::Alike;
use crate::connection::{Endorser, request, whole};
use crate::error::{Error, Fault};
use crate::profile::Trust;

/// How often, and after what pause, an endorser is asked for a committee that has just been published.
const PUBLISHED_ATTEMPTS: u32 = 100;
const PUBLISHED_PAUSE: Duration = Duration::from_millis(50);

/// A committee whose every member has signed its manifest, for the pinned key.
#[derive(Debug)]
pub struct Committee {
    signed: SignedManifest,
}

impl Committee {
    /// Of a manifest whose signatures and key have been checked.
    pub(crate) fn new(signed: SignedManifest) -> Self {
        Self { signed }
    }

    /// The manifest.
    #[must_use]
    pub fn signed(&self) -> &SignedManifest {
        &self.signed
    }

    /// The digest that goes into every proof.
    #[must_use]
    pub fn digest(&self) -> ManifestDigest {
        self.signed.manifest.digest()
    }

    /// What a writer needs: the key's id and its public point.
    #[must_use]
    pub fn custody_key(&self) -> &CustodyKey {
        self.signed.manifest.custody_key()
    }

    /// A member by its seat.
    pub(crate) fn member(&self, index: ParticipantIndex) -> Option<&Member> {
        self.signed.manifest.member(index)
    }
}

impl Client {
    /// The committee of the pinned key; asked for once, kept until [`Client::forget_committee`].
    ///
    /// # Errors
    /// A profile that pins no key; no endorser that has this key's committee.
    pub async fn committee(&self) -> Result<Arc<Committee>, Error> {
        if let Some(committee) = self.0.committee.read().await.as_ref() {
            return Ok(Arc::clone(committee));
        }
        let mut kept = self.0.committee.write().await;
        if let Some(committee) = kept.as_ref() {
            return Ok(Arc::clone(committee));
        }
        let fetched = Arc::new(self.fetch_committee().await?);
        *kept = Some(Arc::clone(&fetched));
        Ok(fetched)
    }

    /// Waits until every endorser that answers has this committee, after it has been published.
    ///
    /// # Errors
    /// As [`Client::committee`], when there is still none after some seconds.
    pub async fn await_committee(&self, digest: ManifestDigest) -> Result<(), Error> {
        let has_it = |endorser| async move {
            for _ in 0..PUBLISHED_ATTEMPTS {
                match ask(endorser, &self.0.trust).await {
                    Ok(committee) if committee.digest() != digest => {
                        tokio::time::sleep(PUBLISHED_PAUSE).await;
                    }
                    Err(Error::NotFound(_)) => tokio::time::sleep(PUBLISHED_PAUSE).await,
                    Err(error @ Error::Lied(_)) => return Err(error),
                    Ok(_) | Err(_) => break,
                }
            }
            Ok(())
        };
        futures::future::try_join_all(self.0.endorsers.iter().map(has_it)).await?;
        self.forget_committee().await;
        self.committee().await.map(|_| ())
    }

    /// Asks again the next time, as after a resharing.
    pub async fn forget_committee(&self) {
        *self.0.committee.write().await = None;
    }

    /// What more endorsers give than can lie. That its members have signed it is not enough: whoever knows the public
    /// key can make up members for it, who would sign.
    async fn fetch_committee(&self) -> Result<Committee, Error> {
        let trust = &self.0.trust;
        let mut asked: FuturesUnordered<_> = self
            .0
            .endorsers
            .iter()
            .map(|endorser| async move {
                let answer = ask(endorser, trust).await;
                let compared = answer.map(|committee| (committee.signed.manifest.to_bytes(), committee));
                (endorser.party(), compared)
            })
            .collect();
        let mut found = Alike::new("committee", self.tolerated());
        while let Some((party, answer)) = asked.next().await {
            if let Some(committee) = found.take(party, answer) {
                return Ok(committee);
            }
        }
        Err(found.too_few())
    }
}

async fn ask(endorser: &Endorser, trust: &Trust) -> Result<Committee, Error> {
    let key_id = trust.key_id.ok_or_else(|| Error::Profile {
        field: "key_id",
        reason: "no custody key is pinned; generate one first".into(),
    })?;
    let message = GetCommitteeRequest {
        key_id: key_id.as_bytes().to_vec(),
    };
    let answer = match whole(endorser.rpc().get_committee(request(message))).await {
        Ok(answer) => answer,
        Err(status) if status.code() == tonic::Code::NotFound => {
            return Err(Error::NotFound(format!("committee of key {key_id}")));
        }
        Err(status) => return Err(endorser.failed(&status)),
    };
    let lied = |what: String| Fault::new(endorser.party(), "committee", what, &answer.manifest);
    let signed: SignedManifest =
        field::parse("manifest", &answer.manifest).map_err(|error| lied(format!("gave a bad {error}")))?;
    signed
        .verify()
        .map_err(|error| lied(format!("gave a committee manifest that does not verify: {error}")))?;
    if signed.manifest.key_id() != key_id {
        return Err(lied(format!(
            "gave the committee of key {} instead of {key_id}",
            signed.manifest.key_id()
        ))
        .into());
    }
    check_identities(&signed, trust).map_err(lied)?;
    Ok(Committee::new(signed))
}

/// Where the profile knows a node, its identity key must be the one in the manifest.
fn check_identities(signed: &SignedManifest, trust: &Trust) -> Result<(), String> {
    for member in signed.manifest.members() {
        let pinned = trust.nodes.iter().find(|(name, _)| *name == member.name);
        if pinned.is_some_and(|(_, identity)| *identity != member.identity) {
            return Err(format!(
                "gave a committee in which {} has another identity key than the profile's",
                member.name
            ));
        }
    }
    Ok(())
}
