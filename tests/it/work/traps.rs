//! Behaviour of the server that could double work or lose it: answers to earlier deliveries, deliveries
//! again, changes of leader, purges. Each on one server and on three.

mod servers;

use std::collections::BTreeMap;

use serde::Serialize;
use stormpetrel::{
    models::{Failure, WorkClass},
    petrel::{Change, StartWork},
    storage::{Delivery, MostInFlight, QueueSettings},
};

use self::servers::{Gate, Servers};
use super::*;

const LEASE: Duration = Duration::from_secs(1);

/// A workflow of one step in a queue.
fn step_in(queue: &str, retry: impl Serialize) -> WorkflowDefinition {
    definition(json!({
        "id": queue, "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [{"id": "step", "from_places": ["a"], "to_place": "b",
            "activity": {"queue": queue, "kind": "step", "retry": retry}}]
    }))
}

async fn set(petrel: &Petrel, of: &str, settings: QueueSettings) {
    petrel.storage().set_queue(&queue(of), settings, None).await.unwrap();
}

fn lease() -> QueueSettings {
    QueueSettings { ack_wait: LEASE, ..QueueSettings::default() }
}

/// A delivery, taken by hand.
async fn taken(petrel: &Petrel, of: &str) -> Delivery {
    eventually("a delivery", async || {
        let taken = petrel.storage().take(&queue(of), WorkClass::Normal, 1, LEASE).await;
        taken.ok()?.into_iter().next()
    })
    .await
}

/// Claims that a case's records begin, and those that they call lost.
async fn claims(petrel: &Petrel, of: &str, id: &str) -> (usize, usize) {
    let records = history(petrel, of, &case(id)).await;
    let begun = records.iter().filter(|record| record.value.kind == RecordKind::Begun).count();
    let works = records.iter().filter_map(|record| record.value.work.as_ref());
    (begun, works.filter(|work| work.ended.is_some()).count())
}

async fn nothing_is_offered(petrel: &Petrel, of: &str) {
    eventually("the queue is empty", async || {
        let state = petrel.storage().queue(&queue(of)).await.ok()?;
        state.classes.iter().all(|class| class.waiting + class.in_flight == 0).then_some(())
    })
    .await;
}

/// One who was silent for longer than his lease acknowledges, gives back and prolongs: the server takes all of
/// it for the delivery of whoever has the item now.
async fn words_of_an_earlier_delivery(servers: Servers) {
    let (gone, petrel, other) =
        (servers.process(0).await, servers.process(1).await, servers.process(2).await);
    set(&petrel, "q", lease()).await;
    let ids: Vec<_> = ["ack", "nak", "wpi"].map(str::to_owned).to_vec();
    let mut earlier = BTreeMap::new();
    for id in &ids {
        begun(&gone, &step_in("q", json!({})), id).await;
        let delivery = taken(&gone, "q").await;
        let (worker, work) = ("gone".to_owned(), item("q", id, 1));
        let start = StartWork { work, over: None, worker, lease: LEASE, start: 1 };
        gone.begin_work(start).await.unwrap();
        earlier.insert(id.clone(), delivery);
    }
    let gate = Gate::default();
    let one = Running::start(&petrel, gate.worker(&petrel, "q"));
    let two = Running::start(&other, gate.worker(&other, "q"));
    gate.until(3).await;
    for _ in 0..10 {
        gone.storage().extend(&earlier["wpi"]).await.unwrap();
        gone.storage().give_work_back(&earlier["nak"], Duration::ZERO).await.unwrap();
        gone.storage().acknowledge(&earlier["ack"]).await.unwrap();
        tokio::time::sleep(LEASE / 5).await;
    }
    for id in &ids {
        let done =
            stormpetrel::engine::Answered { outcome: None, result: json!({}), hand_over: None };
        let late = gone.complete_work(&item("q", id, 1), Some(1), done, Change::default()).await;
        assert_eq!(code(late), "LEASE_LOST");
    }
    assert_eq!(
        gate.begun(),
        [("ack", 2), ("nak", 2), ("wpi", 2)].map(|(id, n)| (id.to_owned(), n))
    );
    gate.let_go(&petrel, "q", &ids).await;
    for id in &ids {
        assert_eq!(claims(&petrel, "q", id).await, (2, 1), "{id}");
    }
    nothing_is_offered(&petrel, "q").await;
    one.stop().await;
    two.stop().await;
    is_whole(&petrel).await;
}

