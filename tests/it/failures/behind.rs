//! Changes on top of records whose writers died before their views.

use serde_json::json;
use stormpetrel::{
    models::{CaseId, TokenId},
    petrel::{Change, Changed, Fire, Following, Petrel},
    testing::TestServer,
};

use super::fixtures::{faulty, fire_once, operator, pendulum, swing, token_in, view_is_the_log};
use crate::support::{petrel_at, transition, workflow};

/// Changes of processes that died, each between an append and its views.
#[derive(Debug, Clone, Copy)]
enum Left {
    Moved,
    /// There and back, by two processes.
    MovedBack,
    Edited,
    /// Another token.
    Made,
    /// Moved, and then paused by another process and resumed by a third.
    Interrupted,
}

/// The next change, of somebody else, who is answered.
#[derive(Debug, Clone, Copy)]
enum Next {
    Edit,
    Move,
    MoveAnother,
    Make,
    Pause,
    /// The first lost change again, with its id.
    Again,
    /// A pause of a case that is paused.
    PauseAgain,
}

fn change() -> Change {
    Change::default()
}

async fn do_and_die(url: &str, case: &CaseId, token: &TokenId, left: Left) {
    let pendulum = workflow("pendulum");
    for step in 0..3 {
        let (storage, dying) = faulty(url).await;
        storage.drop_views();
        let go = fire_once(Fire::token(token.clone(), transition("go")), &format!("{case}-lost"));
        let back = Fire::token(token.clone(), transition("return"));
        let made = token_in(case);
        let edit = json!({"edited": true});
        let done = match (left, step) {
            (Left::Moved | Left::MovedBack | Left::Interrupted, 0) => dying.fire(go).await,
            (Left::MovedBack, 1) => dying.fire(back).await,
            (Left::Edited, 0) => dying.update_token_data(None, token, edit, change()).await,
            (Left::Made, 0) => dying.create_token(made).await,
            (Left::Interrupted, 1) => dying.pause(&pendulum, case, change()).await,
            (Left::Interrupted, 2) => dying.resume(&pendulum, case, change()).await,
            _ => return,
        };
        done.unwrap();
    }
}

async fn go_on(
    petrel: &Petrel,
    case: &CaseId,
    [token, another]: [&TokenId; 2],
    next: Next,
) -> Changed {
    let pendulum = workflow("pendulum");
    let at = petrel.case(&pendulum, case).await.unwrap();
    let leave = |token: &TokenId| {
        let is_here = at.tokens[token].place.as_str() == "here";
        Fire::token(token.clone(), transition(if is_here { "go" } else { "return" }))
    };
    let done = match next {
        Next::Edit => {
            petrel.update_token_data(None, token, json!({"edited": "again"}), change()).await
        }
        Next::Move => petrel.fire(leave(token)).await,
        Next::MoveAnother => petrel.fire(leave(another)).await,
        Next::Make => petrel.create_token(token_in(case)).await,
        Next::Pause => petrel.pause(&pendulum, case, change()).await,
        Next::Again => {
            let go = Fire::token(token.clone(), transition("go"));
            petrel.fire(fire_once(go, &format!("{case}-lost"))).await
        }
        Next::PauseAgain => {
            petrel.pause(&pendulum, case, change()).await.unwrap();
            petrel.pause(&pendulum, case, change()).await
        }
    };
    done.unwrap()
}

