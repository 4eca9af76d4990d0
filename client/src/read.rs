//! A read: requested on the ledger, approved, re-encrypted by quorum, verified, opened.

use std::io::{Cursor, Read, Write};
use std::time::{Duration, Instant};

use envelope::{Checksum, Decryptor, Location, Material, Metadata, object_context};
use golden_record::{Body, DocumentVersion, Transaction, TxId};
use rand_core::{OsRng, RngCore};
use threshold::ids::WriteId;
use threshold::label::Label;
use threshold::name::{DocumentName, Name};
use threshold::reencrypt::{ReaderKey, open};

use crate::approvals::ApprovedRead;
use crate::error::{Error, Fault};
use crate::object::ObjectStore;
use crate::receipts::ReadEvidence;
use crate::release::Released;
use crate::submit::checked;
use crate::{Client, now_ms};

#[cfg(test)]
mod tests;

/// How long a read request may wait for its block.
const LIFETIME_MS: u64 = 30_000;

/// What to read, as whom, and why.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// The tenant.
    pub tenant: Name,
    /// The dataset.
    pub dataset: Name,
    /// The document.
    pub document: DocumentName,
    /// The version; the latest when absent.
    pub version: Option<u64>,
    /// The user whose key this client signs with.
    pub user: Name,
    /// Why; goes on the record, at most 256 bytes.
    pub purpose: String,
}

/// How a read came about, all of it verified.
#[derive(Debug, Clone)]
pub struct ReadReport {
    /// What was read.
    pub label: Label,
    /// The read request: its id on the ledger is the approval's id.
    pub approve_id: TxId,
    /// The hash of the wrapped key.
    pub write_id: WriteId,
    /// Where the request is in the log.
    pub index: u64,
    /// The height of its block.
    pub height: u64,
    /// The organisations whose certificates approved it.
    pub approved_by: Vec<Name>,
    /// The crypto nodes whose shares opened it: seat and name.
    pub released_by: Vec<(u16, Name)>,
    /// Misbehaviour that the read survived.
    pub faults: Vec<Fault>,
    /// From the request until approvals were there.
    pub approval_time: Duration,
    /// From then until the data key was open.
    pub release_time: Duration,
    /// What shows it to others: see [`Client::receipt`].
    pub evidence: ReadEvidence,
}

/// An opened document: its content is decrypted while it is copied out.
pub struct Document {
    /// How the read came about.
    pub report: ReadReport,
    material: Material,
    record: DocumentVersion,
    encrypted: Box<dyn Read + Send>,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({})", self.report.label)
    }
}

impl Client {
    /// Reads a document. When this returns, the read is on the ledger and the data key has been opened and verified;
    /// the content follows by [`Document::copy_to`].
    ///
    /// # Errors
    /// [`Error::Denied`] when the ledger says no; [`Error::Request`] and [`Error::Refused`] when it does not take the request;
    /// [`Error::Lied`] and [`Error::TooFew`] name whoever cheated.
    pub async fn read(&self, asked: &ReadRequest) -> Result<Document, Error> {
        let started = Instant::now();
        // Which version is the latest, the ledger decides when it decides the read: no endorser is asked before.
        let version = asked.version.unwrap_or(0);
        let wanted = self.label(&asked.tenant, &asked.dataset, &asked.document, version);
        let reader = ReaderKey::generate(&mut OsRng);
        let request = self.read_request(asked, version, &reader)?;
        let ApprovedRead {
            approved,
            certificates,
            document,
            recorded,
            mut faults,
        } = self.request_approvals(&request, &wanted).await?;
        let label = approved.fields().label.clone();
        let approval_time = started.elapsed();
        let wrapped = document.wrapped_key.as_ref();
        let wrapped = wrapped.ok_or_else(|| Error::Object("it is approved and has no wrapped key".into()))?;
        let (committee, released) = self.release(&approved, &certificates, wrapped).await?;
        let Released {
            reencryption,
            released_by,
            used,
            faults: more,
        } = released;
        faults.extend(more);
        let data_key = open(&reader, &reencryption, wrapped)
            .map_err(|_| Error::Object("its wrapped key does not open; its writer made it so".into()))?;
        let material = Material::open(&data_key, &label, &document.material)
            .map_err(|error| Error::Object(format!("its material does not open: {error}")))?;
        let report = ReadReport {
            approve_id: approved.approve_id(),
            write_id: approved.write_id(),
            index: recorded.index,
            height: recorded.height,
            approved_by: approved.organisations().iter().cloned().collect(),
            released_by,
            faults,
            approval_time,
            release_time: started.elapsed() - approval_time,
            evidence: ReadEvidence {
                certificates,
                wrapped_key: wrapped.clone(),
                committee: committee.signed().clone(),
                released: used,
            },
            label,
        };
        let encrypted = encrypted(&self.0.objects, &material, &document)?;
        Ok(Document {
            report,
            material,
            record: document,
            encrypted,
        })
    }

