use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A TCP proxy before a server that can cut, hold and swallow, for tests of faults of the
/// network.
///
/// Everything ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    faults: watch::Sender<Faults>,
    connections: watch::Sender<usize>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    cut: bool,
    replies_dropped: bool,
    held: bool,
}

impl FaultProxy {
    /// Starts a proxy on a free port of 127.0.0.1 that passes everything on.
    ///
    /// # Panics
    ///
    /// When no port can be bound.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port for the proxy");
        let address = listener.local_addr().expect("the proxy's own address");
        let faults = watch::Sender::new(Faults::default());
        let connections = watch::Sender::new(0);
        let accepting = accept(listener, upstream, faults.clone(), connections.clone());
        Self { address, faults, connections, accepting: tokio::spawn(accepting) }
    }

    /// URL for clients, instead of the server's.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// The address behind [`FaultProxy::url`].
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drops all connections and closes new ones at once, until
    /// [`FaultProxy::restore`]. When it returns, the connections are gone.
    pub async fn cut(&self) {
        self.faults.send_modify(|faults| faults.cut = true);
        let mut connections = self.connections.subscribe();
        // Can't fail: `self` holds the sender.
        let _ = connections.wait_for(|open| *open == 0).await;
    }

    /// Lets new connections through again after [`FaultProxy::cut`].
    pub fn restore(&self) {
        self.faults.send_modify(|faults| faults.cut = false);
    }

    /// Swallows the server's replies, and still passes on requests: a publish is stored and
    /// its acknowledgement is lost.
    pub fn drop_replies(&self) {
        self.faults.send_modify(|faults| faults.replies_dropped = true);
    }

    /// Passes the server's replies on again.
    ///
    /// The swallowed bytes may have ended in the middle of a protocol message, so
    /// [`FaultProxy::cut`] the old connections first, unless the server is known to have been
    /// silent.
    pub fn pass_replies(&self) {
        self.faults.send_modify(|faults| faults.replies_dropped = false);
    }

    /// Keeps back everything in both directions; nothing is lost.
    pub fn hold(&self) {
        self.faults.send_modify(|faults| faults.held = true);
    }

    /// Passes on the bytes that [`FaultProxy::hold`] kept back, and all after them.
    pub fn release(&self) {
        self.faults.send_modify(|faults| faults.held = false);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // Takes the connections along: their `JoinSet` belongs to this task.
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    faults: watch::Sender<Faults>,
    connections: watch::Sender<usize>,
) {
    let mut tasks = JoinSet::new();
    loop {
        // Both are cancel-safe.
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_ended) = tasks.join_next() => continue,
        };
        if let Ok((client, _)) = client {
            let open = OpenConnection::count(&connections);
            let faults = faults.subscribe();
            tasks.spawn(async move {
                let _open = open;
                // An error is a closed connection, for either side to notice.
                let _ = pass(client, upstream, faults).await;
            });
        }
    }
}

/// Counts one connection for as long as it lives.
struct OpenConnection(watch::Sender<usize>);

impl OpenConnection {
    fn count(connections: &watch::Sender<usize>) -> Self {
        connections.send_modify(|open| *open += 1);
        Self(connections.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

async fn pass(
    client: TcpStream,
    upstream: SocketAddr,
    faults: watch::Receiver<Faults>,
) -> io::Result<()> {
    let mut until_cut = faults.clone();
    // The branches share the connection and it ends with the first of them, so
    // nothing that was cancelled is missed.
    tokio::select! {
        biased;
        _ = until_cut.wait_for(|faults| faults.cut) => Ok(()),
        passed = pass_both_ways(client, upstream, faults) => passed,
    }
}

async fn pass_both_ways(
    client: TcpStream,
    upstream: SocketAddr,
    faults: watch::Receiver<Faults>,
) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    // What is small must not wait for more, or every test would be slower.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(
        copy(from_client, to_server, faults.clone(), |_| true),
        copy(from_server, to_client, faults, |faults| !faults.replies_dropped),
    )?;
    Ok(())
}

/// Copies until the sender closes, then closes the other side too.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut faults: watch::Receiver<Faults>,
    passes: fn(&Faults) -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        // Asked after the read, so that a fault holds for every byte that
        // arrives after it was switched on.
        let now = faults.wait_for(|faults| !faults.held).await;
        let passes = now.is_ok_and(|faults| passes(&faults));
        if length == 0 {
            return to.shutdown().await;
        }
        if passes {
            to.write_all(&buffer[..length]).await?;
        }
    }
}
