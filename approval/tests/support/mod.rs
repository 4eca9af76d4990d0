//! Shared by the approval's tests: four organisations, one approved read, and a forge for certificates of any form.
#![allow(dead_code, unreachable_pub)]

use ed25519_dalek::{Signer, SigningKey};
use quorate_approval::oid::Extension;
use quorate_approval::{
    ApprovalFields, Approved, Authority, CertificateFault, Limits, Refusal, TrustBundle, TrustedOrganisation,
    check, check_certificate,
};
use rand_core::OsRng;
use sha2::{Digest, Sha256};
use threshold::encoding::Canonical;
use threshold::label::Label;
use threshold::name::Name;
use threshold::secret::DataKey;
use threshold::signature::PublicKey;
use threshold::wrap::{CustodyKey, WrappedKey, wrap};

/// 2027-01-15 08:00:00 UTC.
pub const NOW_MS: u64 = 1_800_000_000_000;
pub const LIFETIME_S: u32 = 60;
pub const ORGANISATIONS: [&str; 4] = ["bank", "notary", "regulator", "university"];

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn public_key(seed: u8) -> PublicKey {
    PublicKey::of(&SigningKey::from_bytes(&[seed; 32]))
}

pub fn custody_key(seed: u8) -> CustodyKey {
    CustodyKey::new(public_key(seed).to_point())
}

pub fn label() -> Label {
    Label {
        installation: name("test"),
        tenant: name("tenant"),
        dataset: name("loans"),
        document: "2027/contract".parse().unwrap(),
        version: 1,
    }
}

pub fn wrapped(seed: u8, label: &Label) -> WrappedKey {
    wrap(
        &custody_key(seed),
        label,
        &DataKey::from_bytes([9; 32]),
        &mut OsRng,
    )
    .unwrap()
}

/// The honest case, from which every attack departs by one thing.
pub struct Fixture {
    pub wrapped: WrappedKey,
    pub fields: ApprovalFields,
    pub trust: TrustBundle,
    pub limits: Limits,
}

pub fn seed(organisation: usize) -> [u8; 32] {
    [10 + u8::try_from(organisation).unwrap(); 32]
}

pub fn root(organisation: usize) -> Vec<u8> {
    Authority::generate(&name(ORGANISATIONS[organisation]), &seed(organisation), NOW_MS).unwrap()
}

pub fn authority(organisation: usize) -> Authority {
    Authority::from_seed(&seed(organisation), &root(organisation)).unwrap()
}

pub fn trusted() -> Vec<TrustedOrganisation> {
    (0..4)
        .map(|i| TrustedOrganisation::new(name(ORGANISATIONS[i]), &root(i)).unwrap())
        .collect()
}

pub fn bundle(version: u32, chain: u8, installation: &str, policy: &str) -> TrustBundle {
    TrustBundle::new(
        version,
        [chain; 32].into(),
        name(installation),
        trusted(),
        policy.parse().unwrap(),
    )
    .unwrap()
}

impl Fixture {
    pub fn new() -> Self {
        let wrapped = wrapped(1, &label());
        let fields = ApprovalFields {
            approve_id: [0xa1; 32].into(),
            write_id: wrapped.write_id(),
            q: public_key(2),
            key_id: wrapped.key_id(),
            label: label(),
            chain_id: [0xc4; 32].into(),
            height: 0x8000_0000_0000_0001,
            block_hash: [0xb1; 32].into(),
            policy_version: 7,
        };
        let trust = bundle(7, 0xc4, "test", "OUTOF(3, bank, notary, regulator, university)");
        Self {
            wrapped,
            fields,
            trust,
            limits: Limits::default(),
        }
    }

    pub fn issue(&self, organisation: usize) -> Vec<u8> {
        authority(organisation)
            .issue(&self.fields, NOW_MS, LIFETIME_S)
            .unwrap()
    }

    pub fn issue_all(&self, organisations: &[usize]) -> Vec<Vec<u8>> {
        organisations
            .iter()
            .map(|organisation| self.issue(*organisation))
            .collect()
    }

    pub fn check(&self, certificates: &[Vec<u8>]) -> Result<Approved, Refusal> {
        self.check_at(certificates, NOW_MS)
    }

    pub fn check_at(&self, certificates: &[Vec<u8>], now_ms: u64) -> Result<Approved, Refusal> {
        check(certificates, &self.wrapped, &self.trust, now_ms, &self.limits)
    }

