//! A write: encrypted in two layers, wrapped under the custody key, recorded.

use std::io::{Read, Write};

use envelope::{Encryptor, Location, Material, Metadata, ObjectKey, encrypt_to_vec, object_context};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use golden_record::{Body, Configuration, DocumentVersion, Encryption, Role, Storage, TxId};
use proto::field;
use proto::ledger::GetDocumentRequest;
use rand_core::OsRng;
use threshold::encoding::Canonical;
use threshold::ids::WriteId;
use threshold::label::Label;
use threshold::name::{DocumentName, Name};
use threshold::secret::DataKey;
use threshold::wrap::wrap;
use zeroize::Zeroizing;

use crate::Client;
use crate::alike::Alike;
use crate::committee::Committee;
use crate::connection::{CATCH_UP_ATTEMPTS, CATCH_UP_PAUSE, Endorser, request, whole};
use crate::error::{Error, Fault};

/// A larger object goes to the object store.
const ON_CHAIN: usize = 2048;

/// What to write, as whom.
#[derive(Debug, Clone)]
pub struct WriteRequest {
    /// The tenant.
    pub tenant: Name,
    /// The dataset.
    pub dataset: Name,
    /// The document; its next version is written.
    pub document: DocumentName,
    /// A file name for readers, sealed.
    pub name: String,
    /// A media type for readers, sealed.
    pub content_type: String,
}

/// What was recorded.
#[derive(Debug, Clone)]
pub struct WriteReport {
    /// What was written.
    pub label: Label,
    /// The transaction.
    pub tx_id: TxId,
    /// The hash of the wrapped key.
    pub write_id: WriteId,
    /// Its position in the log.
    pub index: u64,
    /// The height of its block.
    pub height: u64,
    /// Bytes of the content.
    pub size: u64,
    /// Bytes of the encrypted object.
    pub encrypted_size: u64,
    /// Bytes of the wrapped data key.
    pub wrapped_key_bytes: usize,
    /// Whether the object is on the chain itself.
    pub on_chain: bool,
}

/// The first layer: an encrypted object and how to read it.
struct Sealed {
    object_key: ObjectKey,
    location: Location,
    inline: Option<Vec<u8>>,
    checksum: [u8; 32],
    size: u64,
    encrypted_size: u64,
}

impl Client {
    /// Encrypts `content` in constant memory and records it as the next version of a document. Who writes the next
    /// version at the same moment wins or loses; the loser gets [`Error::Rejected`] and may try again.
    ///
    /// # Errors
    /// [`Error::Rejected`] with the ledger's reason; [`Error::Io`] of the content or the object store.
    pub async fn write(
        &self,
        asked: &WriteRequest,
        content: &mut (impl Read + Send),
    ) -> Result<WriteReport, Error> {
        let committee = self.committee().await?;
        let (latest, dataset) = tokio::join!(
            self.latest_version(&asked.tenant, &asked.dataset, &asked.document),
            self.permissions(&asked.tenant, &asked.dataset, Role::Writer, None)
        );
        let version = match latest {
            Ok(latest) => latest + 1,
            Err(Error::NotFound(_)) => 1,
            Err(error) => return Err(error),
        };
        let configuration = match dataset {
            Ok((_, dataset, _)) => dataset.configuration,
            // Whoever may not see the dataset may not write either: the ledger says so, on the record, and nothing of the
            // content is to be there with it.
            Err(Error::NotFound(_) | Error::Forbidden(_)) => Configuration {
                storage: Storage::Outside,
                ..Configuration::default()
            },
            Err(error) => return Err(error),
        };
        if configuration.encryption != Encryption::Threshold {
            return Err(Error::Request(format!(
                "dataset {}/{} has {} encryption, and this client writes threshold-encrypted documents only",
                asked.tenant, asked.dataset, configuration.encryption
            )));
        }
        let label = self.label(&asked.tenant, &asked.dataset, &asked.document, version);
        let sealed = self.seal(&label, content, configuration.storage)?;
        let location = sealed.location.clone();
        let written = self.record(asked, &committee, label, sealed).await;
        // Nobody will ever look for it; after another error it may have been recorded all the same.
        if let (Err(Error::Rejected { .. } | Error::Request(_)), Location::Local { id }) =
            (&written, &location)
        {
            self.0.objects.remove(id);
        }
        written
    }

