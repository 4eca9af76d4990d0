//! Read one certificate against the profile: everything but its signature and the fitness of Q.

use sha2::{Digest, Sha256};
use threshold::signature::Signature;
use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::extensions::X509Extension;
use x509_parser::nom::Parser;
use x509_parser::x509::{AlgorithmIdentifier, X509Version};

use crate::canonical;
use crate::check::{Limits, MAX_CERTIFICATE_SIZE};
use crate::der;
use crate::fields::Claim;
use crate::oid::{
    BASIC_CONSTRAINTS_VALUE, ED25519, EXTENDED_KEY_USAGE_VALUE, Extension, KEY_USAGE_VALUE, SPKI_PREFIX,
};
use crate::refusal::CertificateFault;
use crate::trust::{TrustBundle, TrustedOrganisation};

/// What one certificate claims. Nothing of it is proven before [`Claimed::verify`].
pub(crate) struct Claimed<'a> {
    pub(crate) organisation: &'a TrustedOrganisation,
    pub(crate) claim: Claim,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    signed_part: &'a [u8],
    signature: Signature,
}

impl<'a> Claimed<'a> {
    /// Cheap checks first, so that rubbish costs its sender more than us.
    pub(crate) fn read(
        certificate: &'a [u8],
        trust: &'a TrustBundle,
        now_ms: u64,
        limits: &Limits,
    ) -> Result<Self, CertificateFault> {
        if certificate.is_empty() || certificate.len() > MAX_CERTIFICATE_SIZE {
            return Err(CertificateFault::Size);
        }
        der::check_strict(certificate).map_err(CertificateFault::Der)?;
        let signed_part = der::signed_part(certificate).ok_or(CertificateFault::NotX509)?;
        let parsed = parse(certificate).ok_or(CertificateFault::NotX509)?;
        let signature = check_form(&parsed)?;
        let extensions = profile_extensions(parsed.extensions())?;
        let organisation = find_issuer(&parsed, &extensions, trust)?;
        let (not_before, not_after) = check_validity(&parsed, organisation, now_ms, limits)?;
        let claim =
            Claim::read(|wanted| Some(extensions.value(wanted))).map_err(CertificateFault::ExtensionValue)?;
        check_subject(&parsed, &extensions, &claim)?;
        if !canonical::is_canonical(certificate, &parsed) {
            return Err(CertificateFault::NotCanonical);
        }
        Ok(Self {
            organisation,
            claim,
            not_before,
            not_after,
            signed_part,
            signature,
        })
    }

    /// The signature, under the pinned key, over the bytes as received.
    pub(crate) fn verify(&self) -> Result<(), CertificateFault> {
        self.organisation
            .public_key()
            .verify_raw(self.signed_part, &self.signature)
            .map_err(|_| CertificateFault::Signature)
    }
}

/// What a certificate states, its form checked; its issuer, time and signature not.
pub(crate) fn read_claim(certificate: &[u8]) -> Result<Claim, CertificateFault> {
    der::check_strict(certificate).map_err(CertificateFault::Der)?;
    let parsed = parse(certificate).ok_or(CertificateFault::NotX509)?;
    check_form(&parsed)?;
    let extensions = profile_extensions(parsed.extensions())?;
    let claim =
        Claim::read(|wanted| Some(extensions.value(wanted))).map_err(CertificateFault::ExtensionValue)?;
    check_subject(&parsed, &extensions, &claim)?;
    if !canonical::is_canonical(certificate, &parsed) {
        return Err(CertificateFault::NotCanonical);
    }
    Ok(claim)
}

/// Parse without interpreting extensions: their values are compared as bytes here.
pub(crate) fn parse(certificate: &[u8]) -> Option<X509Certificate<'_>> {
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    match parser.parse(certificate) {
        Ok(([], parsed)) => Some(parsed),
        _ => None,
    }
}

pub(crate) fn is_ed25519(algorithm: &AlgorithmIdentifier<'_>) -> bool {
    algorithm.algorithm.as_bytes() == ED25519 && algorithm.parameters.is_none()
}

/// The 64 bytes of the signature, if that is what it has.
pub(crate) fn signature_of(certificate: &X509Certificate<'_>) -> Option<Signature> {
    let value = &certificate.signature_value;
    let bytes: [u8; 64] = value.data.as_ref().try_into().ok()?;
    (value.unused_bits == 0).then_some(Signature(bytes))
}

fn check_form(certificate: &X509Certificate<'_>) -> Result<Signature, CertificateFault> {
    if certificate.version() != X509Version::V3 {
        return Err(CertificateFault::Version);
    }
    let serial = certificate.tbs_certificate.raw_serial();
    let negative = serial.first().is_some_and(|first| first & 0x80 != 0);
    if serial.len() > 20 || negative || serial.iter().all(|byte| *byte == 0) {
        return Err(CertificateFault::Serial);
    }
    if !is_ed25519(&certificate.signature_algorithm) || !is_ed25519(&certificate.tbs_certificate.signature) {
        return Err(CertificateFault::SignatureAlgorithm);
    }
    if certificate.tbs_certificate.issuer_uid.is_some() || certificate.tbs_certificate.subject_uid.is_some() {
        return Err(CertificateFault::UniqueIdentifier);
    }
    signature_of(certificate).ok_or(CertificateFault::SignatureLength)
}

/// The values of the profile's extensions, each there exactly once.
struct ProfileExtensions<'a>([&'a [u8]; Extension::ALL.len()]);

