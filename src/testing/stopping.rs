use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Bytes that are read at once.
const READ: usize = 64 * 1024;

/// The fault of a message that a client publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The server gets it, and nothing that the client sends after it; its answer is lost, and all that the
    /// server sends after it. To the server and to itself the client is dead.
    Swallow,
    /// The server gets it twice, one right after the other.
    Repeat,
    /// The server gets it after this time. Everything that the client sends after it stands in line behind
    /// it, as on a connection that is stuck.
    Hold(Duration),
}

/// A proxy between one client and a nats-server that stops the client between two of its messages: it
/// counts what the client publishes, and does one of them the harm of a [`Stop`].
///
/// Messages are `PUB` and `HPUB` of the client protocol: requests, publishes, and acknowledgements. The
/// connection must not be encrypted. Everything ends when it is dropped.
#[derive(Debug)]
pub struct StoppingProxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<Plan>,
    passed: usize,
    /// Subject of the message that was stopped.
    at: Option<String>,
    is_dead: bool,
    /// The beginning of the answer to the last message of a client that is dead, until it has come.
    awaited: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    after: usize,
    stop: Stop,
    counts: fn(&str) -> bool,
}

/// The way on with a frame.
enum Way {
    On,
    Nowhere,
    Twice,
    Later(Duration),
}

impl StoppingProxy {
    /// Starts a proxy on a free port of 127.0.0.1 that passes everything on.
    ///
    /// # Panics
    ///
    /// When no port can be bound.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port for the proxy");
        let address = listener.local_addr().expect("the proxy's own address");
        let state = watch::Sender::new(State::default());
        let accepting = tokio::spawn(accept(listener, upstream, state.clone()));
        Self { address, state, accepting }
    }

    /// URL for the client, instead of the server's.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Counts the messages from now on whose subjects `counts` says yes to, lets so many of them through
    /// with all that is between them, and stops the next one.
    pub fn stop_after(&self, messages: usize, stop: Stop, counts: fn(&str) -> bool) {
        let plan = Some(Plan { after: messages, stop, counts });
        self.state.send_modify(|state| *state = State { plan, ..State::default() });
    }

    /// Number of messages that were counted, the stopped one and those after it among them.
    pub fn passed(&self) -> usize {
        self.state.borrow().passed
    }

    /// Waits until a message was stopped, and returns its subject.
    pub async fn stopped(&self) -> String {
        let mut state = self.state.subscribe();
        // Can't fail: `self` holds the sender.
        let stopped = state.wait_for(|state| state.at.is_some()).await;
        stopped.ok().and_then(|state| state.at.clone()).unwrap_or_default()
    }

    /// Waits until the server has answered the last message of a client that is dead, which it has carried
    /// out then. At once if that asks for no answer.
    pub async fn carried_out(&self) {
        let mut state = self.state.subscribe();
        // Can't fail: `self` holds the sender.
        let _ = state.wait_for(|state| state.is_dead && state.awaited.is_none()).await;
    }
}

impl Drop for StoppingProxy {
    fn drop(&mut self) {
        // Takes the connections along: their `JoinSet` belongs to this task.
        self.accepting.abort();
    }
}

impl State {
    /// Counts a frame of the client's, and says the way on with it. What is dead is dead before the server
    /// gets the frame, so that no answer to it can slip through.
    fn judge(&mut self, message: Option<(&str, Option<&str>)>) -> Way {
        if self.is_dead {
            return Way::Nowhere;
        }
        let Some((subject, answers_to)) = message else { return Way::On };
        let Some(Plan { after, stop, counts }) = self.plan else { return Way::On };
        if !counts(subject) {
            return Way::On;
        }
        self.passed += 1;
        if self.passed != after + 1 {
            return Way::On;
        }
        self.at = Some(subject.to_owned());
        self.is_dead = stop == Stop::Swallow;
        self.awaited = answers_to.filter(|_| self.is_dead).map(|inbox| format!("MSG {inbox} "));
        match stop {
            Stop::Swallow => Way::On,
            Stop::Repeat => Way::Twice,
            Stop::Hold(time) => Way::Later(time),
        }
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, state: watch::Sender<State>) {
    let mut tasks = JoinSet::new();
    loop {
        // Both are cancel-safe.
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_ended) = tasks.join_next() => continue,
        };
        if let Ok((client, _)) = client {
            let state = state.clone();
            // An error is a closed connection, for either side to notice.
            tasks.spawn(async move { drop(pass(client, upstream, state).await) });
        }
    }
}

async fn pass(
    client: TcpStream,
    upstream: SocketAddr,
    state: watch::Sender<State>,
) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    // What is small must not wait for more.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(
        frames(from_client, to_server, &state),
        answers(from_server, to_client, &state)
    )?;
    Ok(())
}

/// Passes what the client sends on, frame by frame.
async fn frames(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &watch::Sender<State>,
) -> io::Result<()> {
    let mut read = BytesMut::with_capacity(READ);
    loop {
        while let Some(length) = frame(&read) {
            let frame = read.split_to(length);
            let (mut way, message) = (Way::On, message(&frame));
            state.send_modify(|state| way = state.judge(message));
            match way {
                Way::On => to.write_all(&frame).await?,
                Way::Nowhere => {}
                Way::Twice => to.write_all(&[&frame[..], &frame[..]].concat()).await?,
                Way::Later(time) => {
                    tokio::time::sleep(time).await;
                    to.write_all(&frame).await?;
                }
            }
        }
        if from.read_buf(&mut read).await? == 0 {
            return to.shutdown().await;
        }
    }
}

/// Passes what the server sends on, as long as the client is alive.
async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &watch::Sender<State>,
) -> io::Result<()> {
    let (mut read, mut lost) = (vec![0; READ], Vec::new());
    loop {
        let length = from.read(&mut read).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        // Asked after the read: what came after the death is lost.
        if !state.borrow().is_dead {
            to.write_all(&read[..length]).await?;
            continue;
        }
        lost.extend_from_slice(&read[..length]);
        state.send_if_modified(|state| {
            let is_it = |of: &mut String| lost.windows(of.len()).any(|part| part == of.as_bytes());
            state.awaited.take_if(is_it).is_some()
        });
    }
}

/// Length of the first frame, if all of it is there: a line, and the payload of a message.
fn frame(read: &[u8]) -> Option<usize> {
    let line = read.windows(2).position(|two| two == b"\r\n")? + 2;
    let length = match is_message(read) {
        // The last word of the line is the number of bytes that follow, without the end of the line.
        true => line + words(&read[..line - 2]).last()?.parse::<usize>().ok()? + 2,
        false => line,
    };
    (read.len() >= length).then_some(length)
}

/// Subject of a frame that is a message, and the subject of its answer if it asks for one.
fn message(frame: &[u8]) -> Option<(&str, Option<&str>)> {
    let line = frame.split(|byte| *byte == b'\r').next().filter(|_| is_message(frame))?;
    let words: Vec<_> = words(line).collect();
    // One or two lengths come last.
    let lengths = if words.first() == Some(&"HPUB") { 2 } else { 1 };
    Some((words.get(1)?, words.get(2).filter(|_| words.len() == 3 + lengths).copied()))
}

fn is_message(frame: &[u8]) -> bool {
    frame.starts_with(b"PUB ") || frame.starts_with(b"HPUB ")
}

fn words(line: &[u8]) -> impl Iterator<Item = &str> {
    std::str::from_utf8(line).unwrap_or_default().split_ascii_whitespace()
}
