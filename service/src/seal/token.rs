//! A key in a PKCS#11 token: it wraps and unwraps inside, and does not leave.
//!
//! ```text
//! wrapped  nonce (12) ‖ AES-256-GCM ciphertext of the key (32) and its tag (16), as CKM_AES_GCM gives it
//! ```

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::{KEY, KeyWrap, Method, Passphrase, SealError, SecretKey};

const NONCE: usize = 12;
const TAG_BITS: u64 = 128;

/// A session with a token, logged in, and the key in it.
#[derive(Debug)]
pub struct Token {
    session: Mutex<Session>,
    key: ObjectHandle,
}

impl Token {
    /// Loads the token's library, logs in to the token with this label and finds the AES key with that label, which
    /// must be one that cannot be extracted. Blocks.
    ///
    /// # Errors
    /// [`SealError::Token`], in words, with what to do.
    pub fn open(module: &Path, token: &str, key: &str, pin: &Passphrase) -> Result<Self, SealError> {
        let library = Pkcs11::new(module)
            .map_err(|error| failed(&format!("cannot load the library {}", module.display()), &error))?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // A second seal of the same process shares the library with the first.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed("cannot start the library", &error)),
        }
        let slot = slot(&library, token)?;
        let session = library
            .open_ro_session(slot)
            .map_err(|error| failed("cannot open a session", &error))?;
        let pin = RawAuthPin::new(Box::new(pin.expose().to_vec()));
        match session.login_with_raw(UserType::User, &pin) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(failed("cannot log in: check the PIN", &error)),
        }
        let key = find(&session, key)?;
        Ok(Self {
            session: Mutex::new(session),
            key,
        })
    }

    fn session(&self) -> std::sync::MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot whose token has this label.
fn slot(library: &Pkcs11, label: &str) -> Result<Slot, SealError> {
    let slots = library
        .get_slots_with_initialized_token()
        .map_err(|error| failed("cannot list the tokens", &error))?;
    let mut found = None;
    for slot in slots {
        let info = library
            .get_token_info(slot)
            .map_err(|error| failed("cannot look at a token", &error))?;
        if info.label() != label {
            continue;
        }
        if found.replace(slot).is_some() {
            return Err(SealError::Token(format!(
                "several tokens are labelled {label:?}: label them apart"
            )));
        }
        // A daemon that is restarted with a wrong PIN must not be what locks the token.
        if info.user_pin_locked() || info.user_pin_final_try() {
            return Err(SealError::Token(format!(
                "the PIN of token {label:?} is locked, or one wrong PIN from it: log in by hand first, then correct the \
                 PIN that this daemon reads"
            )));
        }
    }
    found.ok_or_else(|| SealError::Token(format!("no token is labelled {label:?}: is it plugged in?")))
}

/// The one AES key of this label that can wrap and cannot leave.
fn find(session: &Session, label: &str) -> Result<ObjectHandle, SealError> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Token(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ];
    let found = session
        .find_objects(&template)
        .map_err(|error| failed("cannot look for the key", &error))?;
    match found.as_slice() {
        [key] => Ok(*key),
        [] => Err(SealError::Token(format!(
            "the token has no AES key {label:?} that encrypts, decrypts and cannot be extracted: make one"
        ))),
        _ => Err(SealError::Token(format!(
            "the token has several keys {label:?}: label them apart"
        ))),
    }
}

fn failed(what: &str, error: &Error) -> SealError {
    SealError::Token(format!("{what}: {error}"))
}

impl KeyWrap for Token {
    fn method(&self) -> Method {
        Method::Token
    }

    fn wrap(
        &self,
        key: &SecretKey,
        associated: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        let mechanism = mechanism(&mut nonce, associated)?;
        let ciphertext = self
            .session()
            .encrypt(&mechanism, self.key, key.as_ref())
            .map_err(|error| failed("cannot encrypt", &error))?;
        // Read after the call: some tokens put a nonce of their own in the place of the one that they were given.
        Ok([nonce.as_slice(), &ciphertext].concat())
    }

    fn unwrap(&self, wrapped: &[u8], associated: &[u8]) -> Result<SecretKey, SealError> {
        let (nonce, ciphertext) = wrapped.split_first_chunk::<NONCE>().ok_or(SealError::Refused)?;
        let mut nonce = *nonce;
        let mechanism = mechanism(&mut nonce, associated)?;
        let key = self
            .session()
            .decrypt(&mechanism, self.key, ciphertext)
            .map(Zeroizing::new)
            .map_err(|error| match error {
                // What tokens say of a ciphertext that does not authenticate; the standard leaves them the choice.
                Error::Pkcs11(
                    RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange | RvError::GeneralError,
                    _,
                ) => SealError::Refused,
                other => failed("cannot decrypt", &other),
            })?;
        let key = <&[u8; KEY]>::try_from(key.as_slice()).map_err(|_| SealError::Refused)?;
        Ok(Zeroizing::new(*key))
    }
}

fn mechanism<'a>(nonce: &'a mut [u8], associated: &'a [u8]) -> Result<Mechanism<'a>, SealError> {
    GcmParams::new(nonce, associated, TAG_BITS.into())
        .map(Mechanism::AesGcm)
        .map_err(|error| failed("cannot use AES-GCM", &error))
}
