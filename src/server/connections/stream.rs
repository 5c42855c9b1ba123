//! A client's stream that is given up when the client does not take the bytes it is sent.

use std::{
    future::Future,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::Seat;

/// Time in which a client who does not keep up must take the next [`LEAST`] bytes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that a client has to take in [`PATIENCE`], while there is more for it: 1 KiB a second.
const LEAST: u64 = 30 * 1024;

/// Time in which a client reads the last answer, while what it still sends is thrown away.
const FAREWELL: Duration = Duration::from_secs(2);

/// Bytes that are thrown away of one connection: some more than a body may have. Who sends more than
/// that is no client that wants an answer.
const MOST_THROWN_AWAY: usize = 16 * 1024 * 1024;

/// Bytes that are thrown away before others have their turn.
const THROWN_AWAY: usize = 64 * 1024;

/// A connection in its seat.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    seat: Arc<Seat>,
    /// The state of a client that does not keep up.
    behind: Option<Behind>,
    /// The end of [`FAREWELL`], once everything has been written.
    farewell: Option<Pin<Box<Sleep>>>,
    /// Time at which something was written last.
    last_write: Instant,
    /// Bytes that may still be thrown away then.
    room: usize,
}

#[derive(Debug)]
struct Behind {
    until: Pin<Box<Sleep>>,
    /// Bytes that have been taken in this time.
    taken: u64,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, seat: Arc<Seat>) -> Self {
        Self {
            tcp,
            seat,
            behind: None,
            farewell: None,
            last_write: Instant::now(),
            room: MOST_THROWN_AWAY,
        }
    }

    /// The outcome of a write, or an error if the client has been too slow for too long.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            if let (Some(behind), Ok(bytes)) = (&mut self.behind, &written) {
                behind.taken += *bytes as u64;
            }
            self.last_write = Instant::now();
            return Poll::Ready(written);
        }
        let again = || Box::pin(sleep_until(Instant::now() + PATIENCE));
        let behind = self.behind.get_or_insert_with(|| Behind { until: again(), taken: 0 });
        loop {
            ready!(behind.until.as_mut().poll(cx));
            if behind.taken < LEAST {
                let late = format!("the client took {} bytes in {PATIENCE:?}", behind.taken);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)));
            }
            *behind = Behind { until: again(), taken: 0 };
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, bytes);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Asked for when everything has been written.
        ready!(Pin::new(&mut self.tcp).poll_flush(cx))?;
        self.behind = None;
        self.seat.rests();
        Poll::Ready(Ok(()))
    }

    /// Ends what is sent. If a request was refused before all of it had come, throws away the rest
    /// until the client has ended its side, too: a connection that is closed with something unread
    /// is reset, and the client may lose the answer.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.farewell.is_none() {
            ready!(Pin::new(&mut this.tcp).poll_shutdown(cx))?;
            if !this.seat.arrives() {
                return Poll::Ready(Ok(()));
            }
        }
        // A client that has been idle since has had its time.
        let end = || Box::pin(sleep_until(this.last_write + FAREWELL));
        if this.farewell.get_or_insert_with(end).as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [MaybeUninit::uninit(); 4096];
        for _ in 0..THROWN_AWAY / bytes.len() {
            let mut buffer = ReadBuf::uninit(&mut bytes);
            ready!(Pin::new(&mut this.tcp).poll_read(cx, &mut buffer))?;
            let read = buffer.filled().len();
            if read == 0 || read > this.room {
                return Poll::Ready(Ok(()));
            }
            this.room -= read;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
