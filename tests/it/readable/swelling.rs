//! Data that are small as JSON and large in memory.

use serde_json::{Value, json};
use stormpetrel::{
    engine::Excess,
    models::FiringId,
    petrel::{Change, Error, ExpectedVersion, Fire, NewCase, Petrel},
    testing::TestServer,
};

use crate::support::{case, definition, petrel_at, transition, workflow};

/// Some 730 bytes each, and 7 as JSON.
fn swelling(objects: usize) -> Value {
    json!({ "of": vec![json!({ "": 0 }); objects] })
}

async fn server() -> (TestServer, Petrel) {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let net = json!({
        "id": "w", "initial_place": "a",
        "places": [{ "id": "a" }, { "id": "b" }, { "id": "c" }, { "id": "d" }],
        "transitions": [
            { "id": "split", "inputs": [{ "place": "a" }],
              "outputs": [{ "place": "b" }, { "place": "c" }] },
            { "id": "join", "inputs": [{ "place": "b" }, { "place": "c" }],
              "outputs": [{ "place": "d" }],
              "output": "{'of': [], 'one': tokens[0].data.of, 'other': tokens[1].data.of}" },
            { "id": "back", "inputs": [{ "place": "d" }], "outputs": [{ "place": "a" }] }
        ]
    });
    petrel.create_workflow(definition(net), ExpectedVersion::New).await.unwrap();
    (server, petrel)
}

async fn begin(petrel: &Petrel, id: &str, data: Value) -> Result<(), Error> {
    let new = NewCase { case: Some(case(id)), data, ..NewCase::of(workflow("w")) };
    petrel.create_case(new).await.map(drop)
}

fn fire(id: &str, name: &str, metadata: Value) -> Fire {
    let mut fire = Fire::case(workflow("w"), case(id), transition(name));
    fire.change = Change {
        firing: Some(FiringId::new(format!("{id}-{name}")).unwrap()),
        metadata: metadata.as_object().unwrap().clone(),
        ..Change::default()
    };
    fire
}

fn is_refused(error: &Error, what: &str) {
    let Error::Excess(Excess::Memory { memory, limit, .. }) = error else { panic!("{error}") };
    assert!(memory > limit, "{error}");
    assert!(error.to_string().starts_with(what), "{error}");
    assert_eq!((error.code(), error.retryable()), ("TOO_LARGE", false));
}

#[tokio::test]
async fn what_is_accepted_moves_splits_and_joins_and_what_is_larger_is_refused_before() {
    let (_server, petrel) = server().await;
    is_refused(&begin(&petrel, "k", swelling(60_000)).await.unwrap_err(), "token k-");
    let missing = petrel.case(&workflow("w"), &case("k")).await.unwrap_err();
    assert_eq!(missing.code(), "NOT_FOUND");

    begin(&petrel, "k", swelling(55_000)).await.unwrap();
    let notes = json!({ "source": "shop" });
    for name in ["split", "join", "back"] {
        let fired = petrel.fire(fire("k", name, notes.clone())).await.unwrap();
        assert!(!fired.repeated, "{name}");
    }
    let read = petrel.case(&workflow("w"), &case("k")).await.unwrap();
    let [token] = read.live_tokens().collect::<Vec<_>>()[..] else { panic!("{read:?}") };
    // Twice as large as a token may be that is new: it is what the two were together.
    let length = |name: &str| token.data[name].as_array().unwrap().len();
    assert_eq!((length("one"), length("other")), (55_000, 55_000));
    petrel.cancel(&workflow("w"), &case("k"), Change::default()).await.unwrap();
}

#[tokio::test]
async fn notes_that_swell_are_refused_and_ordinary_ones_are_not() {
    let (_server, petrel) = server().await;
    begin(&petrel, "k", json!({ "of": [] })).await.unwrap();
    let error = petrel.fire(fire("k", "split", swelling(10_000))).await.unwrap_err();
    is_refused(&error, "the change's metadata");
    let notes = json!({ "why": "x".repeat(200_000) });
    petrel.fire(fire("k", "split", notes)).await.unwrap();
}

#[tokio::test]
async fn ordinary_data_reach_the_size_of_a_message_first() {
    let (_server, petrel) = server().await;
    let items = [
        json!({ "sku": "ABC-1234", "name": "Blue chair", "qty": 2, "price": 19.99 }),
        json!({ "sku": "A12", "qty": 1 }),
        json!(7),
        json!([1.5, 2.5]),
    ];
    for (number, item) in items.into_iter().enumerate() {
        let many = 1_000_000 / (item.to_string().len() + 1);
        let data = json!({ "of": vec![item; many] });
        begin(&petrel, &format!("k{number}"), data).await.unwrap();
    }
}
