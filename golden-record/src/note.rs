//! Signed notes: a text and the signatures of named keys, as C2SP signed-note (v1.0.0) lays them down.
//!
//! ```text
//! text, which ends with a line feed
//! (an empty line)
//! — key name base64(key id (4) ‖ signature)          one line for each signature
//!
//! key id    the first 4 bytes of SHA-256(key name ‖ 0x0a ‖ 0x01 ‖ Ed25519 public key (32))
//! signature RFC 8032 Ed25519 over the text with its last line feed
//! ```
//!
//! A signature by a key that the verifier does not know says nothing and is passed over, as the format demands. One
//! that names a known key must hold, or the note is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use threshold::signature::{PublicKey, Signature};

/// The longest note.
pub const MAX_NOTE: usize = 131_072;
/// The most signatures on a note.
pub const MAX_NOTE_SIGNATURES: usize = 128;

/// The signature type of plain Ed25519.
const ED25519: u8 = 0x01;
/// Before the key name in a signature line.
const DASH: &str = "\u{2014} ";

/// Why something is not a note, or why its signatures are not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE`], or more signatures than [`MAX_NOTE_SIGNATURES`].
    #[error("the note is too long")]
    TooLong,
    /// Not UTF-8, or with control characters other than line feeds.
    #[error("the note is not plain text")]
    NotText,
    /// No empty line between a text and at least one signature line.
    #[error("the note is not a text, an empty line and signature lines")]
    Form,
    /// A line that is not `— name base64` with a key id and a signature.
    #[error("signature line {0} is malformed")]
    SignatureLine(usize),
    /// A key name that is empty or has a space or a plus.
    #[error("a key name has no spaces and no plus")]
    KeyName,
    /// A signature that names a known key does not verify under it.
    #[error("the signature of {0} does not verify")]
    Signature(String),
    /// A known key has signed twice: it would count twice.
    #[error("{0} has signed twice")]
    Repeated(String),
}

/// A key that signs notes, under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    public_key: PublicKey,
    id: [u8; 4],
}

impl NoteKey {
    /// Names an Ed25519 key.
    ///
    /// # Errors
    /// [`NoteError::KeyName`].
    pub fn new(name: &str, public_key: PublicKey) -> Result<Self, NoteError> {
        if !is_key_name(name) {
            return Err(NoteError::KeyName);
        }
        let hash = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', ED25519])
            .chain_update(public_key.as_bytes())
            .finalize();
        let mut id = [0; 4];
        for (byte, hashed) in id.iter_mut().zip(hash) {
            *byte = hashed;
        }
        Ok(Self {
            name: name.to_owned(),
            public_key,
            id,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key itself.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The four bytes that stand for it, together with its name.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The verifier key, as other tools are configured with it: `name+id in hexadecimal+base64(type ‖ key)`.
    pub fn vkey(&self) -> String {
        let encoded = STANDARD.encode([&[ED25519], self.public_key.as_bytes().as_slice()].concat());
        format!("{}+{:08x}+{encoded}", self.name, u32::from_be_bytes(self.id))
    }
}

/// One signature line. What it is worth is known when the note is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

impl NoteSignature {
    /// The name of the key that it claims.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn claims(&self, key: &NoteKey) -> bool {
        self.name == key.name && self.key_id == key.id
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        (is_key_name(name) && !signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            key_id: *key_id,
            signature: signature.to_vec(),
        })
    }

    fn write(&self, text: &mut String) {
        let encoded = STANDARD.encode([self.key_id.as_slice(), &self.signature].concat());
        text.push_str(DASH);
        text.push_str(&self.name);
        text.push(' ');
        text.push_str(&encoded);
        text.push('\n');
    }
}

/// A text and the signatures on it, none of which has been verified by being here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A text that nobody has signed yet. It must end with a line feed.
    ///
    /// # Errors
    /// [`NoteError::NotText`] or [`NoteError::Form`].
    pub fn unsigned(text: String) -> Result<Self, NoteError> {
        if !is_plain(&text) {
            return Err(NoteError::NotText);
        }
        if !text.ends_with('\n') {
            return Err(NoteError::Form);
        }
        Ok(Self {
            text,
            signatures: Vec::new(),
        })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::TooLong`] before anything else is looked at; then whatever is wrong with its form.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::TooLong);
        }
        let whole = core::str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        // The last empty line: the text may have some of its own.
        let (text, signed) = whole.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        let lines = signed.strip_suffix('\n').ok_or(NoteError::Form)?;
        let mut note = Self::unsigned(format!("{text}\n"))?;
        for (place, line) in lines.split('\n').enumerate() {
            if place >= MAX_NOTE_SIGNATURES {
                return Err(NoteError::TooLong);
            }
            let signature = NoteSignature::parse(line).ok_or(NoteError::SignatureLine(place + 1))?;
            note.signatures.push(signature);
        }
        Ok(note)
    }

    /// The note as it travels. Without a signature it is none that anybody reads.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.text);
        for signature in &self.signatures {
            signature.write(&mut text);
        }
        text
    }

    /// What is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, in order.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds the signature of `key`, whose secret is `signer`; whether the two belong together, verification tells.
    pub fn sign(&mut self, key: &NoteKey, signer: &SigningKey) {
        self.signatures.push(NoteSignature {
            name: key.name.clone(),
            key_id: key.id,
            signature: signer.sign(self.text.as_bytes()).to_bytes().to_vec(),
        });
    }

    /// Adds the signature lines of another copy of the same note that are not here yet. Of another text, nothing.
    pub fn merge(&mut self, other: &Self) {
        if self.text != other.text {
            return;
        }
        for signature in &other.signatures {
            if !self.signatures.contains(signature) && self.signatures.len() < MAX_NOTE_SIGNATURES {
                self.signatures.push(signature.clone());
            }
        }
    }

    /// The places among `keys` of those that have signed. Signatures of other keys are passed over.
    ///
    /// # Errors
    /// [`NoteError::Signature`] when one that claims a known key does not hold, [`NoteError::Repeated`].
    pub fn signers(&self, keys: &[NoteKey]) -> Result<Vec<usize>, NoteError> {
        let mut signers = Vec::new();
        for signature in &self.signatures {
            let Some(place) = keys.iter().position(|key| signature.claims(key)) else {
                continue;
            };
            if signers.contains(&place) {
                return Err(NoteError::Repeated(signature.name.clone()));
            }
            let holds = keys
                .get(place)
                .is_some_and(|key| self.is_signed_by(key, signature));
            if !holds {
                return Err(NoteError::Signature(signature.name.clone()));
            }
            signers.push(place);
        }
        Ok(signers)
    }

    fn is_signed_by(&self, key: &NoteKey, signature: &NoteSignature) -> bool {
        <[u8; 64]>::try_from(signature.signature.as_slice()).is_ok_and(|bytes| {
            key.public_key
                .verify_raw(self.text.as_bytes(), &Signature(bytes))
                .is_ok()
        })
    }
}

fn is_key_name(name: &str) -> bool {
    let improper = |character: char| character.is_whitespace() || character.is_control() || character == '+';
    !name.is_empty() && !name.contains(improper)
}

fn is_plain(text: &str) -> bool {
    text.chars()
        .all(|character| character == '\n' || character >= ' ')
}
