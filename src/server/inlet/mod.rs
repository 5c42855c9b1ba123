//! Inlet of a websocket: its messages are let through as far as there is memory for it.
//!
//! The library beneath makes room for a whole frame once it has its head, and keeps the largest room
//! it has ever made. So it reads from here, where a frame of more than [`PART`] bytes is made several,
//! as anybody between client and server may do (RFC 6455, section 5.4), and where a message of more
//! than [`FREE`] bytes waits for its share of the memory.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Data, OpCode},
};

use super::budget::{Budget, FREE, Share};

/// Bytes of a frame that the library gets to see. A multiple of four, so that the next part of a
/// frame is masked as the first one is.
pub(super) const PART: usize = 16 * 1024;

/// Bytes that are read at a time.
const AHEAD: usize = 4 * 1024;

/// Longest time that a client may take to send a message that has a share of the memory.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a frame's head at most.
const LONGEST_HEAD: usize = 14;

/// Frames of a message at most: empty ones cost the client next to nothing, and say nothing.
const CRUMBS: usize = 16 * 1024;

/// Bytes of a control frame at most.
const CONTROL: u64 = 125;

/// Reason for which a message is not let through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// It has too many bytes.
    #[error("a message may have {0} bytes now")]
    TooLarge(usize),
    /// There is no memory for it.
    #[error("too many large messages at once; try again later")]
    NoRoom,
    /// It takes too long.
    #[error("the message took longer than {MESSAGE_TIMEOUT:?}")]
    Late,
    /// It comes in too small pieces.
    #[error("a message may come in {CRUMBS} frames at most")]
    Crumbs,
    /// It is no frame.
    #[error("{0}")]
    Malformed(String),
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::new(io::ErrorKind::InvalidData, refused)
    }
}

/// State that the reader and the socket's owner share. A clone is the same.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    most: Arc<AtomicUsize>,
    shares: Arc<Mutex<Vec<Share>>>,
}

impl Gate {
    /// Messages of at most so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { most: Arc::new(AtomicUsize::new(most)), shares: Arc::default() }
    }

    /// Lets messages of so many bytes through from the next one on.
    pub(super) fn widen(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// The memory of the message that has arrived.
    pub(super) fn arrived(&self) -> Vec<Share> {
        std::mem::take(&mut *self.shares.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, share: Share) {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).push(share);
    }
}

/// The reading end. It writes as the stream beneath does.
pub(super) struct Inlet<S> {
    stream: BufReader<S>,
    budget: Budget,
    gate: Gate,
    /// The next frame's head, as far as it has been read.
    head: Vec<u8>,
    frame: Option<Frame>,
    /// The head of a part, as far as it has not been handed on.
    hands_on: Vec<u8>,
    /// Bytes of the part that have not been handed on.
    part: usize,
    message: Message,
}

struct Frame {
    /// That of its next part, but for the length.
    head: FrameHeader,
    /// Bytes that are in no part yet.
    left: u64,
}

