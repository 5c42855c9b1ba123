use futures::{SinkExt, StreamExt};
use reqwest::{StatusCode, header};
use serde_json::json;
use stormpetrel::graphql::Limits;
use tokio_tungstenite::tungstenite::Message;

use super::Served;

const FOLLOW: &str = "subscription { workflowEvents(workflowId: \"orders\") { kind } }";

/// The answer to a handshake with these headers.
async fn handshake(served: &Served, headers: &[(&str, &str)]) -> StatusCode {
    let mut request = served
        .http
        .get(served.url("/graphql"))
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn a_socket_needs_the_subprotocol_and_a_page_of_this_server() {
    let served = Served::start().await;
    let ours = ("Sec-WebSocket-Protocol", "graphql-transport-ws");
    assert_eq!(handshake(&served, &[]).await, StatusCode::BAD_REQUEST);
    let other = ("Sec-WebSocket-Protocol", "mqtt");
    assert_eq!(handshake(&served, &[other]).await, StatusCode::BAD_REQUEST);
    let foreign = ("Origin", "https://example.com");
    assert_eq!(handshake(&served, &[ours, foreign]).await, StatusCode::FORBIDDEN);
    let own = served.url("");
    let status = handshake(&served, &[ours, ("Origin", &own)]).await;
    assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS);
    served.stop().await;
}

