//! Signed notes: the published format and nothing near it.

use golden_record::{MAX_NOTE, MAX_NOTE_SIGNATURES, Note, NoteError, NoteKey};

use crate::support::{key, public};

fn note_key(name: &str) -> NoteKey {
    NoteKey::new(name, public(name)).unwrap()
}

/// A note that these have signed.
fn signed(text: &str, names: &[&str]) -> Note {
    let mut note = Note::unsigned(text.to_owned()).unwrap();
    for name in names {
        note.sign(&note_key(name), &key(name));
    }
    note
}

#[test]
fn the_example_of_the_specification_verifies() {
    // c2sp.org/signed-note@v1.0.0, section "Verifier keys".
    let vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let key_hex = "e932791ae6e7a840a46164c904786426d5e7821dd8b29a00d61cae72afdd4da4";
    let known = NoteKey::new("example.com/foo", key_hex.parse().unwrap()).unwrap();
    assert_eq!(known.vkey(), vkey);
    let text = "This is an example message.\n\n\u{2014} example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let note = Note::parse(text.as_bytes()).unwrap();
    assert_eq!(note.signers(&[known]), Ok(vec![0]));
    assert_eq!(note.to_text(), text);
}

#[test]
fn notes_go_round() {
    for text in ["a\n", "\n", "one\n\ntwo\n", "one\n\n", "\u{e8} subito sera\n"] {
        let note = signed(text, &["north", "south"]);
        let read = Note::parse(note.to_text().as_bytes()).unwrap();
        assert_eq!(read, note, "{text:?}");
        assert_eq!(read.text(), text);
        assert_eq!(
            read.signers(&[note_key("south"), note_key("north")]),
            Ok(vec![1, 0])
        );
    }
}

#[test]
fn a_signature_of_a_known_key_must_hold() {
    let keys = [note_key("north"), note_key("south")];
    let good = signed("text\n", &["north", "south"]).to_text();
    let changed = Note::parse(good.replacen("text", "next", 1).as_bytes()).unwrap();
    assert_eq!(changed.signers(&keys), Err(NoteError::Signature("north".into())));
    // South's secret under north's name and key id.
    let mut forged = Note::unsigned("text\n".into()).unwrap();
    forged.sign(&keys[0], &key("south"));
    assert_eq!(forged.signers(&keys), Err(NoteError::Signature("north".into())));
}

#[test]
fn a_signature_of_another_length_does_not_hold() {
    use base64::Engine;
    let known = note_key("north");
    for length in [1, 63, 65] {
        let bytes = [known.id().as_slice(), &vec![0; length]].concat();
        let line = base64::engine::general_purpose::STANDARD.encode(bytes);
        let note = Note::parse(format!("text\n\n\u{2014} north {line}\n").as_bytes()).unwrap();
        assert_eq!(
            note.signers(std::slice::from_ref(&known)),
            Err(NoteError::Signature("north".into()))
        );
    }
}

#[test]
fn d2_a_key_that_has_signed_twice_does_not_count_twice() {
    let twice = signed("text\n", &["north", "south", "north"]);
    let refused = twice.signers(&[note_key("north"), note_key("south")]);
    assert_eq!(refused, Err(NoteError::Repeated("north".into())));
}

#[test]
fn unknown_keys_say_nothing() {
    let note = signed("text\n", &["stranger", "north"]);
    assert_eq!(note.signers(&[note_key("north")]), Ok(vec![0]));
    // The name is known and the key is another: another id, so unknown.
    let other = NoteKey::new("stranger", public("somebody")).unwrap();
    assert_eq!(note.signers(&[other]), Ok(vec![]));
}

#[test]
fn copies_of_one_note_are_joined_and_of_another_not() {
    let mut note = signed("text\n", &["north"]);
    note.merge(&signed("text\n", &["north", "south"]));
    note.merge(&signed("next\n", &["east"]));
    assert_eq!(note, signed("text\n", &["north", "south"]));
}

#[test]
fn p12_only_the_exact_form_is_read() {
    let good = signed("text\n", &["north"]).to_text();
    let cases = [
        (String::new(), NoteError::Form),
        ("text\n".into(), NoteError::Form),
        ("text\n\n".into(), NoteError::Form),
        ("text\n\n\n".into(), NoteError::Form),
        (good.trim_end().into(), NoteError::Form),
        (format!("{good}\n"), NoteError::Form),
        (good.replace('\n', "\r\n"), NoteError::Form),
        (good.replacen("text", "te\txt", 1), NoteError::NotText),
        (good.replacen("text", "te\0xt", 1), NoteError::NotText),
        (good.replace("\u{2014} ", "- "), NoteError::SignatureLine(1)),
        (
            good.replace("\u{2014} ", "\u{2014}  "),
            NoteError::SignatureLine(1),
        ),
        (good.replace("north ", "north  "), NoteError::SignatureLine(1)),
        (good.replace("north", "no+rth"), NoteError::SignatureLine(1)),
        (good.replace("north", "no\u{a0}rth"), NoteError::SignatureLine(1)),
        (good.replace("=\n", "\n"), NoteError::SignatureLine(1)),
        (good.replace("=\n", "= \n"), NoteError::SignatureLine(1)),
        (format!("{good}junk\n"), NoteError::SignatureLine(2)),
        // A key id without a signature.
        (
            "text\n\n\u{2014} north AAAAAA==\n".into(),
            NoteError::SignatureLine(1),
        ),
        // The last bits of the last digit are not zero: another way to write the same bytes.
        (
            "text\n\n\u{2014} north AAAAAAB=\n".into(),
            NoteError::SignatureLine(1),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Note::parse(text.as_bytes()), Err(expected), "{text:?}");
    }
    assert_eq!(Note::parse(b"te\xffxt\n\nx\n"), Err(NoteError::NotText));
    assert_eq!(Note::unsigned("no line feed".into()), Err(NoteError::Form));
    assert_eq!(Note::unsigned("a\tb\n".into()), Err(NoteError::NotText));
    for bad in ["", "a b", "a+b", "a\u{2003}b", "a\nb"] {
        assert_eq!(
            NoteKey::new(bad, public("north")),
            Err(NoteError::KeyName),
            "{bad:?}"
        );
    }
}

#[test]
fn p12_sizes_are_bounded() {
    let line = "\u{2014} a AAAAAAAA\n";
    let many = |count: usize| format!("text\n\n{}", line.repeat(count));
    assert!(Note::parse(many(MAX_NOTE_SIGNATURES).as_bytes()).is_ok());
    assert_eq!(
        Note::parse(many(MAX_NOTE_SIGNATURES + 1).as_bytes()),
        Err(NoteError::TooLong)
    );
    let long = format!("{}\n\n{line}", "x".repeat(MAX_NOTE));
    assert_eq!(Note::parse(long.as_bytes()), Err(NoteError::TooLong));
}
