//! Runs that end where a test says, on a clock that moves when it is waited for.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(super) use super::crash::Crash;
use super::crash::{Crashing, answers};
use crate::{
    durable::{
        Context, OperationError, environment::Environment, journal::Journal, worker::carry_out,
    },
    engine::PutOff,
    models::{
        CaseId, EntryKind, JournalEntry, JournalId, LogSequence, Operation, OperationEnd,
        OperationKind, WorkflowId,
    },
    storage::{Journals, MemoryStorage},
    worker::WorkError,
};

/// A journal in memory, and the world round it.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub store: MemoryStorage,
    now: Arc<Mutex<DateTime<Utc>>>,
    claim: Arc<AtomicU64>,
    of: JournalId,
    effects: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    /// Seconds for which a wait keeps the worker, and what the last run waits for that gave the item back.
    keeps: Arc<AtomicI64>,
    given_back: Arc<Mutex<Option<Option<PutOff>>>>,
    is_paused: Arc<AtomicBool>,
    news: Arc<Notify>,
    /// True if the next run follows no failure and no loss.
    is_first: Arc<AtomicBool>,
}

impl Default for World {
    fn default() -> Self {
        let of = JournalId {
            workflow: WorkflowId::new("w").unwrap(),
            case: CaseId::new("c").unwrap(),
            item: 1,
        };
        let now = Arc::new(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap()));
        let (store, claim, effects, stopped, given_back, is_paused, is_first) = Default::default();
        let (keeps, news) = (Arc::new(AtomicI64::new(1_000_000_000)), Arc::default());
        Self {
            store,
            now,
            claim,
            of,
            effects,
            stopped,
            keeps,
            given_back,
            is_paused,
            news,
            is_first,
        }
    }
}

#[async_trait]
impl Environment for World {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep_until(&self, time: DateTime<Utc>) {
        if time - self.now() > self.keeps_worker_for() {
            return std::future::pending().await;
        }
        self.moves_on_to(time);
    }

    fn keeps_worker_for(&self) -> TimeDelta {
        TimeDelta::seconds(self.keeps.load(Ordering::Relaxed))
    }

    fn give_back(&self, put_off: Option<PutOff>) {
        *self.given_back.lock().unwrap_or_else(PoisonError::into_inner) = Some(put_off);
    }

    async fn news(&self) {
        self.news.notified().await;
    }

    fn fails(&self) {}

    fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    fn is_first(&self) -> bool {
        self.is_first.load(Ordering::Relaxed)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl World {
    /// Somebody outside answers an operation, and whoever runs hears of it.
    pub(super) async fn is_answered_with(&self, scope: &str, number: u64, end: OperationEnd) {
        let store: Arc<dyn Journals> = Arc::new(self.store.clone());
        let (journal, entries) = Journal::look(store, self.of.clone()).await.unwrap().unwrap();
        let (kind, name) = (OperationKind::Awakeable, String::new());
        let of = Operation { scope: scope.to_owned(), number, kind, name, input_hash: None };
        let (by, notes) = (None, Default::default());
        let resolved = EntryKind::Resolved { of, end, by, notes };
        journal.append_here(resolved, entries.last().unwrap().entry.time).await.unwrap();
        self.news.notify_one();
    }

    /// Something may have happened.
    pub(super) fn hears(&self) {
        self.news.notify_one();
    }

    /// The same of the first operation, with 7.
    pub(super) async fn is_answered(&self) {
        answers(&self.store, &self.of).await;
        self.news.notify_one();
    }

    /// A world of its own on a store.
    pub(super) fn on(store: MemoryStorage) -> Self {
        Self { store, ..Self::default() }
    }

    /// A world whose workers are let go by each wait.
    pub(super) fn that_lets_go() -> Self {
        let world = Self::default();
        world.keeps.store(0, Ordering::Relaxed);
        world
    }

    /// Says if somebody has the item tried again before the next run.
    pub(super) fn is_tried_again(&self, is_first: bool) {
        self.is_first.store(is_first, Ordering::Relaxed);
    }

    pub(super) fn moves_on_to(&self, time: DateTime<Utc>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = time.max(*now);
    }

    /// Returns true if the last run gave the item back. The time for which it waits has come then, if it has one.
    fn was_given_back(&self) -> bool {
        let given_back = self.given_back.lock().unwrap_or_else(PoisonError::into_inner).take();
        let far = self.now() + TimeDelta::days(36_000);
        let times = given_back.flatten().map(|put_off| put_off.until);
        times.filter(|until| *until < far).into_iter().for_each(|until| self.moves_on_to(until));
        given_back.is_some()
    }

    /// Says if the case is paused.
    pub(super) fn pauses(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Relaxed);
    }

    /// Tells the attempt to stop.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// The same, where nothing is told to stop.
    pub(super) fn goes_on(self) -> Self {
        self.stopped.store(false, Ordering::Relaxed);
        self
    }

    /// Notes an effect outside.
    pub(super) fn does(&self, effect: &str) {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner).push(effect.to_owned());
    }

