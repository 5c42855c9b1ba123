use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use stormpetrel::testing::FaultProxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Both ends of one connection through a proxy.
struct Connection {
    proxy: FaultProxy,
    upstream: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Connection {
    async fn open() -> Self {
        let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = FaultProxy::start(upstream.local_addr().unwrap()).await;
        let (client, server) = connect(proxy.address(), &upstream).await;
        Self { proxy, upstream, client, server }
    }
}

async fn connect(proxy: SocketAddr, upstream: &TcpListener) -> (TcpStream, TcpStream) {
    let (client, server) = tokio::join!(TcpStream::connect(proxy), upstream.accept());
    (client.unwrap(), server.unwrap().0)
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn expect(stream: &mut TcpStream, text: &str) {
    let mut read = vec![0; text.len()];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&read), text);
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    !matches!(stream.read(&mut [0]).await, Ok(1..))
}

/// Returns true if nothing arrives for a moment, long for a loopback connection.
async fn is_silent(stream: &mut TcpStream) -> bool {
    let moment = Duration::from_millis(50);
    let mut byte = [0];
    let read = tokio::time::timeout(moment, stream.read(&mut byte));
    read.await.is_err()
}

#[tokio::test]
async fn without_faults_both_directions_pass() {
    let mut connection = Connection::open().await;
    send(&mut connection.client, "ask").await;
    expect(&mut connection.server, "ask").await;
    send(&mut connection.server, "answer").await;
    expect(&mut connection.client, "answer").await;
}

#[tokio::test]
async fn a_cut_closes_old_and_new_connections_until_it_is_restored() {
    let mut connection = Connection::open().await;
    connection.proxy.cut().await;
    assert!(is_closed(&mut connection.client).await);
    assert!(is_closed(&mut connection.server).await);
    let mut refused = TcpStream::connect(connection.proxy.address()).await.unwrap();
    assert!(is_closed(&mut refused).await);

    connection.proxy.restore();
    let (mut client, mut server) = connect(connection.proxy.address(), &connection.upstream).await;
    send(&mut client, "ask").await;
    expect(&mut server, "ask").await;
}

#[tokio::test]
async fn dropped_replies_are_lost_while_requests_pass() {
    let mut connection = Connection::open().await;
    connection.proxy.drop_replies();
    send(&mut connection.client, "ask").await;
    expect(&mut connection.server, "ask").await;
    send(&mut connection.server, "lost").await;
    // The end of the stream comes after all of it has been swallowed.
    drop(connection.server);
    assert!(is_closed(&mut connection.client).await);
}

#[tokio::test]
async fn what_is_held_arrives_after_the_release() {
    let mut connection = Connection::open().await;
    connection.proxy.hold();
    send(&mut connection.client, "ask").await;
    send(&mut connection.server, "tell").await;
    assert!(is_silent(&mut connection.server).await);
    assert!(is_silent(&mut connection.client).await);
    connection.proxy.release();
    expect(&mut connection.server, "ask").await;
    expect(&mut connection.client, "tell").await;
}

#[tokio::test]
async fn a_dropped_proxy_closes_its_connections() {
    let mut connection = Connection::open().await;
    drop(connection.proxy);
    assert!(is_closed(&mut connection.client).await);
    assert!(is_closed(&mut connection.server).await);
}
