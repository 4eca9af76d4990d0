//! One form for one certificate: write it again from what the parser read, and compare the bytes.
//!
//! The parser accepts, for instance, a context-specific tag where the profile has a SEQUENCE. The outer signature
//! algorithm is not even signed, so without this anybody could make a second encoding of a good certificate, and two
//! implementations could read one certificate differently (D6, D17).

use threshold::signature::Signature;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::X509Extension;
use x509_parser::time::ASN1Time;

use crate::certificate::signature_of;
use crate::der::{
    BIT_STRING, BOOLEAN, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, UTC_TIME, octet_string,
    write,
};
use crate::oid::ED25519_ALGORITHM;

/// [0] EXPLICIT INTEGER 2: version 3.
const VERSION_3: &[u8] = &[0xa0, 0x03, 0x02, 0x01, 0x02];
/// [3] EXPLICIT, around the extensions.
const EXTENSIONS: u8 = 0xa3;

/// Whether `certificate` is exactly what the profile writes for the fields in `parsed`.
pub(crate) fn is_canonical(certificate: &[u8], parsed: &X509Certificate<'_>) -> bool {
    let Some(signature) = signature_of(parsed) else {
        return false;
    };
    let validity = parsed.validity();
    let extensions: Vec<u8> = parsed.extensions().iter().flat_map(extension).collect();
    let signed_part = write(
        SEQUENCE,
        &[
            VERSION_3,
            &write(INTEGER, parsed.tbs_certificate.raw_serial()),
            ED25519_ALGORITHM,
            parsed.issuer().as_raw(),
            &write(
                SEQUENCE,
                &[time(validity.not_before), time(validity.not_after)].concat(),
            ),
            parsed.subject().as_raw(),
            parsed.public_key().raw,
            &write(EXTENSIONS, &write(SEQUENCE, &extensions)),
        ]
        .concat(),
    );
    certificate == write(SEQUENCE, &[signed_part, signature_parts(&signature)].concat())
}

/// What follows the signed part: the algorithm and the signature.
pub(crate) fn signature_parts(signature: &Signature) -> Vec<u8> {
    [
        ED25519_ALGORITHM,
        &write(BIT_STRING, &[&[0], signature.0.as_slice()].concat()),
    ]
    .concat()
}

fn extension(extension: &X509Extension<'_>) -> Vec<u8> {
    let critical: &[u8] = if extension.critical {
        &[BOOLEAN, 1, 0xff]
    } else {
        &[]
    };
    let oid = write(OBJECT_IDENTIFIER, extension.oid.as_bytes());
    write(
        SEQUENCE,
        &[&oid, critical, &octet_string(extension.value)].concat(),
    )
}

/// RFC 5280, 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050.
fn time(time: ASN1Time) -> Vec<u8> {
    let at = time.to_datetime();
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let rest = format!(
        "{month:02}{day:02}{:02}{:02}{:02}Z",
        at.hour(),
        at.minute(),
        at.second()
    );
    if (1950..2050).contains(&year) {
        write(UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        write(GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes())
    }
}