/// The message of a running attempt is taken away by an earlier delivery's acknowledgement, and its worker
/// dies too: nobody has it, and whoever serves puts it back.
async fn an_item_without_message_and_worker(servers: Servers) {
    let (gone, petrel) = (servers.process(0).await, servers.process(1).await);
    set(&petrel, "q", lease()).await;
    begun(&gone, &step_in("q", json!({})), "c").await;
    let first = taken(&gone, "q").await;
    let second = taken(&petrel, "q").await;
    assert_eq!(first.offer, second.offer);
    let start = |over, start| StartWork {
        work: item("q", "c", 1),
        over,
        worker: "w".to_owned(),
        lease: LEASE,
        start,
    };
    petrel.begin_work(start(None, 1)).await.unwrap();
    gone.storage().acknowledge(&first).await.unwrap();
    let (of, id) = (workflow("q"), case("c"));
    assert_eq!(petrel.storage().offered_in(&of, &id).await.unwrap(), []);
    // Its attempt is as young as its lease for a while, and then nobody is heard of.
    eventually("it is put back", async || {
        (petrel.mend_open().await.unwrap_or_default() == 1).then_some(())
    })
    .await;
    assert_eq!(petrel.mend_open().await.unwrap(), 0, "once");
    let gate = Gate::default();
    let running = Running::start(&petrel, gate.worker(&petrel, "q"));
    gate.let_go(&petrel, "q", &["c".to_owned()]).await;
    assert_eq!(claims(&petrel, "q", "c").await, (2, 1));
    running.stop().await;
    nothing_is_offered(&petrel, "q").await;
    is_whole(&petrel).await;
}

/// The server gives out again what living workers have: after a restart, a change of leader, and where
/// somebody has deleted the consumer. None of it begins again.
async fn what_is_delivered_again_to_others(mut servers: Servers) {
    let (petrel, other) = (servers.process(0).await, servers.process(1).await);
    let ids: Vec<_> = (0..20).map(|number| format!("c{number}")).collect();
    for id in &ids {
        begun(&petrel, &step_in("q", json!({})), id).await;
    }
    let gate = Gate::default();
    let one = Running::start(&petrel, gate.worker(&petrel, "q"));
    let two = Running::start(&other, gate.worker(&other, "q"));
    gate.until(20).await;
    servers.disturb("CB_WORK", &["petrel-q-normal"]).await;
    let operator = servers.operator().await;
    eventually("the consumer is deleted", async || {
        operator.delete_consumer_from_stream("petrel-q-normal", "CB_WORK").await.ok()
    })
    .await;
    // It is made again by those who take, and gives out all that there is.
    eventually("they come again", async || {
        let state = petrel.storage().queue(&queue("q")).await.ok()?;
        let class = state.class(WorkClass::Normal);
        (class.in_flight == 20 && class.waiting == 0).then_some(())
    })
    .await;
    // A new one behind them is begun, so they have been looked at.
    begun(&petrel, &step_in("q", json!({})), "last").await;
    gate.until(21).await;
    assert_eq!(gate.begun().len(), 21);
    let all: Vec<_> = ids.into_iter().chain(["last".to_owned()]).collect();
    gate.let_go(&petrel, "q", &all).await;
    for id in &all {
        assert_eq!(claims(&petrel, "q", id).await, (1, 0), "{id}");
    }
    nothing_is_offered(&petrel, "q").await;
    is_whole_in_the_end(&petrel).await;
    one.stop().await;
    two.stop().await;
    is_whole(&petrel).await;
}

