use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use stormpetrel::{
    graphql::Limits,
    models::{CaseId, TokenId, WorkflowId},
    storage::nats::{NatsStorage, NatsStorageConfig},
    testing::{FaultProxy, TestServer},
};

use super::Served;

fn token_updates(token: &str, more: &str) -> String {
    format!(
        "subscription {{ tokenUpdates(tokenId: \"{token}\"{more}) {{ id placeId data revision }} }}"
    )
}

#[tokio::test]
async fn a_token_is_followed_from_its_present_state_until_it_is_gone() {
    let served = Served::start().await.with_orders().await;
    let (token, other) = (served.order("a").await, served.order("b").await);
    let mut client = served.ready_socket().await;
    client.subscribe("1", &token_updates(&token, "")).await;
    assert_eq!(client.next("1").await["tokenUpdates"]["placeId"], "new");
    served.fire(&other, "submit").await;
    let fired = served.fire(&token, "submit").await;
    let update = client.next("1").await["tokenUpdates"].clone();
    assert_eq!(update["placeId"], "review");
    assert_eq!(update["revision"], fired["sequence"]);
    let cancel = "mutation { cancelCase(input: { workflowId: \"orders\", caseId: \"a\" }) { id } }";
    served.data(cancel, json!({})).await;
    assert_eq!(client.message().await, json!({ "id": "1", "type": "complete" }));

    client.subscribe("2", &token_updates(&token, "")).await;
    let message = client.message().await;
    assert_eq!(message["payload"]["errors"][0]["extensions"]["code"], "NOT_FOUND");
    assert_eq!(client.message().await["type"], "complete");
    served.stop().await;
}

#[tokio::test]
async fn a_token_can_be_followed_on_from_a_sequence_even_past_its_end() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let fired = served.fire(&token, "submit").await;
    let from = fired["sequence"].as_str().unwrap();
    let mut client = served.ready_socket().await;
    client.subscribe("1", &token_updates(&token, &format!(", fromSequence: \"{from}\""))).await;
    assert_eq!(client.next("1").await["tokenUpdates"]["revision"], from);

    let cancel = "mutation { cancelCase(input: { workflowId: \"orders\", caseId: \"a\" }) { id } }";
    served.data(cancel, json!({})).await;
    assert_eq!(client.message().await["type"], "complete");
    let more = format!(", workflowId: \"orders\", fromSequence: \"{from}\"");
    client.subscribe("2", &token_updates(&token, &more)).await;
    assert_eq!(client.next("2").await["tokenUpdates"]["placeId"], "review");
    assert_eq!(client.message().await, json!({ "id": "2", "type": "complete" }));
    let past = ", workflowId: \"orders\", fromSequence: \"1000\"";
    client.subscribe("3", &token_updates(&token, past)).await;
    assert_eq!(client.message().await, json!({ "id": "3", "type": "complete" }));
    served.stop().await;
}

#[tokio::test]
async fn a_token_that_is_made_while_it_is_asked_for_is_followed_to_its_end() {
    let served = Served::start().await.with_orders().await;
    let tag = WorkflowId::new("orders").unwrap().tag();
    let mut client = served.ready_socket().await;
    for turn in 0..30 {
        let case = format!("c{turn}");
        let token = TokenId::of_case(&tag, &CaseId::new(&case).unwrap(), 1).to_string();
        let follow = token_updates(&token, ", workflowId: \"orders\", fromSequence: \"1\"");
        let seen = async {
            for attempt in 0.. {
                let id = format!("{turn}-{attempt}");
                client.subscribe(&id, &follow).await;
                let message = client.message().await;
                assert_eq!(message["type"], "next", "{message}");
                match &message["payload"]["errors"][0]["extensions"]["code"] {
                    Value::Null => break,
                    code => assert_eq!(code, "NOT_FOUND"),
                }
                assert_eq!(client.message().await["type"], "complete");
            }
        };
        tokio::join!(served.order(&case), seen);
        served.fire(&token, "submit").await;
        let update = client.message().await;
        assert_eq!(update["payload"]["data"]["tokenUpdates"]["placeId"], "review", "{update}");
    }
    // What no case has made yet is no token that has ended.
    let none = TokenId::of_case(&tag, &CaseId::new("c0").unwrap(), 9);
    // Nor is what no case can have given, though it reads as if it had.
    let others = WorkflowId::new("others").unwrap().tag();
    let never = [format!("c0-{others}-1"), format!("c0-{tag}-0"), format!("c0-{tag}-01")];
    for none in never.iter().map(String::as_str).chain([none.as_str(), "c0"]) {
        let follow = token_updates(none, ", workflowId: \"orders\", fromSequence: \"1\"");
        client.subscribe(none, &follow).await;
        let message = client.message().await;
        let code = &message["payload"]["errors"][0]["extensions"]["code"];
        assert_eq!(code, "NOT_FOUND", "{none}: {message}");
        assert_eq!(client.message().await["type"], "complete");
    }
    served.stop().await;
}

