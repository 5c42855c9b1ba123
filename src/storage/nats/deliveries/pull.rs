//! One request to a consumer for messages, and the ways in which it ends.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::storage::{
    Result, StorageError,
    nats::{link::status, store::Inner},
};

/// Time between two signs of life of a server that has nothing to give. The third that is missing ends a
/// pull: a server that was started again, or another leader, knows nothing of it.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Longest time for the first answer to a pull that does not wait.
const ANSWERS: Duration = Duration::from_secs(2);

/// Longest time for the next message of those that are there. A consumer with places for some of them
/// gives out these, and says nothing of the rest until its pull is over.
const FOLLOWS: Duration = Duration::from_millis(50);

/// Longest time for the server to have heard that nobody reads any more.
const ENDS: Duration = Duration::from_secs(2);

/// End of a pull.
#[derive(Debug)]
pub(super) enum Pulled {
    /// The messages that came.
    Messages(Vec<Message>),
    /// Messages are there for others who wait, or have no place in flight.
    Others,
    /// No such consumer, or nobody leads it.
    Nobody,
}

/// Messages that are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// Those that are there, so many at most; or those that come first.
    Some(usize),
    /// The first one, in the order of those who wait.
    One,
}

impl Asked {
    fn most(self) -> usize {
        match self {
            Self::Some(most) => most,
            Self::One => 1,
        }
    }

    /// The request, and the longest silence that is no sign of a lost one.
    fn request(self, wait: Duration) -> (Value, Duration) {
        let mut body = json!({ "batch": self.most() });
        if let Self::Some(_) = self {
            body["no_wait"] = json!(true);
        }
        if wait.is_zero() {
            return (body, ANSWERS);
        }
        body["expires"] = json!(nanos(wait));
        if wait < 2 * HEARTBEAT {
            return (body, wait + ANSWERS);
        }
        body["idle_heartbeat"] = json!(nanos(HEARTBEAT));
        (body, 3 * HEARTBEAT)
    }
}

impl Inner {
    /// Asks a consumer for messages, and waits so long for the first of them. It ends with all that was
    /// on its way to it; if it is dropped, that comes again when its time is over.
    pub(super) async fn pull(
        &self,
        (stream, consumer): (&str, &str),
        asked: Asked,
        wait: Duration,
    ) -> Result<Pulled> {
        let link = &self.link;
        link.breaker.connected_within(link.timeout()).await?;
        let subject = format!("{}.CONSUMER.MSG.NEXT.{stream}.{consumer}", link.api);
        let (body, silence) = asked.request(wait);
        let lost = |error: &dyn std::fmt::Display| link.breaker.unanswered(&error.to_string());
        let mut messages = Vec::new();
        let asking = async {
            let inbox = link.client.new_inbox();
            let mut answers =
                link.client.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
            let body = body.to_string().into();
            let sent = link.client.publish_with_reply(subject.clone(), inbox, body).await;
            sent.map_err(|error| lost(&error))?;
            let end = self.answers(&mut answers, asked.most(), silence, &mut messages).await?;
            if matches!(end, End::Silent) {
                rest_of(answers, &mut messages).await;
            }
            Ok(end)
        };
        match link.unless_interrupted(&subject, asking).await {
            // Nobody else gets them before their time is over.
            _ if !messages.is_empty() => Ok(Pulled::Messages(messages)),
            Ok(End::Nobody) => Ok(Pulled::Nobody),
            Ok(End::Others) => Ok(Pulled::Others),
            Ok(End::Over | End::Silent) => Ok(Pulled::Messages(messages)),
            Err(error) => Err(error),
        }
    }

    /// Puts messages in until the pull ends.
    async fn answers(
        &self,
        answers: &mut Subscriber,
        batch: usize,
        silence: Duration,
        messages: &mut Vec<Message>,
    ) -> Result<End> {
        loop {
            let limit = if messages.is_empty() { silence } else { FOLLOWS };
            let Ok(Some(message)) = tokio::time::timeout(limit, answers.next()).await else {
                if !messages.is_empty() {
                    return Ok(End::Silent);
                }
                let silent = format!("a consumer said nothing for {silence:?}");
                return Err(self.link.breaker.unanswered(&silent));
            };
            self.link.breaker.answered();
            let Some((code, text)) = status(&message) else {
                messages.push(message);
                if messages.len() == batch {
                    return Ok(End::Over);
                }
                continue;
            };
            match code.as_u16() {
                // A sign of life.
                100 => {}
                408 if text.contains("Requests Pending") => return Ok(End::Others),
                // No messages, or no more of them, or its time is over.
                404 | 408 => return Ok(End::Over),
                503 => return Ok(End::Nobody),
                409 if text.contains("Deleted") => return Ok(End::Nobody),
                code => {
                    let reason = format!("a pull was refused: {code} {text}");
                    return Err(StorageError::Unavailable { reason, away_since: None });
                }
            }
        }
    }
}

/// The way in which a pull has ended.
enum End {
    /// The server has ended it.
    Over,
    /// It has not, and may give out more.
    Silent,
    Others,
    Nobody,
}

/// Ends the subscription, and waits for what the server has sent until it heard of that: nothing is left
/// on its way to nobody.
async fn rest_of(mut answers: Subscriber, messages: &mut Vec<Message>) {
    if answers.drain().await.is_err() {
        return;
    }
    let rest = answers.filter(|message| std::future::ready(status(message).is_none()));
    let rest = rest.for_each(|message| {
        messages.push(message);
        std::future::ready(())
    });
    // Without an end, what comes later comes again.
    let _ = tokio::time::timeout(ENDS, rest).await;
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
