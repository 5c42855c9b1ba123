use serde_json::json as value;
use stormpetrel::testing::TestServer;

use super::{errors, json, on, sample, text};
use crate::program::{Program, program};

async fn started() -> TestServer {
    let server = TestServer::start().await;
    text(&server, &["workflow", "apply", &sample()]).await;
    for case in ["a", "b"] {
        let start = ["case", "start", "order-approval", "--id", case, "--data", r#"{"amount":1}"#];
        text(&server, &start).await;
    }
    text(&server, &["fire", "submit", "--workflow", "order-approval", "--case", "a"]).await;
    server
}

/// Takes a token of case a out of the view.
async fn lose(server: &TestServer) {
    let operator = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(operator).get_stream("CB_MARKING").await.unwrap();
    let subject = "cb.workflows.order-approval.places.stock_pending.tokens.*";
    stream.purge().filter(subject).await.unwrap();
}

#[tokio::test]
async fn a_clean_system_exits_with_0_and_counts_what_was_looked_at() {
    let server = started().await;
    for arguments in [&["audit"][..], &["audit", "order-approval", "--replay"]] {
        let text = text(&server, arguments).await;
        assert!(text.starts_with("cases: 2, records fired again: "), "{text}");
        assert!(text.ends_with("tokens in the view: 3, findings: 0\n"), "{text}");
    }
    let audited = json(&server, &["audit", "order-approval", "--case", "a"]).await;
    assert_eq!((&audited["cases"], &audited["replayed"]), (&value!(1), &value!(2)));
    assert_eq!(audited["findings"], value!([]));
}

#[tokio::test]
async fn a_lost_token_exits_with_1_and_is_named_with_case_record_and_place() {
    let server = started().await;
    lose(&server).await;
    let found = on(&server, &["audit"]).await;
    assert_eq!(found.status.code(), Some(1));
    let said = String::from_utf8_lossy(&found.stdout);
    for part in ["token_lost in the view", "case a", "record ", "place stock_pending", "token a-"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(errors(&found).contains("petrel rebuild"), "{}", errors(&found));

    let found = on(&server, &["audit", "--json"]).await;
    assert_eq!(found.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let finding = &found["findings"][0];
    let said = ["kind", "in", "case", "place"].map(|key| finding[key].as_str().unwrap());
    assert_eq!(said, ["token_lost", "view", "a", "stock_pending"]);
    assert_eq!(found["findings_by_kind"], value!({"token_lost": 1}));
    // Of another case nothing is wrong, and after a rebuild of none.
    text(&server, &["audit", "order-approval", "--case", "b"]).await;
    text(&server, &["rebuild"]).await;
    text(&server, &["audit"]).await;
}

#[tokio::test]
async fn a_definition_that_is_rubbish_leaves_its_cases_unchecked_which_exits_with_2() {
    let server = started().await;
    let operator = async_nats::connect(server.url()).await.unwrap();
    let operator = async_nats::jetstream::new(operator);
    // A record that names a definition that is none.
    let stream = operator.get_stream("CB_LOG").await.unwrap();
    let head = stream.get_last_raw_message_by_subject("cb.workflows.*.events.*.b").await.unwrap();
    let mut record: serde_json::Value = serde_json::from_slice(&head.payload).unwrap();
    record["case"] = value!("c");
    record["definition"] = value!(head.sequence);
    for list in ["produced", "marking"] {
        record[list] = value!([]);
    }
    let subject = "cb.workflows.order-approval.events.lifecycle.c".to_owned();
    let first = operator.publish(subject, record.to_string().into()).await.unwrap();
    record["kind"] = value!("paused");
    record["previous"] = value!(first.await.unwrap().sequence);
    let subject = "cb.workflows.order-approval.events.lifecycle.c".to_owned();
    operator.publish(subject, record.to_string().into()).await.unwrap().await.unwrap();
    for replay in [&[][..], &["--replay"]] {
        let audited = on(&server, &[&["audit", "order-approval"], replay].concat()).await;
        let said = String::from_utf8_lossy(&audited.stdout).into_owned() + &errors(&audited);
        assert_eq!(audited.status.code(), Some(2), "{said}");
        let unchecked = said.matches("not checked: workflow order-approval, case c").count();
        assert_eq!(unchecked, 1, "once, however many records there are: {said}");
    }
}

#[tokio::test]
async fn a_serving_process_audits_again_and_again_and_counts_it() {
    let server = started().await;
    // The reconciler mends views, and not the log.
    let operator = async_nats::connect(server.url()).await.unwrap();
    let operator = async_nats::jetstream::new(operator);
    let subject = "cb.workflows.order-approval.events.transitions.a";
    operator.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
    let mut command = program();
    command.args(["--json", "serve", "--listen", "127.0.0.1:0", "--audit-every", "1s"]);
    command.env("NATS_URL", server.url());
    let mut serving = Program::start(command);
    let graphql = serving.json().await["graphql"].as_str().unwrap().to_owned();
    // When the second audit finds it, the first has ended.
    serving.logs("the audit has found").await;
    serving.logs("the audit has found").await;
    let metrics = reqwest::get(graphql.replace("/graphql", "/metrics")).await.unwrap();
    let text = metrics.text().await.unwrap();
    for line in [
        "petrel_audit_found_total{kind=\"record_unreadable\"} ",
        "petrel_audit_findings 1",
        "petrel_audit_unchecked 0",
        "petrel_audit_cases 2",
        "petrel_audit_ended_timestamp_seconds 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let (code, errors) = serving.terminate().await;
    assert_eq!(code, Some(0));
    assert!(errors.contains("record_unreadable") && errors.contains("case=a"), "{errors}");
}
