//! The proxy that stops a client between two messages.

use std::{net::Ipv4Addr, time::Duration};

use stormpetrel::testing::{Stop, StoppingProxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Frames of the protocol: a message with the text of others in it, one with headers, and one without a
/// payload are three messages.
const FRAMES: [&str; 6] = [
    "CONNECT {}\r\nPING\r\n",
    "PUB cb.a inbox.1 12\r\nPUB x 1\r\n1\r\n\r\n",
    "SUB inbox.* 1\r\n",
    "HPUB cb.b 12 14\r\nNATS/1.0\r\n\r\nab\r\n",
    "PUB skipped 0\r\n\r\n",
    "PUB cb.c 0\r\n\r\n",
];

/// Sends the frames in pieces of so many bytes, and returns what reached the server within a time, and what
/// its answer to all of it was to the client.
async fn through(after: usize, stop: Stop, piece: usize) -> (String, String) {
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let proxy = StoppingProxy::start(upstream.local_addr().unwrap()).await;
    proxy.stop_after(after, stop, |subject| subject.starts_with("cb."));
    let address = proxy.url().trim_start_matches("nats://").to_owned();
    let (client, server) = tokio::join!(TcpStream::connect(address), upstream.accept());
    let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
    for bytes in FRAMES.concat().as_bytes().chunks(piece) {
        client.write_all(bytes).await.unwrap();
    }
    client.shutdown().await.unwrap();
    let (mut came, mut answer) = (String::new(), String::new());
    server.read_to_string(&mut came).await.unwrap();
    server.write_all(b"+OK\r\n").await.unwrap();
    drop(server);
    client.read_to_string(&mut answer).await.unwrap();
    (came, answer)
}

#[tokio::test]
async fn a_message_is_the_last_one_of_a_client_that_dies() {
    for piece in [1, 7, 1_000] {
        for (after, last) in [(0, 2), (1, 4), (2, 6)] {
            let (came, answer) = through(after, Stop::Swallow, piece).await;
            assert_eq!(came, FRAMES[..last].concat(), "{after} {piece}");
            assert_eq!(answer, "");
        }
        let (came, answer) = through(3, Stop::Swallow, piece).await;
        assert_eq!((came, answer), (FRAMES.concat(), "+OK\r\n".to_owned()));
    }
}

#[tokio::test]
async fn the_last_message_is_carried_out_when_its_answer_is_there() {
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let proxy = StoppingProxy::start(upstream.local_addr().unwrap()).await;
    let address = proxy.url().trim_start_matches("nats://").to_owned();
    for (after, answers) in [(0, true), (1, false)] {
        proxy.stop_after(after, Stop::Swallow, |subject| subject.starts_with("cb."));
        let (client, server) = tokio::join!(TcpStream::connect(&address), upstream.accept());
        let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
        client.write_all(FRAMES.concat().as_bytes()).await.unwrap();
        proxy.stopped().await;
        if answers {
            server.write_all(b"MSG inbox.2 1 2\r\nok\r\n").await.unwrap();
            let moment = Duration::from_millis(50);
            assert!(tokio::time::timeout(moment, proxy.carried_out()).await.is_err());
            for piece in [b"MSG inb", b"ox.1 1 "] {
                server.write_all(piece).await.unwrap();
                server.flush().await.unwrap();
            }
        }
        proxy.carried_out().await;
    }
}

#[tokio::test]
async fn a_message_comes_twice_or_late() {
    let twice = [&FRAMES[..4], &FRAMES[3..]].concat().concat();
    assert_eq!(through(1, Stop::Repeat, 5).await, (twice, "+OK\r\n".to_owned()));
    let late = through(1, Stop::Hold(Duration::from_millis(50)), 5).await;
    assert_eq!(late, (FRAMES.concat(), "+OK\r\n".to_owned()));
}

#[tokio::test]
async fn what_stands_behind_a_message_that_is_held_waits_with_it() {
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let proxy = StoppingProxy::start(upstream.local_addr().unwrap()).await;
    proxy.stop_after(0, Stop::Hold(Duration::MAX), |_| true);
    let address = proxy.url().trim_start_matches("nats://").to_owned();
    let (client, server) = tokio::join!(TcpStream::connect(address), upstream.accept());
    let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
    client.write_all(FRAMES.concat().as_bytes()).await.unwrap();
    assert_eq!(proxy.stopped().await, "cb.a");
    assert_eq!(proxy.passed(), 1);
    let mut came = vec![0; FRAMES[0].len()];
    server.read_exact(&mut came).await.unwrap();
    assert_eq!(String::from_utf8(came).unwrap(), FRAMES[0]);
    // Answers come meanwhile.
    server.write_all(b"+OK\r\n").await.unwrap();
    let mut answer = [0; 5];
    client.read_exact(&mut answer).await.unwrap();
    assert!(server.try_read(&mut [0]).is_err(), "nothing else");
}
