//! Attempts as their handlers see them: progress, limits of time, and the reasons to stop.

use stormpetrel::{petrel::Change, storage::nats::NatsStorage, testing::FaultyStorage};

use super::*;
use crate::support::{config, petrel_at, system};

const LEASE: Duration = Duration::from_secs(1);

fn short() -> QueueOptions {
    let mut options = QueueOptions::new(queue("default"));
    options.ack_wait = Some(LEASE);
    options
}

/// Words of handlers, in their order.
type Said = Arc<Mutex<Vec<String>>>;

fn say(said: &Said, words: String) {
    said.lock().unwrap().push(words);
}

/// A worker that can't give signs of life ends its attempt by its own clock, before another begins; what the
/// lost attempt says of its progress later is refused, and the next one has what was stored before.
#[tokio::test]
async fn a_worker_that_can_not_beat_stops_before_another_begins() {
    let (server, petrel) = system().await;
    let storage = Arc::new(NatsStorage::connect(config(server.url())).await.unwrap());
    let faulty = FaultyStorage::new(storage);
    let mute = Petrel::new(Arc::new(faulty.clone()));
    begun(&petrel, &steps(1, json!({})), "c").await;
    let (said, kept) = (Said::default(), Arc::<Mutex<Option<Attempt>>>::default());
    let worker = {
        let (said, kept) = (Arc::clone(&said), Arc::clone(&kept));
        Worker::builder(mute.clone()).named("same").queue(short()).handle(
            kind("step0"),
            move |attempt: Attempt, _: Value| {
                let (said, kept, faulty) = (Arc::clone(&said), Arc::clone(&kept), faulty.clone());
                async move {
                    attempt.progress(&json!({"done": 3})).await.unwrap();
                    say(&said, format!("{} begins", attempt.claim()));
                    *kept.lock().unwrap() = Some(attempt.clone());
                    faulty.drop_beats(true);
                    // The loss of it ends this at the latest.
                    let _ended = Ends(Arc::clone(&said), attempt.claim());
                    std::future::pending::<std::result::Result<Value, WorkError>>().await
                }
            },
        )
    };
    let one = Running::start(&mute, worker);
    eventually("it begins", async || (!said.lock().unwrap().is_empty()).then_some(())).await;
    // It begins nothing more, and what runs has time to end.
    one.stop.cancel();
    let worker = {
        let said = Arc::clone(&said);
        Worker::builder(petrel.clone()).named("same").queue(short()).handle(
            kind("step0"),
            move |attempt: Attempt, _: Value| {
                let said = Arc::clone(&said);
                async move {
                    let last = attempt.last_progress().await.unwrap();
                    say(&said, format!("{} begins after {}", attempt.claim(), last.unwrap()));
                    attempt.progress(&json!({"done": 5})).await.unwrap();
                    Ok::<_, WorkError>(json!({}))
                }
            },
        )
    };
    let two = Running::start(&petrel, worker);
    until(&petrel, "steps", "c", CaseStatus::Completed).await;
    assert_eq!(*said.lock().unwrap(), ["1 begins", "1 ends", "2 begins after {\"done\":3}"]);
    let lost = kept.lock().unwrap().take().unwrap();
    assert_eq!(lost.stop_reason().map(|reason| reason.as_str()), Some("lost"));
    assert_eq!(code(lost.progress(&json!({"done": 4})).await), "LEASE_LOST");
    one.stop().await;
    two.stop().await;
    is_whole(&petrel).await;
}

/// Says its end when it is dropped.
struct Ends(Said, u64);

impl Drop for Ends {
    fn drop(&mut self) {
        say(&self.0, format!("{} ends", self.1));
    }
}