    /// The label of a document version in this installation.
    pub(crate) fn label(
        &self,
        tenant: &Name,
        dataset: &Name,
        document: &DocumentName,
        version: u64,
    ) -> Label {
        Label {
            installation: self.0.trust.installation.clone(),
            tenant: tenant.clone(),
            dataset: dataset.clone(),
            document: document.clone(),
            version,
        }
    }

    fn read_request(
        &self,
        asked: &ReadRequest,
        version: u64,
        reader: &ReaderKey,
    ) -> Result<Transaction, Error> {
        let mut nonce = [0; 16];
        OsRng.fill_bytes(&mut nonce);
        let body = Body::RequestRead {
            tenant: asked.tenant.clone(),
            dataset: asked.dataset.clone(),
            document: asked.document.clone(),
            version,
            user: asked.user.clone(),
            q: reader.public(),
            purpose: asked.purpose.clone(),
        };
        let key = self.0.identity.signing_key();
        Ok(Transaction::sign_read(
            self.0.trust.chain_id,
            key,
            reader,
            nonce,
            now_ms() + LIFETIME_MS,
            checked(body)?,
        ))
    }
}

/// The encrypted object, from where the material says that it is.
fn encrypted(
    objects: &ObjectStore,
    material: &Material,
    document: &DocumentVersion,
) -> Result<Box<dyn Read + Send>, Error> {
    match (&material.location, &document.inline) {
        (Location::OnChain, Some(inline)) => Ok(Box::new(Cursor::new(inline.clone()))),
        (Location::OnChain, None) => Err(Error::Object("it should be on the chain and is not".into())),
        (Location::Local { id }, _) => Ok(Box::new(objects.open(id)?)),
        _ => Err(Error::Object(
            "it is in a kind of place that this version does not know".into(),
        )),
    }
}

/// The object is at fault, unless it could not be read at all.
fn unreadable(error: envelope::Error) -> Error {
    match error {
        envelope::Error::Io(source) => Error::Io {
            doing: "decrypting the document".into(),
            source,
        },
        other => Error::Object(other.to_string()),
    }
}

impl Document {
    /// What the writer said of the content.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.material.metadata
    }

    /// Decrypts the content into `out`, in constant memory. Every byte that comes out is authentic; that they are all
    /// there, and those of the checksum on the chain, is known when this returns without an error.
    ///
    /// # Errors
    /// [`Error::Object`] when the object is not the recorded one; [`Error::Io`].
    pub fn copy_to(self, out: &mut impl Write) -> Result<ReadReport, Error> {
        let context = object_context(&self.report.label);
        // Whoever may read the document knows the object's key, and could put one in its place that never ends.
        let encrypted = self.encrypted.take(self.record.size.saturating_add(1));
        let mut decryptor =
            Decryptor::new(encrypted, &self.material.object_key, &context).map_err(unreadable)?;
        std::io::copy(&mut decryptor, out).map_err(|error| unreadable(error.into()))?;
        let opened = decryptor
            .finish(Some(Checksum::from_bytes(self.record.checksum)))
            .map_err(unreadable)?;
        if opened.encrypted_bytes != self.record.size
            || opened.plaintext_bytes != self.material.metadata.size()
        {
            return Err(Error::Object("it does not have the recorded size".into()));
        }
        Ok(self.report)
    }

    /// As [`Document::copy_to`], for a content that fits in memory.
    ///
    /// # Errors
    /// As [`Document::copy_to`].
    pub fn into_vec(self) -> Result<(Vec<u8>, ReadReport), Error> {
        let mut content = Vec::new();
        let report = self.copy_to(&mut content)?;
        Ok((content, report))
    }
}
