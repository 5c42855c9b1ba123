//! Cases of many tokens are read in as many bytes as they have tokens, from the view too, and
//! never have a token that the log does not vouch for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use stormpetrel::{
    models::{Case, Record, Token, TokenId, VOUCHED_FROM},
    petrel::{Change, ExpectedVersion, Fire, NewCase, NewToken, Petrel},
    storage::{AppendOptions, Consistency, nats::NatsStorage},
    testing::{FaultyStorage, TestServer},
};

use crate::support::{case, config, definition, petrel_at, place, transition, workflow};

const TOKENS: u64 = 150;

/// A crowd whose tokens have come one by one, some of which have moved or were edited.
async fn crowd() -> (TestServer, Petrel, Vec<TokenId>) {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let crowd = definition(json!({
        "id": "crowd", "initial_place": "gate", "places": [{"id": "gate"}, {"id": "hall"}],
        "transitions": [
            {"id": "go", "from_places": ["gate"], "to_place": "hall"},
            {"id": "back", "from_places": ["hall"], "to_place": "gate"}
        ]
    }));
    petrel.create_workflow(crowd, ExpectedVersion::New).await.unwrap();
    let new = NewCase { case: Some(case("c")), ..NewCase::of(workflow("crowd")) };
    let mut tokens = vec![petrel.create_case(new).await.unwrap().tokens[0].id.clone()];
    for number in 1..TOKENS {
        let new = NewToken {
            workflow: workflow("crowd"),
            case: case("c"),
            place: Some(place("gate")),
            data: json!({"number": number, "share": 1.0 / number as f64, "text": "größer"}),
            metadata: serde_json::Map::from_iter([("by".to_owned(), json!(number))]),
            change: Change::default(),
        };
        tokens.push(petrel.create_token(new).await.unwrap().tokens[0].id.clone());
    }
    // More than 16 transitions, so that records leave some to others.
    for turn in 0..20 {
        go(&petrel, &tokens[3], ["go", "back"][turn % 2]).await;
    }
    for token in &tokens[10..20] {
        go(&petrel, token, "go").await;
    }
    let patch = json!({"number": null, "edited": [1e300, -0.0]});
    petrel.update_token_data(None, &tokens[30], patch, Change::default()).await.unwrap();
    (server, petrel, tokens)
}

async fn go(petrel: &Petrel, token: &TokenId, name: &str) {
    petrel.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
}

/// A process that has seen nothing yet, and counts its reads.
async fn fresh(server: &TestServer) -> (FaultyStorage, Petrel) {
    let storage = Arc::new(NatsStorage::connect(config(server.url())).await.unwrap());
    let counting = FaultyStorage::new(storage);
    (counting.clone(), Petrel::new(Arc::new(counting)))
}

async fn read(petrel: &Petrel) -> BTreeMap<TokenId, Token> {
    let case: Arc<Case> = petrel.case(&workflow("crowd"), &case("c")).await.unwrap();
    let tokens = case.live_tokens().map(|token| (token.id.clone(), Token::clone(token)));
    tokens.collect()
}

/// The log's version of each token when it is asked for alone.
async fn one_by_one(petrel: &Petrel, tokens: &[TokenId]) -> BTreeMap<TokenId, Token> {
    let mut read = BTreeMap::new();
    for id in tokens {
        let token = petrel.token(None, id, Consistency::Strong).await.unwrap();
        read.insert(id.clone(), Token { nats_timestamp: None, ..token });
    }
    read
}

async fn head(petrel: &Petrel) -> Record {
    let head = petrel.storage().head(&workflow("crowd"), &case("c"), Consistency::Strong).await;
    head.unwrap().unwrap().value
}

#[tokio::test]
async fn a_case_of_many_tokens_is_read_without_a_record_for_each() {
    let (server, petrel, tokens) = crowd().await;
    assert!(head(&petrel).await.tokens_hash.is_some());
    let (storage, stranger) = fresh(&server).await;
    let seen = read(&stranger).await;
    assert_eq!(storage.log_reads(), 1, "the head, and what the view has");
    let (_, other) = fresh(&server).await;
    assert_eq!(seen, one_by_one(&other, &tokens).await);
    // Who goes on from there stores what everybody else would have.
    go(&stranger, &tokens[3], "go").await;
    go(&stranger, &tokens[40], "go").await;
    go(&petrel, &tokens[40], "back").await;
    let (storage, stranger) = fresh(&server).await;
    let seen = read(&stranger).await;
    assert_eq!(storage.log_reads(), 1);
    assert_eq!(seen, one_by_one(&other, &tokens).await);
    let few = u64::try_from(VOUCHED_FROM).unwrap();
    assert!(TOKENS > 2 * few, "{TOKENS} are too few for this test");
}

#[tokio::test]
async fn what_the_view_has_decides_nothing() {
    let (server, petrel, tokens) = crowd().await;
    let (_, other) = fresh(&server).await;
    let right = one_by_one(&other, &tokens).await;
    let nats = async_nats::connect(server.url()).await.unwrap();
    let operator = async_nats::jetstream::new(nats);
    // The right version in the right place, with other contents.
    let forged = Token { data: json!({"number": 1_000_000}), ..right[&tokens[50]].clone() };
    let subject = forged.nats_subject.clone().unwrap();
    let forged = serde_json::to_vec(&forged).unwrap();
    operator.publish(subject, forged.into()).await.unwrap().await.unwrap();
    let (storage, stranger) = fresh(&server).await;
    assert_eq!(read(&stranger).await, right);
    assert!(storage.log_reads() as u64 > TOKENS, "all is read from the log");
    // What is not there, or can't be read, is read from the log, and nothing else.
    let mended = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((mended.mended, mended.failed), (1, 0));
    let stream = operator.get_stream("CB_MARKING").await.unwrap();
    stream.purge().filter(right[&tokens[60]].nats_subject.clone().unwrap()).await.unwrap();
    let rubbish = right[&tokens[61]].nats_subject.clone().unwrap();
    operator.publish(rubbish, "rubbish".into()).await.unwrap().await.unwrap();
    let (storage, stranger) = fresh(&server).await;
    assert_eq!(read(&stranger).await, right);
    assert_eq!(storage.log_reads(), 3, "the head, and two records");
    stream.purge().await.unwrap();
    let (_, stranger) = fresh(&server).await;
    assert_eq!(read(&stranger).await, right);
    let rebuilt = stranger.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.failed), (TOKENS, 0));
    let (storage, stranger) = fresh(&server).await;
    assert_eq!(read(&stranger).await, right);
    assert_eq!(storage.log_reads(), 1);
}

