//! One request to the consumer for messages, and the ways in which it ends.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures::StreamExt;
use serde_json::json;

use super::consumer::CONSUMER;
use crate::storage::{
    Result, StorageError,
    nats::{link::status, store::Inner},
};

/// Time between two signs of life of a server that has nothing to give. The third that is missing ends a
/// pull: a server that was started again, or another leader, knows nothing of it.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Longest time for the first answer to a pull that does not wait.
const ANSWERS: Duration = Duration::from_secs(2);

/// End of a pull.
#[derive(Debug)]
pub(super) enum Pulled {
    /// The messages that came.
    Messages(Vec<Message>),
    /// No such consumer, or nobody leads it.
    Nobody,
}

impl Inner {
    /// Asks for up to `batch` messages. Without a time to wait, for those that are there now; else for
    /// the first of them in this time. If it is dropped, what was on its way comes again when its lease
    /// is over.
    pub(super) async fn pull(&self, batch: usize, wait: Option<Duration>) -> Result<Pulled> {
        let (link, stream) = (&self.link, &self.timers.name);
        link.breaker.connected_within(link.timeout()).await?;
        let subject = format!("{}.CONSUMER.MSG.NEXT.{stream}.{CONSUMER}", link.api);
        let (body, silence) = match wait {
            None => (json!({ "batch": batch, "no_wait": true }), ANSWERS),
            Some(wait) if wait < 2 * HEARTBEAT => {
                (json!({ "batch": batch, "expires": nanos(wait) }), wait + ANSWERS)
            }
            Some(wait) => {
                let heartbeat = nanos(HEARTBEAT);
                let body = json!({
                    "batch": batch, "expires": nanos(wait), "idle_heartbeat": heartbeat
                });
                (body, 3 * HEARTBEAT)
            }
        };
        let lost = |error: &dyn std::fmt::Display| link.breaker.unanswered(&error.to_string());
        let mut messages = Vec::new();
        let asking = async {
            let inbox = link.client.new_inbox();
            let answers =
                link.client.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
            let body = body.to_string().into();
            let sent = link.client.publish_with_reply(subject.clone(), inbox, body).await;
            sent.map_err(|error| lost(&error))?;
            self.answers(answers, batch, silence, &mut messages).await
        };
        match link.unless_interrupted(&subject, asking).await {
            Ok(false) => Ok(Pulled::Nobody),
            Ok(true) => Ok(Pulled::Messages(messages)),
            // Nobody else gets them before their lease is over.
            Err(_) if !messages.is_empty() => Ok(Pulled::Messages(messages)),
            Err(error) => Err(error),
        }
    }

    /// Puts messages in until the pull ends; false if there is no such consumer.
    async fn answers(
        &self,
        mut answers: Subscriber,
        batch: usize,
        silence: Duration,
        messages: &mut Vec<Message>,
    ) -> Result<bool> {
        loop {
            let Ok(Some(message)) = tokio::time::timeout(silence, answers.next()).await else {
                let silent = format!("the consumer {CONSUMER} said nothing for {silence:?}");
                return Err(self.link.breaker.unanswered(&silent));
            };
            self.link.breaker.answered();
            let Some((code, text)) = status(&message) else {
                messages.push(message);
                if messages.len() == batch {
                    return Ok(true);
                }
                continue;
            };
            match code.as_u16() {
                // A sign of life.
                100 => {}
                // No messages, or its time is over.
                404 | 408 => return Ok(true),
                // Not one of its messages would be lost: they come again.
                503 => return Ok(!messages.is_empty()),
                409 if text.contains("Deleted") => return Ok(!messages.is_empty()),
                code => {
                    let reason = format!("{CONSUMER}: a pull was refused: {code} {text}");
                    return Err(StorageError::Unavailable { reason, away_since: None });
                }
            }
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