    pub fn forge(&self) -> Forge {
        Forge::new(&self.fields, 0)
    }

    /// The fault that a certificate from the forge is refused for, the same by itself and within an otherwise good set.
    pub fn fault(&self, certificate: &[u8]) -> CertificateFault {
        let alone = check_certificate(certificate, &self.trust, NOW_MS, &self.limits).unwrap_err();
        let mut set = self.issue_all(&[1, 2]);
        set.push(certificate.to_vec());
        match self.check(&set) {
            Err(Refusal::Certificate { index: 2, fault }) => assert_eq!(fault, alone),
            other => panic!("{other:?}"),
        }
        alone
    }
}

/// DER with lengths in their shortest form.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match content.len() {
        length @ 0..=0x7f => der.push(u8::try_from(length).unwrap()),
        length @ 0x80..=0xff => der.extend([0x81, u8::try_from(length).unwrap()]),
        length => {
            der.push(0x82);
            der.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    der.extend_from_slice(content);
    der
}

pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub fn utc_time(text: &str) -> Vec<u8> {
    tlv(0x17, text.as_bytes())
}

/// A name of one common name.
pub fn common_name(text: &str) -> Vec<u8> {
    attributes(&[(3, text)])
}

/// A name of these attributes under 2.5.4, as UTF-8.
pub fn attributes(attributes: &[(u8, &str)]) -> Vec<u8> {
    let relative = |(kind, text): &(u8, &str)| {
        tlv(
            0x31,
            &seq(&[&tlv(6, &[0x55, 0x04, *kind]), &tlv(0x0c, text.as_bytes())]),
        )
    };
    tlv(0x30, &attributes.iter().flat_map(relative).collect::<Vec<u8>>())
}

pub fn spki(key: &[u8; 32]) -> Vec<u8> {
    seq(&[
        &algorithm(&ED25519_OID),
        &tlv(3, &[&[0], key.as_slice()].concat()),
    ])
}

pub fn key_identifier(spki: &[u8]) -> Vec<u8> {
    Sha256::digest(spki)[..20].to_vec()
}

pub const ED25519_OID: [u8; 3] = [0x2b, 0x65, 0x70];

pub fn algorithm(oid: &[u8]) -> Vec<u8> {
    seq(&[&tlv(6, oid)])
}

/// The subject name that an authority gives its root.
pub fn root_name(organisation: &str) -> Vec<u8> {
    attributes(&[(10, organisation), (3, "Quorate approval root")])
}

#[derive(Clone)]
pub struct ForgedExtension {
    pub oid: Vec<u8>,
    pub critical: bool,
    pub value: Vec<u8>,
}

impl ForgedExtension {
    fn der(&self) -> Vec<u8> {
        let critical: &[u8] = if self.critical { &[1, 1, 0xff] } else { &[] };
        seq(&[&tlv(6, &self.oid), critical, &tlv(4, &self.value)])
    }
}

/// A certificate in parts, written from the profile's description and not with the code under test. Every part may be
/// anything; `build` signs whatever came of it with a real CA key.
#[derive(Clone)]
pub struct Forge {
    pub version: Vec<u8>,
    pub serial: Vec<u8>,
    pub inner_algorithm: Vec<u8>,
    pub issuer: Vec<u8>,
    pub not_before: Vec<u8>,
    pub not_after: Vec<u8>,
    pub subject: Vec<u8>,
    pub spki: Vec<u8>,
    pub unique_identifiers: Vec<u8>,
    pub extensions: Vec<ForgedExtension>,
    pub outer_algorithm: Vec<u8>,
    pub unused_bits: u8,
    pub signature_tail: Vec<u8>,
    pub signature_length: usize,
    pub signer: [u8; 32],
}

