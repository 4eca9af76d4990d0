//! Whether a certificate holds the key that it must.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::ClientPolicy;

/// RFC 8410: an Ed25519 SubjectPublicKeyInfo, up to the key.
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The key in a certificate that has been accepted.
pub(super) fn key(certificate: &CertificateDer<'_>) -> Result<[u8; 32], Error> {
    ed25519_key(parse(certificate)?.public_key().raw)
}

/// The key in a peer's certificate, if the certificate is one and in force at `now`.
///
/// The self-signature is not looked at: that the peer has the key is proven by its signature over the
/// handshake, and nothing else in the certificate is believed.
fn key_in_force(
    certificate: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<[u8; 32], Error> {
    if !intermediates.is_empty() {
        return Err(CertificateError::UnknownIssuer.into());
    }
    let parsed = parse(certificate)?;
    let validity = parsed.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    ed25519_key(parsed.public_key().raw)
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) | Err(_) => Err(CertificateError::BadEncoding.into()),
    }
}

/// The one encoding of an Ed25519 key is compared as bytes; then the key must be a point that is not of small
/// order, for which signatures mean nothing.
fn ed25519_key(spki: &[u8]) -> Result<[u8; 32], Error> {
    let unsuitable = || Error::from(CertificateError::ApplicationVerificationFailure);
    let bytes = spki.strip_prefix(&SPKI_PREFIX).ok_or_else(unsuitable)?;
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| unsuitable())?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| unsuitable())?;
    if key.is_weak() || key.to_bytes() != bytes {
        return Err(unsuitable());
    }
    Ok(bytes)
}

/// Checks a handshake signature: Ed25519, by the key in the certificate.
fn verify_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if signature.scheme != SignatureScheme::ED25519 {
        return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
    }
    let parsed = parse(certificate)?;
    let spki = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
    verify_tls13_signature_with_raw_key(message, &spki, signature, &algorithms())
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms
}

/// The keys of the peers that are taken, whichever side of the connection they are on. Names are not looked at.
#[derive(Debug)]
pub(super) struct PinnedKeys(ClientPolicy);

impl PinnedKeys {
    /// A server's view of its clients.
    pub(super) fn clients(policy: ClientPolicy) -> Self {
        Self(policy)
    }

    /// A client's view of its server: it has this key.
    pub(super) fn server(key: [u8; 32]) -> Self {
        Self(ClientPolicy::Pinned([key].into()))
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let key = key_in_force(certificate, intermediates, now)?;
        match &self.0 {
            ClientPolicy::Pinned(keys) if !keys.contains(&key) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            ClientPolicy::Pinned(_) | ClientPolicy::AnyKey => Ok(()),
        }
    }
}

/// What both sides check alike in a handshake's signatures: TLS 1.3, and Ed25519.
macro_rules! handshake_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_signature(message, certificate, signature)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }
    };
}

impl ClientCertVerifier for PinnedKeys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(certificate, intermediates, now)
            .map(|()| ClientCertVerified::assertion())
    }

    handshake_signatures!();
}

impl ServerCertVerifier for PinnedKeys {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(certificate, intermediates, now)
            .map(|()| ServerCertVerified::assertion())
    }

    handshake_signatures!();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spki(key: [u8; 32]) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), &key].concat()
    }

    #[test]
    fn d3_a_key_for_which_signatures_mean_nothing_is_refused() {
        let honest = ed25519_dalek::SigningKey::from_bytes(&[7; 32])
            .verifying_key()
            .to_bytes();
        assert_eq!(ed25519_key(&spki(honest)).unwrap(), honest);
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut order_two = [0xff; 32];
        order_two[0] = 0xec;
        order_two[31] = 0x7f;
        // y = p + 1: the identity again, in a non-canonical encoding.
        let mut non_canonical = [0xff; 32];
        non_canonical[0] = 0xee;
        non_canonical[31] = 0x7f;
        for weak in [identity, order_two, non_canonical, [0; 32]] {
            ed25519_key(&spki(weak)).unwrap_err();
        }
    }

    #[test]
    fn d5_a_key_in_another_encoding_is_refused() {
        let honest = ed25519_dalek::SigningKey::from_bytes(&[7; 32])
            .verifying_key()
            .to_bytes();
        let mut ed448 = spki(honest);
        ed448[8] = 0x71;
        ed25519_key(&ed448).unwrap_err();
        ed25519_key(&spki(honest)[..43]).unwrap_err();
        ed25519_key(&[spki(honest), vec![0]].concat()).unwrap_err();
    }

    #[test]
    fn d6_bytes_after_a_certificate_are_refused() {
        let identity = crate::Identity::ephemeral("alpha").unwrap();
        let mut der = identity.certificate().to_vec();
        assert_eq!(key(&der.clone().into()).unwrap(), identity.public_key());
        der.push(0);
        key(&der.into()).unwrap_err();
    }
}
