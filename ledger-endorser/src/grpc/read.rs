//! Answers from what is durable, to those who may see it.

use golden_record::{
    Entry, EntryProof, FinalityEvidence, Header, MAX_HEADERS, Role, StateAt, StateReader, TxId, keys,
    merkle::{ProofError, inclusion_proof},
    queries::{self, LogNodes},
};
use proto::{
    field,
    ledger::{self as wire, LogEntry},
};
use service::PeerKey;
use threshold::{
    encoding::Canonical,
    ids::KeyId,
    name::{DocumentName, Name},
};

use super::{Endorser, log_entry};
use crate::{
    access::Access,
    status::Failure,
    store::{LogLine, Snapshot, StoreError},
    waiters::Committed,
};

const DEFAULT_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;
/// The entries of a page; the limit on the wire leaves room for what is around each.
pub(super) const PAGE_BYTES: usize = proto::limits::LEDGER_PAGE / 4 * 3;

impl Endorser {
    /// A view for somebody who may see some of the log, unless it is too old to answer from: whoever asks whether
    /// something is on the chain must not hear of an old state that it is not.
    pub(super) fn view(&self, peer: PeerKey) -> Result<(Snapshot, Access), Failure> {
        let snapshot = self.fresh()?;
        let access = Access::of(&snapshot, &peer.0)?.ok_or(Failure::Forbidden)?;
        Ok((snapshot, access))
    }

    fn fresh(&self) -> Result<Snapshot, Failure> {
        let snapshot = self.ledger.store().snapshot()?;
        let age_ms = self.clock.now_ms().saturating_sub(snapshot.newest().time_ms);
        if age_ms > self.ledger.limits().stale_after_ms {
            return Err(Failure::Stale(age_ms));
        }
        Ok(snapshot)
    }

    pub(super) fn transaction(
        &self,
        peer: PeerKey,
        request: &wire::GetTransactionRequest,
    ) -> Result<wire::GetTransactionResponse, Failure> {
        let id: TxId = field::id("tx_id", &request.tx_id)?;
        let snapshot = self.fresh()?;
        let access = Access::of(&snapshot, &peer.0)?;
        let committed = Committed::find(&snapshot, id)?;
        let sees = match (&access, &committed) {
            (_, None) => false,
            (Some(access), Some(found)) => {
                access.covers_transaction(&snapshot, &found.entry().transaction)?
            }
            (None, Some(found)) => Access::of_retired(&snapshot, &peer.0, &found.entry().transaction)?,
        };
        // Who may not see it is told the same as if it did not exist.
        let committed = match (committed.filter(|_| sees), access) {
            (Some(committed), _) => committed,
            (None, Some(_)) => return Err(Failure::NotFound("transaction")),
            (None, None) => return Err(Failure::Forbidden),
        };
        let proof = if request.with_proof {
            prove(&snapshot, committed.height, committed.index)?.to_bytes()
        } else {
            Vec::new()
        };
        Ok(wire::GetTransactionResponse {
            entry: Some(log_entry(&committed)),
            proof,
        })
    }

    pub(super) fn page(
        &self,
        peer: PeerKey,
        request: &wire::ListTransactionsRequest,
    ) -> Result<wire::ListTransactionsResponse, Failure> {
        let (snapshot, access) = self.view(peer)?;
        let limit = match usize::try_from(request.limit) {
            Ok(0) => DEFAULT_PAGE,
            Ok(limit) => limit.min(LARGEST_PAGE),
            Err(_) => LARGEST_PAGE,
        };
        let lines = match access.tenant() {
            None => snapshot.page(request.from, limit, PAGE_BYTES)?,
            Some(tenant) => snapshot.tenant_page(tenant.as_str(), request.from, limit, PAGE_BYTES)?,
        };
        let log_size = snapshot.newest().log_size;
        let next = lines.last().map_or(log_size, |line| line.index.saturating_add(1));
        let lines = covered(&snapshot, &access, lines)?;
        let entries = with_times(&snapshot, lines)?;
        Ok(wire::ListTransactionsResponse {
            entries,
            log_size,
            next,
        })
    }

    pub(super) fn document(
        &self,
        peer: PeerKey,
        request: &wire::GetDocumentRequest,
    ) -> Result<wire::GetDocumentResponse, Failure> {
        let tenant: Name = field::text("tenant", &request.tenant)?;
        let dataset: Name = field::text("dataset", &request.dataset)?;
        let name: DocumentName = field::text("document", &request.document)?;
        let (snapshot, access) = self.view(peer)?;
        if !access.covers(&snapshot, &tenant, &dataset)? {
            return Err(Failure::Forbidden);
        }
        let missing = Failure::NotFound("document version");
        let version = match request.version {
            0 => queries::latest_version(&snapshot, &tenant, &dataset, &name)?,
            version => Some(version),
        };
        let Some(version) = version else {
            return Err(missing);
        };
        if queries::erased(&snapshot, &tenant, &dataset, &name, version)?.is_some() {
            return Err(Failure::NotFound("document version any more (it is erased)"));
        }
        let document = snapshot.get(&keys::document_version(&tenant, &dataset, &name, version))?;
        Ok(wire::GetDocumentResponse {
            document: document.ok_or(missing)?,
        })
    }