/// An attempt whose process has stood still says its progress after another one has begun, and had none before.
#[tokio::test]
async fn progress_of_an_earlier_claim_replaces_none() {
    let (_server, petrel) = system().await;
    begun(&petrel, &steps(1, json!({})), "c").await;
    let attempts = Arc::<Mutex<Vec<Attempt>>>::default();
    let kept = Arc::clone(&attempts);
    let worker = Worker::builder(petrel.clone()).queue(short()).handle(
        kind("step0"),
        move |attempt: Attempt, _: Value| {
            let kept = Arc::clone(&kept);
            async move {
                kept.lock().unwrap().push(attempt.clone());
                match attempt.number() {
                    1 => Err(WorkError::new("AGAIN", "")),
                    _ => {
                        attempt.progress(&json!({"of": 2})).await.unwrap();
                        attempt.stopped().await;
                        Ok(json!({}))
                    }
                }
            }
        },
    );
    let running = Running::start(&petrel, worker);
    eventually("the second", async || {
        let last = attempts.lock().unwrap().get(1)?.clone();
        (last.last_progress().await.unwrap()? == json!({"of": 2})).then_some(())
    })
    .await;
    let first = attempts.lock().unwrap()[0].clone();
    assert_eq!(code(first.progress(&json!({"of": 1})).await), "LEASE_LOST");
    assert_eq!(first.last_progress().await.unwrap(), Some(json!({"of": 2})));
    petrel.cancel(&workflow("steps"), &case("c"), Change::default()).await.unwrap();
    running.stop().await;
    is_whole(&petrel).await;
}

/// A handler that never looks and never ends is a failed attempt when its time is over.
#[tokio::test]
async fn an_attempt_that_takes_too_long_fails_though_its_code_goes_on() {
    let (_server, petrel) = system().await;
    let activity = json!({"timeout": "300ms", "retry": {"attempts": 2, "first": "100ms"}});
    begun(&petrel, &steps(1, activity), "c").await;
    let reasons = Said::default();
    let told = Arc::clone(&reasons);
    let worker = Worker::builder(petrel.clone()).queue(short()).handle(
        kind("step0"),
        move |attempt: Attempt, _: Value| {
            let told = Arc::clone(&told);
            async move {
                if attempt.number() == 2 {
                    attempt.stopped().await;
                    say(&told, attempt.stop_reason().unwrap().as_str().to_owned());
                }
                std::future::pending::<std::result::Result<Value, WorkError>>().await
            }
        },
    );
    let running = Running::start(&petrel, worker);
    eventually("an incident", async || {
        let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
        now.incidents.first().map(|open| assert_eq!(open.code.as_str(), "WORK_FAILED"))
    })
    .await;
    let records = history(&petrel, "steps", &case("c")).await;
    let codes: Vec<_> = records
        .iter()
        .filter_map(|record| record.value.work.as_ref()?.failure.as_ref())
        .map(|failure| failure.code.as_str())
        .collect();
    assert_eq!(codes, ["TIMEOUT", "TIMEOUT"]);
    assert_eq!(*reasons.lock().unwrap(), ["timed out"]);
    running.stop().await;
    is_whole(&petrel).await;
}

/// Signs of life are as far apart here that nothing is heard of by them.
fn rare() -> QueueOptions {
    let mut options = QueueOptions::new(queue("default"));
    options.ack_wait = Some(Duration::from_secs(3_600));
    options
}

