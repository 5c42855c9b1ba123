//! Chains of activities: a case of so many steps, each done by a worker, beside the raw server with the
//! same appends, and with the same messages of a queue.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    chains::{Chain, Names, Publish, Raw, WORKFLOW, Waiting, tell, wait_for},
    load::LoadError,
    turns::{Side, Turns},
};
use crate::{
    models::{KindId, PlaceId, QueueId, WorkClass, WorkflowDefinition, WorkflowId},
    petrel::{Error, ExpectedVersion, NewCase, Petrel},
    storage::nats::Floor,
    worker::{Attempt, QueueOptions, WorkError, Worker, WorkerError},
};

/// Settings of the measurement.
#[derive(Debug, Clone)]
pub struct Steps {
    /// Number of steps of a case.
    pub steps: usize,
    /// Numbers of cases that are under way at once, one measurement each.
    pub cases: Vec<usize>,
    /// Number of times that the sides take turns.
    pub rounds: usize,
    /// Length of each turn.
    pub turn: Duration,
}

/// Results with so many cases at once. Rates are chains a second, times those of a whole chain: until its token
/// is sent to the view at the last place, after the last record.
#[derive(Debug, Clone, Serialize)]
pub struct StepsReport {
    /// Number of steps of a case.
    pub steps: usize,
    /// Number of cases that were under way at once.
    pub cases: usize,
    /// The engine with a worker, each next step with the answer to the one before.
    pub handed_over: Side,
    /// The same, each step through the queue.
    pub queued: Side,
    /// Appends of the same bytes alone, one after the other in each case: a beginning, a start, and an end
    /// of each step.
    pub appends: Side,
    /// The same with two appends a step, and an offer that is published, taken and acknowledged.
    pub messages: Side,
    /// One plain publish of such a record, acknowledged.
    pub publish: Side,
    /// The median over the rounds of the rate with hand-over, divided by that of appends alone.
    pub handed_over_ratio: f64,
    /// The median over the rounds of the rate through the queue, divided by that of the messages.
    pub queued_ratio: f64,
    /// Bytes of the log that a step costs with hand-over, and through the queue.
    pub log_bytes: [f64; 2],
}

const QUEUE: &str = "bench-steps";

impl Steps {
    /// The workflow: places in a row, and an activity between each two.
    fn definition(&self) -> Result<WorkflowDefinition, LoadError> {
        let places: Vec<_> = (0..=self.steps).map(|n| json!({ "id": format!("p{n}") })).collect();
        let step = |n: usize| {
            json!({ "id": format!("step{n}"), "from_places": [format!("p{n}")],
                "to_place": format!("p{}", n + 1), "activity": { "queue": QUEUE, "kind": "step" } })
        };
        let transitions: Vec<_> = (0..self.steps).map(step).collect();
        let definition = serde_json::from_value(json!({
            "id": WORKFLOW, "name": "Steps", "initial_place": "p0", "places": places,
            "transitions": transitions
        }));
        definition.map_err(|error| Error::argument("steps", error.to_string()).into())
    }

    /// Measures each number of cases at once. `floor` is the raw server beside `petrel`'s.
    pub async fn run(
        &self,
        petrel: &Petrel,
        floor: &Floor,
        progress: impl Fn(u64, u64),
    ) -> Result<Vec<StepsReport>, LoadError> {
        let definition = self.definition()?;
        let workflow = definition.id.clone();
        petrel.create_workflow(definition, ExpectedVersion::Any).await?;
        let names = Arc::new(Names { run: rand::random(), next: AtomicU64::new(0) });
        let (ends, stop) = (Arc::<Waiting>::default(), CancellationToken::new());
        let _ended = stop.clone().drop_guard();
        // A watch would decode each record, and its consumer would cost the server as much as the chain.
        let last = PlaceId::new(format!("p{}", self.steps)).map_err(Error::from)?;
        let mut arrivals = floor.arrivals(&workflow, &last).await.map_err(Error::from)?.boxed();
        let (of_ends, stopped) = (Arc::clone(&ends), stop.clone());
        let follow = tokio::spawn(async move {
            while let Some(Some(case)) = stopped.run_until_cancelled(arrivals.next()).await {
                tell(&of_ends, &case);
            }
        });
        let measuring =
            Measuring { of: self, petrel, floor, workflow: &workflow, names: &names, ends: &ends };
        let (mut reports, all) = (Vec::new(), (self.cases.len() * self.rounds * 5) as u64);
        let done = AtomicU64::new(0);
        for cases in &self.cases {
            let step = || progress(done.fetch_add(1, Ordering::Relaxed) + 1, all);
            reports.push(measuring.with(*cases, step).await?);
        }
        stop.cancel();
        let _ = follow.await;
        Ok(reports)
    }
}

fn fails(error: WorkerError) -> Error {
    Error::argument("worker", error.to_string())
}

