//! Attempts as their handlers see them: progress, limits of time, and the reasons to stop.

use std::collections::BTreeSet;

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

/// Two activities are offered the same token: the loser hears of it, and its item is gone.
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
        .queue(short())
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

/// A cancel and a result at the same moment: one of them is in the log, and the other's caller is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_cancel_and_a_result_one_wins_and_the_other_is_told() {
    let (server, petrel) = system().await;
    let other = petrel_at(server.url()).await;
    let mut won = BTreeSet::new();
    for number in 0..40 {
        let id = format!("c{number}");
        begun(&petrel, &steps(1, json!({})), &id).await;
        let work = item("steps", &id, 1);
        let start = stormpetrel::petrel::StartWork {
            work: work.clone(),
            over: None,
            worker: "w".to_owned(),
            lease: LEASE,
            start: 1,
        };
        other.begin_work(start).await.unwrap();
        let done =
            stormpetrel::engine::Answered { outcome: None, result: json!({}), hand_over: None };
        let (of, name) = (workflow("steps"), case(&id));
        // One of them begins some time later, another one each time.
        let (wait, cancels_late) = (Duration::from_micros(150 * number), number % 2 == 0);
        let late = async |is_late: bool| {
            if is_late {
                tokio::time::sleep(wait).await;
            }
        };
        let cancel = async {
            late(cancels_late).await;
            petrel.cancel(&of, &name, Change::default()).await
        };
        let complete = async {
            late(!cancels_late).await;
            other.complete_work(&work, Some(1), done, Change::default()).await
        };
        let (cancelled, completed) = tokio::join!(cancel, complete);
        let now = petrel.case(&of, &name).await.unwrap();
        let status = match (cancelled, completed) {
            (Ok(_), Err(error)) => {
                assert!(error.to_string().contains("cancelled"), "{error}");
                CaseStatus::Cancelled
            }
            (Err(error), Ok(_)) => {
                assert!(error.to_string().contains("completed"), "{error}");
                CaseStatus::Completed
            }
            both => panic!("{both:?}"),
        };
        assert_eq!(now.status, status);
        won.insert(status.as_str());
        assert_eq!(history(&petrel, "steps", &name).await.len(), 3);
    }
    assert_eq!(won.len(), 2, "both happened: {won:?}");
    is_whole(&petrel).await;
}

/// A case whose item waits for its next attempt is cancelled at once, and nothing of it comes again.
#[tokio::test]
async fn a_case_that_waits_for_its_next_attempt_is_cancelled_at_once() {
    let (_server, petrel) = system().await;
    let retry = json!({"retry": {"attempts": 3, "first": "1h"}});
    begun(&petrel, &steps(1, retry), "c").await;
    let worker = Worker::builder(petrel.clone())
        .queue(short())
        .handle(kind("step0"), |_: Attempt, _: Value| async {
            Err::<Value, _>(WorkError::new("DOWN", ""))
        });
    let running = Running::start(&petrel, worker);
    let (of, id) = (workflow("steps"), case("c"));
    eventually("it waits", async || {
        let now = petrel.case(&of, &id).await.unwrap();
        now.items[0].wait.is_some().then_some(())
    })
    .await;
    let done = petrel.cancel(&of, &id, Change::default()).await.unwrap();
    assert_eq!((done.case.status, done.case.items.len()), (CaseStatus::Cancelled, 0));
    running.stop().await;
    is_whole(&petrel).await;
}

/// A thousand items fail at the same second: their next attempts are spread over the whole delay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_after_a_common_failure_are_spread() {
    let petrel = Petrel::new(Arc::new(stormpetrel::storage::MemoryStorage::new()));
    let retry = json!({"retry": {"attempts": 2, "first": "50s"}});
    for number in 0..1_000 {
        begun(&petrel, &steps(1, retry.clone()), &format!("c{number}")).await;
    }
    let worker = Worker::builder(petrel.clone())
        .queue(QueueOptions::new(queue("default")))
        .handle(kind("step0"), |_: Attempt, _: Value| async {
            Err::<Value, _>(WorkError::new("DOWN", ""))
        });
    let running = Running::start(&petrel, worker);
    let mut tenths = [0; 10];
    for number in 0..1_000 {
        let failed = eventually("it fails", async || {
            let records = history(&petrel, "steps", &case(&format!("c{number}"))).await;
            records.into_iter().find(|record| record.value.kind == RecordKind::Failed)
        })
        .await;
        let wait = failed.value.items[0].wait.as_ref().unwrap().until - failed.value.time;
        tenths[usize::try_from(wait.num_seconds()).unwrap().min(49) / 5] += 1;
    }
    // Each has 100; a binomial one below 50 or above 150 is five standard deviations away.
    assert!(tenths.iter().all(|count| (50..=150).contains(count)), "{tenths:?}");
    running.stop().await;
}

/// Two operators have the same incident tried again at the same moment: its work is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_that_two_people_retry_is_tried_once() {
    let (server, petrel) = system().await;
    let other = petrel_at(server.url()).await;
    let ledger = Arc::<Ledger>::default();
    for number in 0..10 {
        let id = format!("c{number}");
        begun(&petrel, &steps(1, json!({})), &id).await;
        let failure = stormpetrel::models::Failure {
            code: "X".to_owned(),
            is_final: true,
            ..Default::default()
        };
        petrel.fail_work(&item("steps", &id, 1), None, failure, Change::default()).await.unwrap();
        let (of, name) = (workflow("steps"), case(&id));
        let (one, two) = tokio::join!(
            petrel.retry_incident(&of, &name, 1, Change::default()),
            other.retry_incident(&of, &name, 1, Change::default())
        );
        let late = match (one, two) {
            (Ok(_), Err(late)) | (Err(late), Ok(_)) => late,
            both => panic!("{both:?}"),
        };
        assert!(late.to_string().contains("is over"), "{late}");
    }
    let running = Running::start(&petrel, noting(&petrel, &["step0"], &ledger, Duration::ZERO));
    for number in 0..10 {
        until(&petrel, "steps", &format!("c{number}"), CaseStatus::Completed).await;
    }
    assert_eq!(ledger.len(), 10);
    ledger.is_once_a_claim();
    running.stop().await;
    is_whole(&petrel).await;
}
