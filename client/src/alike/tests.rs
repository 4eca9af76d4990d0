use super::*;

fn party(name: &str) -> Party {
    Party::Endorser(name.parse().unwrap())
}

fn given(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    Ok((bytes.to_vec(), bytes.to_vec()))
}

#[test]
fn p3_one_liar_is_not_believed_and_stops_nobody() {
    let mut alike = Alike::new("document", 1);
    assert_eq!(alike.take(party("liar"), given(b"made up")), None);
    assert_eq!(alike.take(party("north"), given(b"true")), None);
    assert_eq!(alike.take(party("south"), given(b"true")), Some(b"true".to_vec()));
}

#[test]
fn too_few_alike_are_an_error_that_says_who_gave_what() {
    let mut alike = Alike::new("document", 1);
    assert_eq!(alike.take(party("liar"), given(b"made up")), None);
    assert_eq!(alike.take(party("north"), given(b"true")), None);
    assert_eq!(
        alike.take(party("south"), Err(Error::NotFound("it".into()))),
        None
    );
    let Error::TooFew { faults, .. } = alike.too_few() else {
        panic!("too few gave the same");
    };
    let evidence: Vec<_> = faults.iter().map(|fault| fault.evidence.as_slice()).collect();
    assert_eq!(evidence, [&b""[..], b"made up", b"true"]);
}

#[test]
fn there_is_none_when_more_say_so_than_can_lie() {
    let mut alike: Alike<()> = Alike::new("document", 1);
    alike.take(party("north"), Err(Error::NotFound("it".into())));
    alike.take(party("south"), Err(Error::NotFound("it".into())));
    alike.take(party("liar"), Ok((b"made up".to_vec(), ())));
    assert!(matches!(alike.too_few(), Error::NotFound(_)));
}

#[test]
fn hidden_is_what_more_refuse_than_can_lie() {
    let mut alike: Alike<()> = Alike::new("document", 1);
    alike.take(party("north"), Err(Error::Forbidden(party("north"))));
    alike.take(party("south"), Err(Error::Forbidden(party("south"))));
    assert!(matches!(alike.too_few(), Error::Forbidden(_)));
}

#[test]
fn who_does_not_answer_is_not_waited_for_again() {
    let silent = || Err(Error::Request("no answer".into()));
    let mut hanging = Alike::new("document", 1);
    hanging.take(party("north"), given(b"true"));
    for name in ["south", "east", "west"] {
        hanging.take(party(name), silent());
    }
    assert!(!hanging.may_settle());
    let mut behind = Alike::new("document", 1);
    behind.take(party("north"), given(b"true"));
    behind.take(party("south"), Err(Error::NotFound("it".into())));
    for name in ["east", "west"] {
        behind.take(party(name), silent());
    }
    assert!(behind.may_settle());
}