    /// The second layer, wrapped, and recorded with the first.
    async fn record(
        &self,
        asked: &WriteRequest,
        committee: &Committee,
        label: Label,
        sealed: Sealed,
    ) -> Result<WriteReport, Error> {
        let metadata = Metadata::new(&asked.name, sealed.size, &asked.content_type).map_err(unfit)?;
        let material = Material {
            object_key: sealed.object_key,
            location: sealed.location,
            metadata,
        };
        let data_key = DataKey::generate(&mut OsRng);
        let blob = material.seal(&data_key, &label, &mut OsRng).map_err(unfit)?;
        let wrapped = wrap(committee.custody_key(), &label, &data_key, &mut OsRng)
            .map_err(|error| Error::Request(error.to_string()))?;
        let write_id = wrapped.write_id();
        let wrapped_key_bytes = wrapped.to_bytes().len();
        let on_chain = sealed.inline.is_some();
        let body = Body::WriteDocument {
            tenant: asked.tenant.clone(),
            dataset: asked.dataset.clone(),
            document: asked.document.clone(),
            version: label.version,
            wrapped_key: Some(wrapped),
            material: blob,
            checksum: sealed.checksum,
            size: sealed.encrypted_size,
            inline: sealed.inline,
        };
        let recorded = self.apply(body).await?;
        Ok(WriteReport {
            label,
            tx_id: recorded.tx_id,
            write_id,
            index: recorded.index,
            height: recorded.height,
            size: sealed.size,
            encrypted_size: sealed.encrypted_size,
            wrapped_key_bytes,
            on_chain,
        })
    }

    /// The latest version of a document, as at least one honest endorser has it. An endorser that is a block behind is
    /// asked again.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; too few endorsers that answer.
    pub async fn latest_version(
        &self,
        tenant: &Name,
        dataset: &Name,
        document: &DocumentName,
    ) -> Result<u64, Error> {
        let mut latest = 0;
        for _ in 0..CATCH_UP_ATTEMPTS {
            let (highest, confirmed) = self.claimed_versions(tenant, dataset, document).await?;
            latest = confirmed;
            if highest == confirmed {
                break;
            }
            tokio::time::sleep(CATCH_UP_PAUSE).await;
        }
        match latest {
            0 => Err(Error::NotFound(format!("document {tenant}/{dataset}/{document}"))),
            version => Ok(version),
        }
    }

    /// The highest version that anyone claims, and the highest that no f liars can have invented. Waits for all but f.
    async fn claimed_versions(
        &self,
        tenant: &Name,
        dataset: &Name,
        document: &DocumentName,
    ) -> Result<(u64, u64), Error> {
        let mut asked: FuturesUnordered<_> = self
            .0
            .endorsers
            .iter()
            .map(|endorser| async move {
                (
                    endorser,
                    self.get_document(endorser, tenant, dataset, document, 0).await,
                )
            })
            .collect();
        let enough = self
            .0
            .endorsers
            .len()
            .saturating_sub(self.tolerated())
            .max(self.tolerated() + 1);
        let (mut versions, mut faults) = (Vec::new(), Vec::new());
        while versions.len() < enough
            && let Some((endorser, answer)) = asked.next().await
        {
            match answer {
                Ok(found) => versions.push(found.version),
                // What is not shown to this key is, for this key, not there.
                Err(Error::NotFound(_) | Error::Forbidden(_)) => versions.push(0),
                Err(error) => faults.push(Fault::instead_of_an_answer(endorser.party(), error)),
            }
        }
        versions.sort_unstable_by(|a, b| b.cmp(a));
        match (versions.first(), versions.get(self.tolerated())) {
            (Some(highest), Some(confirmed)) => Ok((*highest, *confirmed)),
            _ => Err(Error::TooFew {
                needed: "the latest version of the document".into(),
                faults,
            }),
        }
    }

    /// What the ledger holds of a document version (0: the latest), as more endorsers give it than can lie.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`]; [`Error::TooFew`] that give the same, with who gave what.
    pub async fn document(
        &self,
        tenant: &Name,
        dataset: &Name,
        document: &DocumentName,
        version: u64,
    ) -> Result<DocumentVersion, Error> {
        let version = match version {
            0 => self.latest_version(tenant, dataset, document).await?,
            version => version,
        };
        let mut attempt = 1;
        loop {
            let apart = match self.alike(tenant, dataset, document, version).await {
                Ok(found) => return Ok(found),
                Err(apart) => apart,
            };
            let may_settle = apart.may_settle();
            let error = apart.too_few();
            if attempt == CATCH_UP_ATTEMPTS || !may_settle || !matches!(error, Error::TooFew { .. }) {
                return Err(error);
            }
            // One that is a block behind catches up.
            attempt += 1;
            tokio::time::sleep(CATCH_UP_PAUSE).await;
        }
    }

