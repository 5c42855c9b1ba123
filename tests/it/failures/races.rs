//! Two processes fire the same token.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use serde_json::json;
use stormpetrel::{
    models::{FiringId, TokenId},
    petrel::{Changed, Error, Fire, Petrel},
    testing::TestServer,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::fixtures::{eventually, fire_once, log_of, view_is_the_log};
use crate::support::{begin, petrel_at, transition, workflow};

fn refused(result: &Result<Changed, Error>) -> bool {
    matches!(result, Err(Error::NotEnabled(_) | Error::Conflict { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_connections_that_fire_one_token_exactly_one_wins() {
    let server = TestServer::start().await;
    let (one, other) = (petrel_at(server.url()).await, petrel_at(server.url()).await);
    let (begun, token) = begin(&one, json!({"amount": 1})).await;
    let mut won = BTreeSet::from([begun.record.value.firing.clone()]);
    for round in 0..150 {
        // Each knows the case as of now, so that both believe they can fire.
        let name = if round % 2 == 0 { "submit" } else { "reject" };
        let fire = |who: &str| {
            let fire = Fire::token(token.clone(), transition(name));
            fire_once(fire, &format!("{who}-{round}"))
        };
        let (first, second) = tokio::join!(one.fire(fire("one")), other.fire(fire("other")));
        let who = match (&first, &second) {
            (Ok(_), no) if refused(no) => "one",
            (no, Ok(_)) if refused(no) => "other",
            both => panic!("round {round}: {both:?}"),
        };
        won.insert(FiringId::new(format!("{who}-{round}")).unwrap());
    }
    let log = log_of(&one, &workflow("orders"), &begun.case.id).await;
    let stored: BTreeSet<_> = log.iter().map(|record| record.value.firing.clone()).collect();
    assert_eq!((stored, log.len()), (won, 151), "nothing is stored for whoever lost");
    view_is_the_log(&one).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_expected_revision_the_loser_is_told_of_the_conflict() {
    let server = TestServer::start().await;
    let (one, other) = (petrel_at(server.url()).await, petrel_at(server.url()).await);
    let (begun, token) = begin(&one, json!({"amount": 1})).await;
    let mut revision = begun.case.revision();
    for round in 0..50 {
        let name = if round % 2 == 0 { "submit" } else { "reject" };
        let mut fire = Fire::token(token.clone(), transition(name));
        fire.change.expected_revision = Some(revision);
        let results = tokio::join!(one.fire(fire.clone()), other.fire(fire));
        let (won, lost) = match results {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            both => panic!("round {round}: {both:?}"),
        };
        let actual = won.case.revision();
        let Error::Conflict { expected, actual: told, .. } = lost else { panic!("{lost}") };
        assert_eq!((expected, told), (revision, actual));
        revision = actual;
    }
    assert_eq!(log_of(&one, &workflow("orders"), &begun.case.id).await.len(), 51);
}

/// A process of its own that fires a token when it is told to.
struct Rival {
    _child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Rival {
    async fn start(server: &TestServer, token: &TokenId) -> Self {
        let name = "failures::races::child_that_fires_a_token_when_told_to";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--ignored", "--nocapture"])
            .env("PETREL_TEST_CHILD_OF", server.url())
            .env("PETREL_TEST_TOKEN", token.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the test's own binary starts");
        let (orders, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut rival = Self { _child: child, orders, answers: BufReader::new(answers).lines() };
        assert_eq!(rival.answer().await, "ready");
        rival
    }

    async fn answer(&mut self) -> String {
        loop {
            // The test harness of the child says things of its own.
            let line = self.answers.next_line().await.unwrap().expect("the child lives");
            if let Some(answer) = line.strip_prefix("rival: ") {
                return answer.to_owned();
            }
        }
    }

    async fn tell(&mut self, transition: &str) {
        self.orders.write_all(format!("{transition}\n").as_bytes()).await.unwrap();
    }
}

/// The work of such a process.
#[tokio::test]
#[ignore = "a child process of another test"]
async fn child_that_fires_a_token_when_told_to() {
    let Ok(url) = std::env::var("PETREL_TEST_CHILD_OF") else { return };
    let token = TokenId::new(std::env::var("PETREL_TEST_TOKEN").unwrap()).unwrap();
    let petrel = petrel_at(url).await;
    println!("\nrival: ready");
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(name) = orders.next_line().await.unwrap() {
        let result = petrel.fire(Fire::token(token.clone(), transition(&name))).await;
        match result {
            Ok(changed) => println!("rival: won {}", changed.record.value.firing),
            Err(error) => println!("rival: {}", error.code()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_that_fire_one_token_exactly_one_wins() {
    let server = TestServer::start().await;
    let petrel: Petrel = petrel_at(server.url()).await;
    let (begun, token) = begin(&petrel, json!({"amount": 1})).await;
    let (mut one, mut other) =
        tokio::join!(Rival::start(&server, &token), Rival::start(&server, &token));
    let mut won = vec![begun.record.value.firing.to_string()];
    for round in 0..100 {
        let name = if round % 2 == 0 { "submit" } else { "reject" };
        tokio::join!(one.tell(name), other.tell(name));
        let answers = tokio::join!(one.answer(), other.answer());
        let (winner, loser) = match answers {
            (winner, loser) if winner.starts_with("won ") => (winner, loser),
            (loser, winner) => (winner, loser),
        };
        assert!(["NOT_ENABLED", "CONFLICT"].contains(&loser.as_str()), "{loser} and {winner}");
        won.push(winner.strip_prefix("won ").expect(&winner).to_owned());
    }
    let log = log_of(&petrel, &workflow("orders"), &begun.case.id).await;
    let stored: Vec<_> = log.iter().map(|record| record.value.firing.to_string()).collect();
    assert_eq!(stored, won);
    let within = Duration::from_secs(5);
    eventually("views", within, async || view_is_the_log(&petrel).await).await;
}
