//! Commands that look, on systems that are broken or not there.

use std::{
    collections::BTreeSet,
    process::Output,
    time::{Duration, Instant},
};

use async_nats::jetstream;
use serde_json::{Value, json};
use stormpetrel::{
    local_server::LocalServerOptions,
    petrel::{Fire, NewCase},
    storage::{Page, TokenScope},
    testing::TestServer,
};

use super::fixtures::{eventually, operator, view_is_the_log};
use crate::{
    program::{Program, output, program},
    support::{begin, orders, petrel_at, transition},
};

pub(crate) async fn run(url: &str, arguments: &[&str]) -> Output {
    let mut command = program();
    command.args(arguments).args(["--nats-url", url]);
    output(command).await
}

/// The findings of `petrel doctor`, which must take less than ten seconds.
pub(crate) async fn doctor(url: &str, arguments: &[&str]) -> Value {
    let begun = Instant::now();
    let output = run(url, &[&["--json", "doctor"], arguments].concat()).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let found: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert!(!failures(&found).contains("petrel doctor"), "it sends its reader to itself: {found}");
    found
}

/// The details of all failed checks.
pub(crate) fn failures(found: &Value) -> String {
    checks(found, "fail")
}

pub(crate) fn warnings(found: &Value) -> String {
    checks(found, "warn")
}

fn checks(found: &Value, status: &str) -> String {
    let checks = found["checks"].as_array().unwrap().iter();
    let found = checks.filter(|check| check["status"] == status);
    found.map(|check| format!("{}: {}\n", check["name"], check["detail"])).collect()
}

async fn streams(context: &jetstream::Context) -> u64 {
    context.query_account().await.unwrap().streams as u64
}

const LOOKING: [&[&str]; 9] = [
    &["case", "list", "orders"],
    &["workflow", "list"],
    &["token", "list", "orders"],
    &["draw", "orders"],
    &["audit"],
    &["rebuild"],
    &["doctor"],
    &["level"],
    &["level", "1"],
];

#[tokio::test]
async fn no_command_makes_a_stream_where_there_is_none_but_init() {
    let server = TestServer::start().await;
    let operator = operator(server.url()).await;
    for command in LOOKING {
        let output = run(&server.url(), command).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "{command:?}: {said}");
        assert!(said.contains("petrel init"), "{command:?}: {said}");
        assert_eq!(streams(&operator).await, 0, "{command:?}");
    }
    assert!(run(&server.url(), &["init"]).await.status.success());
    assert_eq!(streams(&operator).await, 5);
    let found = doctor(&server.url(), &[]).await;
    assert_eq!(found["healthy"], true, "{found}");
    let other = doctor(&server.url(), &["--log-stream", "CB_LOGG"]).await;
    assert!(failures(&other).contains("CB_LOG"), "{other}");
    assert_eq!(streams(&operator).await, 5);
}

#[tokio::test]
async fn a_lost_log_is_told_of_and_nobody_makes_an_empty_one() {
    let server = TestServer::start().await;
    let cases = petrel_at(server.url()).await;
    begin(&cases, json!({})).await;
    let operator = operator(server.url()).await;
    operator.delete_stream("CB_LOG").await.unwrap();
    let serve: &[&str] = &["serve", "--listen", "127.0.0.1:0"];
    for command in LOOKING.iter().chain([&serve, &(&["init"] as &[&str])]) {
        let output = run(&server.url(), command).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "{command:?}: {said}");
        assert!(said.contains("were lost") && said.contains("restore"), "{command:?}: {said}");
        assert_eq!(streams(&operator).await, 4, "{command:?}");
    }
}

