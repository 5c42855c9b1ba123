//! The protocol `graphql-transport-ws`, for one socket and without any I/O: frames of text in,
//! frames of text and close codes out; and its predecessor `graphql-ws`, which older clients
//! speak, with other names for the same messages.
//!
//! Protocols: <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>, whose names and
//! reasons the close codes have, and
//! <https://github.com/apollographql/subscriptions-transport-ws/blob/master/PROTOCOL.md>.
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

use crate::graphql::{
    Answer, Api, Caller, Charge, Parameters, response::answer::Body, response::error::refusal,
    work::Taker,
};
use crate::models::unambiguous;

/// The subprotocol of a websocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subprotocol {
    /// `graphql-transport-ws`.
    Transport,
    /// `graphql-ws`, the older one. Its name is the name of the newer one's library.
    Legacy,
}

impl Subprotocol {
    /// Every one, the better one first.
    pub const ALL: [Self; 2] = [Self::Transport, Self::Legacy];

    /// The first known one of those that a client offers, in its order (RFC 6455, 4.1): a client
    /// may go on with its first where it can't read the answer's header.
    pub fn of_offer(offered: &str) -> Option<Self> {
        let known = |name: &str| Self::ALL.into_iter().find(|of| of.name() == name.trim());
        offered.split(',').find_map(known)
    }

    /// The name in `Sec-WebSocket-Protocol`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transport => "graphql-transport-ws",
            Self::Legacy => "graphql-ws",
        }
    }
}

/// Bytes of an operation's id, which is kept for as long as the operation. Clients take UUIDs.
const MOST_OF_ID: usize = 1_024;

/// A frame to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A message.
    Text(String),
    /// The end of the socket.
    Close {
        /// The close code.
        code: u16,
        /// The reason, in at most 123 bytes, as a close frame can carry.
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

    /// Bytes of its text.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Close { reason, .. } => reason.len(),
        }
    }

    fn text(message: &ToClient<'_>) -> Self {
        // GraphQL values, strings and numbers are always JSON.
        Self::Text(serde_json::to_string(message).unwrap_or_default())
    }
}

/// The caller who shows this token, or none.
pub type Greeter = Box<dyn Fn(Option<&str>) -> Caller + Send + Sync>;

/// One client's side of the protocol.
pub struct Socket {
    api: Api,
    subprotocol: Subprotocol,
    greeter: Greeter,
    /// The token that the client has shown, in its first request or in `connection_init`.
    token: Option<String>,
    /// The time by which `connection_init` must have come; absent once it has.
    init_until: Option<Instant>,
    operations: HashMap<Arc<str>, AbortHandle>,
    events: SelectAll<BoxStream<'static, (Arc<str>, Event)>>,
    /// The turn of its operations at events.
    taker: Taker,
    /// The charge of the frame that was given last, until the next one is asked for.
    sending: Option<Charge>,
}

/// An event of an operation.
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
    Subscribe(Wanted),
    Complete {
        id: String,
    },
    /// `subscribe` of the older protocol.
    Start(Wanted),
    /// `complete` of the older protocol.
    Stop {
        id: String,
    },
    /// The end, in the older protocol.
    ConnectionTerminate,
}

#[derive(Deserialize)]
struct Wanted {
    id: String,
    payload: Value,
}

impl FromClient {
    /// Returns true if the subprotocol has this message.
    fn is_of(&self, subprotocol: Subprotocol) -> bool {
        match self {
            Self::ConnectionInit { .. } => true,
            Self::Start(_) | Self::Stop { .. } | Self::ConnectionTerminate => {
                subprotocol == Subprotocol::Legacy
            }
            Self::Subscribe(_) | Self::Complete { .. } | Self::Ping { .. } | Self::Pong { .. } => {
                subprotocol == Subprotocol::Transport
            }
        }
    }
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
        payload: Errors<'a>,
    },
    Complete {
        id: &'a str,
    },
    /// `next` of the older protocol.
    Data {
        id: &'a str,
        payload: Body<'a>,
    },
}

