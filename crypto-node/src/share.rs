//! The share: sealed on disk, and in memory behind a guard that only an approval or a proven canary opens.
//!
//! A sealed share is a file of its own, named after its ceremony, written by temporary name, sync and rename.
//! It is sealed for this node, key, epoch and index together, so that a file of another node, or of another
//! epoch, does not open in its place.

use approval::Approved;
use ed25519_dalek::SigningKey;
use rand_core::{CryptoRng, OsRng, RngCore};
use service::files::{Secrecy, write_atomically};
use service::{KeyWrap, seal};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use threshold::canary::{canary_approve_id, canary_label};
use threshold::committee::{CommitteeManifest, ParticipantIndex, SignedManifest};
use threshold::ids::CeremonyId;
use threshold::name::Name;
use threshold::reencrypt::{Context, ContextError, ReencryptError, ReencryptionShare, reencrypt};
use threshold::repair::{self, Repair, RepairError};
use threshold::reshare::{self, ReshareError, Resharing};
use threshold::secret::{KeyShare, ShareError};
use threshold::signature::PublicKey;
use threshold::wrap::WrappedKey;

/// Why a share cannot be stored, loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The file system failed.
    #[error("share file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file does not open: damaged, of another node or epoch, or the seal is another.
    #[error(
        "share file {path}: {source}; check the seal in the configuration, or restore the file from this node's own backup"
    )]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: seal::SealError,
    },
    /// What was in the file is not the share that the manifest says.
    #[error("share file {path}: {source}")]
    Share {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ShareError,
    },
    /// The manifest does not name this node.
    #[error("this node is not a member by the manifest of the share")]
    NotAMember,
    /// The approval is for another wrapped key.
    #[error("the approval is for another wrapped key")]
    OtherWrappedKey,
    /// The wrapped key is under another custody key.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The share was not computed.
    #[error(transparent)]
    Reencrypt(#[from] ReencryptError),
}

/// Where sealed shares are kept.
#[derive(Debug, Clone)]
pub struct ShareFiles {
    directory: PathBuf,
    seal: Arc<dyn KeyWrap>,
    node: [u8; 32],
}

impl ShareFiles {
    /// The share files of the node with this identity key. The directory must exist.
    #[must_use]
    pub const fn new(directory: PathBuf, seal: Arc<dyn KeyWrap>, node: [u8; 32]) -> Self {
        Self {
            directory,
            seal,
            node,
        }
    }

    /// Seals a share and stores it durably. Blocks for about a tenth of a second.
    ///
    /// # Errors
    /// The file system's, or too little memory to seal.
    pub fn save(
        &self,
        ceremony: CeremonyId,
        share: &KeyShare,
        manifest: &CommitteeManifest,
    ) -> Result<(), GuardError> {
        let path = self.path(ceremony);
        let context = self.context(manifest, share.index());
        let blob = seal::seal(self.seal.as_ref(), &context, &share.to_secret_bytes(), &mut OsRng).map_err(
            |source| GuardError::Sealed {
                path: path.clone(),
                source,
            },
        )?;
        write_atomically(&path, &blob, Secrecy::Secret).map_err(|source| GuardError::Io { path, source })
    }

    /// Opens a stored share. Blocks for about a tenth of a second.
    ///
    /// # Errors
    /// Whatever is not this node's share under this manifest.
    pub fn load(
        &self,
        ceremony: CeremonyId,
        manifest: &CommitteeManifest,
        me: &PublicKey,
    ) -> Result<KeyShare, GuardError> {
        let path = self.path(ceremony);
        let member = manifest.member_by_identity(me).ok_or(GuardError::NotAMember)?;
        let index = member.index;
        let blob = std::fs::read(&path).map_err(|source| GuardError::Io {
            path: path.clone(),
            source,
        })?;
        let secret =
            seal::open(self.seal.as_ref(), &self.context(manifest, index), &blob).map_err(|source| {
                GuardError::Sealed {
                    path: path.clone(),
                    source,
                }
            })?;
        KeyShare::from_secret_bytes(&secret, manifest).map_err(|source| GuardError::Share { path, source })
    }

    /// Destroys the shares of every other ceremony: they never came to be keys, or their epoch is over.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep_only(&self, ceremonies: &[CeremonyId]) -> io::Result<()> {
        let kept: Vec<PathBuf> = ceremonies.iter().map(|ceremony| self.path(*ceremony)).collect();
        for path in share_files(&self.directory)? {
            if !kept.contains(&path) {
                destroy(&path)?;
            }
        }
        // What a crash left of a write that was never finished.
        for path in unfinished(&self.directory)? {
            destroy(&path)?;
        }
        std::fs::File::open(&self.directory)?.sync_all()
    }

    /// Whether there is a share of this ceremony.
    ///
    /// # Errors
    /// The file system does not say.
    pub fn is_there(&self, ceremony: CeremonyId) -> io::Result<bool> {
        self.path(ceremony).try_exists()
    }

    fn path(&self, ceremony: CeremonyId) -> PathBuf {
        Path::new(&self.directory).join(format!("{ceremony}.{EXTENSION}"))
    }

    fn context(&self, manifest: &CommitteeManifest, index: ParticipantIndex) -> String {
        context(&self.node, manifest, index)
    }
}

