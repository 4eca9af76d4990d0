use super::*;

const LIAR: [u8; 32] = [1; 32];
const HONEST: [u8; 32] = [2; 32];

#[test]
fn p12_one_endorser_that_floods_keeps_no_other_waiting() {
    let inbox = Inbox::default();
    for number in 0..10 * MESSAGES {
        assert_eq!(inbox.put(LIAR, vec![0]), number < MESSAGES);
    }
    assert!(inbox.put(HONEST, vec![7]));
    assert!(inbox.put(HONEST, vec![8]));
    let senders: Vec<_> = (0..4).map(|_| inbox.take().unwrap().0).collect();
    assert_eq!(senders, [LIAR, HONEST, LIAR, HONEST]);
    let rest = std::iter::from_fn(|| inbox.take());
    assert_eq!(rest.count(), MESSAGES - 2);
}

#[test]
fn p12_the_bytes_of_one_endorser_are_bounded() {
    let inbox = Inbox::default();
    let half = vec![0; BYTES / 2];
    assert!(inbox.put(LIAR, half.clone()) && inbox.put(LIAR, half.clone()));
    assert!(!inbox.put(LIAR, vec![0]));
    assert!(inbox.put(HONEST, half.clone()));
    // What is taken makes room.
    assert_eq!(inbox.take(), Some((LIAR, half.clone())));
    assert!(inbox.put(LIAR, half));
}

#[test]
fn messages_of_one_endorser_keep_their_order() {
    let inbox = Inbox::default();
    for number in 0..3 {
        inbox.put(HONEST, vec![number]);
    }
    let taken: Vec<_> = (0..3).map(|_| inbox.take().unwrap().1).collect();
    assert_eq!(taken, [[0], [1], [2]]);
    assert_eq!(inbox.take(), None);
}

#[tokio::test]
async fn whoever_waits_gets_what_arrives() {
    let inbox = std::sync::Arc::new(Inbox::default());
    let waiting = {
        let inbox = std::sync::Arc::clone(&inbox);
        tokio::spawn(async move { inbox.next().await })
    };
    inbox.put(HONEST, vec![1]);
    assert_eq!(waiting.await.unwrap(), (HONEST, vec![1]));
}
