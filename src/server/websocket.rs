//! Websockets: carries the frames of [`Socket`] and keeps the connection alive.

use std::{
    future::ready,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Request, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io,
    sync::watch::Receiver,
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::server::create_response,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                self,
                coding::{Data, OpCode},
            },
        },
    },
};

use super::{
    ServerState, Tokens,
    budget::{self, FREE, Share},
    connections::Seat,
    http::overloaded,
    inlet::{Gate, Inlet, PART, Refused},
    shown,
    tokens::Known,
};
use crate::graphql::{Frame, Socket, Subprotocol};

/// Time between two pings of the client. A client that has sent nothing at all between them, not
/// even the answer to the first, is gone.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Time that one message may wait for a client that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Time in which a client must take [`LEAST`] bytes while events that are not taken leave no room for
/// those of others.
const CROWDED_TIMEOUT: Duration = Duration::from_secs(3);
const LEAST: usize = 64 * 1024;

/// Bytes that the library reads at a time.
const AHEAD: usize = 4 * 1024;

/// Bytes of a frame that is sent.
const OUT: usize = 16 * 1024;

/// Messages of the client that are taken in a row while its operations have something to say.
const IN_A_ROW: usize = 64;

/// Time to wait for the client's answer to a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns true if a request asks to become a websocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// A websocket of a client.
type WebSocket = WebSocketStream<Inlet<TokioIo<Upgraded>>>;

/// Makes a websocket of a request that asks for one.
pub(super) async fn upgrade(state: ServerState, mut parts: Parts) -> Response {
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let request = Request::from_parts(parts, ());
    let (mut response, upgrade) = match (create_response(&request), upgrade) {
        (Ok(response), Some(upgrade)) => (response.map(Body::from), upgrade),
        (Err(error), _) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        (Ok(_), None) => return StatusCode::UPGRADE_REQUIRED.into_response(),
    };
    let (parts, ()) = request.into_parts();
    let offers = parts.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offers = offers.filter_map(|offer| offer.to_str().ok());
    let Some(subprotocol) = offers.find_map(Subprotocol::of_offer) else {
        let [better, older] = Subprotocol::ALL.map(Subprotocol::name);
        let why =
            format!("the websocket must offer the subprotocol {better}, or the older {older}");
        return (StatusCode::BAD_REQUEST, why).into_response();
    };
    let protocol = HeaderValue::from_static(subprotocol.name());
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    // Absent only where no connection is beneath: in a test of the router.
    let seat = parts.extensions.get::<Arc<Seat>>();
    if !seat.is_none_or(|seat| seat.becomes_a_socket()) {
        return overloaded("too many websockets are open in this process; try again in a moment");
    }
    let token = shown(&parts.headers).map(str::to_owned);
    state.sockets.clone().spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => {
                tracing::debug!(%error, "a client went before its websocket was one");
                return;
            }
        };
        let known = state.clone();
        let greeter = Box::new(move |token: Option<&str>| known.caller(token));
        let protocol = Socket::new(state.api.clone(), subprotocol, greeter, token);
        let gate = Gate::new(FREE.min(state.api.limits().body_bytes));
        let inlet = Inlet::new(upgraded, state.budget.clone(), gate.clone());
        let socket = WebSocketStream::from_raw_socket(inlet, Role::Server, Some(room(&state)));
        if let Err(error) = carry(socket.await, protocol, gate, &state).await {
            tracing::debug!(%error, "a websocket ended");
        }
    });
    response
}

/// The library's own room: it keeps these buffers for as long as the socket.
fn room(state: &ServerState) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(AHEAD)
        .write_buffer_size(0)
        .max_frame_size(Some(PART))
        .max_message_size(Some(state.api.limits().body_bytes))
}

/// Carries frames until either side ends the socket. Nothing is read while something is to be
/// written: what the client does not take is at most one frame, and the answer to one ping.
async fn carry(
    mut socket: WebSocket,
    mut protocol: Socket,
    gate: Gate,
    state: &ServerState,
) -> Result<(), Error> {
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut in_a_row) = (true, 0);
    let mut tokens = state.tokens.as_ref().map(Tokens::changes);
    let mut is_lost = false;
    loop {
        // Each of these is cancel-safe: what is not ready loses nothing. What the client has
        // said comes before what it is to be told, so that after a `complete` that has arrived
        // nothing more is sent for its id.
        let frame = tokio::select! {
            biased;
            () = state.shutdown.cancelled() => Some(Frame::close(1001, "the server is shutting down")),
            () = changed(&mut tokens) => protocol.forbidden(),
            () = ready(()), if in_a_row == IN_A_ROW || protocol.is_behind() => {
                in_a_row = 0;
                // Operations that were begun or ended are tasks, which would pile up without a bound:
                // with one thread, those that find no room in its queue have no turn while a task
                // fills it again and again.
                yield_now().await;
                protocol.next().now_or_never()
            }
            message = socket.next() => {
                (heard, in_a_row) = (true, in_a_row + 1);
                match message {
                    Some(Ok(Message::Text(text))) => {
                        let frame = take(&mut protocol, state, &text, gate.arrived()).await;
                        if protocol.is_greeted() {
                            gate.widen(state.api.limits().body_bytes);
                        }
                        frame
                    }
                    Some(Ok(Message::Binary(_))) => {
                        Some(Frame::close(4400, "Invalid message: it is binary"))
                    }
                    Some(Ok(Message::Ping(_))) => {
                        // Its answer is in the library, which would read on and keep them all.
                        in_time(socket.flush()).await?;
                        None
                    }
                    Some(Ok(Message::Pong(_) | Message::Frame(_))) => None,
                    Some(Ok(Message::Close(_))) => {
                        // Its close frame is answered by reading on.
                        drop(protocol);
                        return finish(socket, &gate).await;
                    }
                    None => return Ok(()),
                    Some(Err(error)) => {
                        is_lost = true;
                        Some(unreadable(&error))
                    }
                }
            }
            frame = protocol.next() => {
                in_a_row = 0;
                Some(frame)
            }
            _ = pings.tick() => {
                if !std::mem::take(&mut heard) {
                    return Ok(());
                }
                in_time(socket.send(Message::Ping(Bytes::new()))).await?;
                None
            }
        };
        match frame {
            None => {}
            Some(Frame::Text(text)) => {
                let is_crowded = || state.api.is_crowded();
                send_answer(&mut socket, text.into(), is_crowded).await?;
            }
            Some(Frame::Close { code, reason }) => {
                // Its operations are over, whether or not the client takes the frame.
                drop(protocol);
                let frame = CloseFrame { code: code.into(), reason: reason.into() };
                in_time(socket.send(Message::Close(Some(frame)))).await?;
                return if is_lost { drain(socket).await } else { finish(socket, &gate).await };
            }
        }
    }
}

