//! Websockets that say much and hear nothing.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{PATIENCE, Serving, connections::peak, doors::MUTATION};

/// A client's final frame, masked with zeros.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![head];
    match u8::try_from(payload.len()) {
        Ok(bytes @ ..126) => frame.push(0x80 | bytes),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// The beginning of a text of which more frames follow.
const BEGINS: u8 = 0x01;

/// An empty frame, not the last of its message.
const EMPTY: [u8; 6] = [0x00, 0x80, 0, 0, 0, 0];

fn text(message: &Value) -> Vec<u8> {
    frame(TEXT, message.to_string().as_bytes())
}

fn init() -> Vec<u8> {
    text(&json!({ "type": "connection_init" }))
}

/// The stream of a websocket that speaks this subprotocol.
async fn opened(serving: &Serving, subprotocol: &str) -> TcpStream {
    let mut stream = serving.connect().await;
    let head = format!(
        "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// Says something over and over until the server has closed, and answers the time that it took.
async fn says(stream: &mut (impl AsyncWriteExt + Unpin), first: &[u8], then: &[u8]) -> Duration {
    let (begun, much) = (Instant::now(), then.repeat((64 * 1024_usize).div_ceil(then.len())));
    if stream.write_all(first).await.is_ok() {
        while stream.write_all(&much).await.is_ok() {}
    }
    begun.elapsed()
}

#[tokio::test]
async fn clients_that_are_answered_and_never_read_are_given_up_and_take_no_memory() {
    const TRANSPORT: &str = "graphql-transport-ws";
    const LEGACY: &str = "graphql-ws";
    let serving = Serving::start(&[]).await;
    let unknown = json!({ "query": "{ nothing }" });
    let subscribe = text(&json!({ "type": "subscribe", "id": "1", "payload": unknown }));
    let start = text(&json!({ "type": "start", "id": "1", "payload": unknown }));
    let ping = frame(PING, &[b'p'; 125]);
    let floods = [
        (TRANSPORT, vec![], ping.clone()),
        (TRANSPORT, init(), ping.clone()),
        (TRANSPORT, frame(BEGINS, b"{"), ping.clone()),
        (LEGACY, vec![], ping),
        (TRANSPORT, init(), text(&json!({ "type": "ping", "payload": { "a": "a" } }))),
        (TRANSPORT, init(), subscribe),
        (LEGACY, init(), start),
    ];
    assert!(serving.lives().await);
    let before = peak(&serving);
    let said = floods.iter().enumerate().map(async |(number, (subprotocol, first, then))| {
        let mut stream = opened(&serving, subprotocol).await;
        let closed = timeout(Duration::from_secs(75), says(&mut stream, first, then)).await;
        closed.unwrap_or_else(|_| panic!("flood {number} goes on"))
    });
    let watched = async {
        loop {
            assert!(serving.lives().await);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        _ = join_all(said) => {}
        () = watched => {}
    }
    if let (Some(before), Some(after)) = (before, peak(&serving)) {
        assert!(after < before + 25 * 1024, "{before} kB, then {after} kB");
    }
    serving.stop().await;
}

/// The code of the close frame that comes after these bytes, over and over.
async fn close_code(serving: &Serving, first: &[u8], then: &[u8]) -> Option<u16> {
    let stream = opened(serving, "graphql-transport-ws").await;
    let (mut reads, mut writes) = stream.into_split();
    let mut heard = Vec::new();
    // A client that writes on may be reset once it has been told.
    let both =
        async { tokio::join!(says(&mut writes, first, then), reads.read_to_end(&mut heard)) };
    timeout(Duration::from_secs(40), both).await.expect("the server closes").1.ok();
    let close = heard.windows(4).find(|bytes| bytes[0] == 0x88)?;
    Some(u16::from_be_bytes([close[2], close[3]]))
}

#[tokio::test]
async fn clients_that_talk_without_pause_are_closed_in_time_and_get_their_answers() {
    let serving = Serving::start(&[]).await;
    // Without `connection_init`.
    let pong = frame(PONG, b"");
    let said = text(&json!({ "type": "pong" }));
    let (pongs, texts) =
        tokio::join!(close_code(&serving, &[], &pong), close_code(&serving, &[], &said));
    assert_eq!((pongs, texts), (Some(4408), Some(4408)));
    let empty = close_code(&serving, &frame(BEGINS, b""), &EMPTY).await;
    assert_eq!(empty, Some(1008));

    let (mut reads, mut writes) = opened(&serving, "graphql-transport-ws").await.into_split();
    let payload = json!({ "query": "{ workflows { nodes { id } } }" });
    let first =
        [init(), text(&json!({ "type": "subscribe", "id": "1", "payload": payload }))].concat();
    let answered = async {
        let mut heard = Vec::new();
        while !heard.ends_with(br#"{"type":"complete","id":"1"}"#) {
            heard.push(reads.read_u8().await.unwrap());
        }
    };
    tokio::select! {
        answered = timeout(Duration::from_secs(10), answered) => answered.expect("an answer"),
        _ = says(&mut writes, &first, &said) => panic!("closed"),
    }
    serving.stop().await;
}

#[tokio::test]
async fn operations_that_are_begun_and_ended_over_and_over_take_no_memory() {
    begins_and_ends(Serving::start(&[]).await).await;
    begins_and_ends(Serving::on_one_thread(&[]).await).await;
}

async fn begins_and_ends(serving: Serving) {
    let payload =
        json!({ "query": "subscription { workflowEvents(workflowId: \"a\") { caseId } }" });
    let message = |kind: &str, id: usize| text(&json!({ "type": kind, "id": id.to_string() }));
    let each = (0..500).flat_map(|id| {
        let begin = json!({ "type": "subscribe", "id": id.to_string(), "payload": payload });
        [text(&begin), message("complete", id)].concat()
    });
    let each: Vec<u8> = each.collect();
    assert!(serving.lives().await);
    let before = peak(&serving);
    let mut stream = opened(&serving, "graphql-transport-ws").await;
    let first = init();
    let says = says(&mut stream, &first, &each);
    assert!(timeout(Duration::from_secs(10), says).await.is_err(), "closed");
    assert!(serving.lives().await);
    if let (Some(before), Some(after)) = (before, peak(&serving)) {
        assert!(after < before + 25 * 1024, "{before} kB, then {after} kB");
    }
    serving.stop().await;
}

fn subscribe(id: usize, query: &str) -> Vec<u8> {
    let payload = json!({ "query": query });
    text(&json!({ "type": "subscribe", "id": id.to_string(), "payload": payload }))
}

#[tokio::test]
async fn operations_of_a_client_that_never_reads_hold_nobody_up() {
    let serving = Serving::start(&["--consumer-timeout", "30s"]).await;
    // They are under way for as long as the server stands still.
    serving.nats.suspend();
    let query = "{ case(workflowId: \"w\", id: \"a\") { id } }";
    let asks: Vec<u8> = (0..60).flat_map(|id| subscribe(id, query)).collect();
    let mut sockets = Vec::new();
    for _ in 0..18 {
        let mut stream = opened(&serving, "graphql-transport-ws").await;
        stream.write_all(&[init(), asks.clone()].concat()).await.unwrap();
        sockets.push(stream);
    }
    let asked = async || serving.post("Host: localhost\r\n", "{ __typename }").await;
    let begun = Instant::now();
    while !asked().await.0.contains("503") {
        assert!(begun.elapsed() < PATIENCE, "there is room");
    }
    // More than finds room between the two, where the system may have tens of megabytes for each.
    let ping = text(&json!({ "type": "ping", "payload": { "a": "a".repeat(60_000) } }));
    let pings = ping.repeat(1_500);
    let said = sockets.iter_mut().map(|stream| stream.write_all(&pings));
    let said = said.map(|said| timeout(Duration::from_secs(5), said));
    assert!(join_all(said).await.iter().all(Result::is_err), "all has been taken");
    serving.nats.resume();
    let begun = Instant::now();
    while !asked().await.0.contains("200") {
        assert!(begun.elapsed() < Duration::from_secs(10), "there is no room still");
    }
    drop(sockets);
    serving.stop().await;
}

#[tokio::test]
async fn a_large_subscription_counts_as_several() {
    let serving = Serving::start(&[]).await;
    let (status, _) = serving.post("Host: localhost\r\n", MUTATION).await;
    assert!(status.contains("200"), "{status}");
    let fields: Vec<String> = (0..1_800).map(|number| format!("a{number}: caseId")).collect();
    let fields = fields.join(" ");
    let large = format!("subscription {{ workflowEvents(workflowId: \"w\") {{ {fields} }} }}");
    let asks: Vec<u8> = (0..100).flat_map(|id| subscribe(id, &large)).collect();
    let mut sockets = Vec::new();
    // Ten thousand small ones would find room.
    for _ in 0..8 {
        let mut stream = opened(&serving, "graphql-transport-ws").await;
        stream.write_all(&[init(), asks.clone()].concat()).await.unwrap();
        sockets.push(stream);
    }
    let told = async {
        let (mut heard, last) = (Vec::new(), sockets.last_mut().unwrap());
        while !String::from_utf8_lossy(&heard).contains("OVERLOADED") {
            assert!(last.read_buf(&mut heard).await.unwrap() > 0, "closed");
        }
    };
    timeout(4 * PATIENCE, told).await.expect("some find no room");
    serving.stop().await;
}