/// A worker that runs.
struct Running {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    async fn end(self) -> Result<(), LoadError> {
        self.stop.cancel();
        match self.ended.await {
            Ok(Err(error)) => Err(fails(error).into()),
            // The runtime is shutting down.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

/// Parts that all turns share.
struct Measuring<'a> {
    of: &'a Steps,
    petrel: &'a Petrel,
    floor: &'a Floor,
    workflow: &'a WorkflowId,
    names: &'a Arc<Names>,
    ends: &'a Arc<Waiting>,
}

impl Measuring<'_> {
    async fn with(&self, cases: usize, step: impl Fn()) -> Result<StepsReport, LoadError> {
        let (turn, rounds) = (self.of.turn, self.of.rounds);
        let mut sides: [Turns; 5] = Default::default();
        let mut bytes = [0.0; 2];
        // A turn that does not count, which also gives a record to compare with.
        self.engine(&mut Turns::default(), cases, true).await?;
        let record = self.record().await?;
        for _ in 0..rounds {
            for (number, handed) in [(0, true), (1, false)] {
                bytes[number] = self.engine(&mut sides[number], cases, handed).await?;
                step();
            }
            let raw = |queue| Raw {
                floor: self.floor.clone(),
                names: Arc::clone(self.names),
                steps: self.of.steps,
                record: record.clone(),
                queue,
            };
            let alone = (0..cases).map(|_| raw(None)).collect();
            sides[2].take(alone, turn).await?;
            step();
            self.queue(&mut sides[3], (0..cases).map(|_| raw(None)).collect()).await?;
            step();
            let case = self.names.next()?;
            let publish = |_| Publish {
                floor: self.floor.clone(),
                case: case.clone(),
                record: record.clone(),
            };
            sides[4].take((0..cases).map(publish).collect(), turn).await?;
            step();
        }
        let [handed_over, queued, appends, messages, publish] = sides;
        Ok(StepsReport {
            steps: self.of.steps,
            cases,
            handed_over_ratio: handed_over.ratio(&appends),
            queued_ratio: queued.ratio(&messages),
            handed_over: handed_over.side(),
            queued: queued.side(),
            appends: appends.side(),
            messages: messages.side(),
            publish: publish.side(),
            log_bytes: bytes,
        })
    }

    /// A worker of the chain's steps.
    fn worker(&self, cases: usize, hands_over: bool) -> Result<Running, LoadError> {
        let queue = QueueId::new(QUEUE).map_err(Error::from)?;
        let kind = KindId::new("step").map_err(Error::from)?;
        let mut builder = Worker::builder(self.petrel.clone())
            .queue(QueueOptions::new(queue).at_once(cases.max(QueueOptions::CONCURRENCY)))
            .handle(kind, |_: Attempt, _: Value| async { Ok::<_, WorkError>(json!({})) });
        if !hands_over {
            builder = builder.without_hand_over();
        }
        let (worker, stop) = (builder.build().map_err(fails)?, CancellationToken::new());
        let stopped = stop.clone();
        Ok(Running { stop, ended: tokio::spawn(async move { worker.run(stopped).await }) })
    }

    /// A turn of the engine, with a worker. Returns the bytes of the log that a step has cost.
    async fn engine(&self, turns: &mut Turns, cases: usize, hands: bool) -> Result<f64, LoadError> {
        let running = self.worker(cases, hands)?;
        let chain = |_| Chain {
            petrel: self.petrel.clone(),
            workflow: self.workflow.clone(),
            names: Arc::clone(self.names),
            ends: Arc::clone(self.ends),
        };
        let before =
            (self.petrel.health().await.log_bytes, self.names.next.load(Ordering::Relaxed));
        turns.take((0..cases).map(chain).collect(), self.of.turn).await?;
        let after = (self.petrel.health().await.log_bytes, self.names.next.load(Ordering::Relaxed));
        running.end().await?;
        let bytes = after.0.unwrap_or_default().saturating_sub(before.0.unwrap_or_default());
        let steps = (after.1 - before.1) * self.of.steps as u64;
        Ok(bytes as f64 / steps.max(1) as f64)
    }

    /// A turn of the raw server with a queue: the offers that somebody takes are told to their clients.
    async fn queue(&self, turns: &mut Turns, mut drivers: Vec<Raw>) -> Result<(), LoadError> {
        let queue = QueueId::new(format!("{QUEUE}-floor")).map_err(Error::from)?;
        let (taken, stop) = (Arc::<Waiting>::default(), CancellationToken::new());
        for driver in &mut drivers {
            driver.queue = Some((self.petrel.clone(), queue.clone(), Arc::clone(&taken)));
        }
        let (petrel, stopped) = (self.petrel.clone(), stop.clone());
        let most = drivers.len();
        let taking = tokio::spawn(async move {
            let storage = petrel.storage();
            while !stopped.is_cancelled() {
                let wait = Duration::from_secs(1);
                let some = storage.take(&queue, WorkClass::Normal, most, wait).await?;
                let settled = some.iter().map(|delivery| async {
                    tell(&taken, &delivery.offer.case);
                    storage.acknowledge(delivery).await
                });
                futures::future::try_join_all(settled).await?;
            }
            Ok::<_, crate::storage::StorageError>(())
        });
        let driven = turns.take(drivers, self.of.turn).await;
        stop.cancel();
        if let Ok(Err(error)) = taking.await {
            return Err(Error::from(error).into());
        }
        driven?;
        Ok(())
    }

    /// The bytes of a step's record.
    async fn record(&self) -> Result<Bytes, LoadError> {
        let case = self.names.next()?;
        let ended = wait_for(self.ends, &case);
        let new = NewCase { case: Some(case.clone()), ..NewCase::of(self.workflow.clone()) };
        let running = self.worker(1, true)?;
        self.petrel.create_case(new).await?;
        let _ = ended.await;
        running.end().await?;
        let page = crate::storage::Page { first: 100, after: None };
        let history = self.petrel.history(self.workflow, &case, page).await?;
        let (_, middle) = &history.items[history.items.len() / 2];
        let text = serde_json::to_vec(&middle.value);
        let text = text.map_err(|error| Error::argument("record", error.to_string()))?;
        Ok(Bytes::from(text))
    }
}
