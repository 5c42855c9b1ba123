//! Websockets: carries the frames of [`Socket`] and keeps the connection alive.

use std::{sync::Arc, time::Duration};

use axum::{
    Error,
    extract::{
        FromRequestParts,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use tokio::{
    sync::watch::Receiver,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::{
    ServerState, Tokens, budget, connections::Seat, http::overloaded, shown, tokens::Known,
};
use crate::graphql::{Frame, Socket, Subprotocol};

/// Time between two pings of the client. A client that has sent nothing at all between them, not
/// even the answer to the first, is gone.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Time that one message may wait for a client that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Time to wait for the client's answer to a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns true if a request asks to become a websocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Makes a websocket of a request that asks for one.
pub(super) async fn upgrade(state: ServerState, mut parts: Parts) -> Response {
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let offers = parts.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offers = offers.filter_map(|offer| offer.to_str().ok());
    let Some(subprotocol) = offers.find_map(Subprotocol::of_offer) else {
        let [better, older] = Subprotocol::ALL.map(Subprotocol::name);
        let why =
            format!("the websocket must offer the subprotocol {better}, or the older {older}");
        return (StatusCode::BAD_REQUEST, why).into_response();
    };
    let upgrade = upgrade.protocols([subprotocol.name()]);
    // Absent only where no connection is beneath: in a test of the router.
    let seat = parts.extensions.get::<Arc<Seat>>();
    if !seat.is_none_or(|seat| seat.becomes_a_socket()) {
        return overloaded("too many websockets are open in this process; try again in a moment");
    }
    let token = shown(&parts.headers).map(str::to_owned);
    let most = state.api.limits().body_bytes;
    let running = state.sockets.token();
    upgrade.max_message_size(most).max_frame_size(most).on_upgrade(move |socket| async move {
        let known = state.clone();
        let greeter = Box::new(move |token: Option<&str>| known.caller(token));
        let protocol = Socket::new(state.api.clone(), subprotocol, greeter, token);
        if let Err(error) = carry(socket, protocol, &state).await {
            tracing::debug!(%error, "a websocket ended");
        }
        drop(running);
    })
}

/// Carries frames until either side ends the socket.
async fn carry(
    mut socket: WebSocket,
    mut protocol: Socket,
    state: &ServerState,
) -> Result<(), Error> {
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = true;
    let mut tokens = state.tokens.as_ref().map(Tokens::changes);
    loop {
        // Each of these is cancel-safe: what is not ready loses nothing. What the client has
        // said comes before what it is to be told, so that after a `complete` that has arrived
        // nothing more is sent for its id.
        let frame = tokio::select! {
            biased;
            () = state.shutdown.cancelled() => Some(Frame::close(1001, "the server is shutting down")),
            () = changed(&mut tokens) => protocol.forbidden(),
            message = socket.recv() => {
                heard = true;
                match message {
                    Some(Ok(Message::Text(text))) => take(&mut protocol, state, &text).await,
                    Some(Ok(Message::Binary(_))) => {
                        Some(Frame::close(4400, "Invalid message: it is binary"))
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
                    // Its close frame is answered by reading on.
                    Some(Ok(Message::Close(_))) => return finish(socket).await,
                    None => return Ok(()),
                    Some(Err(error)) => Some(unreadable(&error)),
                }
            }
            frame = protocol.next() => Some(frame),
            _ = pings.tick() => {
                if !std::mem::take(&mut heard) {
                    return Ok(());
                }
                send(&mut socket, Message::Ping(Default::default())).await?;
                None
            }
        };
        match frame {
            None => {}
            Some(Frame::Text(text)) => send(&mut socket, Message::Text(text.into())).await?,
            Some(Frame::Close { code, reason }) => {
                let frame = CloseFrame { code, reason: reason.into() };
                send(&mut socket, Message::Close(Some(frame))).await?;
                return finish(socket).await;
            }
        }
    }
}

/// Hands a message over when there is memory for it.
async fn take(protocol: &mut Socket, state: &ServerState, text: &str) -> Option<Frame> {
    let takes = budget::when_read(text.as_bytes());
    if takes > budget::MOST {
        return Some(Frame::close(1009, "the message has too many values"));
    }
    match state.budget.share(takes).await {
        Some(_share) => protocol.receive(text),
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

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Error> {
    let late = |_| Error::new("the client did not read for too long");
    timeout(SEND_TIMEOUT, socket.send(message)).await.map_err(late)?
}

/// The close frame for a client whose message can't be read.
fn unreadable(error: &Error) -> Frame {
    let text = error.to_string();
    // The websocket library's own name for a message beyond the limit.
    let code = if text.contains("Space limit exceeded") { 1009 } else { 1002 };
    Frame::close(code, &text)
}

/// Reads until the client has answered the close frame, so that the connection is not reset
/// before the client has read it.
async fn finish(mut socket: WebSocket) -> Result<(), Error> {
    let rest = async { while let Some(Ok(_)) = socket.recv().await {} };
    // A client that does not answer has had its time.
    let _ = timeout(CLOSE_TIMEOUT, rest).await;
    Ok(())
}
