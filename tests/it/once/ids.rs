//! One id, one request: repeated it is recognised, and nothing else can be asked under it.

use serde_json::json;
use stormpetrel::{
    models::{CaseStatus, FiringId},
    petrel::{Change, Error},
    testing::TestServer,
};

use super::fixtures::{What, create, first_use, is_sound, log, loops, named, only_place};
use crate::support::{case, petrel_at, place, system, workflow};

#[tokio::test]
async fn an_id_that_another_process_used_is_known_after_a_change_without_one() {
    let server = TestServer::start().await;
    let (p1, p2) = (petrel_at(server.url()).await, petrel_at(server.url()).await);
    loops(&p1).await;
    create(&p1, "k0", json!({})).await.unwrap();
    let tick = What::Fire("tick", 0);
    tick.ask(&p1, "k0", named("A")).await.unwrap();
    let first = tick.ask(&p2, "k0", named("F")).await.unwrap();
    let plain = tick.ask(&p1, "k0", Change::default()).await.unwrap();
    assert!(!plain.repeated);
    let again = tick.ask(&p1, "k0", named("F")).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.record.sequence, first.record.sequence);
    assert_eq!(again.case.sequence, plain.record.sequence, "the state is today's");
    is_sound(&log(p1.storage(), "k0").await);
}

#[tokio::test]
async fn every_kind_of_change_happens_once_whoever_repeats_it() {
    let server = TestServer::start().await;
    let (p1, p2) = (petrel_at(server.url()).await, petrel_at(server.url()).await);
    loops(&p1).await;
    create(&p1, "k", json!({})).await.unwrap();
    let kinds = [
        What::Fire("tick", 1),
        What::FireToken("go"),
        What::Add("a", 2),
        What::Edit(3),
        What::Pause,
        What::Resume,
        What::Cancel,
    ];
    let mut firsts = Vec::new();
    for (number, what) in kinds.iter().enumerate() {
        let change = || named(&format!("id-{number}"));
        let first = what.ask(&p1, "k", change()).await.unwrap();
        assert!(!first.repeated);
        firsts.push(first.record.sequence);
        let again = what.ask(&p2, "k", change()).await.unwrap();
        assert!(again.repeated, "{what:?}");
        // A process that knows nothing yet.
        let cold = petrel_at(server.url()).await;
        for (earlier, what) in kinds[..=number].iter().enumerate() {
            let again = what.ask(&cold, "k", named(&format!("id-{earlier}"))).await.unwrap();
            assert!(again.repeated, "{what:?} after {number}");
            assert_eq!(again.record.sequence, firsts[earlier]);
        }
    }
    assert_eq!(log(p1.storage(), "k").await.len(), 1 + kinds.len());
}

#[tokio::test]
async fn an_id_is_refused_for_any_other_request_with_what_it_was_used_for() {
    let (_server, petrel) = system().await;
    loops(&petrel).await;
    create(&petrel, "k", json!({})).await.unwrap();
    let kinds = [
        What::Fire("tick", 0),
        What::Fire("tick", 1),
        What::Fire("go", 0),
        What::Fire("nonsense", 0),
        What::FireToken("back"),
        What::Add("a", 1),
        What::Add("b", 1),
        What::Add("a", 2),
        What::Edit(1),
        What::Edit(2),
        What::Pause,
        What::Resume,
        What::Cancel,
    ];
    let there_are = |what: &&What| !matches!(what, What::Fire("nonsense", _));
    for (number, used) in kinds.iter().filter(there_are).enumerate() {
        let case = format!("k{number}");
        create(&petrel, &case, json!({})).await.unwrap();
        if *used == What::FireToken("back") {
            What::Fire("go", 0).ask(&petrel, &case, Change::default()).await.unwrap();
        }
        let first = used.ask(&petrel, &case, named("same")).await.unwrap();
        for other in kinds.iter().filter(|other| *other != used) {
            let (_, sequence) = first_use(other.ask(&petrel, &case, named("same")).await);
            assert_eq!(sequence, first.record.sequence, "{used:?}, then {other:?}");
        }
        let again = used.ask(&petrel, &case, named("same")).await.unwrap();
        assert!(again.repeated);
    }
    let metadata = [("why".to_owned(), json!("else"))].into_iter().collect();
    let other = Change { metadata, ..named("same") };
    let (what, _) = first_use(What::Fire("tick", 0).ask(&petrel, "k0", other).await);
    assert_eq!(what, "metadata");
    let error = What::Cancel.ask(&petrel, "k0", named("same")).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("CONFLICT", false));
    let text = error.to_string();
    assert!(text.contains("fired tick") && text.contains("same"), "{text}");
}

#[tokio::test]
async fn a_pause_of_a_paused_case_is_not_done_later_when_it_is_repeated() {
    let (_server, petrel) = system().await;
    loops(&petrel).await;
    create(&petrel, "k", json!({})).await.unwrap();
    What::Pause.ask(&petrel, "k", Change::default()).await.unwrap();
    What::Pause.ask(&petrel, "k", named("late")).await.unwrap();
    What::Resume.ask(&petrel, "k", Change::default()).await.unwrap();
    let again = What::Pause.ask(&petrel, "k", named("late")).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.case.status, CaseStatus::Running);
}

#[tokio::test]
async fn a_case_that_began_with_something_else_is_a_conflict() {
    let server = TestServer::start().await;
    let cases = petrel_at(server.url()).await;
    loops(&cases).await;
    let first = create(&cases, "d1", json!({"amount": 250})).await.unwrap();
    let (what, sequence) = first_use(create(&cases, "d1", json!({"amount": 999})).await);
    assert_eq!((what.as_str(), sequence), ("data", first.record.sequence));
    What::Fire("go", 0).ask(&cases, "d1", Change::default()).await.unwrap();
    let again = create(&cases, "d1", json!({"amount": 250})).await.unwrap();
    assert!(again.repeated);
    assert_eq!(only_place(&again), place("b"), "the token as it is today");
    What::Cancel.ask(&cases, "d1", Change::default()).await.unwrap();
    let cold = petrel_at(server.url()).await;
    let again = create(&cold, "d1", json!({"amount": 250})).await.unwrap();
    assert!(again.repeated && again.tokens.is_empty());
    assert_eq!(again.case.status, CaseStatus::Cancelled);
    assert_eq!(again.record.value.produced[0].place, place("a"), "the record says what was");
}

#[tokio::test]
async fn ids_of_the_programs_own_are_refused_from_callers() {
    let (_server, petrel) = system().await;
    loops(&petrel).await;
    create(&petrel, "k", json!({})).await.unwrap();
    // Such an id can't be made but by reading it.
    let own: FiringId = serde_json::from_value(json!("~1-1")).unwrap();
    let change = Change { firing: Some(own), ..Change::default() };
    let error = What::Fire("tick", 0).ask(&petrel, "k", change).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error:?}");
    assert!(FiringId::new("~1-1").unwrap_err().to_string().contains("kept for the program"));
    let case = petrel.case(&workflow("loops"), &case("k")).await.unwrap();
    assert_eq!(case.sequence, log(petrel.storage(), "k").await[0].sequence);
}
