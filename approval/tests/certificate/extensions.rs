//! The extensions: each once, in order, with its criticality and one form of value.

use quorate_approval::MAX_CERTIFICATE_SIZE;
use quorate_approval::oid::Extension;

use crate::support::{ForgedExtension, label, tlv};
use crate::{Fault, fault};

#[test]
fn d7_each_extension_is_demanded_once_with_its_criticality() {
    for (place, extension) in Extension::ALL.into_iter().enumerate() {
        assert_eq!(
            fault(|forge| {
                forge.extensions.remove(place);
            }),
            Fault::MissingExtension(extension)
        );
        assert_eq!(
            fault(|forge| forge.extensions.push(forge.extensions[place].clone())),
            Fault::DuplicateExtension(extension)
        );
        assert_eq!(
            fault(|forge| forge.extensions[place].critical = !extension.critical()),
            Fault::ExtensionCriticality(extension)
        );
    }
    assert_eq!(
        fault(|forge| forge.extensions.clear()),
        Fault::MissingExtension(Extension::AuthorityKeyIdentifier)
    );
}

#[test]
fn d7_a_second_extension_with_another_value_wins_nothing() {
    for first in [true, false] {
        assert_eq!(
            fault(|forge| {
                let mut other = forge.extension(Extension::WriteId).clone();
                other.value = tlv(4, &[0; 32]);
                let place = if first { 0 } else { forge.extensions.len() };
                forge.extensions.insert(place, other);
            }),
            Fault::DuplicateExtension(Extension::WriteId)
        );
    }
}

#[test]
fn d7_the_order_of_extensions_is_the_profiles() {
    for place in 1..Extension::ALL.len() {
        assert_eq!(
            fault(|forge| forge.extensions.swap(place - 1, place)),
            Fault::ExtensionOrder
        );
    }
}

#[test]
fn d7_unknown_extensions_are_refused_critical_or_not() {
    for critical in [true, false] {
        for oid in [
            &[0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 0x51, 1, 10][..],
            &[0x55, 0x1d, 0x11],
        ] {
            let extra = ForgedExtension {
                oid: oid.to_vec(),
                critical,
                value: tlv(4, &[1]),
            };
            assert_eq!(
                fault(|forge| forge.extensions.push(extra)),
                Fault::UnknownExtension { critical }
            );
        }
    }
}

#[test]
fn d7_empty_and_oversize_extensions_are_refused() {
    for extension in Extension::ALL
        .into_iter()
        .filter(|extension| extension.component().is_some())
    {
        assert_eq!(
            fault(|forge| forge.extension(extension).value = vec![]),
            Fault::ExtensionValue(extension)
        );
    }
    let padding = MAX_CERTIFICATE_SIZE;
    assert_eq!(
        fault(|forge| forge.extension(Extension::Label).value = tlv(4, &vec![0; padding])),
        Fault::Size
    );
    assert_eq!(
        fault(|forge| forge.extension(Extension::Label).value = tlv(4, &vec![0; 2000])),
        Fault::ExtensionValue(Extension::Label)
    );
}

#[test]
fn d8_values_have_one_form_and_one_length() {
    use Extension::*;
    for extension in [WriteId, ReaderKey, ApproveId, KeyId, ChainId, BlockHash] {
        for value in [
            tlv(4, &[7; 31]),
            tlv(4, &[7; 33]),
            tlv(4, &[]),
            [tlv(4, &[7; 32]), vec![0]].concat(),
            tlv(0x0c, &[7; 32]),
            vec![7; 32],
        ] {
            assert_eq!(
                fault(|forge| forge.extension(extension).value = value),
                Fault::ExtensionValue(extension)
            );
        }
    }
    for extension in [Height, PolicyVersion] {
        for value in [
            tlv(2, &[0, 7]),
            tlv(2, &[0x80]),
            tlv(2, &[1; 9]),
            tlv(2, &[]),
            tlv(4, &[7]),
            vec![7],
        ] {
            assert_eq!(
                fault(|forge| forge.extension(extension).value = value),
                Fault::ExtensionValue(extension)
            );
        }
    }
    assert_eq!(
        fault(|forge| forge.extension(PolicyVersion).value = tlv(2, &[1, 0, 0, 0, 7])),
        Fault::ExtensionValue(PolicyVersion)
    );
}

#[test]
fn d8_bytes_cannot_be_shifted_between_the_fields_of_a_label() {
    use threshold::encoding::Canonical;
    let label = label().to_bytes();
    let appended = [label.as_slice(), &[0]].concat();
    let mut shifted = label.clone();
    // One byte from the tenant's length to the dataset's: the names run into each other's length prefixes.
    shifted[11] -= 1;
    for value in [appended, label[..label.len() - 1].to_vec(), shifted] {
        assert_eq!(
            fault(|forge| forge.extension(Extension::Label).value = tlv(4, &value)),
            Fault::ExtensionValue(Extension::Label)
        );
    }
}
