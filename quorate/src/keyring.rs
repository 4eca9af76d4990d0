//! A person's signing keys, each in a sealed file of its own.
//!
//! `keys/admin.key` is an organisation's administrator, `keys/auditor.key` an auditor; `keys/tenants/NAME/admin.key` and
//! `keys/tenants/NAME/users/NAME.key` are a tenant's. A key that is to follow has `.next` in place of `.key`, and one that was before
//! it `.retired-` and a number; `keys/tenants.retired-1` and so on are what was there when a development cluster was reset. What seals
//! them is the passphrase file.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_core::{OsRng, RngCore};
use service::files::{self, Secrecy};
use service::identity::Identity;
use service::seal::Passphrase;
use zeroize::Zeroizing;

use crate::failure::{Failure, Outcome};
use crate::home::{Home, private_directory};

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The administrator of an organisation, who creates tenants.
    Admin,
    /// An auditor, who may see the whole log.
    Auditor,
    /// The administrator of a tenant, who creates users and datasets.
    TenantAdmin(String),
    /// A user of a tenant.
    User(String, String),
}

impl Owner {
    /// A name for the key's certificate, which is at most 64 bytes and by which nobody decides anything.
    fn short(&self) -> &str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::TenantAdmin(tenant) => tenant,
            Self::User(_, user) => user,
        }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Admin => f.write_str("the organisation's administrator"),
            Self::Auditor => f.write_str("the auditor"),
            Self::TenantAdmin(tenant) => write!(f, "the administrator of tenant {tenant}"),
            Self::User(tenant, user) => write!(f, "user {user} of tenant {tenant}"),
        }
    }
}

/// The sealed keys of one person.
#[derive(Debug, Clone)]
pub struct Keyring {
    keys: PathBuf,
    passphrase: PathBuf,
}

impl Keyring {
    /// The keyring of a home.
    #[must_use]
    pub fn of(home: &Home) -> Self {
        Self {
            keys: home.keys(),
            passphrase: home.passphrase(),
        }
    }

    /// Makes a key; refuses to replace one.
    pub fn create(&self, owner: &Owner) -> Outcome<Arc<Identity>> {
        let path = self.path(owner);
        if path.exists() {
            return Err(Failure::error(
                format!("there is already a key of {owner} at {}", path.display()),
                "choose another name, or move that file away if the key is no longer wanted",
            ));
        }
        if let Some(directory) = path.parent() {
            private_directory(directory)?;
        }
        let passphrase = self.seal()?;
        let identity = Identity::create(owner.short(), &passphrase, &path).map_err(anyhow::Error::from)?;
        Ok(Arc::new(identity))
    }

    /// The key that is to follow, as long as it has not: made at the first call, kept over a crash, and there until
    /// [`Keyring::advance`].
    pub fn next(&self, owner: &Owner) -> Outcome<Arc<Identity>> {
        let path = self.path_of_next(owner);
        if path.exists() {
            return self.load(owner, &path);
        }
        if let Some(directory) = path.parent() {
            private_directory(directory)?;
        }
        let passphrase = self.seal()?;
        let identity = Identity::create(owner.short(), &passphrase, &path).map_err(anyhow::Error::from)?;
        Ok(Arc::new(identity))
    }

    /// Whether a key is to follow.
    pub fn has_next(&self, owner: &Owner) -> bool {
        self.path_of_next(owner).exists()
    }

