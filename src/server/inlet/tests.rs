use bytes::Bytes;
use futures::{SinkExt, StreamExt, future::join};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{Role, WebSocketConfig, frame},
    },
};

use super::*;
use crate::server::budget::MOST;

const ALL: usize = 2 * 1024 * 1024;

/// A server's side that lets messages of so many bytes through, and the client's stream.
async fn opened(
    most: usize,
    budget: &Budget,
) -> (WebSocketStream<Inlet<DuplexStream>>, Gate, DuplexStream) {
    let (client, stream) = duplex(3_000);
    let gate = Gate::new(most);
    let inlet = Inlet::new(stream, budget.clone(), gate.clone());
    let room = WebSocketConfig::default().read_buffer_size(1_024).max_frame_size(Some(PART));
    (WebSocketStream::from_raw_socket(inlet, Role::Server, Some(room)).await, gate, client)
}

async fn client(stream: DuplexStream) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

fn refused(read: Option<Result<Message, Error>>) -> Refused {
    let Some(Err(Error::Io(error))) = read else { panic!("{read:?}") };
    error.get_ref().unwrap().downcast_ref::<Refused>().unwrap().clone()
}

#[tokio::test]
async fn messages_arrive_as_they_were_sent_however_they_were_cut() {
    let budget = Budget::new();
    for bytes in [0, 1, 125, 126, PART - 1, PART, PART + 1, 65_535, 65_536, 3 * PART + 5, ALL] {
        let text: String = "aé€😀".chars().cycle().take(bytes).collect();
        let text = text[..text.floor_char_boundary(bytes)].to_owned();
        for cut in [usize::MAX, 70_001, 1_000].into_iter().filter(|cut| text.len() / cut < 100) {
            let (mut server, gate, stream) = opened(ALL, &budget).await;
            let mut client = client(stream).await;
            let sending = async {
                let (mut rest, mut kind) = (Bytes::from(text.clone()), Data::Text);
                loop {
                    let part = rest.split_to(rest.len().min(cut));
                    let frame = frame::Frame::message(part, OpCode::Data(kind), rest.is_empty());
                    client.send(Message::Frame(frame)).await.unwrap();
                    if rest.is_empty() {
                        return;
                    }
                    kind = Data::Continue;
                    client.send(Message::Ping(Bytes::from_static(b"between"))).await.unwrap();
                }
            };
            let reading = async {
                loop {
                    match server.next().await.unwrap().unwrap() {
                        Message::Text(read) => return read,
                        other => assert_eq!(other, Message::Ping(Bytes::from_static(b"between"))),
                    }
                }
            };
            let (read, ()) = join(reading, sending).await;
            assert!(read.as_str() == text, "{bytes} bytes cut to {cut}");
            assert_eq!(gate.arrived().is_empty(), text.len() <= FREE, "{bytes} bytes");
        }
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_for_now_is_refused_by_its_head() {
    let budget = Budget::new();
    let (mut server, gate, stream) = opened(FREE, &budget).await;
    let mut client = client(stream).await;
    let (read, sent) = join(server.next(), client.send(Message::text("a".repeat(100)))).await;
    assert!(read.unwrap().unwrap().is_text() && sent.is_ok());
    gate.widen(2 * FREE);
    let (read, sent) = join(server.next(), client.send(Message::text("a".repeat(2 * FREE)))).await;
    assert!(read.unwrap().unwrap().is_text() && sent.is_ok());
    let read = tokio::select! {
        read = server.next() => read,
        sent = client.send(Message::text("a".repeat(2 * FREE + 1))) => panic!("{sent:?}"),
    };
    assert_eq!(refused(read), Refused::TooLarge(2 * FREE));
}

#[tokio::test(start_paused = true)]
async fn a_large_message_waits_for_memory_and_not_for_ever() {
    let budget = Budget::new();
    let taken = budget.arriving(MOST).await;
    for is_freed in [false, true] {
        let (mut server, gate, stream) = opened(ALL, &budget).await;
        let mut client = client(stream).await;
        let sending = client.send(Message::text("a".repeat(FREE + 1)));
        let reading = server.next();
        tokio::pin!(sending, reading);
        if is_freed {
            drop(taken);
            let (read, sent) = join(reading, sending).await;
            assert!(read.unwrap().unwrap().is_text() && sent.is_ok());
            assert_eq!(gate.arrived().len(), 1);
            return;
        }
        let read = tokio::select! {
            read = &mut reading => read,
            sent = &mut sending => panic!("{sent:?}"),
        };
        assert_eq!(refused(read), Refused::NoRoom);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_has_memory_must_come_and_one_that_has_none_may_take_its_time() {
    let budget = Budget::new();
    for (bytes, is_late) in [(FREE as u64 + 1, true), (FREE as u64, false)] {
        let (mut server, _gate, mut stream) = opened(ALL, &budget).await;
        let mut head = Vec::new();
        let opcode = OpCode::Data(Data::Text);
        FrameHeader { opcode, mask: Some([0; 4]), ..FrameHeader::default() }
            .format(bytes, &mut head)
            .unwrap();
        stream.write_all(&head).await.unwrap();
        let begun = Instant::now();
        let read = tokio::time::timeout(2 * MESSAGE_TIMEOUT, server.next()).await;
        match is_late {
            true => assert_eq!(refused(read.unwrap()), Refused::Late),
            false => assert!(read.is_err()),
        }
        assert!(begun.elapsed() >= MESSAGE_TIMEOUT);
    }
}

#[tokio::test]
async fn a_message_in_endless_empty_frames_is_refused() {
    let budget = Budget::new();
    let (mut server, _gate, mut stream) = opened(ALL, &budget).await;
    let sends = async {
        stream.write_all(&[0x01, 0x80, 0, 0, 0, 0]).await.unwrap();
        for _ in 1..CRUMBS {
            stream.write_all(&[0x00, 0x80, 0, 0, 0, 0]).await.unwrap();
        }
        stream.write_all(&[0x80, 0x80, 0, 0, 0, 0]).await.unwrap();
    };
    let (read, ()) = join(server.next(), sends).await;
    assert_eq!(refused(read), Refused::Crumbs);
}

#[tokio::test]
async fn what_is_no_frame_is_refused() {
    let budget = Budget::new();
    // An opcode that there is not, and a ping of 126 bytes.
    for bytes in [&[0x83, 0x80, 0, 0, 0, 0][..], &[0x89, 0xfe, 0, 126, 0, 0, 0, 0]] {
        let (mut server, _gate, mut stream) = opened(ALL, &budget).await;
        stream.write_all(bytes).await.unwrap();
        assert!(matches!(refused(server.next().await), Refused::Malformed(_)));
    }
}
