//! Connections that do nothing, and those that do it slowly.

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt, future::join_all, stream::select_all};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{PATIENCE, Serving};

#[tokio::test]
async fn idle_connections_beyond_the_file_limit_keep_nobody_out() {
    let serving = Serving::limited(256, &[]).await;
    let idle = join_all((0..400).map(|_| serving.connect())).await;
    assert!(serving.lives().await);
    assert!(serving.lives().await);
    drop(idle);
    serving.stop().await;
}

/// A connection that finds no room in the queue is tried again by its system, a second later.
#[tokio::test]
async fn many_who_come_at_once_all_find_room_while_the_process_is_busy() {
    let serving = Serving::start(&[]).await;
    let pid = Pid::from_raw(i32::try_from(serving.program.id()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let all = timeout(PATIENCE, join_all((0..400).map(|_| serving.connect()))).await;
    kill_process(pid, Signal::CONT).unwrap();
    assert!(all.is_ok(), "not all could connect");
    assert!(serving.lives().await);
    drop(all);
    serving.stop().await;
}

#[tokio::test]
async fn headers_that_come_a_byte_a_second_keep_nobody_out() {
    let serving = Serving::limited(256, &[]).await;
    let slow = join_all((0..500).map(async |_| {
        let mut stream = serving.connect().await;
        // Refused connections may be closed already.
        let _ = stream.write_all(b"GET /livez HT").await;
        stream
    }));
    let mut slow = slow.await;
    for byte in "TP/1".chars() {
        for stream in &mut slow {
            let _ = stream.write_all(&[byte as u8]).await;
        }
        assert!(serving.lives().await);
        sleep(Duration::from_millis(200)).await;
    }
    serving.stop().await;
}

#[tokio::test]
async fn bodies_that_do_not_come_keep_nobody_out() {
    let serving = Serving::limited(256, &[]).await;
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 1000\r\n\r\n{";
    let slow = join_all((0..400).map(async |_| {
        let mut stream = serving.connect().await;
        // Refused connections may be closed already.
        let _ = stream.write_all(head.as_bytes()).await;
        stream
    }));
    let slow = slow.await;
    for _ in 0..3 {
        assert!(serving.lives().await);
        let (status, _) = serving.post("Host: localhost\r\n", "{ __typename }").await;
        assert!(status.contains("200"), "{status}");
    }
    drop(slow);
    serving.stop().await;
}

#[tokio::test]
async fn websockets_that_were_asked_for_with_a_body_keep_nobody_out() {
    // Sixteen connections, eight of them websockets.
    let serving = Serving::limited(80, &[]).await;
    let head = "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
                Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                Sec-WebSocket-Protocol: graphql-transport-ws\r\nContent-Length: 5\r\n\r\n";
    let mut sockets = Vec::new();
    for _ in 0..8 {
        let mut stream = serving.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101", "{}", String::from_utf8_lossy(&answer));
        sockets.push(stream);
    }
    let idle = join_all((0..20).map(|_| serving.connect())).await;
    for _ in 0..3 {
        let begun = Instant::now();
        assert!(serving.lives().await);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    drop((sockets, idle));
    serving.stop().await;
}

#[tokio::test]
async fn a_request_whose_head_does_not_end_is_given_up() {
    let serving = Serving::start(&[]).await;
    let mut stream = serving.connect().await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    let mut answer = Vec::new();
    let begun = Instant::now();
    let ended = timeout(Duration::from_secs(45), stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "still open after {:?}", begun.elapsed());
    serving.stop().await;
}

#[tokio::test]
async fn a_reader_who_does_not_read_is_given_up() {
    let serving = Serving::start(&[]).await;
    let mut stream = serving.connect().await;
    // Answers of some 100 kB each, none of them read, until they fit nowhere any more.
    let request = "GET /graphql?query=%7B__schema%7Btypes%7Bname%20description%20fields%7Bname%20\
                   description%20args%7Bname%20description%7D%7D%7D%7D%7D HTTP/1.1\r\n\
                   Host: localhost\r\n\r\n";
    let begun = Instant::now();
    let closed = async {
        loop {
            if stream.write_all(request.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    let closed = timeout(Duration::from_secs(75), closed).await;
    assert!(closed.is_ok(), "still open after {:?}", begun.elapsed());
    serving.stop().await;
}

#[tokio::test]
async fn large_bodies_at_once_take_bounded_memory() {
    let serving = Serving::start(&[]).await;
    let http = reqwest::Client::new();
    let url = format!("http://{}/graphql", serving.address);
    // Maps of one entry: what takes most memory for its text. The second is within the limit.
    for (maps, statuses) in [(250_000, [413, 503]), (90_000, [200, 503])] {
        let list = vec!["{\"\":0}"; maps].join(",");
        let body = format!("{{\"query\":\"{{__typename}}\",\"variables\":{{\"l\":[{list}]}}}}");
        let asked = (0..40).map(|_| {
            let request = http.post(&url).header("Content-Type", "application/json");
            request.body(body.clone()).send()
        });
        for answer in timeout(4 * PATIENCE, join_all(asked)).await.unwrap() {
            let status = answer.unwrap().status().as_u16();
            assert!(statuses.contains(&status), "{maps}: {status}");
        }
        assert!(serving.lives().await);
    }
    // Only Linux says it.
    let peak = peak(&serving).unwrap_or_default();
    assert!(peak < 512 * 1024, "{peak} kB");
    serving.stop().await;
}

/// The most memory that it has had, in kB, where the system says it.
pub(super) fn peak(serving: &Serving) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serving.program.id())).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().trim_end_matches(" kB").parse().ok()
}

/// The head of a masked text frame of 2 MiB, and most of it: it never ends.
fn endless() -> Vec<u8> {
    let mut frame = vec![0x81, 0xff];
    frame.extend((2_u64 << 20).to_be_bytes());
    frame.extend([0; 4]);
    frame.resize(19 << 17, b' ');
    frame
}

#[tokio::test]
async fn what_arrives_by_websockets_takes_bounded_memory() {
    let serving = Serving::start(&[]).await;
    let before = peak(&serving);
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(socket(&serving).await);
    }
    assert!(serving.lives().await);
    if let (Some(before), Some(with_idle)) = (before, peak(&serving)) {
        assert!(with_idle < before + 25 * 1024, "{before} kB, then {with_idle} kB");
    }
    drop(idle);
    for init in [false, true] {
        let sends = async |_| {
            let mut socket = socket(&serving).await;
            if init {
                let init = json!({ "type": "connection_init" });
                socket.send(Message::text(init.to_string())).await.unwrap();
                socket.next().await.unwrap().unwrap();
            }
            // As far as the server takes it.
            let raw = socket.get_mut();
            let _ = timeout(Duration::from_secs(3), raw.write_all(&endless())).await;
            socket
        };
        let sockets = join_all((0..300).map(sends)).await;
        assert!(serving.lives().await);
        let (status, _) = serving.post("Host: localhost\r\n", "{ __typename }").await;
        assert!(status.contains("200"), "{status}");
        let peak = peak(&serving).unwrap_or_default();
        assert!(peak < if init { 400 * 1024 } else { 120 * 1024 }, "{init}: {peak} kB");
        drop(sockets);
    }
    serving.stop().await;
}

async fn socket(serving: &Serving) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let mut request = format!("ws://{}/graphql", serving.address).into_client_request().unwrap();
    let protocol = "graphql-transport-ws".parse().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    tokio_tungstenite::connect_async(request).await.unwrap().0
}

#[tokio::test]
async fn work_for_callers_who_have_gone_ends_and_what_finds_no_room_is_told_so() {
    let serving = Serving::start(&["--consumer-timeout", "30s"]).await;
    // Nothing is answered while the server stands still, for as long as a request may wait.
    serving.nats.suspend();
    let mut sockets = Vec::new();
    for _ in 0..11 {
        let mut socket = socket(&serving).await;
        let init = json!({ "type": "connection_init" });
        socket.send(Message::text(init.to_string())).await.unwrap();
        for id in 0..100 {
            let payload = json!({ "query": "{ workflows { nodes { id } } }" });
            let ask = json!({ "id": id.to_string(), "type": "subscribe", "payload": payload });
            socket.send(Message::text(ask.to_string())).await.unwrap();
        }
        sockets.push(socket);
    }
    // Some of them have found no room, once all have been read.
    let told = async {
        let mut all = select_all(&mut sockets);
        loop {
            let next = all.next().await.unwrap().unwrap();
            if next.to_text().unwrap().contains("OVERLOADED") {
                return;
            }
        }
    };
    timeout(PATIENCE, told).await.unwrap();
    let asked = async || serving.post("Host: localhost\r\n", "{ __typename }").await;
    let (status, answer) = asked().await;
    assert!(status.contains("503"), "{status}");
    let told = &answer["errors"][0]["extensions"];
    assert_eq!((&told["code"], &told["retryable"]), (&json!("OVERLOADED"), &json!(true)));
    assert!(serving.lives().await);

    let begun = Instant::now();
    drop(sockets);
    while !asked().await.0.contains("200") {
        assert!(begun.elapsed() < Duration::from_secs(3), "there is no room still");
    }
    serving.nats.resume();
    serving.stop().await;
}

#[tokio::test]
async fn queries_over_a_websocket_wait_for_no_timer_of_tcp() {
    let serving = Serving::start(&[]).await;
    let mut socket = socket(&serving).await;
    let mut ask = async |message: Value, last: &str| {
        socket.send(Message::text(message.to_string())).await.unwrap();
        loop {
            let next = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
            let next: Value = serde_json::from_str(next.to_text().unwrap()).unwrap();
            if next["type"] == last {
                return;
            }
        }
    };
    ask(json!({ "type": "connection_init" }), "connection_ack").await;
    let mut took = Vec::new();
    for id in 0..50 {
        let begun = Instant::now();
        let payload = json!({ "query": "{ __typename }" });
        let message = json!({ "id": id.to_string(), "type": "subscribe", "payload": payload });
        ask(message, "complete").await;
        took.push(begun.elapsed());
    }
    // An answer that is held back comes 40 ms later, whatever else the machine does.
    took.sort_unstable();
    assert!(took[took.len() / 2] < Duration::from_millis(20), "{took:?}");
    drop(socket);
    serving.stop().await;
}

#[tokio::test]
async fn many_who_ask_for_readiness_ask_the_store_once() {
    let serving = Serving::start(&[]).await;
    let store = async_nats::connect(serving.nats.url()).await.unwrap();
    let mut questions = store.subscribe("$JS.API.STREAM.INFO.CB_LOG").await.unwrap();
    store.flush().await.unwrap();
    let ready = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let begun = Instant::now();
    let answers = join_all((0..500).map(|_| serving.raw(ready))).await;
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200")));
    let took = begun.elapsed();
    // What was published before this has arrived before it.
    store.publish("$JS.API.STREAM.INFO.CB_LOG", "".into()).await.unwrap();
    store.flush().await.unwrap();
    let mut asked = 0;
    while let Ok(Some(_)) = timeout(Duration::from_millis(200), questions.next()).await {
        asked += 1;
    }
    // The tasks beside answering ask, too.
    assert!((2..50).contains(&asked), "{asked} in {took:?}");

    // It is asked again soon, and what it does not answer is said.
    serving.nats.suspend();
    let mut last = String::new();
    let begun = Instant::now();
    while !last.starts_with("HTTP/1.1 503") {
        assert!(begun.elapsed() < PATIENCE, "{last}");
        last = serving.raw(ready).await;
    }
    serving.nats.resume();
    serving.stop().await;
}

#[tokio::test]
async fn requests_that_are_long_to_read_hold_nobody_up() {
    let serving = Serving::start(&[]).await;
    let http = reqwest::Client::new();
    let url = format!("http://{}/graphql", serving.address);
    let maps = vec!["{\"\":0}"; 60_000].join(",");
    let body = format!("{{\"query\":\"{{__typename}}\",\"variables\":{{\"l\":[{maps}]}}}}");
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let asked = (0..4 * processors).map(async |_| {
        for _ in 0..4 {
            let request = http.post(&url).header("Content-Type", "application/json");
            let answer = request.body(body.clone()).send().await.unwrap();
            assert_eq!(answer.status(), reqwest::StatusCode::OK);
        }
    });
    let mut answered = 0;
    let watched = async {
        loop {
            assert!(serving.lives().await);
            answered += 1;
        }
    };
    tokio::select! {
        asked = timeout(6 * PATIENCE, join_all(asked)) => { asked.expect("all are answered"); }
        () = watched => {}
    }
    // Where each long request stops all others, about one of these is answered beside it.
    assert!(answered > 5 * 16 * processors, "{answered} beside {}", 16 * processors);
    serving.stop().await;
}
