//! Only the exact file is read, and no file costs more than its limits.

use receipt::{FormError, MAX_RECEIPT, Receipt, StepOutcome, Verdict, verify};

use crate::support::Scene;

fn refused(text: &str) -> FormError {
    Receipt::parse(text.as_bytes()).expect_err("it is no receipt")
}

#[test]
fn receipts_go_round() {
    let scene = Scene::new();
    for receipt in [&scene.approved, &scene.denied] {
        let text = receipt.to_text();
        assert_eq!(Receipt::parse(text.as_bytes()).as_ref(), Ok(receipt));
    }
}

#[test]
fn p12_sizes_and_counts_are_bounded_before_anything_is_decoded() {
    let scene = Scene::new();
    let text = scene.approved.to_text();
    assert_eq!(refused(&"x".repeat(MAX_RECEIPT + 1)), FormError::TooLong);
    let grown = |label: &str, line: &str| {
        let begin = format!("-----BEGIN {label}-----\n");
        text.replacen(&begin, &format!("{begin}{}", line.repeat(9000)), 1)
    };
    let line = format!("{}\n", "A".repeat(64));
    for (label, name) in [
        ("QUORATE ENTRY", "entry"),
        ("QUORATE PROOF", "proof"),
        ("QUORATE CHECKPOINT", "checkpoint"),
        ("QUORATE WRAPPED KEY", "wrapped key"),
        ("CERTIFICATE", "certificate"),
        ("QUORATE COMMITTEE", "committee"),
        ("QUORATE SHARE", "share"),
        ("QUORATE STATEMENT", "statement"),
    ] {
        assert_eq!(refused(&grown(label, &line)), FormError::Limit(name), "{label}");
    }
    for (label, name, most) in [
        ("QUORATE ENTRY", "entry", 1),
        ("QUORATE COMMITTEE", "committee", 1),
        ("CERTIFICATE", "certificate", 16),
        ("QUORATE SHARE", "share", 64),
        ("QUORATE STATEMENT", "statement", 64),
    ] {
        let block = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        let start = text.find("-----BEGIN ").unwrap();
        let many = format!("{}{}", &text[..start], block.repeat(most + 1));
        assert_eq!(refused(&many), FormError::Limit(name), "{label}");
    }
}

#[test]
fn p12_only_blocks_of_known_kinds_and_exact_form_are_read() {
    let scene = Scene::new();
    let text = scene.denied.to_text();
    assert_eq!(refused(""), FormError::NotAReceipt);
    assert_eq!(
        refused(&text.replacen("version 1", "version 2", 1)),
        FormError::NotAReceipt
    );
    assert_eq!(Receipt::parse(b"\xff"), Err(FormError::NotAReceipt));
    assert_eq!(refused(&text.replace('\n', "\r\n")), FormError::Block(1));
    assert_eq!(
        refused(&text.replace("QUORATE ENTRY", "PRIVATE KEY")),
        FormError::Block(1)
    );
    assert_eq!(
        refused(&text.replace("END QUORATE PROOF", "END")),
        FormError::Block(2)
    );
    assert_eq!(refused(&format!("{text}\n")), FormError::Block(4));
    assert_eq!(refused(&format!("{text}junk")), FormError::Block(4));
    let start = text.find("-----BEGIN ").unwrap();
    assert_eq!(refused(&text[..start]), FormError::Missing("entry"));
    let proof = text.find("-----BEGIN QUORATE PROOF").unwrap();
    assert_eq!(refused(&text[..proof]), FormError::Missing("proof"));
}

#[test]
fn a_summary_that_says_something_else_is_refused_by_its_line() {
    let scene = Scene::new();
    let text = scene.denied.to_text();
    let told = text.replacen("Verdict: denied: not_a_reader", "Verdict: approved", 1);
    assert_eq!(refused(&told), FormError::Line(8));
    let judged = verify(told.as_bytes(), &scene.roots).unwrap_err();
    assert_eq!(judged.verdict, Verdict::Invalid);
    assert_eq!(
        (judged.steps[0].code, judged.steps[0].outcome),
        ("form", StepOutcome::Fails)
    );
    assert_eq!(
        refused(&text.replacen("\n\n", "\nNote: paid\n\n", 1)),
        FormError::Line(2)
    );
}

#[test]
fn a_part_that_does_not_decode_is_named() {
    let scene = Scene::new();
    let text = scene.approved.to_text();
    for (label, name) in [
        ("QUORATE ENTRY", "entry"),
        ("QUORATE PROOF", "proof"),
        ("QUORATE CHECKPOINT", "checkpoint"),
        ("QUORATE WRAPPED KEY", "wrapped key"),
        ("QUORATE COMMITTEE", "committee"),
        ("QUORATE SHARE", "share"),
        ("QUORATE STATEMENT", "statement"),
    ] {
        let (begin, end) = (
            format!("-----BEGIN {label}-----\n"),
            format!("-----END {label}-----\n"),
        );
        let start = text.find(&begin).unwrap() + begin.len();
        let stop = text.find(&end).unwrap();
        let broken = format!("{}AAAA\n{}", &text[..start], &text[stop..]);
        assert!(
            matches!(refused(&broken), FormError::Part { kind, .. } if kind == name),
            "{label}"
        );
    }
}