#[tokio::test]
async fn events_are_given_from_a_sequence_on_and_then_live() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let mut client = served.ready_socket().await;
    let follow = "subscription { caseEvents(workflowId: \"orders\", caseId: \"a\", fromSequence: 0) {
        sequence kind completed transitionId consumed { tokenId placeId } status
        produced { id placeId revision natsSubject natsTimestamp } marking { tokenId sequence } } }";
    client.subscribe("1", follow).await;
    assert_eq!(client.next("1").await["caseEvents"]["kind"], "CREATED");
    served.fire(&token, "submit").await;
    let fired = client.next("1").await["caseEvents"].clone();
    assert_eq!((&fired["kind"], &fired["transitionId"]), (&json!("FIRED"), &json!("submit")));
    assert_eq!(fired["consumed"], json!([{ "tokenId": token, "placeId": "new" }]));
    let produced = &fired["produced"][0];
    assert_eq!(
        (&produced["placeId"], &produced["revision"]),
        (&json!("review"), &fired["sequence"])
    );
    assert!(produced["natsSubject"].as_str().unwrap().contains("review"), "{produced}");
    assert_eq!(fired["marking"], json!([{ "tokenId": token, "sequence": fired["sequence"] }]));
    served.fire(&token, "approve").await;
    let last = client.next("1").await["caseEvents"].clone();
    assert_eq!((&last["completed"], &last["status"]), (&json!(true), &json!("COMPLETED")));

    let resume = fired["sequence"].as_str().unwrap();
    let resume = format!(
        "subscription {{ workflowEvents(workflowId: \"orders\",
        fromSequence: \"{resume}\") {{ sequence }} }}"
    );
    client.subscribe("2", &resume).await;
    assert_eq!(client.next("2").await["workflowEvents"]["sequence"], fired["sequence"]);
    assert_eq!(client.next("2").await["workflowEvents"]["sequence"], last["sequence"]);
    served.stop().await;
}