#[tokio::test]
async fn a_lost_view_is_made_again_and_filled_by_a_serving_process() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let (_, token) = begin(&petrel, json!({})).await;
    petrel.fire(Fire::token(token.clone(), transition("submit"))).await.unwrap();
    let operator = operator(server.url()).await;
    operator.delete_stream("CB_MARKING").await.unwrap();
    let looked = run(&server.url(), &["token", "list", "orders"]).await;
    assert!(String::from_utf8_lossy(&looked.stderr).contains("petrel serve"), "{looked:?}");
    assert_eq!(streams(&operator).await, 4);

    // Somebody made it and died before it was full.
    assert!(run(&server.url(), &["init"]).await.status.success());
    let problem = petrel.health().await.problem.unwrap();
    assert!(problem.contains("being filled"), "{problem}");
    let mut serve = program();
    serve.args(["--json", "serve", "--listen", "127.0.0.1:0", "--nats-url", &server.url()]);
    let mut serve = Program::start(serve);
    serve.json().await;
    eventually("the view is full", Duration::from_secs(20), async || {
        petrel.health().await.problem.map_or(Ok(()), Err)
    })
    .await;
    let listed = run(&server.url(), &["token", "list", "orders"]).await;
    assert!(String::from_utf8_lossy(&listed.stdout).contains(token.as_str()), "{listed:?}");
    serve.terminate().await;
}

#[tokio::test]
async fn a_view_that_is_deleted_while_a_process_serves_is_made_again_and_filled_by_it() {
    let server = TestServer::start().await;
    let mut serve = program();
    serve.args(["--json", "serve", "--listen", "127.0.0.1:0", "--nats-url", &server.url()]);
    let mut serve = Program::start(serve);
    serve.json().await;
    let petrel = petrel_at(server.url()).await;
    let (_, token) = begin(&petrel, json!({})).await;
    let operator = operator(server.url()).await;
    for name in ["submit", "reject"] {
        operator.delete_stream("CB_MARKING").await.unwrap();
        // A change meanwhile is in the log, and its token may come by the writer or by the filling.
        petrel.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
        serve.logs("it has been filled").await;
        eventually("the view is full", Duration::from_secs(20), async || {
            petrel.health().await.problem.map_or(Ok(()), Err)
        })
        .await;
        assert_eq!(view_is_the_log(&petrel).await.unwrap().len(), 1);
    }

    // Where the log is gone too, nothing is known to be right, and nobody makes an empty one.
    for stream in ["CB_LOG", "CB_MARKING", "CB_TIMERS", "CB_WORK", "CB_BEATS"] {
        operator.delete_stream(stream).await.unwrap();
    }
    serve.logs("this account has no Storm Petrel system").await;
    assert_eq!(streams(&operator).await, 0);
    serve.terminate().await;
}

#[tokio::test]
async fn a_listing_that_was_begun_before_the_view_was_made_again_leaves_no_token_out() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let mut missing = BTreeSet::new();
    for _ in 0..5 {
        missing.insert(begin(&petrel, json!({})).await.1);
    }
    let scope = TokenScope { workflow: orders().id, place: None, case: None };
    let mut page = Page { first: 3, after: None };
    let tokens = petrel.tokens(&scope, page).await.unwrap();
    for (cursor, token) in tokens.items {
        missing.remove(&token.id);
        page.after = Some(cursor);
    }
    assert_eq!(missing.len(), 2);

    operator(server.url()).await.delete_stream("CB_MARKING").await.unwrap();
    let petrel = petrel_at(server.url()).await;
    petrel.rebuild(&|_, _| ()).await.unwrap();
    loop {
        let tokens = petrel.tokens(&scope, page).await.unwrap();
        for (cursor, token) in tokens.items {
            missing.remove(&token.id);
            page.after = Some(cursor);
        }
        if !tokens.has_next {
            break;
        }
    }
    assert_eq!(missing, BTreeSet::new());
}

#[tokio::test]
async fn a_full_server_is_seen_by_doctor_and_by_health() {
    let options = LocalServerOptions { max_file_store: Some(3_000_000), ..Default::default() };
    let server = TestServer::start_with(options).await;
    let petrel = petrel_at(server.url()).await;
    begin(&petrel, json!({})).await;
    assert_eq!(doctor(&server.url(), &[]).await["healthy"], true);
    let large = json!({ "text": "x".repeat(200_000) });
    let mut stored = 0;
    let error = loop {
        let case = NewCase { data: large.clone(), ..NewCase::of(orders().id) };
        match petrel.create_case(case).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 30);
    };
    let found = doctor(&server.url(), &[]).await;
    assert!(failures(&found).contains("max_file"), "{error}: {found}");
    let problem = petrel.health().await.problem;
    assert!(problem.as_ref().is_some_and(|problem| problem.contains("full")), "{problem:?}");
}