/// The errors of an operation that was not executed; the older protocol takes one.
#[derive(Serialize)]
#[serde(untagged)]
enum Errors<'a> {
    All(&'a [ServerError]),
    First(Option<&'a ServerError>),
}

impl Socket {
    /// A socket that has just been opened, by a request that showed `token`.
    pub fn new(
        api: Api,
        subprotocol: Subprotocol,
        greeter: Greeter,
        token: Option<String>,
    ) -> Self {
        let patience = Duration::from_millis(api.limits().init_timeout_ms);
        Self {
            api,
            subprotocol,
            greeter,
            token,
            init_until: Some(Instant::now() + patience),
            operations: HashMap::new(),
            events: SelectAll::new(),
            taker: Taker::default(),
            sending: None,
        }
    }

    /// Takes a message, and gives the frame to send at once, if any. After a close frame the
    /// socket is over. The memory of the message, `held`, is kept until the operation has been
    /// executed that begins with it.
    pub fn receive(&mut self, text: &str, held: impl Send + 'static) -> Option<Frame> {
        let message = unambiguous(text.as_bytes()).and_then(serde_json::from_value);
        let message: FromClient = match message {
            Ok(message) => message,
            Err(error) => return Some(Frame::close(4400, &format!("Invalid message: {error}"))),
        };
        if !message.is_of(self.subprotocol) {
            let name = self.subprotocol.name();
            return Some(Frame::close(4400, &format!("Invalid message: it is not of {name}")));
        }
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
            FromClient::Subscribe(_) | FromClient::Start(_) if self.init_until.is_some() => {
                Some(Frame::close(4401, "Unauthorized"))
            }
            FromClient::Subscribe(Wanted { id, payload })
            | FromClient::Start(Wanted { id, payload }) => self.subscribe(id.into(), payload, held),
            FromClient::ConnectionTerminate => Some(Frame::close(1000, "")),
            FromClient::Complete { id } | FromClient::Stop { id } => {
                if let Some(operation) = self.operations.remove(id.as_str()) {
                    operation.abort();
                }
                None
            }
        }
    }

    /// The end of a socket whose client has shown no token that is known now; call it again when
    /// the known tokens have changed.
    pub fn forbidden(&self) -> Option<Frame> {
        let known = self.init_until.is_some() || !matches!(self.caller(), Caller::Stranger);
        (!known).then(|| Frame::close(4403, "Forbidden"))
    }

    /// True once the client has said `connection_init`.
    pub fn is_greeted(&self) -> bool {
        self.init_until.is_none()
    }

    /// True while there are many operations still that the client has ended: they go when the
    /// [next](Self::next) frame is asked for. Nothing is to be received meanwhile.
    pub fn is_behind(&self) -> bool {
        self.events.len() > 2 * self.api.limits().operations
    }

    fn caller(&self) -> Caller {
        (self.greeter)(self.token.as_deref())
    }

    /// The next frame that the operations under way bring; it is asked for when the last one has
    /// been sent. Cancel-safe.
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
                let charge = answer.take_charge();
                let (id, payload) = (&*id, answer.body());
                let frame = Frame::text(&match self.subprotocol {
                    Subprotocol::Transport => ToClient::Next { id, payload },
                    Subprotocol::Legacy => ToClient::Data { id, payload },
                });
                self.sending = charge.map(|mut charge| {
                    charge.shrink(frame.bytes());
                    charge
                });
                frame
            }
            Event::Answer(answer) => {
                if let Some(operation) = self.operations.remove(&id) {
                    operation.abort();
                }
                self.error(&id, answer.errors())
            }
            Event::End => {
                self.operations.remove(&id);
                Frame::text(&ToClient::Complete { id: &id })
            }
        }
    }

    fn error(&self, id: &str, errors: &[ServerError]) -> Frame {
        let payload = match self.subprotocol {
            Subprotocol::Transport => Errors::All(errors),
            Subprotocol::Legacy => Errors::First(errors.first()),
        };
        Frame::text(&ToClient::Error { id, payload })
    }

    fn subscribe(
        &mut self,
        id: Arc<str>,
        payload: Value,
        held: impl Send + 'static,
    ) -> Option<Frame> {
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
            return Some(self.error(&id, &payload));
        }
        let caller = self.caller();
        let operation =
            Parameters::from_value(payload).and_then(|of| self.api.prepare(of, &caller));
        let operation = match operation {
            Ok(operation) => operation,
            Err(answer) => return Some(self.error(&id, answer.errors())),
        };
        let answers = self.api.stream_to(self.taker.clone(), operation, held).map(Event::Answer);
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
