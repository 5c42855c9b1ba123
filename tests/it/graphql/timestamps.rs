//! `natsTimestamp` has one meaning for every way of reading a token, and no time that is said
//! to be the server's is a client's.

use std::sync::Arc;

use serde_json::{Value, json};
use stormpetrel::{
    graphql::Limits,
    models::{TokenId, WorkflowId},
    storage::{
        ReadPath, TokenView,
        nats::{NatsStorage, NatsStorageConfig},
    },
    testing::TestServer,
};

use super::Served;

/// The fields that must be the same in all answers.
const FIELDS: &str = "natsSequence natsTimestamp natsSubject";

async fn on_nats(server: &TestServer) -> (Served, Arc<NatsStorage>) {
    let config = NatsStorageConfig { urls: vec![server.url()], ..NatsStorageConfig::development() };
    let storage = Arc::new(NatsStorage::connect(config).await.unwrap());
    (Served::over(storage.clone(), Limits::default()).await.with_orders().await, storage)
}

/// Answers in [`FIELDS`] of each way of reading a token by queries.
async fn all_reads(served: &Served, token: &str) -> Vec<(String, Value)> {
    let query = format!(
        "query($id: ID!, $w: ID! = \"orders\") {{
            token: token(id: $id) {{ {FIELDS} }}
            strong: token(id: $id, strong: true) {{ {FIELDS} }}
            natsToken: natsToken(id: $id) {{ {FIELDS} token {{ {FIELDS} }} }}
            strongNatsToken: natsToken(id: $id, strong: true) {{ {FIELDS} }}
            findToken: findToken(workflowId: $w, tokenId: $id) {{ {FIELDS} }}
            strongFindToken: findToken(workflowId: $w, tokenId: $id, strong: true) {{ {FIELDS} }}
            tokens(workflowId: $w) {{ nodes {{ {FIELDS} }} }}
            ofCase: tokens(workflowId: $w, caseId: \"a\") {{ nodes {{ {FIELDS} }} }}
            case(workflowId: $w, id: \"a\") {{ tokens {{ {FIELDS} }}
                history {{ nodes {{ produced {{ {FIELDS} }} }} }} }}
        }}"
    );
    let mut answer = served.data(&query, json!({ "id": token })).await;
    let mut reads = Vec::new();
    let inner = answer["natsToken"].as_object_mut().unwrap().remove("token").unwrap();
    reads.push(("natsToken.token".to_owned(), inner));
    for name in ["token", "strong", "natsToken", "strongNatsToken", "findToken", "strongFindToken"]
    {
        reads.push((name.to_owned(), answer[name].take()));
    }
    for name in ["tokens", "ofCase"] {
        reads.push((name.to_owned(), answer[name]["nodes"][0].take()));
    }
    reads.push(("case.tokens".to_owned(), answer["case"]["tokens"][0].take()));
    let last = answer["case"]["history"]["nodes"].as_array().unwrap().last().unwrap();
    reads.push(("history".to_owned(), last["produced"][0].clone()));
    reads
}

