//! A log that is empty or old beside a view: `petrel rebuild` takes away tokens of no log only
//! if somebody says so.

use serde_json::{Value, json};
use stormpetrel::{
    models::TokenId,
    petrel::{Fire, NewCase, Petrel},
    testing::TestServer,
};

use super::{
    fixtures::{empty_log, in_view, operator, pendulum, swing, view_is_the_log},
    looking::run,
};
use crate::support::{case, petrel_at, transition, workflow};

/// Number of cases, more than are named.
const CASES: usize = 12;

async fn pendulums(petrel: &Petrel) -> Vec<TokenId> {
    pendulum(petrel).await;
    let mut tokens = Vec::new();
    for number in 0..CASES {
        tokens.push(swing(petrel, &format!("case-{number}")).await.1);
    }
    tokens
}

/// The exit code of `petrel rebuild`, its answer, and its text for people.
async fn rebuild(server: &TestServer, flags: &[&str]) -> (Option<i32>, Value, String) {
    let for_people = run(&server.url(), &[&["rebuild"], flags].concat()).await;
    let output = run(&server.url(), &[&["--json", "rebuild"], flags].concat()).await;
    let answer = serde_json::from_slice(&output.stdout);
    let answer = answer.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let said = String::from_utf8_lossy(&for_people.stderr).into_owned()
        + &String::from_utf8_lossy(&for_people.stdout);
    assert_eq!(for_people.status.code() == Some(0), output.status.code() == Some(0), "{said}");
    (output.status.code(), answer, said)
}

#[tokio::test]
async fn beside_an_empty_log_a_rebuild_takes_nothing_away_until_it_is_told_to() {
    let server = TestServer::start().await;
    pendulums(&petrel_at(server.url()).await).await;
    empty_log(&operator(server.url()).await).await;
    let cases = petrel_at(server.url()).await;
    let before = in_view(&cases).await.unwrap();
    assert_eq!(before.len(), CASES);

    let (exit, answer, said) = rebuild(&server, &[]).await;
    assert_eq!(exit, Some(1), "{answer}");
    assert_eq!((&answer["unknown"], &answer["mended"]), (&json!(CASES), &json!(0)));
    let named = answer["unknown_subjects"].as_array().unwrap();
    // The same ten are named in whatever order the looks at the cases end.
    let mut subjects: Vec<String> = before
        .keys()
        .map(|(workflow, place, token)| cases.storage().token_subject(workflow, place, token))
        .collect();
    subjects.sort_unstable();
    assert_eq!(named, &subjects[..10]);
    let first = subjects[0].as_str();
    for part in ["12 tokens", first, ", ...", "restore", "petrel rebuild --remove-unknown"] {
        assert!(said.contains(part), "{part} in {said}");
        assert!(answer["problem"].as_str().unwrap().contains(part), "{part} in {answer}");
    }
    assert_eq!(in_view(&cases).await.unwrap(), before);

    let output = run(&server.url(), &["--json", "rebuild", "--remove-unknown"]).await;
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["removed"], &answer["unknown"]), (&json!(CASES), &json!(0)));
    assert_eq!(answer["problem"], Value::Null);
    assert_eq!(in_view(&cases).await.unwrap().len(), 0);
}

/// Another log has some of the cases, as they were at first: those are mended, and only those.
#[tokio::test]
async fn cases_that_the_log_knows_are_mended_while_others_are_left_alone() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    for token in pendulums(&petrel).await {
        petrel.fire(Fire::token(token, transition("go"))).await.unwrap();
    }
    empty_log(&operator(server.url()).await).await;
    let petrel = petrel_at(server.url()).await;
    pendulum(&petrel).await;
    for number in 0..2 {
        let id = case(&format!("case-{number}"));
        let new = NewCase { case: Some(id), ..NewCase::of(workflow("pendulum")) };
        petrel.create_case(new).await.unwrap();
    }
    let known =
        |token: &TokenId| ["case-0-", "case-1-"].iter().any(|id| token.as_str().starts_with(id));
    let left = CASES - 2;
    let first = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((first.cases, first.failed, first.unknown, first.removed), (2, 0, left as u64, 0));
    let again = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((again.mended, again.unknown), (0, left as u64));
    let view = in_view(&petrel).await.unwrap();
    assert_eq!(view.len(), CASES, "each token stands in one place");
    for (_, place, token) in view.keys() {
        assert_eq!(place.as_str(), if known(token) { "here" } else { "there" }, "{token}");
    }
    let (exit, answer, _) = rebuild(&server, &["--remove-unknown"]).await;
    assert_eq!((exit, &answer["unknown"]), (Some(0), &json!(0)), "{answer}");
    assert_eq!(view_is_the_log(&petrel).await.unwrap().len(), 2);
}