    async fn alike(
        &self,
        tenant: &Name,
        dataset: &Name,
        document: &DocumentName,
        version: u64,
    ) -> Result<DocumentVersion, Alike<DocumentVersion>> {
        let mut asked: FuturesUnordered<_> = self
            .0
            .endorsers
            .iter()
            .map(|endorser| async move {
                let answer = self
                    .get_document(endorser, tenant, dataset, document, version)
                    .await;
                (endorser.party(), answer.map(|found| (found.to_bytes(), found)))
            })
            .collect();
        let mut found = Alike::new("document", self.tolerated());
        while let Some((party, answer)) = asked.next().await {
            if let Some(document) = found.take(party, answer) {
                return Ok(document);
            }
        }
        Err(found)
    }

    async fn get_document(
        &self,
        endorser: &Endorser,
        tenant: &Name,
        dataset: &Name,
        document: &DocumentName,
        version: u64,
    ) -> Result<DocumentVersion, Error> {
        let message = GetDocumentRequest {
            tenant: tenant.to_string(),
            dataset: dataset.to_string(),
            document: document.to_string(),
            version,
        };
        let answer = match whole(endorser.rpc().get_document(request(message))).await {
            Ok(answer) => answer.document,
            Err(status) if status.code() == tonic::Code::NotFound => {
                return Err(Error::NotFound(format!("document {tenant}/{dataset}/{document}")));
            }
            Err(status) if status.code() == tonic::Code::PermissionDenied => {
                return Err(Error::Forbidden(endorser.party()));
            }
            Err(status) => return Err(endorser.failed(&status)),
        };
        let lied = |what: String| Error::from(Fault::new(endorser.party(), "document", what, &answer));
        let found: DocumentVersion =
            field::parse("document", &answer).map_err(|error| lied(format!("gave a bad {error}")))?;
        let expected = self.label(
            tenant,
            dataset,
            document,
            if version == 0 { found.version } else { version },
        );
        let wrapped = found.wrapped_key.as_ref();
        let relabelled = wrapped.is_some_and(|wrapped| *wrapped.label() != expected);
        if relabelled || found.label(&self.0.trust.installation) != expected {
            return Err(lied("gave another document than was asked for".into()));
        }
        let proof = wrapped.map_or(Ok(()), |wrapped| wrapped.verify());
        proof.map_err(|_| lied("gave a wrapped key whose proof does not hold".into()))?;
        Ok(found)
    }

    /// The first layer, on the chain when it is small and may be there.
    fn seal(&self, label: &Label, content: &mut impl Read, storage: Storage) -> Result<Sealed, Error> {
        let object_key = ObjectKey::generate(&mut OsRng);
        let context = object_context(label);
        let reading = || Error::io("reading the content");
        let mut head = Zeroizing::new(Vec::with_capacity(ON_CHAIN + 1));
        content
            .by_ref()
            .take(ON_CHAIN as u64 + 1)
            .read_to_end(&mut head)
            .map_err(reading())?;
        if storage == Storage::Chain && head.len() <= ON_CHAIN {
            let (encrypted, checksum) =
                encrypt_to_vec(&object_key, &context, &head, &mut OsRng).map_err(unfit)?;
            return Ok(Sealed {
                object_key,
                location: Location::OnChain,
                checksum: checksum.to_bytes(),
                size: head.len() as u64,
                encrypted_size: encrypted.len() as u64,
                inline: Some(encrypted),
            });
        }
        let id = crate::object::new_id(&mut OsRng)?;
        let object = self.0.objects.create()?;
        let mut encryptor = Encryptor::new(object, &object_key, &context, &mut OsRng).map_err(unfit)?;
        encryptor
            .write_all(&head)
            .map_err(Error::io("encrypting the content"))?;
        std::io::copy(content, &mut encryptor).map_err(reading())?;
        let finished = encryptor.finish().map_err(unfit)?;
        self.0.objects.keep(finished.writer, &id)?;
        Ok(Sealed {
            object_key,
            location: Location::Local { id },
            inline: None,
            checksum: finished.checksum.to_bytes(),
            size: finished.plaintext_bytes,
            encrypted_size: finished.encrypted_bytes,
        })
    }
}

fn unfit(error: envelope::Error) -> Error {
    match error {
        envelope::Error::Io(source) => Error::Io {
            doing: "writing the encrypted object".into(),
            source,
        },
        other => Error::Request(other.to_string()),
    }
}