    /// Puts the key that follows in the place of the one before, which stays beside it as `.retired-1`, `.retired-2` and so on:
    /// that the chain has retired it is what endorsers say.
    pub fn advance(&self, owner: &Owner) -> Outcome {
        let path = self.path(owner);
        for number in 1_u64.. {
            match fs::hard_link(&path, path.with_extension(format!("retired-{number}"))) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                // There is none when the key was lost.
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => break,
            }
        }
        fs::rename(self.path_of_next(owner), &path)?;
        if let Some(directory) = path.parent() {
            fs::File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    /// Whether there is a key.
    #[must_use]
    pub fn has(&self, owner: &Owner) -> bool {
        self.path(owner).exists()
    }

    /// Opens a key.
    pub fn open(&self, owner: &Owner) -> Outcome<Arc<Identity>> {
        let path = self.path(owner);
        if !path.exists() {
            return Err(Failure::error(
                format!("there is no key of {owner} in {}", self.keys.display()),
                advice(owner),
            ));
        }
        self.load(owner, &path)
    }

    fn load(&self, owner: &Owner, path: &Path) -> Outcome<Arc<Identity>> {
        let identity = Identity::load(path, &self.unseal()?).map_err(|error| {
            Failure::error(
                format!("the key of {owner} does not open: {error}"),
                format!(
                    "{} must hold the passphrase that the key was sealed with",
                    self.passphrase.display()
                ),
            )
        })?;
        Ok(Arc::new(identity))
    }

    /// Whether there is this key; an error when there is another one, or when none may be there.
    pub fn holds(&self, owner: &Owner, key: Option<&[u8; 32]>) -> Outcome<bool> {
        if !files::is_there(&self.path(owner))? {
            return Ok(false);
        }
        if key == Some(&self.open(owner)?.public_key()) {
            return Ok(true);
        }
        Err(Failure::error(
            format!(
                "the key of {owner} at {} is not this cluster's",
                self.path(owner).display()
            ),
            "nothing was changed: set QUORATE_HOME to another directory, or move that file away if it is no longer wanted",
        ))
    }

    /// Keeps a copy of a key that was made elsewhere; refuses to replace another.
    pub fn adopt(&self, owner: &Owner, identity: &Identity) -> Outcome {
        if self.holds(owner, Some(&identity.public_key()))? {
            return Ok(());
        }
        let path = self.path(owner);
        if let Some(directory) = path.parent() {
            private_directory(directory)?;
        }
        identity.save(&self.seal()?, &path).map_err(anyhow::Error::from)?;
        Ok(())
    }

    /// Removes this key, if it is there; refuses to remove another.
    pub fn remove(&self, owner: &Owner, key: &[u8; 32]) -> Outcome {
        if self.holds(owner, Some(key))? {
            fs::remove_file(self.path(owner))?;
        }
        Ok(())
    }

    /// Moves the keys of all tenants and users aside, and says where to: nothing in them says of which cluster they are.
    pub fn retire_tenants(&self) -> Outcome<Option<PathBuf>> {
        let tenants = self.tenants();
        if !files::is_there(&tenants)? {
            return Ok(None);
        }
        let mut number = 1_u64;
        let retired = loop {
            let path = tenants.with_extension(format!("retired-{number}"));
            if !files::is_there(&path)? {
                break path;
            }
            number += 1;
        };
        fs::rename(&tenants, &retired)?;
        Ok(Some(retired))
    }

    /// The users of a tenant whose keys are here.
    pub fn users(&self, tenant: &str) -> Vec<String> {
        let directory = self.tenant(tenant).join("users");
        let mut users: Vec<String> = fs::read_dir(directory)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(".key")
                    .map(str::to_owned)
            })
            .collect();
        users.sort();
        users
    }

    /// What keys are opened with.
    fn unseal(&self) -> Outcome<Passphrase> {
        known_passphrase(&self.passphrase)
    }

    /// What a new key is sealed with: the passphrase of those that are here, or a new one when there is none. A lost
    /// passphrase file is not made anew, or the old keys and the new ones would need two, and nobody would notice.
    fn seal(&self) -> Outcome<Passphrase> {
        if has_files(&self.keys)? {
            return self.unseal();
        }
        passphrase(&self.passphrase)
    }

    fn tenant(&self, tenant: &str) -> PathBuf {
        // A name may consist of dots; the prefix keeps it from meaning a parent directory.
        self.tenants().join(format!("t-{tenant}"))
    }

    fn tenants(&self) -> PathBuf {
        self.keys.join("tenants")
    }

    fn path_of_next(&self, owner: &Owner) -> PathBuf {
        self.path(owner).with_extension("next")
    }

    fn path(&self, owner: &Owner) -> PathBuf {
        match owner {
            Owner::Admin => self.keys.join("admin.key"),
            Owner::Auditor => self.keys.join("auditor.key"),
            Owner::TenantAdmin(tenant) => self.tenant(tenant).join("admin.key"),
            Owner::User(tenant, user) => self.tenant(tenant).join("users").join(format!("{user}.key")),
        }
    }
}