impl Forge {
    pub fn new(fields: &ApprovalFields, organisation: usize) -> Self {
        let octets = |bytes: &[u8]| tlv(4, bytes);
        let number = |value: u64| {
            let bytes: Vec<u8> = value
                .to_be_bytes()
                .into_iter()
                .skip_while(|byte| *byte == 0)
                .collect();
            let sign = if bytes.first().is_none_or(|first| first & 0x80 != 0) {
                vec![0]
            } else {
                vec![]
            };
            tlv(2, &[sign, bytes].concat())
        };
        let q = spki(fields.q.as_bytes());
        let issuer_key = PublicKey::of(&SigningKey::from_bytes(&seed(organisation)));
        let issuer_identifier = key_identifier(&spki(issuer_key.as_bytes()));
        let usage = [0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 0x51, 2, 1];
        let standard = |last: u8, critical: bool, value: Vec<u8>| ForgedExtension {
            oid: vec![0x55, 0x1d, last],
            critical,
            value,
        };
        let ours = |last: u8, value: Vec<u8>| ForgedExtension {
            oid: vec![0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 0x51, 1, last],
            critical: false,
            value,
        };
        Self {
            version: tlv(0xa0, &tlv(2, &[2])),
            serial: vec![0x42; 16],
            inner_algorithm: algorithm(&ED25519_OID),
            issuer: root_name(ORGANISATIONS[organisation]),
            not_before: utc_time("270115080000Z"),
            not_after: utc_time("270115080100Z"),
            subject: common_name(&fields.approve_id.to_string()),
            unique_identifiers: vec![],
            extensions: vec![
                standard(0x23, false, seq(&[&tlv(0x80, &issuer_identifier)])),
                standard(0x0f, true, vec![3, 2, 7, 0x80]),
                standard(0x25, false, seq(&[&tlv(6, &usage)])),
                standard(0x0e, false, tlv(4, &key_identifier(&q))),
                standard(0x13, true, seq(&[])),
                ours(1, octets(fields.write_id.as_bytes())),
                ours(2, octets(fields.q.as_bytes())),
                ours(3, octets(fields.approve_id.as_bytes())),
                ours(4, octets(fields.key_id.as_bytes())),
                ours(5, octets(&fields.label.to_bytes())),
                ours(6, octets(fields.chain_id.as_bytes())),
                ours(7, number(fields.height)),
                ours(8, octets(fields.block_hash.as_bytes())),
                ours(9, number(u64::from(fields.policy_version))),
            ],
            spki: q,
            outer_algorithm: algorithm(&ED25519_OID),
            unused_bits: 0,
            signature_tail: vec![],
            signature_length: 64,
            signer: seed(organisation),
        }
    }

    /// A self-signed root in the form that an authority makes, for the key of `signer`.
    pub fn root(organisation: &str, signer: [u8; 32]) -> Self {
        let key = PublicKey::of(&SigningKey::from_bytes(&signer));
        let mut forge = Self::new(&Fixture::new().fields, 0);
        forge.signer = signer;
        forge.issuer = root_name(organisation);
        forge.subject = root_name(organisation);
        forge.not_after = utc_time("370112080000Z");
        forge.set_root_key(key.as_bytes());
        forge
    }

    pub fn set_root_key(&mut self, key: &[u8; 32]) {
        self.spki = spki(key);
        let standard = |last: u8, critical: bool, value: Vec<u8>| ForgedExtension {
            oid: vec![0x55, 0x1d, last],
            critical,
            value,
        };
        self.extensions = vec![
            standard(0x0f, true, vec![3, 2, 2, 4]),
            standard(0x0e, false, tlv(4, &key_identifier(&self.spki))),
            standard(0x13, true, seq(&[&[1, 1, 0xff], &tlv(2, &[0])])),
        ];
    }

    pub fn extension(&mut self, wanted: Extension) -> &mut ForgedExtension {
        self.extensions
            .iter_mut()
            .find(|extension| extension.oid == wanted.oid())
            .unwrap()
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn signed_part(&self) -> Vec<u8> {
        let extensions: Vec<u8> = self.extensions.iter().flat_map(ForgedExtension::der).collect();
        let extensions = if extensions.is_empty() {
            vec![]
        } else {
            tlv(0xa3, &tlv(0x30, &extensions))
        };
        seq(&[
            &self.version,
            &tlv(2, &self.serial),
            &self.inner_algorithm,
            &self.issuer,
            &seq(&[&self.not_before, &self.not_after]),
            &self.subject,
            &self.spki,
            &self.unique_identifiers,
            &extensions,
        ])
    }

    pub fn build(&self) -> Vec<u8> {
        self.seal(&self.signed_part())
    }

    /// Sign any bytes in place of the signed part.
    pub fn seal(&self, signed_part: &[u8]) -> Vec<u8> {
        let mut signature = SigningKey::from_bytes(&self.signer).sign(signed_part).to_vec();
        signature.truncate(self.signature_length);
        let bits = [&[self.unused_bits], signature.as_slice(), &self.signature_tail].concat();
        seq(&[signed_part, &self.outer_algorithm, &tlv(3, &bits)])
    }
}
