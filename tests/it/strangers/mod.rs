//! Attempts of an outsider on a serving process: its connections, its doors, its texts.

mod addresses;
mod answers;
mod connections;
mod doors;
mod floods;
mod refusals;
mod texts;
mod tokens;

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use stormpetrel::testing::TestServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::program::{Program, program};

/// Longest time for a server's answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A `petrel serve` on a free port, before a server of its own.
struct Serving {
    address: SocketAddr,
    program: Program,
    nats: TestServer,
}

impl Serving {
    async fn start(arguments: &[&str]) -> Self {
        Self::run(program(), arguments).await
    }

    /// The same, with so many files.
    async fn limited(files: usize, arguments: &[&str]) -> Self {
        let mut command = crate::program::clean(tokio::process::Command::new("sh"));
        let petrel = env!("CARGO_BIN_EXE_petrel");
        command.arg("-c").arg(format!("ulimit -n {files}; exec {petrel} \"$@\"")).arg("sh");
        Self::run(command, arguments).await
    }

    /// The same, with one thread for all tasks, as where there is one processor.
    async fn on_one_thread(arguments: &[&str]) -> Self {
        let mut command = program();
        command.env("TOKIO_WORKER_THREADS", "1");
        Self::run(command, arguments).await
    }

    async fn run(mut command: tokio::process::Command, arguments: &[&str]) -> Self {
        let nats = TestServer::start().await;
        command.args(["--json", "serve"]).args(arguments);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut program = Program::start({
            command.env("NATS_URL", nats.url());
            command
        });
        let started = program.json().await;
        let url: reqwest::Url = started["graphql"].as_str().unwrap().parse().unwrap();
        let address = format!("127.0.0.1:{}", url.port().unwrap()).parse().unwrap();
        Self { address, program, nats }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The answer to these bytes, until the server closes.
    async fn raw(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is an end, too.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The first line and the rest of the answer to a GraphQL request with these headers.
    async fn post(&self, headers: &str, query: &str) -> (String, Value) {
        let body = json!({ "query": query }).to_string();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        split(&self.raw(&request).await)
    }

    /// Returns true if `/livez` answers in time.
    async fn lives(&self) -> bool {
        let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = async {
            let mut stream = TcpStream::connect(self.address).await.ok()?;
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            Some(answer)
        };
        let answer = timeout(PATIENCE, answer).await;
        answer.ok().flatten().is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    async fn stop(self) {
        let (code, errors) = self.program.terminate().await;
        assert_eq!(code, Some(0), "{errors}");
        drop(self.nats);
    }
}

/// The status line, and the body if it is JSON.
fn split(answer: &str) -> (String, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.lines().next().unwrap_or_default().to_owned();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}
