//! Steps that are carried out at most once, whose workers were lost in them: a person says what became of them.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};
use stormpetrel::{
    durable::{Context, SettleError, Settlement},
    models::{CaseStatus, EntryKind, Failure, FiringId, Incident, LogSequence, Revision},
    petrel::{Change, ExpectedVersion, NewCase, Petrel},
    testing::TestServer,
    worker::{WorkError, Worker, WorkerBuilder},
};
use tokio::sync::Notify;

use super::{Effects, entries, is_gone, queue};
use crate::{
    support::{case, definition, petrel_at, system, workflow},
    work::{Running, begun, eventually, is_whole, kind, steps, until},
};

/// A step that pays at most once, and then another one. It hangs in the first where `told` is there.
fn paying(petrel: &Petrel, effects: &Effects, told: Option<&Arc<Notify>>) -> WorkerBuilder {
    let (effects, told) = (Arc::clone(effects), told.cloned());
    let run = move |ctx: Context, _: Value| {
        let (effects, told) = (Arc::clone(&effects), told.clone());
        async move {
            let (noted, told) = (&effects, &told);
            let pay = || async move {
                noted.lock().unwrap().push("pay".to_owned());
                if let Some(told) = told {
                    told.notify_one();
                    std::future::pending::<()>().await;
                }
                Ok::<_, WorkError>("by the step".to_owned())
            };
            let paid: String = match ctx.step("pay", pay).at_most_once().await {
                Ok(paid) => paid,
                Err(error) => error.code().to_owned(),
            };
            let note = || async {
                noted.lock().unwrap().push("note".to_owned());
                Ok::<_, WorkError>(())
            };
            ctx.step("note", note).await?;
            Ok(json!({ "paid": paid }))
        }
    };
    Worker::builder(petrel.clone()).queue(queue()).durable(kind("step0"), run)
}