    /// A step that notes its name as an effect, does something else, lets others go first, and has its name as result.
    pub(super) fn step(
        &self,
        ctx: &Context,
        name: &'static str,
        inside: impl Fn(&Self) -> std::result::Result<(), WorkError> + Clone + Send + 'static,
    ) -> BoxFuture<'static, std::result::Result<String, OperationError>> {
        let world = self.clone();
        let run = move || {
            let (world, inside) = (world.clone(), inside.clone());
            async move {
                world.does(name);
                let ended = inside(&world);
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                ended.map(|()| name.to_owned())
            }
        };
        ctx.step(name, run).into_future()
    }

    /// The effects since the last time that they were asked for.
    pub(super) fn effects(&self) -> Vec<String> {
        std::mem::take(&mut self.effects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Number of the effects since then.
    pub(super) fn count(&self) -> usize {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Runs a handler under the next claim. `None` if the run crashed, or gave the item back.
    pub(super) async fn run<R>(
        &self,
        crash: Crash,
        handler: impl FnOnce(Context, Self) -> R,
    ) -> Option<std::result::Result<Value, WorkError>>
    where
        R: Future<Output = std::result::Result<Value, WorkError>>,
    {
        let claim = self.claim.fetch_add(1, Ordering::Relaxed) + 1;
        let ends = CancellationToken::new();
        let store = Crashing::new(self.store.clone(), crash, ends.clone());
        let store: Arc<dyn Journals> = Arc::new(store);
        let carried = async {
            let by = (format!("worker-{claim}"), self.now());
            let input = serde_json::json!(claim);
            let opened = Journal::open(store, self.of.clone(), claim, by, input).await;
            let opened = opened.map_err(|fatal| WorkError::from(fatal.failure()))?;
            let environment = Arc::new(self.clone());
            let first = opened.1[0].entry.claim;
            let begin = |context, input: u64| {
                assert_eq!(input, first, "the input is that of the first claim");
                handler(context, self.clone())
            };
            carry_out(environment, opened, begin).await
        };
        tokio::select! {
            biased;
            () = ends.cancelled() => None,
            ended = carried => (!self.was_given_back()).then_some(ended),
        }
    }

    /// Runs a handler under one claim after another, up to its end.
    pub(super) async fn run_on<R>(
        &self,
        handler: impl Fn(Context, Self) -> R,
    ) -> std::result::Result<Value, WorkError>
    where
        R: Future<Output = std::result::Result<Value, WorkError>>,
    {
        loop {
            if let Some(ended) = self.run(Crash::Never, &handler).await {
                return ended;
            }
        }
    }

    /// All entries.
    pub(super) async fn entries(&self) -> Vec<JournalEntry> {
        let (of, mut all) = (&self.of, Vec::new());
        let last = self.store.last_entry(of).await.unwrap();
        let up_to = last.map_or(0, |last| last.sequence.get());
        let sequences: Vec<_> = (1..=up_to).filter_map(LogSequence::new).collect();
        for stored in self.store.entries_at(of, &sequences).await.unwrap() {
            all.push(stored.entry);
        }
        all
    }

    /// The ends of operations in their order: their places and names, and how they ended.
    pub(super) async fn ends(&self) -> Vec<String> {
        let entries = self.entries().await.into_iter();
        let ends = entries.filter_map(|entry| match entry.what {
            EntryKind::Ended { of, end: OperationEnd::Result(result), .. } => {
                Some(format!("{of} {result}"))
            }
            EntryKind::Ended { of, end: OperationEnd::Error(failure), .. } => {
                Some(format!("{of} {}", failure.code))
            }
            _ => None,
        });
        ends.collect()
    }
}

/// The code of a failed run.
pub(super) fn code(ended: Option<std::result::Result<Value, WorkError>>) -> String {
    ended.expect("it did not crash").expect_err("it failed").into_failure().code
}

/// The words of a failed run.
pub(super) fn words(ended: Option<std::result::Result<Value, WorkError>>) -> String {
    ended.expect("it did not crash").expect_err("it failed").into_failure().message
}
