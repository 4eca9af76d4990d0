//! PEM of one certificate, read strictly: no text around it, no second certificate, one form of line ends (D6).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
const END: &str = "-----END CERTIFICATE-----\n";
const LINE: usize = 64;

/// The text is not exactly one certificate in PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not exactly one certificate in PEM: BEGIN line, base64 lines of 64, END line, line feeds only, nothing around it"
)]
pub struct PemError;

/// The DER in a PEM text that holds one certificate and nothing else.
///
/// # Errors
/// [`PemError`].
pub fn decode(text: &str) -> Result<Vec<u8>, PemError> {
    // A missing last line feed is what an editor or a configuration value leaves; all else has one form.
    let body = text.strip_prefix(BEGIN).ok_or(PemError)?;
    let body = body
        .strip_suffix(END)
        .or_else(|| body.strip_suffix(END.trim_end()))
        .ok_or(PemError)?;
    let der = STANDARD.decode(body.replace('\n', "")).map_err(|_| PemError)?;
    if lines(&der) == body {
        Ok(der)
    } else {
        Err(PemError)
    }
}

/// A certificate as PEM.
#[must_use]
pub fn encode(der: &[u8]) -> String {
    [BEGIN, &lines(der), END].concat()
}

fn lines(der: &[u8]) -> String {
    let mut lines = String::new();
    for (place, character) in STANDARD.encode(der).chars().enumerate() {
        if place > 0 && place % LINE == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_goes_round() {
        for length in [1, 47, 48, 49, 500] {
            let der = vec![7; length];
            assert_eq!(decode(&encode(&der)), Ok(der.clone()));
            assert_eq!(decode(encode(&der).trim_end()), Ok(der));
        }
    }

    #[test]
    fn d6_two_certificates_junk_and_carriage_returns_are_refused() {
        let pem = encode(&[7; 100]);
        for bad in [
            format!("{pem}{pem}"),
            format!("junk\n{pem}"),
            format!("{pem}junk\n"),
            format!("\n{pem}"),
            pem.replace('\n', "\r\n"),
            pem.replace("CERTIFICATE", "PRIVATE KEY"),
            pem.replacen("Bw", "B w", 1),
            pem.replacen("-----\n", "-----\n\n", 1),
            String::new(),
        ] {
            assert_eq!(decode(&bad), Err(PemError), "{bad}");
        }
    }
}
