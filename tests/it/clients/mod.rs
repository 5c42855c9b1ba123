//! Clients that aren't ours: the Python programs of `examples/clients` on real servers.

pub(crate) mod python;

use std::{collections::BTreeMap, net::SocketAddr};

use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use stormpetrel::{
    models::{LogPosition, Token, TokenId},
    petrel::{Fire, Petrel},
    storage::{LogScope, Page, TokenScope},
    testing::{FaultProxy, TestServer},
};

use crate::{
    program::{self, Program},
    support::{begin, place, system, transition, workflow},
};
use python::Python;

/// A token as it is stored: as ours, without the fields that only a read knows.
fn stored(token: &Token) -> Value {
    json!(Token { nats_timestamp: None, ..token.clone() })
}

async fn fire(petrel: &Petrel, name: &str, token: &TokenId) {
    petrel.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
}

/// The lines that a client prints, when it ends well.
async fn lines(command: tokio::process::Command) -> Vec<Value> {
    let output = program::output(command).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn nats_py_lists_the_same_tokens_as_we_do() {
    let python = Python::with_requirements().await;
    let (server, petrel) = system().await;
    for amount in 0..8 {
        let (_, token) = begin(&petrel, json!({ "amount": amount })).await;
        if amount % 2 == 0 {
            fire(&petrel, "submit", &token).await;
        }
    }
    for (name, count) in [("draft", 4), ("review", 4), ("done", 0)] {
        let scope =
            TokenScope { workflow: workflow("orders"), place: Some(place(name)), case: None };
        let ours = petrel.tokens(&scope, Page::default()).await.unwrap().items;
        let ours: BTreeMap<_, _> =
            ours.iter().map(|(_, token)| (token.id.to_string(), stored(token))).collect();
        let url = server.url();
        let theirs = lines(python.client("read_tokens.py", &[&url, "list", "orders", name])).await;
        assert_eq!(theirs.len(), count, "in {name}");
        let theirs: BTreeMap<_, _> = theirs
            .into_iter()
            .map(|token| (token["id"].as_str().unwrap().to_owned(), token))
            .collect();
        assert_eq!(theirs, ours, "in {name}");
    }
}

#[tokio::test]
async fn nats_py_finds_a_token_in_its_newest_place_and_none_that_was_consumed() {
    let python = Python::with_requirements().await;
    let (server, petrel) = system().await;
    let (_, token) = begin(&petrel, json!({ "amount": 7 })).await;
    fire(&petrel, "submit", &token).await;
    let (url, id) = (server.url(), token.to_string());
    let client = || python.client("read_tokens.py", &[&url, "token", "orders", &id]);
    let theirs = lines(client()).await;
    let ours = petrel.token(None, &token, Default::default()).await.unwrap();
    assert_eq!(ours.place, place("review"));
    assert_eq!(theirs, [stored(&ours)]);

    fire(&petrel, "split", &token).await;
    let gone = program::output(client()).await;
    assert_eq!(gone.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&gone.stderr);
    assert!(errors.contains("is not alive"), "{errors}");
}

#[tokio::test]
async fn nats_py_watches_tokens_come_to_a_place_and_leave_it() {
    let python = Python::with_requirements().await;
    let (server, petrel) = system().await;
    let (_, first) = begin(&petrel, json!({ "amount": 1 })).await;
    let url = server.url();
    let arguments = [&url, "watch", "orders", "draft"];
    let mut watch = Program::start(python.client("read_tokens.py", &arguments));
    assert_eq!(watch.json().await["id"], first.as_str());
    let (_, second) = begin(&petrel, json!({ "amount": 2 })).await;
    assert_eq!(watch.json().await["id"], second.as_str());
    fire(&petrel, "submit", &first).await;
    assert_eq!(watch.json().await, json!({ "left": first.as_str() }));
    fire(&petrel, "reject", &first).await;
    let back = watch.json().await;
    assert_eq!((&back["id"], &back["history_total"]), (&json!(first.as_str()), &json!(2)));
}

/// A running `petrel serve` on a server, and the address of its GraphQL.
async fn serve(server: &TestServer) -> (Program, SocketAddr) {
    let mut command = program::program();
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--log-level", "error"]);
    command.env("NATS_URL", server.url());
    let mut program = Program::start(command);
    let up = program.json().await;
    let url = up["graphql"].as_str().unwrap();
    let address = url.trim_start_matches("http://").trim_end_matches("/graphql");
    let address = address.parse().unwrap();
    (program, address)
}

#[tokio::test]
async fn a_graphql_client_follows_events_in_order_and_misses_none_while_it_is_cut_off() {
    let python = Python::with_requirements().await;
    let (server, petrel) = system().await;
    let (_, token) = begin(&petrel, json!({ "amount": 1 })).await;
    let (serving, address) = serve(&server).await;
    let proxy = FaultProxy::start(address).await;

    let url = format!("http://{}/graphql", proxy.address());
    let arguments = [&*url, "orders", "1", "9"];
    let mut follow = Program::start(python.client("follow.py", &arguments));
    let mut theirs = vec![follow.json().await];
    for round in 0..4 {
        // In the last two rounds nobody listens when the events happen.
        if round == 2 {
            proxy.cut().await;
        }
        fire(&petrel, "submit", &token).await;
        fire(&petrel, "reject", &token).await;
        if round < 2 {
            theirs.extend([follow.json().await, follow.json().await]);
        }
    }
    proxy.restore();
    while theirs.len() < 9 {
        theirs.push(follow.json().await);
    }
    let (code, errors) = follow.exited().await;
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("lost"), "it was never cut off: {errors}");

    let ours = petrel
        .watch(LogScope::Workflow(workflow("orders")), Some(LogPosition::FIRST))
        .await
        .unwrap();
    let ours: Vec<_> = ours.take(9).try_collect().await.unwrap();
    let seen = |event: &Value| (event["sequence"].clone(), event["transitionId"].clone());
    let happened = ours.iter().map(|record| {
        (json!(record.sequence.to_string()), json!(record.value.transition.as_ref()))
    });
    assert_eq!(theirs.iter().map(seen).collect::<Vec<_>>(), happened.collect::<Vec<_>>());
    let (code, errors) = serving.terminate().await;
    assert_eq!(code, Some(0), "{errors}");
}
