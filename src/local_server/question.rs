use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A request to JetStream at one server. It speaks the protocol itself, since only the storage
/// knows the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// Operation of JetStream's API, such as `STREAM.NAMES`.
    pub(super) operation: &'a str,
    /// JSON document that goes with it, or nothing.
    pub(super) body: &'a str,
    /// Longest time for the answer.
    pub(super) within: Duration,
}

impl Question<'_> {
    /// The answer of the server at `address`, if it gives one.
    pub(super) async fn ask(self, address: SocketAddr) -> io::Result<Value> {
        match timeout(self.within, self.answer(address)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn answer(self, address: SocketAddr) -> io::Result<Value> {
        let Self { operation, body, .. } = self;
        let mut stream = BufReader::new(TcpStream::connect(address).await?);
        let request = format!(
            "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\n\
             PUB $JS.API.{operation} answer {}\r\n{body}\r\n",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut line = String::new();
        while !line.starts_with('{') {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(serde_json::from_str(&line)?)
    }
}