#[tokio::test]
async fn of_two_subprotocols_the_clients_first_is_spoken() {
    let served = Served::start().await.with_orders().await;
    let mut client = served.socket_of("graphql-ws, graphql-transport-ws", "graphql-ws").await;
    client.send(json!({ "type": "connection_init" })).await;
    assert_eq!(client.message().await, json!({ "type": "connection_ack" }));
    let start =
        |id: &str, query: &str| json!({ "id": id, "type": "start", "payload": { "query": query } });
    client.send(start("1", "{ health { version } }")).await;
    let answer = client.message().await;
    assert_eq!((&answer["type"], &answer["id"]), (&json!("data"), &json!("1")), "{answer}");
    assert!(answer["payload"]["data"]["health"]["version"].is_string(), "{answer}");
    assert_eq!(client.message().await, json!({ "id": "1", "type": "complete" }));
    // One that is not executed has one error.
    client.send(start("2", "{ nothing }")).await;
    let answer = client.message().await;
    assert_eq!((&answer["type"], &answer["id"]), (&json!("error"), &json!("2")), "{answer}");
    assert!(answer["payload"]["message"].as_str().unwrap().contains("nothing"), "{answer}");
    // Each stops its own, and its id is free at once.
    client.send(start("3", FOLLOW)).await;
    client.send(json!({ "id": "3", "type": "stop" })).await;
    client.send(start("3", "{ health { version } }")).await;
    assert_eq!(client.message().await["type"], "data");
    assert_eq!(client.message().await, json!({ "id": "3", "type": "complete" }));
    client.send(json!({ "type": "connection_terminate" })).await;
    assert_eq!(client.close_code().await, 1000);

    // The messages of the one are none of the other.
    let mut client = served.socket_of("graphql-ws", "graphql-ws").await;
    client.subscribe("1", FOLLOW).await;
    assert_eq!(client.close_code().await, 4400);
    let offer = "graphql-transport-ws, graphql-ws";
    let mut client = served.socket_of(offer, "graphql-transport-ws").await;
    client.send(start("1", FOLLOW)).await;
    assert_eq!(client.close_code().await, 4400);
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_closed_with_the_protocols_code() {
    let served = Served::with(Limits { init_timeout_ms: 50, ..Limits::default() }).await;
    assert_eq!(served.socket().await.close_code().await, 4408);

    let served = served.with_orders().await;
    let mut client = served.socket().await;
    client.subscribe("1", FOLLOW).await;
    assert_eq!(client.close_code().await, 4401);

    let mut client = served.ready_socket().await;
    client.send(json!({ "type": "connection_init" })).await;
    assert_eq!(client.close_code().await, 4429);

    let mut client = served.ready_socket().await;
    client.subscribe("1", FOLLOW).await;
    client.subscribe("1", FOLLOW).await;
    assert_eq!(client.close_code().await, 4409);

    for invalid in [
        "hello",
        "{}",
        r#"{"type": "start", "id": "1"}"#,
        r#"{"type": "connection_terminate"}"#,
        r#"{"type": "subscribe", "payload": {"query": "{ a }"}}"#,
        r#"{"type": "subscribe", "id": "", "payload": {"query": "{ a }"}}"#,
        r#"{"type": "subscribe", "id": "1", "payload": {}}"#,
        r#"{"type": "ping", "payload": "text"}"#,
    ] {
        let mut client = served.ready_socket().await;
        client.socket.send(Message::text(invalid)).await.unwrap();
        assert_eq!(client.close_code().await, 4400, "{invalid}");
    }
    let mut client = served.ready_socket().await;
    client.socket.send(Message::binary("{}")).await.unwrap();
    assert_eq!(client.close_code().await, 4400);
    served.stop().await;
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload_before_and_after_the_init() {
    let served = Served::start().await;
    let mut client = served.socket().await;
    client.send(json!({ "type": "ping", "payload": { "at": 7 } })).await;
    assert_eq!(client.message().await, json!({ "type": "pong", "payload": { "at": 7 } }));
    client.send(json!({ "type": "connection_init", "payload": {} })).await;
    assert_eq!(client.message().await["type"], "connection_ack");
    client.send(json!({ "type": "pong" })).await;
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.message().await, json!({ "type": "pong" }));
    served.stop().await;
}

#[tokio::test]
async fn queries_and_mutations_answer_once_and_complete() {
    let served = Served::start().await.with_orders().await;
    let mut client = served.ready_socket().await;
    client.subscribe("q", "{ workflow(id: \"orders\") { workflowId } }").await;
    assert_eq!(client.next("q").await["workflow"]["workflowId"], "orders");
    assert_eq!(client.message().await, json!({ "id": "q", "type": "complete" }));
    // The id is free again.
    let create =
        "mutation { createWorkflowInstance(input: { workflowId: \"orders\" }) { placeId } }";
    client.subscribe("q", create).await;
    assert_eq!(client.next("q").await["createWorkflowInstance"]["placeId"], "new");
    assert_eq!(client.message().await["type"], "complete");
    served.stop().await;
}

#[tokio::test]
async fn a_request_that_is_not_executed_is_an_error_message_and_the_socket_goes_on() {
    let served = Served::start().await;
    let mut client = served.ready_socket().await;
    for (query, code) in [("{ nothing }", "INVALID_REQUEST"), ("{ health", "INVALID_REQUEST")] {
        client.subscribe("1", query).await;
        let message = client.message().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("1")));
        assert_eq!(message["payload"][0]["extensions"]["code"], code);
    }
    // An error in executing is a payload, followed by the end.
    client.subscribe("1", FOLLOW).await;
    let message = client.message().await;
    assert_eq!(message["type"], "next");
    assert_eq!(message["payload"]["errors"][0]["extensions"]["code"], "NOT_FOUND", "{message}");
    assert_eq!(client.message().await, json!({ "id": "1", "type": "complete" }));
    served.stop().await;
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_the_socket_with_1009() {
    let served = Served::with(Limits { body_bytes: 1_000, ..Limits::default() }).await;
    let mut client = served.ready_socket().await;
    client.subscribe("1", &"#".repeat(2_000)).await;
    assert_eq!(client.close_code().await, 1009);
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_has_not_introduced_itself_may_say_only_little() {
    let served = Served::start().await;
    let large = json!({ "type": "connection_init", "payload": { "a": "x".repeat(20_000) } });
    let mut client = served.socket().await;
    client.send(large).await;
    assert_eq!(client.close_code().await, 1009);

    let small = json!({ "type": "connection_init", "payload": { "a": "x".repeat(10_000) } });
    let mut client = served.socket().await;
    client.send(small).await;
    assert_eq!(client.message().await, json!({ "type": "connection_ack" }));
    served.stop().await;
}

#[tokio::test]
async fn large_messages_go_both_ways() {
    let served = Served::start().await;
    let mut client = served.ready_socket().await;
    for bytes in [1, 100, 20_000, 200_000, 2_000_000] {
        let ping = json!({ "type": "ping", "payload": { "a": "é".repeat(bytes / 2) } });
        client.send(ping.clone()).await;
        let pong = client.message().await;
        assert!(pong["payload"] == ping["payload"], "{bytes}");
    }
    let payload = json!({ "query": "query($a: String!) { __type(name: $a) { name } }",
                          "variables": { "a": "x".repeat(1_500_000) } });
    client.send(json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
    assert_eq!(client.next("1").await, json!({ "__type": null }));
    assert_eq!(client.message().await["type"], "complete");
    served.stop().await;
}

#[tokio::test]
async fn a_shutdown_closes_sockets_with_1001_and_returns() {
    let served = Served::start().await.with_orders().await;
    let mut client = served.ready_socket().await;
    client.subscribe("1", FOLLOW).await;
    served.shutdown.cancel();
    assert_eq!(client.close_code().await, 1001);
    drop(client);
    served.stop().await;
}

#[tokio::test]
async fn after_a_complete_nothing_more_comes_for_its_id_and_the_id_and_its_place_are_free() {
    let served = Served::with(Limits { operations: 2, ..Limits::default() }).await.with_orders();
    let served = served.await;
    let mut client = served.ready_socket().await;
    let follow =
        "subscription { workflowEvents(workflowId: \"orders\", fromSequence: 0) { caseId } }";
    client.subscribe("1", follow).await;
    client.subscribe("2", follow).await;
    // Both are live: each has seen the first event.
    served.order("a").await;
    let mut seen = [client.message().await["id"].clone(), client.message().await["id"].clone()];
    seen.sort_by_key(ToString::to_string);
    assert_eq!(seen, ["1", "2"]);
    client.subscribe("3", follow).await;
    let message = client.message().await;
    assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("3")));
    assert_eq!(message["payload"][0]["extensions"]["code"], "TOO_MANY_OPERATIONS");

    client.send(json!({ "type": "complete", "id": "1" })).await;
    // Its place is free at once, and so is its id.
    client.subscribe("1", "{ health { version } }").await;
    assert!(client.next("1").await["health"]["version"].is_string());
    assert_eq!(client.message().await, json!({ "id": "1", "type": "complete" }));
    // The pong says that the complete has been heard. What happens after it is told to 2 alone.
    client.send(json!({ "type": "complete", "id": "1" })).await;
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.message().await, json!({ "type": "pong" }));
    for case in ["b", "c", "d"] {
        served.order(case).await;
        assert_eq!(client.next("2").await["workflowEvents"]["caseId"], case);
    }
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.message().await, json!({ "type": "pong" }));
    served.stop().await;
}