/// A worker that runs, and the incident of a case whose worker was lost in its first step.
async fn unknown(server: &TestServer, petrel: &Petrel, effects: &Effects) -> (Running, Incident) {
    begun(petrel, &steps(1, json!({})), "c").await;
    let noted = Arc::clone(effects);
    is_gone(server, move |petrel, told| paying(petrel, &noted, Some(told))).await;
    let running = Running::start(petrel, paying(petrel, effects, None));
    let incident = eventually("an incident", async || {
        petrel.case(&workflow("steps"), &case("c")).await.unwrap().incidents.first().cloned()
    })
    .await;
    let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
    let words = petrel.incident_explanation(&now, &incident).await.unwrap();
    assert!(words.contains("OUTCOME_UNKNOWN") && words.contains(r#"step "pay" at 1"#), "{words}");
    assert_eq!(*effects.lock().unwrap(), ["pay"]);
    (running, incident)
}

fn by(name: &str) -> Change {
    let metadata = json!({ "reason": "the bank's list" }).as_object().unwrap().clone();
    Change { by: Some(name.to_owned()), metadata, ..Change::default() }
}

async fn settle(
    petrel: &Petrel,
    incident: &Incident,
    settlement: Settlement,
    name: &str,
) -> Result<(), SettleError> {
    let (w, c) = (workflow("steps"), case("c"));
    petrel.settle_step(&w, &c, incident.number, settlement, by(name)).await.map(drop)
}

async fn paid(petrel: &Petrel) -> Value {
    until(petrel, "steps", "c", CaseStatus::Completed).await;
    let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
    now.tokens.values().next().unwrap().data["paid"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_a_person_gives_is_the_steps() {
    let (server, petrel) = system().await;
    let effects = Effects::default();
    let (running, incident) = unknown(&server, &petrel, &effects).await;
    settle(&petrel, &incident, Settlement::Done(json!("by hand")), "ann").await.unwrap();
    assert_eq!(paid(&petrel).await, json!("by hand"));
    assert_eq!(*effects.lock().unwrap(), ["pay", "note"]);
    let found = entries(&petrel, "c").await;
    let said = found.iter().find_map(|entry| match &entry.what {
        EntryKind::Settled { by, notes, attempt, .. } => {
            Some((by.clone()?, notes.clone(), *attempt))
        }
        _ => None,
    });
    assert_eq!(said.unwrap(), ("ann".to_owned(), by("ann").metadata, 1));
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_did_not_happen_is_carried_out_and_one_that_failed_is_not() {
    for (settlement, wanted, pays) in [
        (Settlement::NotDone, "by the step", 2),
        (
            Settlement::Failed(Failure { code: "NO_MONEY".to_owned(), ..Failure::default() }),
            "NO_MONEY",
            1,
        ),
    ] {
        let (server, petrel) = system().await;
        let effects = Effects::default();
        let (running, incident) = unknown(&server, &petrel, &effects).await;
        settle(&petrel, &incident, settlement, "ann").await.unwrap();
        assert_eq!(paid(&petrel).await, json!(wanted));
        let count = effects.lock().unwrap().iter().filter(|of| *of == "pay").count();
        assert_eq!(count, pays);
        running.stop().await;
        is_whole(&petrel).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_people_who_settle_a_step_one_is_told_of_the_other() {
    let (server, petrel) = system().await;
    let effects = Effects::default();
    let (running, incident) = unknown(&server, &petrel, &effects).await;
    let other = petrel_at(server.url()).await;
    let ann = settle(&petrel, &incident, Settlement::Done(json!("ann")), "ann");
    let bob = settle(&other, &incident, Settlement::Done(json!("bob")), "bob");
    let (ann, bob) = tokio::join!(ann, bob);
    let (winner, refused) = match (ann, bob) {
        (Ok(()), Err(refused)) => ("ann", refused),
        (Err(refused), Ok(())) => ("bob", refused),
        both => panic!("{both:?}"),
    };
    // At the same moment the store refuses the second one; a moment later the journal says by whom it was settled, or
    // the incident is over.
    let codes = ["CONFLICT", "SETTLED", "INVALID_ARGUMENT", "WRONG_STATUS", "RUNNING"];
    assert!(codes.contains(&refused.code()), "{refused:?}");
    assert_eq!(paid(&petrel).await, json!(winner));
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn an_incident_of_another_kind_has_nothing_to_settle() {
    let (_server, petrel) = system().await;
    begun(&petrel, &steps(1, json!({})), "c").await;
    let fails = |_: Context, _: Value| async { Err::<Value, _>(WorkError::new("NO", "no")) };
    let worker = Worker::builder(petrel.clone()).queue(queue()).durable(kind("step0"), fails);
    let running = Running::start(&petrel, worker);
    let incident = eventually("an incident", async || {
        petrel.case(&workflow("steps"), &case("c")).await.unwrap().incidents.first().cloned()
    })
    .await;
    let refused = settle(&petrel, &incident, Settlement::NotDone, "ann").await.unwrap_err();
    assert_eq!(refused.code(), "NOTHING_UNKNOWN");
    let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
    assert_eq!(now.incidents, [incident], "it stands");
    running.stop().await;
    is_whole(&petrel).await;
}

/// Both were under way when the worker was lost: each incident is about one of them, and so is each word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_steps_side_by_side_are_settled_each_by_its_own_word() {
    let (server, petrel) = system().await;
    begun(&petrel, &steps(1, json!({})), "c").await;
    let both = |petrel: &Petrel, told: Option<Arc<Notify>>| {
        let run = move |ctx: Context, _: Value| {
            let (told, count) = (told.clone(), Arc::<AtomicU32>::default());
            async move {
                let pay = |name: &'static str| {
                    let (told, count) = (told.clone(), Arc::clone(&count));
                    let pay = move || {
                        let (told, count) = (told.clone(), Arc::clone(&count));
                        async move {
                            if count.fetch_add(1, Ordering::Relaxed) == 1
                                && let Some(told) = told
                            {
                                told.notify_one();
                            }
                            std::future::pending::<()>().await;
                            Ok::<_, WorkError>(String::new())
                        }
                    };
                    ctx.scope(name).step(name, pay).at_most_once().into_future()
                };
                let (b, a) = tokio::join!(pay("b"), pay("a"));
                Ok(json!({ "paid": [a?, b?] }))
            }
        };
        Worker::builder(petrel.clone()).queue(queue()).durable(kind("step0"), run)
    };
    is_gone(&server, move |petrel, told| both(petrel, Some(Arc::clone(told)))).await;
    let running = Running::start(&petrel, both(&petrel, None));
    let mut before = 0;
    for _ in 0..2 {
        let incident = eventually("an incident", async || {
            let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
            now.incidents.first().filter(|open| open.number > before).cloned()
        })
        .await;
        before = incident.number;
        let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
        let words = petrel.incident_explanation(&now, &incident).await.unwrap();
        let name = if words.contains(r#"step "a""#) { "a" } else { "b" };
        settle(&petrel, &incident, Settlement::Done(json!(name)), "ann").await.unwrap();
    }
    assert_eq!(paid(&petrel).await, json!(["a", "b"]));
    running.stop().await;
    is_whole(&petrel).await;
}

/// An answer that no journal could have, or a change that no log could, leaves everything as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_can_not_be_stored_is_refused_whole() {
    let (server, petrel) = system().await;
    let effects = Effects::default();
    let (running, incident) = unknown(&server, &petrel, &effects).await;
    let before = entries(&petrel, "c").await;
    let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let failure = |code: &str| Failure { code: code.to_owned(), ..Failure::default() };
    for (settlement, code) in [
        (Settlement::Done(nested(500)), "INVALID_ARGUMENT"),
        (Settlement::Done(json!("x".repeat(2 << 20))), "TOO_LARGE"),
        (Settlement::Failed(failure("")), "INVALID_ARGUMENT"),
        (Settlement::Failed(failure(&"x".repeat(129))), "INVALID_ARGUMENT"),
    ] {
        let refused = settle(&petrel, &incident, settlement, "ann").await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    let (w, c) = (workflow("steps"), case("c"));
    let deep = json!({ "deep": nested(500) }).as_object().unwrap().clone();
    let now = petrel.case(&w, &c).await.unwrap();
    let stale = LogSequence::new(1).map(Revision::from);
    let word = || Settlement::Done(json!("too early"));
    for change in [
        Change { metadata: deep, ..Change::default() },
        Change { expected_revision: stale, ..Change::default() },
    ] {
        petrel.settle_step(&w, &c, incident.number, word(), change).await.unwrap_err();
    }
    assert_eq!(petrel.case(&w, &c).await.unwrap().sequence, now.sequence);
    // The id of another change, and a case in which nothing goes on.
    let used = || Change { firing: FiringId::new("used").ok(), ..Change::default() };
    petrel.pause(&w, &c, used()).await.unwrap();
    let paused = petrel.settle_step(&w, &c, incident.number, word(), Change::default()).await;
    assert_eq!(paused.unwrap_err().code(), "WRONG_STATUS");
    petrel.resume(&w, &c, Change::default()).await.unwrap();
    let taken = petrel.settle_step(&w, &c, incident.number, word(), used()).await;
    assert_eq!(taken.unwrap_err().code(), "CONFLICT");
    assert_eq!(entries(&petrel, "c").await, before);
    settle(&petrel, &incident, Settlement::Done(json!("at last")), "ann").await.unwrap();
    assert_eq!(paid(&petrel).await, json!("at last"));
    running.stop().await;
    is_whole(&petrel).await;
}

/// A result that the code can't read is a word about the step, too, and somebody may say another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_of_a_person_that_the_code_does_not_read_can_be_mended() {
    let (server, petrel) = system().await;
    let effects = Effects::default();
    let (running, first) = unknown(&server, &petrel, &effects).await;
    settle(&petrel, &first, Settlement::Done(json!({ "receipt": 17 })), "ann").await.unwrap();
    let second = eventually("another incident", async || {
        let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
        now.incidents.first().filter(|open| open.number > first.number).cloned()
    })
    .await;
    let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
    let words = petrel.incident_explanation(&now, &second).await.unwrap();
    assert!(words.contains("is not what the code reads"), "{words}");
    settle(&petrel, &second, Settlement::Done(json!("17")), "ann").await.unwrap();
    assert_eq!(paid(&petrel).await, json!("17"));
    assert_eq!(*effects.lock().unwrap(), ["pay", "note"]);
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn an_incident_that_is_about_no_item_has_nothing_to_settle_and_stands() {
    let (_server, petrel) = system().await;
    let loops = |id: &str, from: &str, to: &str| json!({"id": id, "from_places": [from], "to_place": to, "auto": true});
    let mut there = loops("there", "a", "b");
    there["conditions"] = json!(["token.data.left > 0"]);
    there["output"] = json!("{'left': token.data.left - 1}");
    let net = definition(json!({
        "id": "steps", "initial_place": "a", "max_cascade": 5, "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [there, loops("back", "b", "a")],
    }));
    petrel.create_workflow(net.clone(), ExpectedVersion::Any).await.unwrap();
    let new = NewCase { case: Some(case("c")), data: json!({"left": 100}), ..NewCase::of(net.id) };
    let before = petrel.create_case(new).await.unwrap().case;
    let refused = settle(&petrel, &before.incidents[0], Settlement::NotDone, "ann").await;
    assert_eq!(refused.unwrap_err().code(), "NOTHING_UNKNOWN");
    let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
    assert_eq!((now.sequence, &now.incidents), (before.sequence, &before.incidents));
}
