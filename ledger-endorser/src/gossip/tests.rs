use std::sync::Mutex;

use super::*;

fn transaction(length: usize, fill: u8) -> Arc<[u8]> {
    vec![fill; length].into()
}

#[test]
fn a_message_carries_what_was_put_in() {
    let transactions = [
        transaction(300, 1),
        transaction(1, 2),
        transaction(MAX_TRANSACTION_BYTES, 3),
    ];
    let messages = encode(&transactions);
    assert_eq!(messages.len(), 1);
    let decoded = decode(&messages[0]).unwrap();
    assert_eq!(decoded, transactions.iter().map(|one| &**one).collect::<Vec<_>>());
}

#[test]
fn many_transactions_take_several_messages_within_the_limit() {
    let transactions: Vec<_> = (0..20)
        .map(|fill| transaction(MAX_TRANSACTION_BYTES - usize::from(fill), fill))
        .collect();
    let messages = encode(&transactions);
    assert!(messages.iter().all(|message| message.len() <= MAX_MESSAGE_BYTES));
    let decoded: Vec<_> = messages
        .iter()
        .flat_map(|message| decode(message).unwrap())
        .collect();
    assert_eq!(decoded, transactions.iter().map(|one| &**one).collect::<Vec<_>>());
}

#[test]
fn p12_malformed_gossip_is_refused() {
    let good = encode(&[transaction(300, 1)]).remove(0);
    assert_eq!(decode(&[]), Err(DecodeError::Truncated));
    for end in 0..good.len() {
        assert!(decode(&good[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(
        decode(&[good.as_slice(), &[0]].concat()),
        Err(DecodeError::Trailing)
    );
    assert_eq!(
        decode(&[&[9], &good[1..]].concat()),
        Err(DecodeError::UnknownVersion("gossip"))
    );
    // A count that the bytes cannot hold allocates nothing.
    assert_eq!(
        decode(&[1, 0xff, 0xff, 0xff, 0xff]),
        Err(DecodeError::TooLong("field"))
    );
    assert_eq!(
        decode(&vec![1; MAX_MESSAGE_BYTES + 1]),
        Err(DecodeError::TooLong("gossip"))
    );
}

#[tokio::test]
async fn what_arrives_together_travels_together() {
    let (outbox, queue) = Outbox::new();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sent);
    for fill in 0..10 {
        outbox.put(transaction(100, fill));
    }
    drop(outbox);
    let send = move |message| {
        seen.lock().unwrap().push(message);
        true
    };
    send_all(queue, send).await;
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(decode(&sent[0]).unwrap().len(), 10);
}
