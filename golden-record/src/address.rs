//! Where an endorser listens to its fellows.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};

/// The longest address.
const MAX_ADDRESS: usize = 128;

/// A host and a port: `host:port`, where the host is a name, an IPv4 address, or an IPv6 address in brackets. At most 128 bytes
/// of letters, digits and `.-:[]`. Encoded as a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(String);

/// Not a host and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address is host:port, of at most {MAX_ADDRESS} letters, digits and .-:[]")]
pub struct AddressError;

impl Address {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(AddressError)?;
        let inner = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .map_or((host, false), |inner| (inner, true));
        let allowed = |byte: u8| match byte {
            b':' => inner.1,
            b'.' | b'-' => true,
            byte => byte.is_ascii_alphanumeric(),
        };
        let host_fits = !inner.0.is_empty() && inner.0.bytes().all(allowed);
        // The same text again, or it was a number with a sign or leading zeros.
        let number = port.parse::<u16>().map_err(|_| AddressError)?;
        if text.len() > MAX_ADDRESS || !host_fits || number == 0 || number.to_string() != port {
            return Err(AddressError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl Canonical for Address {
    fn encode(&self, writer: &mut Writer) {
        writer.str(&self.0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let text = reader.str(MAX_ADDRESS)?;
        text.parse().map_err(|_| DecodeError::Invalid("address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_and_nothing_else() {
        for good in ["endorser.north.example:7001", "10.0.0.1:1", "[2001:db8::1]:65535"] {
            let address: Address = good.parse().unwrap();
            assert_eq!(Address::from_bytes(&address.to_bytes()).unwrap(), address);
        }
        let long = format!("{}:1", "a".repeat(127));
        for bad in [
            "",
            "host",
            ":1",
            "host:",
            "host:0",
            "host:01",
            "host:+1",
            "host:65536",
            "a b:1",
            "a/b:1",
            "2001:db8::1:7",
            "[]:1",
            "a\n:1",
            long.as_str(),
        ] {
            assert_eq!(bad.parse::<Address>(), Err(AddressError), "{bad:?}");
        }
    }
}