/// Hands a message over when there is memory for it; until then it keeps the memory with which it has
/// arrived.
async fn take(
    protocol: &mut Socket,
    state: &ServerState,
    text: &str,
    arrived: Vec<Share>,
) -> Option<Frame> {
    let takes = budget::when_read(text.as_bytes());
    if takes > budget::MOST {
        return Some(Frame::close(1009, "the message has too many values"));
    }
    let share = state.budget.read(takes).await;
    drop(arrived);
    match share {
        Some(share) => state.heavy.work(text.len(), || protocol.receive(text, share)).await,
        None => Some(Frame::close(1013, "too many large messages at once; try again later")),
    }
}

/// Resolves when other tokens are known than before. Cancel-safe.
async fn changed(tokens: &mut Option<Receiver<Arc<Known>>>) {
    let changed = match tokens {
        Some(tokens) => tokens.changed().await.is_ok(),
        None => false,
    };
    // Without tokens, or without anybody who reads them again, there is nothing to wait for.
    if !changed {
        std::future::pending::<()>().await;
    }
}

/// Something that is written, if the client takes it in time.
async fn in_time(written: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    timeout(SEND_TIMEOUT, written).await.map_err(|_| late())?
}

/// Sends an answer, if the client takes it in time: the whole in [`SEND_TIMEOUT`], and some of it all the
/// time while events of others wait for room.
async fn send_answer(
    socket: &mut WebSocket,
    text: Bytes,
    is_crowded: impl Fn() -> bool,
) -> Result<(), Error> {
    let (begun, sent, mut before) = (Instant::now(), AtomicUsize::new(0), 0);
    let mut sending = pin!(send_text(socket, text, &sent));
    loop {
        match timeout(CROWDED_TIMEOUT, &mut sending).await {
            Ok(sent) => return sent,
            Err(_) if begun.elapsed() >= SEND_TIMEOUT => return Err(late()),
            Err(_) if is_crowded() && sent.load(Ordering::Relaxed) - before < LEAST => {
                return Err(late());
            }
            Err(_) => before = sent.load(Ordering::Relaxed),
        }
    }
}

/// Sends a text in frames of [`OUT`] bytes, each once the one before has been taken, and counts the
/// bytes: the library keeps the room of the largest frame for as long as the socket, and moves what is
/// left of one each time the client takes something.
async fn send_text(
    socket: &mut WebSocket,
    mut text: Bytes,
    sent: &AtomicUsize,
) -> Result<(), Error> {
    let mut kind = Data::Text;
    loop {
        let part = text.split_to(text.len().min(OUT));
        let (is_last, bytes) = (text.is_empty(), part.len());
        let frame = frame::Frame::message(part, OpCode::Data(kind), is_last);
        socket.send(Message::Frame(frame)).await?;
        sent.fetch_add(bytes, Ordering::Relaxed);
        if is_last {
            return Ok(());
        }
        kind = Data::Continue;
    }
}

fn late() -> Error {
    let why = "the client did not read for too long";
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, why))
}

/// The close frame for a client whose message can't be read.
fn unreadable(error: &Error) -> Frame {
    let refused = match error {
        Error::Io(error) => error.get_ref().and_then(|error| error.downcast_ref::<Refused>()),
        _ => None,
    };
    match (refused, error) {
        (Some(refused @ Refused::TooLarge(_)), _) => Frame::close(1009, &refused.to_string()),
        (Some(refused @ Refused::NoRoom), _) => Frame::close(1013, &refused.to_string()),
        (Some(refused @ (Refused::Late | Refused::Crumbs)), _) => {
            Frame::close(1008, &refused.to_string())
        }
        (None, Error::Capacity(_)) => Frame::close(1009, &error.to_string()),
        (_, error) => Frame::close(1002, &error.to_string()),
    }
}

/// Reads until the client has answered the close frame, so that the connection is not reset
/// before the client has read it.
async fn finish(mut socket: WebSocket, gate: &Gate) -> Result<(), Error> {
    let rest = async {
        while let Some(Ok(_)) = socket.next().await {
            drop(gate.arrived());
        }
    };
    // A client that does not answer has had its time.
    let _ = timeout(CLOSE_TIMEOUT, rest).await;
    Ok(())
}

/// The same where what the client sends is not understood any more: reads until it has gone.
async fn drain(mut socket: WebSocket) -> Result<(), Error> {
    let rest = async { io::copy_buf(socket.get_mut().stream(), &mut io::sink()).await };
    let _ = timeout(CLOSE_TIMEOUT, rest).await;
    Ok(())
}