#[tokio::test]
async fn a_complete_that_has_arrived_stops_a_stream_that_has_much_more_to_give() {
    let served = Served::start().await.with_orders().await;
    for number in 0..200 {
        served.order(&format!("case-{number}")).await;
    }
    let mut client = served.ready_socket().await;
    let follow =
        "subscription { workflowEvents(workflowId: \"orders\", fromSequence: 0) { caseId } }";
    client.subscribe("1", follow).await;
    assert_eq!(client.next("1").await["workflowEvents"]["caseId"], "case-0");
    client.send(json!({ "type": "complete", "id": "1" })).await;
    client.send(json!({ "type": "ping" })).await;
    // What was on its way before the complete arrived may still come, but nothing after it.
    while client.message().await["type"] == "next" {}
    client.subscribe("2", "{ health { version } }").await;
    assert!(client.next("2").await["health"]["version"].is_string());
    assert_eq!(client.message().await, json!({ "id": "2", "type": "complete" }));
    served.stop().await;
}

#[tokio::test]
async fn a_message_with_a_field_of_the_wrong_kind_is_4400_and_unknown_fields_are_ignored() {
    let served = Served::start().await;
    for invalid in [
        r#"{"type": "subscribe", "id": 1, "payload": {"query": "{ a }"}}"#,
        r#"{"type": "subscribe", "id": "1"}"#,
        r#"{"type": "subscribe", "id": "1", "payload": "{ a }"}"#,
        r#"{"type": "complete"}"#,
        r#"{"type": "connection_ack"}"#,
        r#"{"id": "1"}"#,
        "null",
        "[]",
    ] {
        let mut client = served.ready_socket().await;
        client.socket.send(Message::text(invalid)).await.unwrap();
        assert_eq!(client.close_code().await, 4400, "{invalid}");
    }
    let mut client = served.socket().await;
    client.send(json!({ "type": "connection_init", "payload": { "token": "x" }, "more": 1 })).await;
    assert_eq!(client.message().await["type"], "connection_ack");
    client.send(json!({ "type": "complete", "id": "unknown" })).await;
    let payload = json!({ "query": "query A($v: Boolean!) { health { version @include(if: $v) } }",
        "operationName": "A", "variables": { "v": true }, "extensions": {} });
    client.send(json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
    assert!(client.next("1").await["health"]["version"].is_string());
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_closes_gets_its_close_frame_back() {
    let served = Served::start().await;
    let mut client = served.ready_socket().await;
    client.socket.close(None).await.unwrap();
    let mut answered = false;
    while let Some(message) = client.socket.next().await {
        answered |= matches!(message.unwrap(), Message::Close(_));
    }
    assert!(answered);
    // An id that would have to be kept is refused.
    let mut client = served.ready_socket().await;
    client.subscribe(&"x".repeat(2_000), FOLLOW).await;
    assert_eq!(client.close_code().await, 4400);
    served.stop().await;
}