/// An item that is closed without its worker leaves the queue at once, and the worker's late words find nothing.
async fn what_is_closed_leaves_no_message(servers: Servers) {
    let (petrel, other) = (servers.process(0).await, servers.process(1).await);
    let ids = ["cancelled", "by-hand", "next"];
    for id in &ids[..2] {
        begun(&petrel, &step_in("q", json!({})), id).await;
    }
    let mut had = Vec::new();
    for id in &ids[..2] {
        had.push(taken(&other, "q").await);
        let (worker, work) = ("w".to_owned(), item("q", id, 1));
        let start = StartWork { work, over: None, worker, lease: LEASE, start: 1 };
        other.begin_work(start).await.unwrap();
    }
    petrel.cancel(&workflow("q"), &case("cancelled"), Change::default()).await.unwrap();
    let done =
        || stormpetrel::engine::Answered { outcome: None, result: json!({}), hand_over: None };
    petrel.complete_work(&item("q", "by-hand", 1), None, done(), Change::default()).await.unwrap();
    nothing_is_offered(&petrel, "q").await;
    begun(&petrel, &step_in("q", json!({})), "next").await;
    for delivery in &had {
        other.storage().extend(delivery).await.unwrap();
        other.storage().give_work_back(delivery, Duration::ZERO).await.unwrap();
        other.storage().acknowledge(delivery).await.unwrap();
    }
    for id in &ids[..2] {
        let work = item("q", id, 1);
        let late = other.complete_work(&work, Some(1), done(), Change::default()).await;
        assert_eq!(code(late), "WRONG_STATUS", "{id}");
    }
    assert_eq!(taken(&other, "q").await.offer.case.as_str(), "next");
    is_whole(&petrel).await;
}

/// The waits of failed attempts come due while the leader of their stream changes, or the server is away:
/// firing a schedule purges its subject, and each wait has one of its own.
async fn waits_while_the_leader_changes(mut servers: Servers) {
    let petrel = servers.process(0).await;
    let retry = json!({"attempts": 2, "first": "6s", "jitter": false});
    let ids: Vec<_> = (0..30).map(|number| format!("c{number}")).collect();
    for id in &ids {
        begun(&petrel, &step_in("q", &retry), id).await;
    }
    let worker = Worker::builder(petrel.clone()).queue(QueueOptions::new(queue("q"))).handle(
        kind("step"),
        |attempt: Attempt, _: Value| async move {
            match attempt.number() {
                1 => Err(WorkError::new("DOWN", "the first one")),
                _ => Ok(json!({})),
            }
        },
    );
    let running = Running::start(&petrel, worker);
    eventually("all have failed once", async || {
        for id in &ids {
            let now = petrel.case(&workflow("q"), &case(id)).await.ok()?;
            if now.items.first().is_some_and(|item| item.failed == 0) {
                return None;
            }
        }
        Some(())
    })
    .await;
    let mut waits = 0;
    for id in &ids {
        let now = petrel.case(&workflow("q"), &case(id)).await.unwrap();
        waits += now.items.iter().filter(|item| item.wait.is_some()).count();
    }
    assert!(waits > 0, "all waits were over too soon: nothing was tried");
    servers.disturb("CB_TIMERS", &[]).await;
    for id in &ids {
        until(&petrel, "q", id, CaseStatus::Completed).await;
        assert_eq!(claims(&petrel, "q", id).await, (2, 0), "{id}");
    }
    nothing_is_offered(&petrel, "q").await;
    is_whole_in_the_end(&petrel).await;
    running.stop().await;
    is_whole(&petrel).await;
}

