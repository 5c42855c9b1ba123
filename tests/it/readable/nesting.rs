//! Objects and lists in one another.

use serde_json::{Map, Value, json};
use stormpetrel::{
    engine::Excess,
    models::MAX_NESTING,
    petrel::{Change, Error, ExpectedVersion, NewCase, NewToken},
    storage::{AppendOptions, Consistency},
};

use super::{fire, loop_of, noted, read_all};
use crate::support::{case, definition, petrel_at, system, workflow};

/// An object with so many levels.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({"x": 1}), |inner, level| match level % 2 {
        1 if level + 1 < levels => json!([inner]),
        _ => json!({ "a": inner }),
    })
}

fn map(levels: usize) -> Map<String, Value> {
    serde_json::from_value(nested(levels)).unwrap()
}

fn new(id: &str) -> NewCase {
    NewCase { case: Some(case(id)), ..NewCase::of(workflow("loop")) }
}

fn refused(what: &str, result: Result<impl Sized, Error>) {
    let Err(error) = result else { panic!("{what} was taken") };
    let Error::InvalidArgument { argument, .. } = &error else { panic!("{what}: {error}") };
    assert_eq!(argument, what);
    assert!(error.to_string().contains("more than 64 levels"), "{error}");
}

#[tokio::test]
async fn what_is_taken_is_read_by_every_reader_after_a_restart() {
    let (server, petrel) = system().await;
    loop_of(&petrel).await;
    for levels in [1, 2, 33, MAX_NESTING - 1, MAX_NESTING] {
        let id = case(&format!("k{levels}"));
        let request = NewCase { data: nested(levels), metadata: map(levels), ..new(id.as_str()) };
        let begun = petrel.create_case(request).await.unwrap();
        for name in ["go", "back"] {
            let mut fire = fire(&id, name);
            (fire.data, fire.change) = (Some(nested(levels)), noted(nested(levels)));
            petrel.fire(fire).await.unwrap();
        }
        let (workflow, token) = (workflow("loop"), &begun.tokens[0].id);
        let change = noted(nested(levels));
        petrel.update_token_data(None, token, nested(levels), change.clone()).await.unwrap();
        petrel.pause(&workflow, &id, change.clone()).await.unwrap();
        petrel.resume(&workflow, &id, change).await.unwrap();
        assert_eq!(read_all(&petrel, &id).await.2, nested(levels));
        let fresh = petrel_at(server.url()).await;
        assert_eq!(read_all(&fresh, &id).await.2, nested(levels));
        fresh.fire(super::fire(&id, "go")).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_too_deep_is_refused_by_name_wherever_it_comes_in() {
    let (_server, petrel) = system().await;
    let id = loop_of(&petrel).await;
    let begun = petrel.create_case(new("k")).await.unwrap();
    let (k, token) = (case("k"), &begun.tokens[0].id);
    for levels in [MAX_NESTING + 1, 123, 127, 300, 1_000] {
        let deep = || nested(levels);
        let request = NewCase { data: deep(), ..new("n") };
        refused("data", petrel.create_case(request).await);
        let request = NewCase { metadata: map(levels), ..new("n") };
        refused("metadata", petrel.create_case(request).await);
        let added = |data, metadata, change| NewToken {
            workflow: id.clone(),
            case: k.clone(),
            place: None,
            data,
            metadata,
            change,
        };
        let flat = || (json!({}), Map::new(), Change::default());
        let request = added(deep(), flat().1, flat().2);
        refused("data", petrel.create_token(request).await);
        let request = added(flat().0, map(levels), flat().2);
        refused("metadata", petrel.create_token(request).await);
        let request = added(flat().0, flat().1, noted(deep()));
        refused("metadata", petrel.create_token(request).await);
        let mut request = fire(&k, "go");
        request.data = Some(deep());
        refused("data", petrel.fire(request).await);
        let mut request = fire(&k, "go");
        request.change = noted(deep());
        refused("metadata", petrel.fire(request).await);
        refused("patch", petrel.update_token_data(None, token, deep(), flat().2).await);
        let patch = petrel.update_token_data(None, token, json!({}), noted(deep())).await;
        refused("metadata", patch);
        refused("metadata", petrel.pause(&id, &k, noted(deep())).await);
        refused("metadata", petrel.resume(&id, &k, noted(deep())).await);
        refused("metadata", petrel.cancel(&id, &k, noted(deep())).await);
        let mut deep_net = definition(json!({
            "id": "deep", "initial_place": "a", "places": [{"id": "a"}]
        }));
        deep_net.metadata = map(levels);
        let checked = petrel.check_workflow(&deep_net).await.map(drop);
        let stored = petrel.create_workflow(deep_net, ExpectedVersion::Any).await.map(drop);
        for result in [checked, stored] {
            let Err(Error::InvalidDefinition(problems)) = result else { panic!("{levels}") };
            assert_eq!(problems.0[0].path, "metadata");
        }
    }
    assert_eq!(petrel.case(&id, &k).await.unwrap().sequence, begun.case.sequence);
    read_all(&petrel, &k).await;
}

#[tokio::test]
async fn an_output_that_makes_data_deeper_and_deeper_ends_with_an_error_that_says_so() {
    let (_server, petrel) = system().await;
    loop_of(&petrel).await;
    let id = case("k");
    petrel.create_case(new("k")).await.unwrap();
    let error = loop {
        if let Err(error) = petrel.fire(fire(&id, "wrap")).await {
            break error;
        }
    };
    assert_eq!(error.code(), "TOO_LARGE", "{error}");
    assert!(matches!(error, Error::Excess(Excess::Nesting { limit: MAX_NESTING, .. })));
    assert!(error.to_string().contains("data of token"), "{error}");
    read_all(&petrel, &id).await;
    petrel.fire(fire(&id, "go")).await.unwrap();
}

/// Messages acknowledged by versions without a limit, and never readable by them again.
#[tokio::test]
async fn what_older_versions_stored_too_deep_is_read_and_goes_on() {
    let (server, petrel) = system().await;
    let id = loop_of(&petrel).await;
    let k = case("k");
    let mut begun = petrel.create_case(new("k")).await.unwrap();
    for (kind, levels) in [("paused", 123), ("resumed", 140)] {
        let mut record = begun.record.value.clone();
        record.kind = serde_json::from_value(json!(kind)).unwrap();
        record.status = match kind {
            "paused" => serde_json::from_value(json!("paused")).unwrap(),
            _ => record.status,
        };
        let head = petrel.storage().head(&id, &k, Consistency::Strong).await.unwrap().unwrap();
        record.produced.clear();
        record.marking.0.iter_mut().for_each(|entry| entry.sequence = Some(begun.record.sequence));
        record.firing = kind.try_into().unwrap();
        (record.metadata, record.previous) = (map(levels), Some(head.sequence));
        record.previous_hash = Some(head.hash);
        record.unlisted = None;
        petrel.storage().append(&record, AppendOptions::after(head.sequence)).await.unwrap();
    }
    // And a token that carries such data.
    let deep = nested(110);
    let mut first = begun.record.value.clone();
    first.case = case("deep");
    let token = json!(begun.tokens[0].id).to_string().replace("k-", "deep-");
    first.marking.0[0].token = serde_json::from_str(&token).unwrap();
    first.produced[0].id = serde_json::from_str(&token).unwrap();
    (first.produced[0].case, first.produced[0].data) = (case("deep"), deep.clone());
    petrel.storage().append(&first, AppendOptions::default()).await.unwrap();
    let petrel = petrel_at(server.url()).await;
    petrel.rebuild(&|_, _| ()).await.unwrap();
    begun = petrel.fire(fire(&k, "go")).await.unwrap();
    assert!(!begun.repeated);
    read_all(&petrel, &k).await;
    for name in ["go", "back"] {
        petrel.fire(fire(&case("deep"), name)).await.unwrap();
        assert_eq!(read_all(&petrel, &case("deep")).await.2, deep);
    }
    let wrapped = petrel.fire(fire(&case("deep"), "wrap")).await.unwrap_err();
    assert_eq!(wrapped.code(), "TOO_LARGE", "{wrapped}");
}