impl<'a> ProfileExtensions<'a> {
    fn value(&self, wanted: Extension) -> &'a [u8] {
        let place = Extension::ALL.iter().position(|extension| *extension == wanted);
        place
            .and_then(|place| self.0.get(place))
            .copied()
            .unwrap_or_default()
    }
}

/// Exactly the profile's extensions, once each, with their criticality, in order, with the fixed values.
fn profile_extensions<'a>(found: &[X509Extension<'a>]) -> Result<ProfileExtensions<'a>, CertificateFault> {
    let mut seen: Vec<Extension> = Vec::with_capacity(Extension::ALL.len());
    for extension in found {
        let known =
            Extension::of_oid(extension.oid.as_bytes()).ok_or(CertificateFault::UnknownExtension {
                critical: extension.critical,
            })?;
        if seen.contains(&known) {
            return Err(CertificateFault::DuplicateExtension(known));
        }
        if extension.critical != known.critical() {
            return Err(CertificateFault::ExtensionCriticality(known));
        }
        seen.push(known);
    }
    if let Some(missing) = Extension::ALL
        .into_iter()
        .find(|extension| !seen.contains(extension))
    {
        return Err(CertificateFault::MissingExtension(missing));
    }
    if seen != Extension::ALL {
        return Err(CertificateFault::ExtensionOrder);
    }
    let mut values = [[].as_slice(); Extension::ALL.len()];
    for (value, extension) in values.iter_mut().zip(found) {
        *value = extension.value;
    }
    let values = ProfileExtensions(values);
    for (extension, expected, fault) in [
        (
            Extension::BasicConstraints,
            BASIC_CONSTRAINTS_VALUE,
            CertificateFault::BasicConstraints,
        ),
        (Extension::KeyUsage, KEY_USAGE_VALUE, CertificateFault::KeyUsage),
        (
            Extension::ExtendedKeyUsage,
            EXTENDED_KEY_USAGE_VALUE,
            CertificateFault::ExtendedKeyUsage,
        ),
    ] {
        if values.value(extension) != expected {
            return Err(fault);
        }
    }
    Ok(values)
}

/// The pinned root that the certificate points to. A pointer is all it is: an evil root with the same names and
/// identifiers gets as far as the signature, which is checked under the pinned key (D1).
fn find_issuer<'a>(
    certificate: &X509Certificate<'_>,
    extensions: &ProfileExtensions<'_>,
    trust: &'a TrustBundle,
) -> Result<&'a TrustedOrganisation, CertificateFault> {
    // SEQUENCE { [0] keyIdentifier (20 bytes) }
    let identifier = match extensions.value(Extension::AuthorityKeyIdentifier) {
        [0x30, 0x16, 0x80, 0x14, identifier @ ..] if identifier.len() == 20 => identifier,
        _ => {
            return Err(CertificateFault::ExtensionValue(
                Extension::AuthorityKeyIdentifier,
            ));
        }
    };
    let organisation = trust
        .by_key_identifier(identifier)
        .ok_or(CertificateFault::UnknownIssuer)?;
    if certificate.issuer().as_raw() != organisation.subject() {
        return Err(CertificateFault::IssuerName);
    }
    Ok(organisation)
}

/// Validity in whole seconds, both ends inclusive (RFC 5280, 4.1.2.5), widened by the allowed clock skew.
fn check_validity(
    certificate: &X509Certificate<'_>,
    organisation: &TrustedOrganisation,
    now_ms: u64,
    limits: &Limits,
) -> Result<(u64, u64), CertificateFault> {
    let validity = certificate.validity();
    let seconds = |timestamp: i64| u64::try_from(timestamp).map_err(|_| CertificateFault::Validity);
    let not_before = seconds(validity.not_before.timestamp())?;
    let not_after = seconds(validity.not_after.timestamp())?;
    let lifetime = not_after
        .checked_sub(not_before)
        .ok_or(CertificateFault::Validity)?;
    if lifetime > limits.max_lifetime_s {
        return Err(CertificateFault::Lifetime);
    }
    let now = now_ms / 1000;
    if now.saturating_add(limits.max_skew_s) < not_before {
        return Err(CertificateFault::NotYetValid);
    }
    if now > not_after.saturating_add(limits.max_skew_s) {
        return Err(CertificateFault::Expired);
    }
    if !organisation.validity().contains(&now) {
        return Err(CertificateFault::RootNotValid);
    }
    Ok((not_before, not_after))
}

/// Subject name, subject key and key identifier repeat what our extensions state.
fn check_subject(
    certificate: &X509Certificate<'_>,
    extensions: &ProfileExtensions<'_>,
    claim: &Claim,
) -> Result<(), CertificateFault> {
    if certificate.subject().as_raw() != der::common_name(&claim.approve_id.to_string()) {
        return Err(CertificateFault::SubjectName);
    }
    let spki = certificate.public_key().raw;
    if spki.strip_prefix(SPKI_PREFIX) != Some(claim.q.as_slice()) {
        return Err(CertificateFault::SubjectKey);
    }
    let identifier = key_identifier(spki);
    if der::octets(extensions.value(Extension::SubjectKeyIdentifier)) != Some(identifier.as_slice()) {
        return Err(CertificateFault::SubjectKeyIdentifier);
    }
    Ok(())
}

/// The first 20 bytes of the SHA-256 of a SubjectPublicKeyInfo.
fn key_identifier(spki: &[u8]) -> Vec<u8> {
    Sha256::digest(spki).iter().copied().take(20).collect()
}
