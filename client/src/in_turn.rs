//! One after the other, without waiting for one that stalls.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

#[cfg(test)]
mod tests;

/// Far longer than an answer takes of a peer that does its work, and far shorter than a deadline: a peer that has not answered by
/// then is still listened to, while the next is asked.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Asks one of `those` after the other, the next as soon as one has answered or `patience` is over, until `take` makes
/// an end of the answers. Nothing when all have answered and there is no end.
pub(crate) async fn in_turn<P: Copy, T, R, F: Future<Output = T>>(
    those: impl Iterator<Item = P>,
    patience: Duration,
    ask: impl Fn(P) -> F,
    mut take: impl FnMut(P, T) -> Option<R>,
) -> Option<R> {
    let mut those = those.peekable();
    let mut asked = FuturesUnordered::new();
    loop {
        if let Some(one) = those.next() {
            let answer = ask(one);
            asked.push(async move { (one, answer.await) });
        }
        let answered = match those.peek() {
            Some(_) => match tokio::time::timeout(patience, asked.next()).await {
                Ok(answered) => answered,
                Err(_) => continue,
            },
            None => asked.next().await,
        };
        let (one, answer) = answered?;
        if let Some(end) = take(one, answer) {
            return Some(end);
        }
    }
}
