//! The protocol `graphql-transport-ws`, for one socket and without any I/O: frames of text in,
//! frames of text and close codes out.
//!
//! Protocol: <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>. The names and
//! reasons of the close codes are its own.
//!
//! An operation is asked for its next answer only when the one before has been taken by
//! [`Socket::next`]. A reader who is slow thus slows down the operation, and nothing piles up.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_graphql::ServerError;
use futures::{
    StreamExt,
    stream::{AbortHandle, BoxStream, SelectAll, abortable},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{Answer, Api, Caller, Charge, Parameters, answer::Body, error::refusal};
use crate::models::unambiguous;

/// The subprotocol that a websocket must agree on.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";

/// Bytes of an operation's id, which is kept for as long as the operation. Clients take UUIDs.
const MOST_OF_ID: usize = 1_024;

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A message.
    Text(String),
    /// The end of the socket.
    Close {
        /// The close code.
        code: u16,
        /// Why, in at most 123 bytes, as a close frame can carry.
        reason: String,
    },
}

impl Frame {
    /// A close frame; a longer reason is cut.
    pub fn close(code: u16, reason: &str) -> Self {
        const MOST: usize = 123;
        let reason = reason[..reason.floor_char_boundary(MOST)].to_owned();
        Self::Close { code, reason }
    }

    fn text(message: &ToClient<'_>) -> Self {
        // GraphQL values, strings and numbers are always JSON.
        Self::Text(serde_json::to_string(message).unwrap_or_default())
    }
}

/// Who somebody is that shows this token, or none.
pub type Greeter = Box<dyn Fn(Option<&str>) -> Caller + Send + Sync>;

/// One client's side of the protocol.
pub struct Socket {
    api: Api,
    greeter: Greeter,
    /// What the client has shown, in the request that became the socket or in `connection_init`.
    token: Option<String>,
    /// Until when the client must have said `connection_init`; absent once it has.
    init_until: Option<Instant>,
    operations: HashMap<Arc<str>, AbortHandle>,
    events: SelectAll<BoxStream<'static, (Arc<str>, Event)>>,
    /// What the frame counts that was given last, until the next one is asked for.
    sending: Option<Charge>,
}