/// The message that arrives.
#[derive(Default)]
struct Message {
    frames: usize,
    /// Bytes of all its frames so far.
    bytes: usize,
    /// Bytes that it has a share for.
    shared: usize,
    asks: Option<BoxFuture<'static, Option<Share>>>,
    until: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inlet<S> {
    pub(super) fn new(stream: S, budget: Budget, gate: Gate) -> Self {
        Self {
            stream: BufReader::with_capacity(AHEAD, stream),
            budget,
            gate,
            head: Vec::with_capacity(LONGEST_HEAD),
            frame: None,
            hands_on: Vec::with_capacity(LONGEST_HEAD),
            part: 0,
            message: Message::default(),
        }
    }

    /// The stream beneath, with what has been read of it.
    pub(super) fn stream(&mut self) -> &mut BufReader<S> {
        &mut self.stream
    }

    /// A frame's head has arrived.
    fn begins(&mut self, head: FrameHeader, bytes: u64) -> Result<(), Refused> {
        match head.opcode {
            OpCode::Control(_) if bytes > CONTROL => {
                return Err(Refused::Malformed("a control frame is too long".to_owned()));
            }
            OpCode::Control(_) => {}
            OpCode::Data(data) => {
                if data != Data::Continue {
                    self.message = Message::default();
                }
                let most = self.gate.most.load(Ordering::Relaxed);
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                let bytes = self.message.bytes.saturating_add(bytes);
                if bytes > most {
                    return Err(Refused::TooLarge(most));
                }
                self.message.bytes = bytes;
                self.message.frames += 1;
                if self.message.frames > CRUMBS {
                    return Err(Refused::Crumbs);
                }
            }
        }
        self.frame = Some(Frame { head, left: bytes });
        Ok(())
    }

    /// Memory for what has been announced of the message, and its time.
    fn poll_share(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        let Message { bytes, shared, asks, until, .. } = &mut self.message;
        if *bytes <= FREE || *shared >= *bytes {
            return Poll::Ready(Ok(()));
        }
        let more = match *shared {
            0 => *bytes,
            // No less than what is not free.
            shared => (*bytes - shared).max(FREE + 1),
        };
        let asking = asks.get_or_insert_with(|| {
            let budget = self.budget.clone();
            async move { budget.arriving(more).await }.boxed()
        });
        let share = ready!(asking.as_mut().poll(cx)).ok_or(Refused::NoRoom)?;
        self.gate.add(share);
        (*shared, *asks) = (*shared + more, None);
        until.get_or_insert_with(|| Box::pin(sleep(MESSAGE_TIMEOUT)));
        Poll::Ready(Ok(()))
    }

    /// The bytes that are there; none at the end.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if let Some(until) = &mut self.message.until
            && until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(Refused::Late.into()));
        }
        Pin::new(&mut self.stream).poll_fill_buf(cx)
    }

    /// Takes the next part of the frame up.
    fn next_part(&mut self, mut frame: Frame) -> io::Result<()> {
        let part = frame.left.min(PART as u64);
        let is_last = part == frame.left;
        let mut head = frame.head.clone();
        head.is_final &= is_last;
        head.format(part, &mut self.hands_on).map_err(io::Error::other)?;
        self.part = part as usize;
        if is_last {
            if frame.head.is_final && matches!(frame.head.opcode, OpCode::Data(_)) {
                // Whoever takes the message takes its shares.
                self.message = Message::default();
            }
        } else {
            frame.head.opcode = OpCode::Data(Data::Continue);
            frame.left -= part;
            self.frame = Some(frame);
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Inlet<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inlet = self.get_mut();
        loop {
            if !inlet.hands_on.is_empty() {
                let bytes = inlet.hands_on.len().min(into.remaining());
                into.put_slice(&inlet.hands_on[..bytes]);
                inlet.hands_on.drain(..bytes);
                return Poll::Ready(Ok(()));
            }
            if inlet.part > 0 {
                let part = inlet.part;
                let there = ready!(inlet.poll_bytes(cx))?;
                let bytes = there.len().min(part).min(into.remaining());
                into.put_slice(&there[..bytes]);
                Pin::new(&mut inlet.stream).consume(bytes);
                inlet.part -= bytes;
                return Poll::Ready(Ok(()));
            }
            if inlet.frame.is_some() {
                ready!(inlet.poll_share(cx))?;
                if let Some(frame) = inlet.frame.take() {
                    inlet.next_part(frame)?;
                }
                continue;
            }
            let Some(byte) = ready!(inlet.poll_bytes(cx))?.first().copied() else {
                return Poll::Ready(Ok(()));
            };
            Pin::new(&mut inlet.stream).consume(1);
            inlet.head.push(byte);
            let head = FrameHeader::parse(&mut io::Cursor::new(&inlet.head));
            if let Some((head, bytes)) = head.map_err(|e| Refused::Malformed(e.to_string()))? {
                inlet.head.clear();
                inlet.begins(head, bytes)?;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Inlet<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().stream.get_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream.get_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