/// Whether there is any file below a directory, if there is one.
fn has_files(directory: &Path) -> Outcome<bool> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || has_files(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads the passphrase file of keys that there are already.
pub(crate) fn known_passphrase(path: &Path) -> Outcome<Passphrase> {
    if is_there(path)? {
        return read(path);
    }
    Err(Failure::error(
        format!(
            "the passphrase file {} is gone, and keys are sealed with it",
            path.display()
        ),
        "bring it back from a backup: without it nobody opens these keys",
    ))
}

/// Reads a passphrase file, making it first when there is none: for keys that are about to be made.
pub(crate) fn passphrase(path: &Path) -> Outcome<Passphrase> {
    if !is_there(path)? {
        if let Some(directory) = path.parent() {
            private_directory(directory)?;
        }
        let mut random = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(random.as_mut());
        let text = Zeroizing::new(hex::encode(random.as_ref()));
        files::write_atomically(path, text.as_bytes(), Secrecy::Secret).map_err(anyhow::Error::from)?;
    }
    read(path)
}

fn is_there(path: &Path) -> Outcome<bool> {
    files::is_there(path).map_err(|error| {
        Failure::error(
            format!(
                "cannot tell whether there is a passphrase file {}: {error}",
                path.display()
            ),
            "nothing was changed; see that you can enter the directories above it",
        )
    })
}

fn read(path: &Path) -> Outcome<Passphrase> {
    Passphrase::from_file(path).map_err(|error| {
        Failure::error(
            format!("the passphrase file {} cannot be used: {error}", path.display()),
            "it must be readable by you alone (chmod 600) and hold the passphrase",
        )
    })
}

fn advice(owner: &Owner) -> String {
    match owner {
        Owner::Admin | Owner::Auditor => {
            "run `quorate dev`, which makes one for a local cluster, or bring the key file here".to_owned()
        }
        Owner::TenantAdmin(tenant) => {
            format!("run `quorate tenant create {tenant}`, or bring the key file here")
        }
        Owner::User(tenant, user) => {
            format!("run `quorate user create {tenant} {user}`, or choose another with --as")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_passphrase_file_is_not_made_anew_for_keys_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let keyring = Keyring::of(&home);
        let (alice, bob) = (
            Owner::User("acme".into(), "alice".into()),
            Owner::User("acme".into(), "bob".into()),
        );
        let key = keyring.create(&alice).unwrap().public_key();
        let kept = fs::read(home.passphrase()).unwrap();
        fs::remove_file(home.passphrase()).unwrap();
        let gone = [
            keyring.open(&alice).map(drop),
            keyring.create(&bob).map(drop),
            keyring.next(&alice).map(drop),
            keyring.holds(&alice, Some(&key)).map(drop),
        ];
        for ended in gone {
            assert!(ended.unwrap_err().next.contains("backup"));
        }
        assert!(!home.passphrase().exists());
        assert!(!keyring.has(&bob) && !keyring.has_next(&alice));
        files::write_atomically(&home.passphrase(), &kept, Secrecy::Secret).unwrap();
        assert_eq!(keyring.open(&alice).unwrap().public_key(), key);
        keyring.next(&alice).unwrap();
    }

    #[test]
    fn a_passphrase_on_a_medium_that_is_not_there_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("passphrase");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        assert!(passphrase(&link).is_err());
        assert!(link.is_symlink());
        // The way to it leads through a file.
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        assert!(passphrase(&file.join("passphrase")).is_err());
        // One that is not there is made, and stays.
        let fresh = folder.path().join("fresh");
        passphrase(&fresh).unwrap();
        let text = std::fs::read(&fresh).unwrap();
        passphrase(&fresh).unwrap();
        assert_eq!(std::fs::read(&fresh).unwrap(), text);
    }
}