/// What comes of an operation.
enum Event {
    Answer(Answer),
    End,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FromClient {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    Ping {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    Pong {
        #[serde(default, rename = "payload")]
        _payload: Option<Map<String, Value>>,
    },
    Subscribe {
        id: String,
        payload: Value,
    },
    Complete {
        id: String,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ToClient<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Map<String, Value>>,
    },
    Next {
        id: &'a str,
        payload: Body<'a>,
    },
    Error {
        id: &'a str,
        payload: &'a [ServerError],
    },
    Complete {
        id: &'a str,
    },
}

impl Socket {
    /// A socket that has just been opened, by a request that showed `token`.
    pub fn new(api: Api, greeter: Greeter, token: Option<String>) -> Self {
        let patience = Duration::from_millis(api.limits().init_timeout_ms);
        Self {
            api,
            greeter,
            token,
            init_until: Some(Instant::now() + patience),
            operations: HashMap::new(),
            events: SelectAll::new(),
            sending: None,
        }
    }

    /// Takes a message, and gives what is to be sent at once. After a close frame the socket
    /// is over.
    pub fn receive(&mut self, text: &str) -> Option<Frame> {
        let message = unambiguous(text.as_bytes()).and_then(serde_json::from_value);
        let message = match message {
            Ok(message) => message,
            Err(error) => return Some(Frame::close(4400, &format!("Invalid message: {error}"))),
        };
        match message {
            FromClient::ConnectionInit { payload } => {
                if self.init_until.take().is_none() {
                    return Some(Frame::close(4429, "Too many initialisation requests"));
                }
                if let Some(token) = payload.as_ref().and_then(shown) {
                    self.token = Some(token.to_owned());
                }
                if let Some(forbidden) = self.forbidden() {
                    return Some(forbidden);
                }
                Some(Frame::text(&ToClient::ConnectionAck))
            }
            FromClient::Ping { payload } => Some(Frame::text(&ToClient::Pong { payload })),
            FromClient::Pong { .. } => None,
            FromClient::Subscribe { .. } if self.init_until.is_some() => {
                Some(Frame::close(4401, "Unauthorized"))
            }
            FromClient::Subscribe { id, payload } => self.subscribe(id.into(), payload),
            FromClient::Complete { id } => {
                if let Some(operation) = self.operations.remove(id.as_str()) {
                    operation.abort();
                }
                None
            }
        }
    }

    /// The end of a socket whose client has shown no token that is known now; call it again
    /// when what is known has changed.
    pub fn forbidden(&self) -> Option<Frame> {
        let known = self.init_until.is_some() || !matches!(self.caller(), Caller::Stranger);
        (!known).then(|| Frame::close(4403, "Forbidden"))
    }

    fn caller(&self) -> Caller {
        (self.greeter)(self.token.as_deref())
    }

    /// The next thing to send of what the operations under way bring; it is asked for when the
    /// last one has been sent. Cancel-safe.
    pub async fn next(&mut self) -> Frame {
        self.sending = None;
        if let Some(until) = self.init_until {
            tokio::time::sleep_until(until).await;
            return Frame::close(4408, "Connection initialisation timeout");
        }
        let Some((id, event)) = self.events.next().await else {
            return std::future::pending().await;
        };
        match event {
            Event::Answer(mut answer) if answer.executed() => {
                self.sending = answer.take_charge();
                Frame::text(&ToClient::Next { id: &id, payload: answer.body() })
            }
            Event::Answer(answer) => {
                if let Some(operation) = self.operations.remove(&id) {
                    operation.abort();
                }
                Frame::text(&ToClient::Error { id: &id, payload: answer.errors() })
            }
            Event::End => {
                self.operations.remove(&id);
                Frame::text(&ToClient::Complete { id: &id })
            }
        }
    }

    fn subscribe(&mut self, id: Arc<str>, payload: Value) -> Option<Frame> {
        if id.is_empty() {
            return Some(Frame::close(4400, "Invalid message: the id is empty"));
        }
        if id.len() > MOST_OF_ID {
            let reason = format!("Invalid message: the id has more than {MOST_OF_ID} bytes");
            return Some(Frame::close(4400, &reason));
        }
        if self.operations.contains_key(&id) {
            return Some(Frame::close(4409, &format!("Subscriber for {id} already exists")));
        }
        if !payload.get("query").is_some_and(Value::is_string) {
            let reason = "Invalid message: the payload has no query";
            return Some(Frame::close(4400, reason));
        }
        let most = self.api.limits().operations;
        if self.operations.len() >= most {
            let problem = format!(
                "{most} operations are under way; complete one, or open \
                                   another socket"
            );
            let payload = [refusal("TOO_MANY_OPERATIONS", problem)];
            return Some(Frame::text(&ToClient::Error { id: &id, payload: &payload }));
        }
        let caller = self.caller();
        let operation =
            Parameters::from_value(payload).and_then(|of| self.api.prepare(of, &caller));
        let operation = match operation {
            Ok(operation) => operation,
            Err(answer) => {
                let payload = answer.errors();
                return Some(Frame::text(&ToClient::Error { id: &id, payload }));
            }
        };
        let answers = self.api.stream(operation).map(Event::Answer);
        let end = futures::stream::once(async { Event::End });
        let named = id.clone();
        let events = answers.chain(end).map(move |event| (named.clone(), event));
        // Nothing comes out of a stream that was aborted, so an id may be used again at once.
        let (events, handle) = abortable(events);
        self.events.push(events.boxed());
        self.operations.insert(id, handle);
        None
    }
}

/// The token in the payload of `connection_init`, as clients send it: a header's name and value,
/// or a `token`.
fn shown(payload: &Map<String, Value>) -> Option<&str> {
    let header = payload.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let header = header.and_then(|(_, value)| bearer(value.as_str()?));
    header.or_else(|| payload.get("token").and_then(Value::as_str))
}

/// The token in the value of an `Authorization` header (RFC 6750).
pub fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
