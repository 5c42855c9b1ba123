//! Requests that are refused before all of them has come.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::{PATIENCE, Serving};

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_the_refusal() {
    let serving = Serving::start(&[]).await;
    let json = "Content-Type: application/json\r\n";
    let body = vec![b'x'; 8 * 1024 * 1024];
    for (path, headers, status) in [
        ("/graphql", json.to_owned(), "413"),
        ("/graphql", format!("{json}Origin: https://example.com\r\n"), "403"),
        ("/graphql", "Content-Type: text/plain\r\n".to_owned(), "415"),
        ("/nowhere", json.to_owned(), "404"),
        ("/livez", json.to_owned(), "405"),
    ] {
        let mut stream = serving.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let sent = timeout(PATIENCE, stream.write_all(&body)).await.unwrap();
        assert!(sent.is_ok(), "{status}: {sent:?}");
        let mut answer = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"));
    }
    serving.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_first_keeps_a_body_that_is_too_large() {
    let serving = Serving::start(&[]).await;
    for (length, status) in [(9_999_999, "413"), (20, "100")] {
        let mut stream = serving.connect().await;
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"));
    }
    serving.stop().await;
}

#[tokio::test]
async fn a_refused_client_that_is_idle_since_holds_up_no_shutdown() {
    let serving = Serving::start(&[]).await;
    let mut idle = Vec::new();
    for path in ["/graphql", "/healthz"] {
        let mut stream = serving.connect().await;
        // All of it has come, and the connection stays for the next one.
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\
             Content-Length: 2\r\n\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 10];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 4");
        idle.push(stream);
    }
    // Longer than a client that still sends is listened to.
    sleep(Duration::from_millis(2_100)).await;
    let begun = Instant::now();
    serving.stop().await;
    assert!(begun.elapsed() < Duration::from_millis(1_900), "{:?}", begun.elapsed());
    drop(idle);
}

#[tokio::test]
async fn who_sends_without_end_after_a_refusal_is_not_listened_to_for_long() {
    let serving = Serving::start(&[]).await;
    let mut stream = serving.connect().await;
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\
                Content-Length: 100000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (part, mut sent) = (vec![b'x'; 64 * 1024], 0);
    while sent < 512 * 1024 * 1024 && stream.write_all(&part).await.is_ok() {
        sent += part.len();
    }
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were taken");
    serving.stop().await;
}
