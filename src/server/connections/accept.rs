//! Takes connections in, and serves HTTP on each.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

use super::{Seat, Seats, stream::Stream};

/// Time until the head of a connection's next request must be there whole: against a client that
/// sends it slowly, and one that keeps its connection and asks for nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a request's head, its address included, and of the part of a body read ahead.
const HEAD_BYTES: usize = 32 * 1024;

/// Open files beside connections: those of the runtime, the storage and the logs.
const OTHER_FILES: u64 = 64;

/// Pause when the system gives no connection, in which a file may become free.
const NO_FILES: Duration = Duration::from_millis(100);

/// Connections that are told at the same time that there is no room; others are only closed.
const TURNED_AWAY: usize = 64;

/// Time that one of these may take to read the answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// The answer to a connection beyond the limit.
const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: application/json; charset=utf-8\r\nRetry-After: 1\r\nConnection: close\r\n\
    Content-Length: 122\r\n\r\n\
    {\"errors\":[{\"message\":\"too many connections; try again in a moment\",\
    \"extensions\":{\"code\":\"OVERLOADED\",\"retryable\":true}}]}";

/// Raises the number of files that this process may have open, to at most `most` and as far as
/// the system lets it, and answers it.
fn file_limit(most: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Absent is without a limit.
    let now = current.unwrap_or(u64::MAX);
    let wanted = maximum.unwrap_or(u64::MAX).min(most);
    if wanted <= now {
        return now;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, "can't raise the limit of open files from {now} to {wanted}");
            now
        }
    }
}

/// The number of connections that there may be: `most`, and fewer than files may be open.
fn room(most: usize) -> usize {
    let files = file_limit(most as u64 + OTHER_FILES);
    let room = files.saturating_sub(OTHER_FILES).max(1);
    usize::try_from(room).unwrap_or(most).min(most)
}

/// Serves until `shutdown`, and then until the requests under way have been answered.
pub(in crate::server) async fn serve(
    listener: TcpListener,
    router: Router,
    most: usize,
    shutdown: CancellationToken,
) {
    let seats = Seats::new(room(most));
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let connections = TaskTracker::new();
    loop {
        // Both are cancel-safe.
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                refused(&error, &seats).await;
                continue;
            }
        };
        let seat = tokio::select! {
            () = shutdown.cancelled() => break,
            seat = seats.take() => seat,
        };
        match seat {
            Some(seat) => {
                let serving = connection(tcp, seat, router.clone(), shutdown.clone());
                connections.spawn(serving);
            }
            None => {
                if let Ok(turn) = Arc::clone(&turned_away).try_acquire_owned() {
                    connections.spawn(async move {
                        // Whoever does not read it has had the time.
                        let _ = timeout(FAREWELL, turn_away(tcp)).await;
                        drop(turn);
                    });
                }
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Makes room and pauses when the system has no file or no memory for a connection.
async fn refused(error: &io::Error, seats: &Seats) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    // The client's own end.
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    // No files or no memory: the listener stays ready, so without a pause this would spin.
    tracing::warn!(%error, "can't accept a connection");
    seats.shrink();
    tokio::time::sleep(NO_FILES).await;
}

async fn turn_away(mut tcp: TcpStream) -> io::Result<()> {
    tcp.write_all(FULL.as_bytes()).await?;
    tcp.shutdown().await?;
    // A connection that is closed with something unread is reset, and the answer with it.
    let mut rest = [0; 1024];
    while tcp.read(&mut rest).await? > 0 {}
    Ok(())
}

async fn connection(tcp: TcpStream, seat: Arc<Seat>, router: Router, shutdown: CancellationToken) {
    // Answers are written whole; waiting for more would delay each by the client's
    // acknowledgement, 40 ms on Linux.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let stream = TokioIo::new(Stream::new(tcp, Arc::clone(&seat)));
    let service = service_fn({
        let seat = Arc::clone(&seat);
        move |request: hyper::Request<Incoming>| {
            let (seat, mut router) = (Arc::clone(&seat), router.clone());
            let stays = match request.body().is_end_stream() {
                true => seat.works(),
                // Whoever reads the body says when it is there.
                false => {
                    seat.begins();
                    true
                }
            };
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Arc::clone(&seat));
            async move {
                if !stays {
                    // Ended from outside, as the seat is needed.
                    std::future::pending::<()>().await;
                }
                let answer = router.call(request).await;
                seat.answers();
                answer
            }
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = seat.needed() => return,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = &mut serving => ended,
                () = seat.needed() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connection_beyond_the_limit_is_told_has_the_length_that_it_says() {
        let (head, body) = FULL.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("\r\nContent-Length: {}", body.len())), "{head}");
        let answer: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "OVERLOADED");
        assert_eq!(answer["errors"][0]["extensions"]["retryable"], true);
    }

    #[test]
    fn connections_leave_files_for_others() {
        assert_eq!(room(7), 7);
        assert_eq!(room(1 << 40) as u64, file_limit(0) - OTHER_FILES);
    }
}
