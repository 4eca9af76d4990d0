//! Computes every vector from seeds. `docs/protocol-bytes.md` says what each field is.

use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::SigningKey;
use quorate_threshold::canary::{canary_approve_id, canary_label};
use quorate_threshold::committee::ParticipantIndex;
use quorate_threshold::dkg::{Agreement, Round1, part1, part2, part3};
use quorate_threshold::encoding::Canonical;
use quorate_threshold::group::second_generator;
use quorate_threshold::ids::{ApproveId, CeremonyId, ManifestDigest, WriteId};
use quorate_threshold::name::{DocumentName, Name};
use quorate_threshold::reencrypt::{Context, ReaderKey, combine, open, reencrypt, verify_shares};
use quorate_threshold::secret::DataKey;
use quorate_threshold::signature::{PublicKey, Signature};
use quorate_threshold::statement::ReleaseStatement;
use quorate_threshold::testing::{TestCommittee, TestRng, ceremony, copy, label};
use quorate_threshold::transcript::{Domain, SUITE, Transcript};
use quorate_threshold::wrap::{CustodyKey, wrap};
use rand_core::{CryptoRng, RngCore};
use serde_json::{Value, json};

mod lifecycle;

/// Every vector file, by name.
pub(crate) fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("transcript.json", transcript()),
        ("second_generator.json", second_generator_vector()),
        ("wrap.json", wrapping()),
        ("dkg.json", key_generation()),
        ("reencrypt.json", re_encryption()),
        ("reshare.json", lifecycle::resharing()),
        ("repair.json", lifecycle::repair()),
        ("statement.json", statement()),
        ("canary.json", canary()),
    ]
}

/// A file's text: indented, with a final newline.
pub(crate) fn text(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap();
    text.push('\n');
    text
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(bytes)
}

/// Notes what it hands out, so that a vector can say which randomness went in.
struct Recording {
    rng: TestRng,
    drawn: Vec<u8>,
}

impl Recording {
    fn new(seed: &str) -> Self {
        Self {
            rng: TestRng::new(seed),
            drawn: Vec::new(),
        }
    }

    fn take(&mut self) -> String {
        hex(std::mem::take(&mut self.drawn))
    }
}

impl RngCore for Recording {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }
    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }
    fn fill_bytes(&mut self, destination: &mut [u8]) {
        self.rng.fill_bytes(destination);
        self.drawn.extend_from_slice(destination);
    }
    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(destination);
        Ok(())
    }
}

impl CryptoRng for Recording {}

