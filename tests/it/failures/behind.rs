//! Changes on top of records whose writers died before their views.

use serde_json::json;
use stormpetrel::{
    models::{CaseId, TokenId},
    petrel::{Change, Changed, Fire, NewToken, Petrel},
    testing::TestServer,
};

use super::fixtures::{faulty, fire_once, pendulum, swing, view_is_the_log};
use crate::support::{cases_at, transition, workflow};

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

fn token_in(case: &CaseId) -> NewToken {
    NewToken {
        workflow: workflow("pendulum"),
        case: case.clone(),
        place: None,
        data: json!({"n": 0}),
        metadata: Default::default(),
        change: change(),
    }
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
    cases: &Petrel,
    case: &CaseId,
    [token, another]: [&TokenId; 2],
    next: Next,
) -> Changed {
    let pendulum = workflow("pendulum");
    let at = cases.case(&pendulum, case).await.unwrap();
    let leave = |token: &TokenId| {
        let is_here = at.tokens[token].place.as_str() == "here";
        Fire::token(token.clone(), transition(if is_here { "go" } else { "return" }))
    };
    let done = match next {
        Next::Edit => {
            cases.update_token_data(None, token, json!({"edited": "again"}), change()).await
        }
        Next::Move => cases.fire(leave(token)).await,
        Next::MoveAnother => cases.fire(leave(another)).await,
        Next::Make => cases.create_token(token_in(case)).await,
        Next::Pause => cases.pause(&pendulum, case, change()).await,
        Next::Again => {
            let go = Fire::token(token.clone(), transition("go"));
            cases.fire(fire_once(go, &format!("{case}-lost"))).await
        }
        Next::PauseAgain => {
            cases.pause(&pendulum, case, change()).await.unwrap();
            cases.pause(&pendulum, case, change()).await
        }
    };
    done.unwrap()
}

#[tokio::test]
async fn what_is_answered_on_top_of_lost_views_is_in_listings_at_once() {
    let server = TestServer::start().await;
    let first = cases_at(server.url()).await;
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
                let cases = if warm { first.clone() } else { cases_at(server.url()).await };
                go_on(&cases, &case, [&token, &another], next).await;
                if let Err(differs) = view_is_the_log(&cases).await {
                    wrong.push(format!("{left:?}, {next:?}, warm: {warm}: {differs}"));
                    // The next combination begins with views that are right.
                    cases.rebuild(&|_, _| ()).await.unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {number}:\n{}", wrong.len(), wrong.join("\n"));
}