#[tokio::test]
async fn what_is_answered_on_top_of_lost_views_is_in_listings_at_once() {
    let server = TestServer::start().await;
    let first = petrel_at(server.url()).await;
    pendulum(&first).await;
    let (mut number, mut wrong) = (0, Vec::new());
    for left in [Left::Moved, Left::MovedBack, Left::Edited, Left::Made, Left::Interrupted] {
        for next in [
            Next::Edit,
            Next::Move,
            Next::MoveAnother,
            Next::Make,
            Next::Pause,
            Next::Again,
            Next::PauseAgain,
        ] {
            if matches!((left, next), (Left::Edited | Left::Made, Next::Again)) {
                continue;
            }
            for warm in [false, true] {
                number += 1;
                let (case, token) = swing(&first, &format!("c{number}")).await;
                let another =
                    first.create_token(token_in(&case)).await.unwrap().tokens[0].id.clone();
                do_and_die(&server.url(), &case, &token, left).await;
                let petrel = if warm { first.clone() } else { petrel_at(server.url()).await };
                go_on(&petrel, &case, [&token, &another], next).await;
                if let Err(differs) = view_is_the_log(&petrel).await {
                    wrong.push(format!("{left:?}, {next:?}, warm: {warm}: {differs}"));
                    // The next combination begins with views that are right.
                    petrel.rebuild(&|_, _| ()).await.unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {number}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The record before is damaged; the one after it was believed when the other was put aside.
#[tokio::test]
async fn a_record_that_cannot_be_read_keeps_no_view_from_being_written() {
    let server = TestServer::start().await;
    let first = petrel_at(server.url()).await;
    let id = pendulum(&first).await;
    let (case, token) = swing(&first, "damaged").await;
    first.fire(Fire::token(token.clone(), transition("go"))).await.unwrap();
    let paused = first.pause(&id, &case, change()).await.unwrap();
    first.resume(&id, &case, change()).await.unwrap();
    let operator = operator(server.url()).await;
    let log = operator.get_stream("CB_LOG").await.unwrap();
    let template = log.get_raw_message(paused.record.sequence.get()).await.unwrap();
    let mut believed: serde_json::Value = serde_json::from_slice(&template.payload).unwrap();
    let subject = format!("cb.workflows.{id}.events.lifecycle.{case}");
    let damaged = operator.publish(subject.clone(), "damaged".into()).await.unwrap().await.unwrap();
    believed["previous"] = json!(damaged.sequence);
    believed["previous_hash"] = json!("0".repeat(64));
    believed["firing"] = json!("believed");
    believed["status"] = json!("running");
    believed["kind"] = json!("resumed");
    operator.publish(subject, believed.to_string().into()).await.unwrap().await.unwrap();
    first.quarantine(&id, &case, Following::PutAside, change()).await.unwrap();
    for name in ["return", "go"] {
        let petrel = petrel_at(server.url()).await;
        let move_it = || fire_once(Fire::token(token.clone(), transition(name)), name);
        petrel.fire(move_it()).await.unwrap();
        view_is_the_log(&petrel).await.unwrap();
        // And a repeat of it, of which nobody has seen the views.
        let petrel = petrel_at(server.url()).await;
        assert!(petrel.fire(move_it()).await.unwrap().repeated);
        view_is_the_log(&petrel).await.unwrap();
    }
}

/// The view takes nothing for a while, and the process that could not write it lives on.
#[tokio::test]
async fn a_process_whose_view_writes_have_failed_makes_up_for_them() {
    let server = TestServer::start().await;
    let (storage, petrel) = faulty(server.url()).await;
    let id = pendulum(&petrel).await;
    for lost in [1, 2, 5] {
        let (case, token) = swing(&petrel, &format!("c{lost}")).await;
        storage.drop_views();
        for number in 0..lost {
            let name = ["go", "return"][number % 2];
            petrel.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
        }
        assert!(view_is_the_log(&petrel).await.is_err());
        storage.pass_views();
        petrel.pause(&id, &case, change()).await.unwrap();
        view_is_the_log(&petrel).await.unwrap();
    }
}

/// A token that goes to and fro after another one has moved: its registers tell nothing of the record
/// before, of which nobody wrote the views either.
#[tokio::test]
async fn what_was_left_behind_before_a_token_went_to_and_fro_is_found() {
    let server = TestServer::start().await;
    let first = petrel_at(server.url()).await;
    pendulum(&first).await;
    for swings in 0..4 {
        let (case, token) = swing(&first, &format!("c{swings}")).await;
        let another = first.create_token(token_in(&case)).await.unwrap().tokens[0].id.clone();
        let moves = [(&another, "go")].into_iter();
        let moves = moves.chain((0..swings).map(|at| (&token, ["go", "return"][at % 2])));
        for (token, name) in moves {
            let (storage, dying) = faulty(server.url()).await;
            storage.drop_views();
            dying.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
        }
        let petrel = petrel_at(server.url()).await;
        petrel.pause(&workflow("pendulum"), &case, change()).await.unwrap();
        view_is_the_log(&petrel).await.unwrap();
    }
}

/// A token that goes to and fro has the same registers in all of its records, which are wrong as long
/// as the last one's views are missing.
#[tokio::test]
async fn what_one_process_left_behind_is_found_with_few_reads() {
    let server = TestServer::start().await;
    let first = petrel_at(server.url()).await;
    pendulum(&first).await;
    let (case, token) = swing(&first, "long").await;
    for number in 0..40 {
        let name = ["go", "return"][number % 2];
        first.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
    }
    do_and_die(&server.url(), &case, &token, Left::Moved).await;
    let (storage, petrel) = faulty(server.url()).await;
    let before = storage.log_reads();
    petrel.fire(Fire::token(token, transition("return"))).await.unwrap();
    let read = storage.log_reads() - before;
    assert!(read <= 12, "{read} reads of the log");
    view_is_the_log(&petrel).await.unwrap();
}