/// Two activities are offered the same token: the loser hears of it at once, and its item is gone.
#[tokio::test]
async fn whoever_loses_a_race_of_two_activities_is_told() {
    let (_server, petrel) = system().await;
    let race = definition(json!({
        "id": "race", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [
            {"id": "quick", "from_places": ["a"], "to_place": "b", "activity": {"kind": "quick"}},
            {"id": "slow", "from_places": ["a"], "to_place": "b", "activity": {"kind": "slow"}}
        ]
    }));
    let (said, begins) = (Said::default(), Arc::<tokio::sync::Notify>::default());
    let (told, waits) = (Arc::clone(&said), Arc::clone(&begins));
    let worker = Worker::builder(petrel.clone())
        .queue(rare())
        .handle(kind("slow"), move |attempt: Attempt, _: Value| {
            let (told, begins) = (Arc::clone(&told), Arc::clone(&begins));
            async move {
                begins.notify_one();
                attempt.stopped().await;
                say(&told, attempt.stop_reason().unwrap().as_str().to_owned());
                Ok::<_, WorkError>(json!({"by": "slow"}))
            }
        })
        .handle(kind("quick"), move |_: Attempt, _: Value| {
            let waits = Arc::clone(&waits);
            async move {
                waits.notified().await;
                Ok::<_, WorkError>(json!({"by": "quick"}))
            }
        });
    let running = Running::start(&petrel, worker);
    begun(&petrel, &race, "c").await;
    until(&petrel, "race", "c", CaseStatus::Completed).await;
    eventually("it is told", async || (!said.lock().unwrap().is_empty()).then_some(())).await;
    assert_eq!(*said.lock().unwrap(), ["withdrawn"]);
    let now = petrel.case(&workflow("race"), &case("c")).await.unwrap();
    assert_eq!(now.result().unwrap()["by"], "quick");
    running.stop().await;
    is_whole(&petrel).await;
}

/// Whoever's word it is, and from whatever process: each worker is told why, and none waits for its next beat.
#[tokio::test]
async fn attempts_that_others_end_are_told_at_once() {
    let (server, petrel) = system().await;
    let other = petrel_at(server.url()).await;
    let (said, begins) = (Said::default(), Said::default());
    let (told, noted) = (Arc::clone(&said), Arc::clone(&begins));
    let worker = Worker::builder(petrel.clone()).queue(rare()).handle(
        kind("step0"),
        move |attempt: Attempt, _: Value| {
            let (told, noted) = (Arc::clone(&told), Arc::clone(&noted));
            async move {
                say(&noted, attempt.work().case.to_string());
                attempt.stopped().await;
                let reason = attempt.stop_reason().unwrap().as_str();
                say(&told, format!("{} {reason}", attempt.work().case));
                Ok::<_, WorkError>(json!({}))
            }
        },
    );
    let running = Running::start(&petrel, worker);
    let definition = steps(1, json!({"deadline": "1s"}));
    begun(&petrel, &definition, "late").await;
    petrel.create_workflow(steps(1, json!({})), ExpectedVersion::Any).await.unwrap();
    for id in ["cancelled", "completed"] {
        begun(&petrel, &steps(1, json!({})), id).await;
    }
    eventually("all begin", async || (begins.lock().unwrap().len() == 3).then_some(())).await;
    other.cancel(&workflow("steps"), &case("cancelled"), Change::default()).await.unwrap();
    let done = stormpetrel::engine::Answered { outcome: None, result: json!({}), hand_over: None };
    let work = item("steps", "completed", 1);
    other.complete_work(&work, None, done, Change::default()).await.unwrap();
    eventually("all are told", async || (said.lock().unwrap().len() == 3).then_some(())).await;
    let mut said = said.lock().unwrap().clone();
    said.sort();
    assert_eq!(said, ["cancelled cancelled", "completed withdrawn", "late timed out"]);
    running.stop().await;
    is_whole(&petrel).await;
}

/// The server is away when a worker starts: it waits, and works when that is back.
#[tokio::test]
async fn a_worker_that_starts_while_the_server_is_away_works_when_it_is_back() {
    let (mut server, petrel) = system().await;
    begun(&petrel, &steps(1, json!({})), "c").await;
    server.kill().await;
    let worker = Worker::builder(petrel.clone())
        .queue(short())
        .handle(kind("step0"), |_: Attempt, _: Value| async { Ok::<_, WorkError>(json!({})) });
    let running = Running::start(&petrel, worker);
    // It has asked before this one, which has no answer either.
    assert!(petrel.storage().queue(&queue("default")).await.is_err());
    server.restart().await;
    until(&petrel, "steps", "c", CaseStatus::Completed).await;
    is_whole_in_the_end(&petrel).await;
    running.stop().await;
    is_whole(&petrel).await;
}