#[tokio::test]
async fn no_event_is_lost_or_doubled_when_the_connection_to_nats_is_cut() {
    let server = TestServer::start().await;
    let proxy = FaultProxy::start(server.address()).await;
    let near = NatsStorage::connect(config(server.url())).await.unwrap();
    let far = NatsStorage::connect(config(proxy.url())).await.unwrap();
    // One process writes; another, whose connection is cut, serves the subscription.
    let writer = Served::over(Arc::new(near), Limits::default()).await.with_orders().await;
    let reader = Served::over(Arc::new(far), Limits::default()).await;
    let mut client = reader.ready_socket().await;
    let follow = "subscription { workflowEvents(workflowId: \"orders\", fromSequence: 0) { caseId sequence } }";
    client.subscribe("1", follow).await;

    let mut expected = Vec::new();
    for number in 0..30 {
        match number {
            10 => proxy.cut().await,
            20 => proxy.restore(),
            _ => {}
        }
        let case = format!("case-{number}");
        writer.order(&case).await;
        expected.push(case);
    }
    let mut seen: Vec<Value> = Vec::new();
    while seen.len() < expected.len() {
        seen.push(client.next("1").await["workflowEvents"].clone());
    }
    let cases: Vec<_> = seen.iter().map(|event| event["caseId"].as_str().unwrap()).collect();
    assert_eq!(cases, expected);
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test]
async fn a_client_that_comes_back_with_the_next_sequence_misses_nothing_and_sees_nothing_twice() {
    let server = TestServer::start().await;
    let proxy = FaultProxy::start(server.address()).await;
    let near = NatsStorage::connect(config(server.url())).await.unwrap();
    let far = NatsStorage::connect(config(proxy.url())).await.unwrap();
    let writer = Served::over(Arc::new(near), Limits::default()).await.with_orders().await;
    let reader = Served::over(Arc::new(far), Limits::default()).await;
    let (mut expected, mut seen, mut next) = (Vec::new(), Vec::new(), 0);
    for round in 0..6 {
        // Every second subscription begins while the connection to NATS is cut.
        if round % 2 == 1 {
            proxy.cut().await;
        }
        for number in 0..5 {
            expected.push(format!("case-{round}-{number}"));
            writer.order(expected.last().unwrap()).await;
        }
        let mut client = reader.ready_socket().await;
        if round % 2 == 1 {
            proxy.restore();
        }
        let follow = format!(
            "subscription {{ workflowEvents(workflowId: \"orders\", fromSequence: \"{next}\") {{
                caseId sequence }} }}"
        );
        let mut wanted = expected.len() - seen.len();
        client.subscribe("1", &follow).await;
        while wanted > 0 {
            let message = client.message().await;
            // While the server is away the answer is an error that says to try again.
            if let Some(error) = message["payload"]["errors"].get(0) {
                assert_eq!(error["extensions"]["retryable"], true, "{message}");
                assert_eq!(client.message().await["type"], "complete");
                client.subscribe("1", &follow).await;
                continue;
            }
            let event = &message["payload"]["data"]["workflowEvents"];
            seen.push(event["caseId"].as_str().unwrap().to_owned());
            next = event["sequence"].as_str().unwrap().parse::<u64>().unwrap() + 1;
            wanted -= 1;
        }
    }
    assert_eq!(seen, expected);
    reader.stop().await;
    writer.stop().await;
}

fn config(url: String) -> NatsStorageConfig {
    NatsStorageConfig { urls: vec![url], ..NatsStorageConfig::development() }
}

/// Clients that never read hold as much as there is room for, until they are closed for it.
#[tokio::test]
async fn events_that_find_no_room_wait_and_none_is_left_out() {
    let limits = Limits { answers_bytes: 2_000_000, ..Limits::default() };
    let served = Served::with(limits).await.with_orders().await;
    let token = served.order("a").await;
    let follow = "subscription { caseEvents(workflowId: \"orders\", caseId: \"a\",
        fromSequence: 0) { sequence produced { data } } }";
    let mut reader = served.ready_socket().await;
    reader.subscribe("r", follow).await;
    reader.next("r").await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        let mut client = served.narrow_socket().await;
        client.subscribe("u", follow).await;
        unread.push(client);
    }
    let update = "mutation($input: UpdateTokenDataInput!) {
        updateTokenData(input: $input) { revision } }";
    let mut made = Vec::new();
    for number in 0..40 {
        let patch = json!({ "text": "x".repeat(200_000), "number": number });
        let input = json!({ "tokenId": token, "patch": patch });
        let updated = served.data(update, json!({ "input": input })).await;
        made.push(updated["updateTokenData"]["revision"].clone());
    }
    // Other answers have room of their own.
    served.data(&format!("{{ token(id: \"{token}\") {{ data }} }}"), json!({})).await;
    let read = async {
        for (number, sequence) in made.iter().enumerate() {
            let event = reader.next("r").await["caseEvents"].clone();
            assert_eq!(event["sequence"], *sequence);
            assert_eq!(event["produced"][0]["data"]["number"], number);
        }
    };
    // Those who take nothing are closed after 3 s, and after 30 s where nobody waits.
    tokio::time::timeout(Duration::from_secs(25), read).await.expect("all events");
    drop(unread);
    served.stop().await;
}