/// Items that wait for their next attempt for long take no place among those that are in flight.
async fn waiting_items_take_no_places(servers: Servers) {
    let petrel = servers.process(0).await;
    set(&petrel, "q", QueueSettings { most_in_flight: MostInFlight::each(2), ..lease() }).await;
    let retry = json!({"attempts": 2, "first": "1h", "jitter": false});
    for number in 0..6 {
        begun(&petrel, &step_in("q", &retry), &format!("fails-{number}")).await;
    }
    begun(&petrel, &step_in("q", &retry), "last").await;
    let worker = Worker::builder(petrel.clone()).queue(QueueOptions::new(queue("q"))).handle(
        kind("step"),
        |attempt: Attempt, _: Value| async move {
            match attempt.work().case.as_str() {
                "last" => Ok(json!({})),
                _ => Err(WorkError::new("DOWN", "for an hour")),
            }
        },
    );
    let running = Running::start(&petrel, worker);
    until(&petrel, "q", "last", CaseStatus::Completed).await;
    nothing_is_offered(&petrel, "q").await;
    running.stop().await;
    is_whole(&petrel).await;
}

/// A pull that waits is void after a change of leader, without a word: a worker asks again.
async fn an_idle_worker_after_a_change_of_leader(mut servers: Servers) {
    let (petrel, other) = (servers.process(0).await, servers.process(1).await);
    let ledger = Arc::<Ledger>::default();
    let noted = Arc::clone(&ledger);
    let worker = Worker::builder(other.clone()).queue(QueueOptions::new(queue("q"))).handle(
        kind("step"),
        move |attempt: Attempt, _: Value| {
            noted.note(&attempt);
            async { Ok::<_, WorkError>(json!({})) }
        },
    );
    let running = Running::start(&other, worker);
    for id in ["a", "b", "c"] {
        begun(&petrel, &step_in("q", json!({})), id).await;
        until(&petrel, "q", id, CaseStatus::Completed).await;
        eventually("it waits again", async || {
            let state = petrel.storage().queue(&queue("q")).await.ok()?;
            (state.class(WorkClass::Normal).open_pulls > 0).then_some(())
        })
        .await;
        servers.disturb("CB_WORK", &["petrel-q-normal"]).await;
    }
    eventually("the last one", async || {
        let new = NewCase { case: Some(case("d")), ..NewCase::of(workflow("q")) };
        petrel.create_case(new).await.ok()
    })
    .await;
    until(&petrel, "q", "d", CaseStatus::Completed).await;
    assert_eq!(ledger.len(), 4);
    ledger.is_once_a_claim();
    is_whole_in_the_end(&petrel).await;
    running.stop().await;
    is_whole(&petrel).await;
}

/// An item that was acknowledged away is stored when it is offered again, however soon and often: no message id is
/// remembered, and a replica that has not heard of the acknowledgement refuses nothing for ever.
async fn what_was_acknowledged_is_offered_again(servers: Servers) {
    let petrel = servers.process(0).await;
    begun(&petrel, &step_in("q", json!({})), "c").await;
    for _ in 0..20 {
        let delivery = taken(&petrel, "q").await;
        petrel.storage().acknowledge(&delivery).await.unwrap();
        eventually("it is put back", async || {
            petrel.mend_open().await.ok()?;
            let offered = petrel.storage().offered_in(&workflow("q"), &case("c")).await.ok()?;
            (offered.len() == 1).then_some(())
        })
        .await;
    }
    let failure = Failure { code: "X".to_owned(), is_final: true, ..Failure::default() };
    petrel.fail_work(&item("q", "c", 1), None, failure, Change::default()).await.unwrap();
    petrel.cancel(&workflow("q"), &case("c"), Change::default()).await.unwrap();
    nothing_is_offered(&petrel, "q").await;
    is_whole(&petrel).await;
}

macro_rules! on_one_and_on_three {
    ($($trap:ident)*) => {
        mod on_one {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $trap() {
                super::$trap(super::Servers::one().await).await;
            })*
        }
        mod on_three {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $trap() {
                super::$trap(super::Servers::three().await).await;
            })*
        }
    };
}

on_one_and_on_three! {
    words_of_an_earlier_delivery
    an_item_without_message_and_worker
    what_is_delivered_again_to_others
    what_is_closed_leaves_no_message
    waits_while_the_leader_changes
    waiting_items_take_no_places
    an_idle_worker_after_a_change_of_leader
    what_was_acknowledged_is_offered_again
}