#[tokio::test]
async fn every_way_of_reading_a_token_answers_with_the_same_sequence_time_and_subject() {
    let server = TestServer::start().await;
    let (served, storage) = on_nats(&server).await;
    let create = format!(
        "mutation {{ createToken(input: {{ workflowId: \"orders\", caseId: \"a\",
            data: {{ amount: 7 }} }}) {{ tokenId {FIELDS} }} }}"
    );
    let mut made = served.data(&create, json!({})).await["createToken"].take();
    let token = made.as_object_mut().unwrap().remove("tokenId").unwrap();
    let token = token.as_str().unwrap();
    assert!(made["natsTimestamp"].is_string(), "{made}");
    for (name, read) in all_reads(&served, token).await {
        assert_eq!(read, made, "{name} after the creation");
    }

    let mut client = served.ready_socket().await;
    let fire = format!(
        "mutation($token: ID!) {{ transitionTokenWithNats(input: {{ tokenId: $token,
            transitionId: \"submit\", newPlace: \"review\" }}) {{ {FIELDS} }} }}"
    );
    let fired = served.data(&fire, json!({ "token": token })).await;
    let fired = fired["transitionTokenWithNats"].clone();
    assert!(fired["natsTimestamp"].as_str() > made["natsTimestamp"].as_str(), "{fired} {made}");
    for (name, read) in all_reads(&served, token).await {
        assert_eq!(read, fired, "{name} after the firing");
    }
    let follow = format!("subscription {{ tokenUpdates(tokenId: \"{token}\") {{ {FIELDS} }} }}");
    client.subscribe("1", &follow).await;
    assert_eq!(client.next("1").await["tokenUpdates"], fired);

    let (workflow, id) = (WorkflowId::new("orders").unwrap(), TokenId::new(token).unwrap());
    for path in [ReadPath::Direct, ReadPath::Consumer] {
        let read = storage.token(&workflow, &id, path.into()).await.unwrap().unwrap();
        let read = json!({
            "natsSequence": read.nats_sequence.unwrap().to_string(),
            "natsTimestamp": read.nats_timestamp,
            "natsSubject": read.nats_subject,
        });
        let time = |of: &Value| {
            of["natsTimestamp"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>()
        };
        assert_eq!(time(&read).unwrap(), time(&fired).unwrap(), "{path:?}");
        assert_eq!(read["natsSequence"], fired["natsSequence"], "{path:?}");
        assert_eq!(read["natsSubject"], fired["natsSubject"], "{path:?}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_version_that_is_no_longer_the_tokens_has_no_time_in_the_view_and_its_event_has_the_logs()
{
    let server = TestServer::start().await;
    let (served, _) = on_nats(&server).await;
    let token = served.order("a").await;
    served.fire(&token, "submit").await;
    served.fire(&token, "approve").await;
    let query = "{ history(workflowId: \"orders\", caseId: \"a\") {
        nodes { time natsSubject produced { natsSequence natsTimestamp } } } }";
    let history = served.data(query, json!({})).await;
    let nodes = history["history"]["nodes"].as_array().unwrap();
    let known: Vec<_> = nodes
        .iter()
        .map(|node| (node["time"].is_string(), node["produced"][0]["natsTimestamp"].is_string()))
        .collect();
    assert_eq!(known, [(true, false), (true, false), (true, true)], "{history:#}");
    served.stop().await;
}

#[tokio::test]
async fn the_answer_to_a_firing_has_the_servers_time_and_subject_of_its_record() {
    let server = TestServer::start().await;
    let (served, _) = on_nats(&server).await;
    let token = served.order("a").await;
    let fire = "mutation($token: ID!) { fireTransition(input: { tokenId: $token,
        transitionId: \"submit\", firingId: \"f\" }) {
            time event { sequence time natsSubject produced { natsTimestamp } }
            token { natsTimestamp } } }";
    let fired = served.data(fire, json!({ "token": token })).await["fireTransition"].clone();
    let history = "{ history(workflowId: \"orders\", caseId: \"a\") {
        nodes { sequence time natsSubject produced { natsTimestamp } } } }";
    let history = served.data(history, json!({})).await;
    assert_eq!(fired["event"], history["history"]["nodes"][1]);
    assert_eq!(fired["time"], fired["event"]["time"]);
    assert_eq!(fired["event"]["natsSubject"], "cb.workflows.orders.events.transitions.a");
    assert_eq!(fired["token"], fired["event"]["produced"][0]);
    // The same request again is answered from the log, with the same.
    let again = served.data(fire, json!({ "token": token })).await["fireTransition"].clone();
    assert_eq!(again, fired);
    served.stop().await;
}

#[tokio::test]
async fn a_strong_read_does_without_the_view_and_has_no_time_then() {
    let server = TestServer::start().await;
    let (served, storage) = on_nats(&server).await;
    let token = served.order("a").await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let view = jetstream.get_stream(&storage.config().marking_stream).await.unwrap();
    view.purge().await.unwrap();
    for strong in [true, false] {
        let query = "query($id: ID!, $strong: Boolean) {
            natsToken(id: $id, strong: $strong) { natsTimestamp natsSequence } }";
        let read = served.data(query, json!({ "id": token, "strong": strong })).await;
        assert!(read["natsToken"]["natsSequence"].is_string(), "{read}");
        assert_eq!(read["natsToken"]["natsTimestamp"], Value::Null);
    }
    served.stop().await;
}
