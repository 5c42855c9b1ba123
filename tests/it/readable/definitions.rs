//! Something at the subject of a definition that is none, put there by another program.

use serde_json::json;
use stormpetrel::{
    models::{Version, WorkflowDefinition},
    petrel::{Error, ExpectedVersion, Fire, NewCase},
    storage::StorageError,
};

use super::{fire, loop_of};
use crate::{
    program::{output, program},
    support::{case, definition, petrel_at, system, workflow},
};

const SUBJECT: &str = "cb.workflows.loop.definition";

#[tokio::test]
async fn an_unusable_version_hides_none_before_it_and_is_replaced() {
    let (server, petrel) = system().await;
    let id = loop_of(&petrel).await;
    let good = petrel.workflow(&id).await.unwrap();
    let request = |id: &str| NewCase { case: Some(case(id)), ..NewCase::of(workflow("loop")) };
    petrel.create_case(request("old")).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client);
    let place = json!([{"id": "a"}]);
    let other = json!({"format": 1, "version": 9, "definition":
        {"id": "other", "initial_place": "a", "places": place}});
    let wrong = json!({"format": 1, "version": 9, "definition":
        {"id": "loop", "initial_place": "nowhere", "places": place}});
    let rubbish = ["rubbish".to_owned(), other.to_string(), wrong.to_string()];
    for (number, payload) in rubbish.into_iter().enumerate() {
        let published = stream.publish(SUBJECT, payload.into()).await.unwrap();
        let at = published.await.unwrap().sequence;
        let fresh = petrel_at(server.url()).await;
        assert_eq!(fresh.workflow(&id).await.unwrap().definition, good.definition);
        let begun = fresh.create_case(request(&format!("k{number}"))).await.unwrap();
        fresh.fire(fire(&begun.case.id, "go")).await.unwrap();
        fresh.fire(fire(&case("old"), ["go", "back"][number % 2])).await.unwrap();
        assert_eq!(fresh.workflows(10, None).await.unwrap().0.len(), 1);
        // All who look tell of it.
        let health = fresh.health().await.problem.expect("health tells");
        let told = fresh.unusable_definitions(None).await.unwrap().join("\n");
        for told in [&health, &told] {
            assert!(told.contains(&format!("sequence {at} ")), "{told}");
            assert!(told.contains("definition"), "{told}");
        }
        for command in ["audit", "doctor"] {
            let mut petrel = program();
            petrel.args([command, "--nats-url", server.url().as_ref()]);
            let said = output(petrel).await;
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(text.contains(&format!("sequence {at} ")), "{command}: {text}");
        }
    }
    // The same definition again replaces it, and gets a number that no version had.
    let replaced =
        petrel.create_workflow(good.definition.clone(), ExpectedVersion::Version(Version::FIRST));
    let replaced = replaced.await.unwrap();
    assert_eq!(replaced.version.get(), 10);
    assert!(petrel.unusable_definitions(None).await.unwrap().is_empty());
    assert_eq!(petrel.health().await.problem, None);
    let again =
        petrel.create_workflow(good.definition.clone(), ExpectedVersion::Any).await.unwrap();
    assert_eq!(again.sequence, replaced.sequence);
    assert_eq!(petrel.workflow_at(&id, good.sequence).await.unwrap().version, Version::FIRST);
}

#[tokio::test]
async fn a_workflow_that_was_never_readable_is_made_and_one_of_a_newer_version_is_kept() {
    let (server, petrel) = system().await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client);
    stream.publish(SUBJECT, "rubbish".into()).await.unwrap().await.unwrap();
    assert_eq!(petrel.workflow(&workflow("loop")).await.unwrap_err().code(), "CORRUPT");
    loop_of(&petrel).await;
    petrel.create_case(NewCase::of(workflow("loop"))).await.unwrap();

    let newer = json!({"format": 3, "version": 2, "definition": {"unknown": true}});
    stream.publish(SUBJECT, newer.to_string().into()).await.unwrap().await.unwrap();
    stream.publish(SUBJECT, "rubbish".into()).await.unwrap().await.unwrap();
    let fresh = petrel_at(server.url()).await;
    let net = definition(json!({"id": "loop", "initial_place": "a", "places": [{"id": "a"}]}));
    let results = [
        fresh.workflow(&workflow("loop")).await.map(drop),
        fresh.create_case(NewCase::of(workflow("loop"))).await.map(drop),
        fresh.create_workflow(net, ExpectedVersion::Any).await.map(drop),
    ];
    for result in results {
        let Err(Error::Storage(error @ StorageError::Corrupt { newer: true, .. })) = result else {
            panic!("{result:?}")
        };
        assert!(error.to_string().contains("use a newer petrel"), "{error}");
    }
}

#[tokio::test]
async fn a_stored_definition_with_an_output_that_never_succeeds_is_read_and_fires_the_rest() {
    let (server, petrel) = system().await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let definition = json!({"id": "odd", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [
            {"id": "broken", "inputs": [{"place": "a"}], "outputs": [{"place": "b"}],
                "conditions": ["size(tokens) > 0", "now > 5 || true"],
                "output": "{'x': 1, 'x': 2}"},
            {"id": "fine", "inputs": [{"place": "a"}], "outputs": [{"place": "b"}]}]});
    let message = json!({"format": 1, "version": 1, "definition": definition});
    let stream = async_nats::jetstream::new(client);
    let published = stream.publish("cb.workflows.odd.definition", message.to_string().into()).await;
    published.unwrap().await.unwrap();

    let odd = workflow("odd");
    let begun = petrel.create_case(NewCase { case: Some(case("k")), ..NewCase::of(odd.clone()) });
    begun.await.unwrap();
    let fire = |transition: &str| Fire::case(odd.clone(), case("k"), transition.parse().unwrap());
    let failed = petrel.fire(fire("broken")).await.unwrap_err().to_string();
    assert!(failed.contains("a map has the key \"x\" twice"), "{failed}");
    petrel.fire(fire("fine")).await.unwrap();

    let definition: WorkflowDefinition = serde_json::from_value(definition).unwrap();
    let refused = petrel.create_workflow(definition, ExpectedVersion::Any).await.unwrap_err();
    let Error::InvalidDefinition(problems) = &refused else { panic!("{refused}") };
    let problems: Vec<_> = problems.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "transitions[0].conditions[1]: `>` can't be applied to (timestamp, int)",
            "transitions[0].output: a map has the key \"x\" twice",
        ]
    );
}
