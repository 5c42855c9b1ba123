//! The tour through `examples/graphql_axum.rs`: a router that isn't ours.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::{Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use stormpetrel::testing::TestServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{ROOT, Tour, built_example, check_tools, host};
use crate::{
    clients::python::Python,
    program::{self, Program},
};

/// The example on a server, with the sample workflows that `petrel dev` loads.
async fn start(nats: &TestServer) -> Tour {
    check_tools().await;
    let example = built_example("graphql_axum");
    assert!(example.exists(), "{} is missing: cargo build --examples", example.display());
    let mut command = program::clean(Command::new(example));
    command.arg("127.0.0.1:0").env("NATS_URL", nats.url());
    let mut server = Program::start(command);
    let graphql = host(&server.line().await);
    let mut apply = program::program();
    let samples = ["samples/order-approval.yaml", "samples/order.yaml"];
    apply.args(["workflow", "apply"]).args(samples).current_dir(ROOT);
    let applied = program::output({
        apply.env("NATS_URL", nats.url());
        apply
    })
    .await;
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    Tour {
        server,
        graphql,
        nats: host(&nats.url()),
        data: tempfile::tempdir().unwrap(),
        python: Python::with_requirements().await,
        functions: String::new(),
    }
}

/// Stops it as Ctrl-C does.
async fn stop(mut tour: Tour) {
    let pid = Pid::from_raw(tour.server.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let (code, errors) = tour.server.exited().await;
    assert_eq!(code, Some(0), "{errors}");
}

#[tokio::test]
async fn the_graphql_tour_is_the_same_in_somebody_elses_router() {
    let nats = TestServer::start().await;
    let mut tour = start(&nats).await;
    tour.take("docs/tour-graphql.md", 15).await;
    stop(tour).await;
}

/// The first words of the answer to a request that says that it is large. Its body stays away: axum
/// resets a connection on which more comes after an answer, and the answer may be lost.
async fn status_of_large(host: &str) -> String {
    let mut stream = TcpStream::connect(host).await.unwrap();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        64 * 1024 * 1024
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let read = timeout(Duration::from_secs(15), stream.read_exact(&mut answer)).await;
    read.expect("an answer before the body").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn somebody_elses_router_has_its_own_routes_and_our_limits_doors_and_subscriptions() {
    let nats = TestServer::start().await;
    let tour = start(&nats).await;
    let http = Client::new();
    let url = |path: &str| format!("http://{}{path}", tour.graphql);
    let own = http.get(url("/orders")).send().await.unwrap();
    assert_eq!(own.text().await.unwrap(), "our own\n");
    let explorer = http.get(url("/explore")).send().await.unwrap().text().await.unwrap();
    assert!(explorer.contains("'/graphql'"), "{explorer}");

    let ask = |query: &str| http.post(url("/graphql")).json(&json!({ "query": query }));
    let deep = "{ workflow(id: \"a\") { ".to_owned() + &"...on Workflow { ".repeat(60);
    let deep = deep + "name " + &"} ".repeat(62);
    let answer: Value = ask(&deep).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "INVALID_REQUEST", "{answer}");
    assert_eq!(status_of_large(&tour.graphql).await, "HTTP/1.1 413");
    let foreign = ask("{ __typename }").header("Origin", "https://example.com");
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let begin = "mutation { createWorkflowInstance(input: { workflowId: \"order-approval\", \
                 caseId: \"a\" }) { placeId } }";
    let by_get = http.get(url("/graphql")).query(&[("query", begin)]).send().await.unwrap();
    assert_eq!(by_get.status(), StatusCode::BAD_REQUEST);

    let mut request = url("/graphql").replace("http", "ws").into_client_request().unwrap();
    let protocol = "graphql-transport-ws".parse().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    let (mut socket, _) = connect_async(request).await.unwrap();
    let follow = "subscription { workflowEvents(workflowId: \"order-approval\", \
                  fromSequence: \"1\") { caseId kind } }";
    for message in [
        json!({ "type": "connection_init" }),
        json!({ "type": "subscribe", "id": "1", "payload": { "query": follow } }),
    ] {
        socket.send(Message::text(message.to_string())).await.unwrap();
    }
    let begun: Value = ask(begin).send().await.unwrap().json().await.unwrap();
    assert_eq!(begun["data"]["createWorkflowInstance"]["placeId"], "draft", "{begun}");
    let mut message = async || -> Value {
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else { panic!("no text") };
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(message().await, json!({ "type": "connection_ack" }));
    let event = json!({ "workflowEvents": { "caseId": "a", "kind": "CREATED" } });
    let next = json!({ "type": "next", "id": "1", "payload": { "data": event } });
    assert_eq!(message().await, next);
    stop(tour).await;
}
