//! Messages on their way to one member: kept until it has acknowledged them, so that a member that is late or was
//! restarted gets them all.

use super::message::{Body, Message};
use proto::custody::DeliverRequest;
use proto::custody::ceremony_service_client::CeremonyServiceClient;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use threshold::encoding::Canonical;
use threshold::signature::PublicKey;
use tokio::sync::Notify;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// More never waits for one member: a ceremony has a handful of messages to each.
const MAX_WAITING: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Messages in the order in which they go, without those that later ones make pointless.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Message>);

impl Queue {
    /// Adds a message. A newer ceremony makes an older one's messages pointless, an abort its own ceremony's;
    /// how a ceremony ended is always worth telling.
    pub(super) fn push(&mut self, message: Message) {
        if self.0.contains(&message) {
            return;
        }
        let ends = |message: &Message| {
            matches!(
                message.body,
                Body::Abort { .. } | Body::Relay(_) | Body::Done(_) | Body::InUse { .. } | Body::Ended { .. }
            )
        };
        let aborts = matches!(message.body, Body::Abort { .. });
        self.0.retain(|earlier| {
            let same = earlier.ceremony == message.ceremony;
            let pointless = if same { aborts } else { !ends(&message) };
            ends(earlier) || !pointless
        });
        if self.0.len() >= MAX_WAITING {
            self.0.pop_front();
        }
        self.0.push_back(message);
    }

    /// What is to be delivered next.
    pub(super) fn first(&self) -> Option<&Message> {
        self.0.front()
    }

    /// The message was taken.
    pub(super) fn done(&mut self, message: &Message) {
        self.0.retain(|waiting| waiting != message);
    }
}

/// The messages that wait for one member, and the way to it.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) member: PublicKey,
    client: CeremonyServiceClient<Channel>,
    waiting: Mutex<Queue>,
    changed: Notify,
}

impl Outbox {
    pub(super) fn new(member: PublicKey, channel: Channel) -> Self {
        let client = CeremonyServiceClient::new(channel)
            .max_decoding_message_size(proto::limits::CEREMONY_MESSAGE)
            .max_encoding_message_size(proto::limits::CEREMONY_MESSAGE);
        Self {
            member,
            client,
            waiting: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Adds a message.
    pub(super) fn push(&self, message: Message) {
        self.lock().push(message);
        self.changed.notify_one();
    }

    /// Waits for a message, delivers it, and gives the member's answer. Tries for as long as it takes.
    pub(super) async fn deliver_next(&self) -> Option<Message> {
        let mut pause = FIRST_PAUSE;
        loop {
            let changed = self.changed.notified();
            let Some(message) = self.lock().first().cloned() else {
                changed.await;
                pause = FIRST_PAUSE;
                continue;
            };
            match self.ask(&message).await {
                Ok(answer) => {
                    self.done(&message);
                    return answer;
                }
                Err(status) if is_final(&status) => {
                    tracing::error!(member = %self.member, %status, "a member refuses a ceremony message");
                    self.done(&message);
                }
                Err(_) => {
                    // A new message may mean that this one has become pointless: look again at once.
                    let _ = tokio::time::timeout(pause, changed).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Delivers one message once.
    pub(super) async fn ask(&self, message: &Message) -> Result<Option<Message>, Status> {
        // The request wipes its bytes when it is dropped.
        let request = DeliverRequest {
            message: std::mem::take(&mut *message.to_secret_bytes()),
        };
        let answered = tokio::time::timeout(TIMEOUT, self.client.clone().deliver(request)).await;
        let answer = answered
            .map_err(|_| Status::deadline_exceeded("no answer"))??
            .into_inner()
            .message;
        if answer.is_empty() {
            return Ok(None);
        }
        Message::from_bytes(&answer)
            .map(Some)
            .map_err(|error| Status::invalid_argument(error.to_string()))
    }

    fn done(&self, message: &Message) {
        self.lock().done(message);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether sending the same message again is pointless.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::PermissionDenied | Code::Unimplemented | Code::OutOfRange
    )
}

/// Waits a little longer each time.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pause {
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}