    /// A dataset and who has a role in it, at the newest height or at an earlier one. Who may ask is decided by the newest.
    pub(super) fn permissions(
        &self,
        peer: PeerKey,
        request: &wire::GetPermissionsRequest,
    ) -> Result<wire::GetPermissionsResponse, Failure> {
        let tenant: Name = field::text("tenant", &request.tenant)?;
        let dataset: Name = field::text("dataset", &request.dataset)?;
        let role: Role = field::text("role", &request.role)?;
        let (snapshot, access) = self.view(peer)?;
        if !access.covers(&snapshot, &tenant, &dataset)? {
            return Err(Failure::Forbidden);
        }
        let newest = snapshot.newest().height;
        let height = match request.height {
            0 => newest,
            height if height > newest => return Err(Failure::NotFound("block at this height yet")),
            height => height,
        };
        let past = StateAt::new(&snapshot, height);
        let record =
            queries::dataset(&past, &tenant, &dataset)?.ok_or(Failure::NotFound("dataset at this height"))?;
        let ever = snapshot.keys_after(
            &keys::roles_ever(&tenant, &dataset, role),
            request.after.as_bytes(),
            LARGEST_PAGE,
        )?;
        let mut users = Vec::new();
        let mut next = String::new();
        for name in &ever {
            let name = std::str::from_utf8(name)
                .ok()
                .and_then(|name| name.parse::<Name>().ok());
            let user = name.ok_or(StoreError::Damaged("a user's name does not parse"))?;
            if queries::has_role(&past, &tenant, &dataset, role, &user)? {
                users.push(user.to_string());
            }
            if ever.len() >= LARGEST_PAGE {
                next = user.to_string();
            }
        }
        Ok(wire::GetPermissionsResponse {
            height,
            dataset: record.to_bytes(),
            users,
            next,
        })
    }

    /// The committee is public among those who can connect: its members sign it, and wrapping needs it.
    pub(super) fn committee(
        &self,
        request: &wire::GetCommitteeRequest,
    ) -> Result<wire::GetCommitteeResponse, Failure> {
        let snapshot = self.ledger.store().snapshot()?;
        let manifest = if request.key_id.is_empty() {
            queries::newest_committee(&snapshot)?
        } else {
            queries::committee(&snapshot, &field::id::<KeyId>("key_id", &request.key_id)?)?
        };
        let manifest = manifest.ok_or(Failure::NotFound("committee"))?;
        Ok(wire::GetCommitteeResponse {
            manifest: manifest.to_bytes(),
        })
    }

    /// Always answered: it says itself how old it is.
    pub(super) fn status(&self) -> Result<wire::GetStatusResponse, Failure> {
        let snapshot = self.ledger.store().snapshot()?;
        let (evidence, proven_header) = match snapshot.newest_evidence()? {
            Some((height, evidence)) => {
                let header = snapshot.header(height)?;
                let header = header.ok_or(StoreError::Damaged("a header is missing"))?;
                (evidence, header.to_bytes())
            }
            None => Default::default(),
        };
        let (pending, _) = self.ledger.mempool().size();
        let standing = (self.standing)();
        Ok(wire::GetStatusResponse {
            genesis: self.ledger.genesis().to_bytes(),
            header: snapshot.newest().to_bytes(),
            evidence,
            organisation: self.organisation.to_string(),
            peers_connected: u32::try_from(standing.peers).unwrap_or(u32::MAX),
            pending: u32::try_from(pending).unwrap_or(u32::MAX),
            proven_header,
            epoch: standing.epoch,
            is_endorser: standing.is_endorser,
            votes: standing.votes,
        })
    }
}

/// The lines that somebody may see.
fn covered(snapshot: &Snapshot, access: &Access, lines: Vec<LogLine>) -> Result<Vec<LogLine>, Failure> {
    if !matches!(access, Access::User { .. }) {
        return Ok(lines);
    }
    let mut covered = Vec::new();
    for line in lines {
        let entry =
            Entry::from_bytes(&line.entry).map_err(|_| StoreError::Damaged("an entry does not parse"))?;
        if access.covers_transaction(snapshot, &entry.transaction)? {
            covered.push(line);
        }
    }
    Ok(covered)
}

/// The lines with the times of their blocks, which follow each other.
pub(super) fn with_times(snapshot: &Snapshot, lines: Vec<LogLine>) -> Result<Vec<LogEntry>, StoreError> {
    let mut newest: Option<Header> = None;
    let mut entries = Vec::with_capacity(lines.len());
    for line in lines {
        let header = match newest.take().filter(|header| header.height == line.height) {
            Some(header) => header,
            None => snapshot
                .header(line.height)?
                .ok_or(StoreError::Damaged("a header is missing"))?,
        };
        entries.push(LogEntry {
            index: line.index,
            height: line.height,
            entry: line.entry,
            time_ms: header.time_ms,
        });
        newest = Some(header);
    }
    Ok(entries)
}

/// Inclusion in the block, and the headers from there to the first with evidence.
pub(super) fn prove(snapshot: &Snapshot, first: u64, index: u64) -> Result<EntryProof, Failure> {
    let (last, evidence) = snapshot.evidence_from(first)?.ok_or(Failure::NoEvidence)?;
    let evidence = FinalityEvidence::from_bytes(&evidence)
        .map_err(|_| StoreError::Damaged("finality evidence does not parse"))?;
    let most = u64::try_from(MAX_HEADERS).unwrap_or(u64::MAX);
    if last - first >= most {
        return Err(Failure::NoEvidence);
    }
    let mut headers = Vec::new();
    for height in first..=last {
        headers.push(
            snapshot
                .header(height)?
                .ok_or(StoreError::Damaged("a header is missing"))?,
        );
    }
    let size = headers.first().map_or(0, |header| header.log_size);
    let path = inclusion_proof(&LogNodes(snapshot), index, size).map_err(|error| match error {
        ProofError::State(error) => Failure::State(error),
        _ => StoreError::Damaged("an entry is not in its block").into(),
    })?;
    Ok(EntryProof {
        index,
        path,
        headers,
        evidence,
    })
}