/// An older version does not vouch for the tokens: they are read from the log.
#[tokio::test]
async fn a_head_that_does_not_vouch_for_its_tokens_is_read_from_the_log() {
    let (server, petrel, tokens) = crowd().await;
    let (_, other) = fresh(&server).await;
    let right = one_by_one(&other, &tokens).await;
    let before = petrel.case(&workflow("crowd"), &case("c")).await.unwrap();
    let old = Record { format: 1, ..head(&petrel).await };
    let mut old = serde_json::to_value(old).unwrap();
    let fields = old.as_object_mut().unwrap();
    fields.retain(|name, _| !["tokens_hash", "produced", "history_bases"].contains(&name.as_str()));
    fields.insert("kind".to_owned(), json!("paused"));
    fields.insert("status".to_owned(), json!("paused"));
    fields.insert("firing".to_owned(), json!("of-an-older-version"));
    fields.insert("previous".to_owned(), json!(before.sequence));
    fields.insert("previous_hash".to_owned(), json!(before.head_hash));
    for (entry, now) in fields["marking"].as_array_mut().unwrap().iter_mut().zip(&before.marking.0)
    {
        entry["sequence"] = json!(now.sequence);
    }
    for list in ["links", "page", "pages", "unlisted"] {
        fields.remove(list);
    }
    let record: Record = serde_json::from_value(old).unwrap();
    petrel.storage().append(&record, AppendOptions::after(before.sequence)).await.unwrap();
    let (storage, stranger) = fresh(&server).await;
    assert_eq!(read(&stranger).await, right);
    assert!(storage.log_reads() as u64 > TOKENS);
    stranger.resume(&workflow("crowd"), &case("c"), Change::default()).await.unwrap();
    assert!(head(&petrel).await.tokens_hash.is_some());
    let (storage, stranger) = fresh(&server).await;
    assert_eq!(read(&stranger).await, right);
    assert_eq!(storage.log_reads(), 1);
}

/// A line is so slow that every write may be too late: the rebuild looks again, and ends.
#[tokio::test]
async fn a_rebuild_whose_writes_are_always_late_ends() {
    let (server, _, _) = crowd().await;
    let operator = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    operator.get_stream("CB_MARKING").await.unwrap().purge().await.unwrap();
    let (storage, slow) = fresh(&server).await;
    storage.set_late_after(Duration::ZERO);
    let rebuilt = slow.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.failed), (TOKENS, 0));
    let again = slow.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((again.mended, again.failed), (0, 0));
}

/// Ten thousand orders and ten thousand payments in one case, and only the last ones belong together:
/// found among a hundred million choices, by a process that has not seen the case before.
#[tokio::test]
async fn a_join_by_key_is_found_in_a_stored_case_of_twenty_thousand_tokens() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let (orders, key) = (workflow("joined"), "tokens[0].data.order == tokens[1].data.order");
    let many = |id: &str, to: &str| {
        json!({"id": id, "inputs": [{"place": "start", "kind": "read"}],
               "outputs": [{"place": to, "weight": 500}]})
    };
    let net = definition(json!({
        "id": "joined", "initial_place": "start",
        "places": [{"id": "start"}, {"id": "order"}, {"id": "payment"}, {"id": "paid"}],
        "transitions": [
            many("orders", "order"), many("payments", "payment"),
            {"id": "pay", "inputs": [{"place": "order"}, {"place": "payment"}],
             "outputs": [{"place": "paid"}], "conditions": [key]},
            {"id": "end", "from_places": ["start"], "to_place": "paid"}
        ]
    }));
    petrel.create_workflow(net, ExpectedVersion::Any).await.unwrap();
    petrel
        .create_case(NewCase { case: Some(case("k")), ..NewCase::of(orders.clone()) })
        .await
        .unwrap();
    let fire = |name: &str| Fire::case(orders.clone(), case("k"), transition(name));
    for round in 0..20 {
        for name in ["orders", "payments"] {
            let of = if round == 19 { "both".to_owned() } else { format!("{name}-{round}") };
            let filled = Fire { data: Some(json!({"order": of})), ..fire(name) };
            petrel.fire(filled).await.unwrap();
        }
    }
    let fresh = petrel_at(server.url()).await;
    let paid = fresh.fire(fire("pay")).await.unwrap();
    assert_eq!(paid.tokens[0].data["order"], "both");
    assert_eq!(paid.case.marking.0.len(), 20_000);
    let log = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let log = log.get_stream("CB_LOG").await.unwrap();
    let stored = log.get_raw_message(paid.record.sequence.get()).await.unwrap();
    assert!(stored.payload.len() < 512 * 1024, "{} bytes", stored.payload.len());
    let read = petrel_at(server.url()).await.case(&orders, &case("k")).await.unwrap();
    assert_eq!(read.marking, paid.case.marking);
}