fn transcript() -> Value {
    let cases: Vec<Value> = Domain::ALL
        .iter()
        .map(|domain| {
            let fields: [(&'static str, &[u8]); 3] =
                [("message", b"quorate"), ("empty", b""), ("message", b"again")];
            let transcript = fields
                .iter()
                .fold(Transcript::new(*domain), |t, (label, data)| t.append(label, data));
            let fields: Vec<_> = fields
                .iter()
                .map(|(l, data)| json!({"label": l, "data": hex(data)}))
                .collect();
            json!({
                "domain": domain.label(),
                "fields": fields,
                "digest": hex(transcript.clone().digest()),
                "challenge": hex(transcript.challenge().as_bytes()),
            })
        })
        .collect();
    json!({ "suite": SUITE, "cases": cases })
}

fn second_generator_vector() -> Value {
    json!({ "b2": hex(second_generator().as_bytes()) })
}

fn wrapping() -> Value {
    let mut rng = Recording::new("vector wrap");
    let cases: Vec<Value> = ["a", "2026/q3/report.pdf"]
        .into_iter()
        .zip([1, u64::MAX])
        .map(|(document, version)| {
            let x = Scalar::random(&mut rng);
            let point = curve25519_dalek::EdwardsPoint::mul_base(&x).compress().to_bytes();
            let key = CustodyKey::from_bytes(&point).unwrap();
            let label = label(document, version).unwrap();
            let data_key = DataKey::generate(&mut rng);
            rng.take();
            let wrapped = wrap(&key, &label, &data_key, &mut rng).unwrap();
            wrapped.verify().unwrap();
            json!({
                "x": hex(x.as_bytes()),
                "public_key": hex(point),
                "key_id": key.key_id().to_string(),
                "installation": label.installation.as_str(),
                "tenant": label.tenant.as_str(),
                "dataset": label.dataset.as_str(),
                "document": label.document.as_str(),
                "version": label.version.to_string(),
                "label": hex(label.to_bytes()),
                "data_key": hex(data_key.expose()),
                "randomness": rng.take(),
                "wrapped_key": hex(wrapped.to_bytes()),
                "write_id": wrapped.write_id().to_string(),
            })
        })
        .collect();
    json!({ "cases": cases })
}

fn key_generation() -> Value {
    let mut rng = TestRng::new("vector dkg");
    let (ceremony, identities) = ceremony(2, 3, &mut rng).unwrap();
    let started = identities
        .iter()
        .map(|identity| part1(&ceremony, identity, &mut rng).unwrap());
    let (secrets, commitments): (Vec<_>, Vec<_>) = started.unzip();
    let bytes = |messages: &[quorate_threshold::dkg::SignedMessage]| -> Vec<String> {
        messages
            .iter()
            .map(|message| hex(message.to_secret_bytes().as_slice()))
            .collect()
    };
    let round1_messages = bytes(&commitments);
    let round1 = Round1::collect(&ceremony, commitments).unwrap();
    let reports: Vec<_> = identities
        .iter()
        .map(|id| round1.report(&ceremony, id).unwrap())
        .collect();
    let report_messages = bytes(&reports);
    let agreement = Agreement::reach(&ceremony, round1, reports).unwrap();
    let (mut remaining, mut dealt) = (Vec::new(), Vec::new());
    for (secret, identity) in secrets.into_iter().zip(&identities) {
        let (secret, messages) = part2(secret, &agreement, identity).unwrap();
        remaining.push(secret);
        dealt.extend(messages);
    }
    let mut shares = Vec::new();
    let mut manifests = Vec::new();
    for (secret, me) in remaining.into_iter().zip(ceremony.threshold().indices()) {
        let mine = dealt.iter().filter(|message| message.recipient() == Some(me));
        let mine = mine.map(|message| copy(message).unwrap()).collect();
        let (share, manifest) = part3(secret, &agreement, mine).unwrap();
        shares.push(hex(share.to_secret_bytes().as_slice()));
        manifests.push(manifest);
    }
    let manifest = &manifests[0];
    json!({
        "identity_seeds": identities.iter().map(|id| hex(id.to_bytes())).collect::<Vec<_>>(),
        "ceremony": hex(ceremony.to_bytes()),
        "ceremony_id": ceremony.id().to_string(),
        "round1_messages": round1_messages,
        "transcript": hex(agreement.transcript()),
        "equality_messages": report_messages,
        "round2_messages": bytes(&dealt),
        "key_shares": shares,
        "manifest": hex(manifest.to_bytes()),
        "manifest_digest": manifest.digest().to_string(),
        "manifest_signatures": identities.iter().map(|id| manifest.sign(id).to_string()).collect::<Vec<_>>(),
    })
}

fn re_encryption() -> Value {
    let mut rng = Recording::new("vector reencrypt");
    let committee = TestCommittee::generate(2, 3, &mut rng).unwrap();
    let manifest = committee.manifest();
    let data_key = DataKey::generate(&mut rng);
    let wrapped = wrap(
        manifest.custody_key(),
        &label("report", 1).unwrap(),
        &data_key,
        &mut rng,
    )
    .unwrap();
    rng.take();
    let reader = ReaderKey::generate(&mut rng);
    let reader_seed = rng.take();
    let approve_id = ApproveId([0xaa; 32]);
    let context = Context::new(manifest, &wrapped, approve_id, &reader.public()).unwrap();
    let mut shares = Vec::new();
    let mut cases = Vec::new();
    for key_share in &committee.shares {
        let share = reencrypt(key_share, &context, &mut rng).unwrap();
        cases.push(json!({
            "key_share": hex(key_share.to_secret_bytes().as_slice()),
            "randomness": rng.take(),
            "share": hex(share.to_bytes()),
            "share_digest": hex(share.digest()),
        }));
        shares.push(share);
    }
    let (verified, culprits) = verify_shares(&context, &shares, &mut rng);
    assert!(culprits.is_empty());
    let chosen = [verified[2], verified[0]];
    let reencryption = combine(&context, &chosen).unwrap();
    let opened = open(&reader, &reencryption, &wrapped).unwrap();
    json!({
        "manifest": hex(manifest.to_bytes()),
        "wrapped_key": hex(wrapped.to_bytes()),
        "approve_id": approve_id.to_string(),
        "reader_seed": reader_seed,
        "q": hex(reader.public().as_bytes()),
        "shares": cases,
        "combined_members": chosen.map(|share| share.index().get()),
        "reencryption": hex(reencryption.to_bytes()),
        "data_key": hex(opened.expose()),
    })
}

fn statement() -> Value {
    let identity = SigningKey::from_bytes(&[0x51; 32]);
    let statement = ReleaseStatement {
        manifest_digest: ManifestDigest([1; 32]),
        index: ParticipantIndex::new(2).unwrap(),
        approve_id: ApproveId([3; 32]),
        write_id: WriteId([4; 32]),
        q: PublicKey::of(&SigningKey::from_bytes(&[0x52; 32])),
        share_digest: [6; 32],
        repeat: true,
        time_ms: 1_800_000_000_000,
        journal_position: 7,
        journal_head: [8; 32],
        signature: Signature([0; 64]),
    }
    .sign(&identity);
    json!({ "identity_seed": hex(identity.to_bytes()), "statement": hex(statement.to_bytes()) })
}

fn canary() -> Value {
    let ceremony = CeremonyId([0xce; 32]);
    let label = canary_label(&Name::new("test").unwrap(), ceremony).unwrap();
    assert_eq!(label.document, DocumentName::new(&ceremony.to_string()).unwrap());
    json!({
        "ceremony_id": ceremony.to_string(),
        "installation": "test",
        "label": hex(label.to_bytes()),
        "approve_id": canary_approve_id(ceremony).to_string(),
    })
}