/// Overwrites a file where it lies, its wrapped key with it, before its name goes: without the name the bytes would stay
/// until something else needs the place, and whoever has the seal could open them.
fn destroy(path: &Path) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    file.write_all(&vec![0; length.min(MAX_SHARE_FILE)])?;
    file.sync_all()?;
    std::fs::remove_file(path)
}

/// Longer than any sealed share.
const MAX_SHARE_FILE: usize = 64 * 1024;

/// What a share of the node with this identity key is sealed for.
#[must_use]
pub fn context(node: &[u8; 32], manifest: &CommitteeManifest, index: ParticipantIndex) -> String {
    let (key, epoch) = (manifest.key_id(), manifest.epoch());
    format!("crypto-node/{}/share/{key}/{epoch}/{index}", hex::encode(node))
}

const EXTENSION: &str = "share";

/// The sealed shares in a directory, which need not exist.
///
/// # Errors
/// The file system's.
pub fn share_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let is_share = |path: &PathBuf| path.extension().is_some_and(|extension| extension == EXTENSION);
    Ok(files_in(directory)?.into_iter().filter(is_share).collect())
}

/// Shares that were being written, under their temporary names, when the node stopped.
fn unfinished(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let is_unfinished = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| {
            name.starts_with('.') && name.contains(&format!(".{EXTENSION}.")) && name.ends_with(".tmp")
        })
    };
    Ok(files_in(directory)?.into_iter().filter(is_unfinished).collect())
}

fn files_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// A wrapped key that whoever sends it can open already: it carries the label of this ceremony's canary, which no
/// document has, and its proof shows that its maker knows r with `U = r·B`.
#[derive(Debug)]
pub struct ProvenCanary {
    ceremony: CeremonyId,
    wrapped: WrappedKey,
    q: PublicKey,
}

impl ProvenCanary {
    /// Checks label and proof.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn prove(
        wrapped: WrappedKey,
        q: PublicKey,
        installation: &Name,
        ceremony: CeremonyId,
    ) -> Result<Self, &'static str> {
        let label = canary_label(installation, ceremony).map_err(|_| "the canary has no label")?;
        if *wrapped.label() != label {
            return Err("not this ceremony's canary");
        }
        wrapped.verify().map_err(|_| "the canary's proof does not hold")?;
        Ok(Self { ceremony, wrapped, q })
    }
}

/// A share in memory, with the manifest it belongs to.
#[derive(Debug)]
pub struct Guard {
    share: KeyShare,
    manifest: SignedManifest,
}

impl Guard {
    /// Takes a share in.
    #[must_use]
    pub const fn new(share: KeyShare, manifest: SignedManifest) -> Self {
        Self { share, manifest }
    }

    /// The manifest, with all members' signatures.
    #[must_use]
    pub const fn signed_manifest(&self) -> &SignedManifest {
        &self.manifest
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &CommitteeManifest {
        &self.manifest.manifest
    }

    /// This node's index.
    #[must_use]
    pub const fn index(&self) -> ParticipantIndex {
        self.share.index()
    }

    /// Uses the share for an approved read.
    ///
    /// # Errors
    /// The wrapped key is not the approved one, or not under this key.
    pub fn reencrypt(
        &self,
        approved: &Approved,
        wrapped: &WrappedKey,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<ReencryptionShare, GuardError> {
        if approved.write_id() != wrapped.write_id() {
            return Err(GuardError::OtherWrappedKey);
        }
        let context = Context::new(self.manifest(), wrapped, approved.approve_id(), &approved.q())?;
        Ok(reencrypt(&self.share, &context, rng)?)
    }

    /// Deals the share to the seats of the next epoch.
    ///
    /// # Errors
    /// It is not the share that the resharing starts from.
    pub fn deal(
        &self,
        resharing: &Resharing,
        identity: &SigningKey,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(reshare::SignedMessage, Vec<reshare::SignedMessage>), ReshareError> {
        reshare::deal(resharing, &self.share, identity, rng)
    }

    /// Splits the share among the helpers of a repair.
    ///
    /// # Errors
    /// It is not the share of a helper.
    pub fn help(
        &self,
        repair: &Repair,
        identity: &SigningKey,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(repair::SignedMessage, Vec<repair::SignedMessage>), RepairError> {
        repair::part1(repair, &self.share, identity, rng)
    }

    /// Uses the share for a canary.
    ///
    /// # Errors
    /// The canary is not under this key.
    pub fn reencrypt_canary(
        &self,
        canary: &ProvenCanary,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<ReencryptionShare, GuardError> {
        let approve_id = canary_approve_id(canary.ceremony);
        let context = Context::new(self.manifest(), &canary.wrapped, approve_id, &canary.q)?;
        Ok(reencrypt(&self.share, &context, rng)?)
    }
}
