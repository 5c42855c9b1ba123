//! Workers put together.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Attempt, Done, WorkError, WorkerError,
    book::Book,
    handler::{Handler, Handlers},
    queue::ServedQueue,
};
use crate::{
    models::{Activity, KindId, QueueId, WorkflowDefinition},
    petrel::{Error, ExpectedVersion, Petrel},
    storage::{QueueSettings, ServedQueue as Served, Source, WorkerCard},
};

/// Field of a definition's metadata that says that it is a function's.
pub(crate) const FUNCTION: &str = "function";

/// Wait before the store is asked again that did not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// A queue that a worker serves.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// The queue.
    pub queue: QueueId,
    /// The most items of it that this worker carries out at once. Default 100: what a worker's activities
    /// do is mostly waiting for others.
    pub concurrency: usize,
    /// The time for which a claim is left alone without a sign of life; `None`: as the queue's settings
    /// say. A worker that asks for another one than they say is refused.
    pub ack_wait: Option<Duration>,
}

impl QueueOptions {
    /// Items that are carried out at once where nothing says another number.
    pub const CONCURRENCY: usize = 100;

    /// A queue with the default concurrency, and the settings that it has.
    pub fn new(queue: QueueId) -> Self {
        Self { queue, concurrency: Self::CONCURRENCY, ack_wait: None }
    }

    /// The same with another concurrency.
    #[must_use]
    pub fn at_once(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self
    }
}

/// A worker: it serves queues with its handlers until its shutdown.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    queues: Vec<QueueOptions>,
    functions: Vec<WorkflowDefinition>,
    grace: Duration,
}

/// Parts that all attempts of a worker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub petrel: Petrel,
    pub name: String,
    pub handlers: Handlers,
    /// The attempts that run, for whoever asks.
    pub book: Arc<Book>,
    /// True if the next item of a case comes with the answer to a completion.
    pub hands_over: bool,
    /// Nothing more is begun.
    pub shutdown: CancellationToken,
    /// Cancelled when the grace is over: attempts that run are to stop.
    pub grace_over: CancellationToken,
}

/// A worker in the making.
#[derive(Debug)]
pub struct WorkerBuilder {
    petrel: Petrel,
    name: Option<String>,
    queues: Vec<QueueOptions>,
    handlers: Vec<(KindId, Handler)>,
    functions: Vec<WorkflowDefinition>,
    hands_over: bool,
    grace: Duration,
}

impl Worker {
    /// Time that what runs has to end after a shutdown, where nothing says another.
    pub const GRACE: Duration = Duration::from_secs(20);

    /// A worker on the cases of a handle.
    pub fn builder(petrel: Petrel) -> WorkerBuilder {
        let (queues, handlers, functions) = (Vec::new(), Vec::new(), Vec::new());
        let (name, hands_over, grace) = (None, true, Self::GRACE);
        WorkerBuilder { petrel, name, queues, handlers, functions, hands_over, grace }
    }

    /// The worker's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Stores the workflows of its functions, as [`run`](Self::run) does: from then on they can be invoked.
    ///
    /// # Errors
    ///
    /// [`WorkerError::Function`] if a workflow of another kind has the name of one.
    pub async fn register(&self) -> Result<(), WorkerError> {
        register(&self.shared.petrel, &self.functions).await
    }

    /// Serves the queues until `shutdown`; then nothing more is begun, what runs may end within the grace,
    /// and what has not ended then is given back. A store that is away is waited for, at the start too.
    ///
    /// # Errors
    ///
    /// A queue whose settings are others than were asked for.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let Self { shared, queues, functions, grace } = self;
        let register = || register(&shared.petrel, &functions);
        let waits = (&*shared, &shutdown);
        if answered(waits, register, "its functions are not registered").await?.is_none() {
            return Ok(());
        }
        let mut served = Vec::new();
        for options in &queues {
            let waits = (&*shared, &shutdown);
            let look = || ServedQueue::look(&shared, options);
            match answered(waits, look, "a queue can't be looked at").await? {
                Some(queue) => served.push(queue),
                None => return Ok(()),
            }
        }
        let tasks = TaskTracker::new();
        for queue in served {
            tasks.spawn(queue.serve(Arc::clone(&shared), tasks.clone()));
        }
        let ends = async {
            shutdown.cancelled().await;
            shared.shutdown.cancel();
            tasks.close();
            if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
                shared.grace_over.cancel();
                tasks.wait().await;
            }
        };
        tokio::select! {
            () = ends => {}
            () = listen(&shared) => {}
            () = be_seen(&shared, &queues) => {}
        }
        tracing::info!(worker = shared.name, "the worker has ended");
        Ok(())
    }
}

impl WorkerBuilder {
    /// Names the worker, for people; the machine and the process where absent.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Serves a queue.
    #[must_use]
    pub fn queue(mut self, options: QueueOptions) -> Self {
        self.queues.push(options);
        self
    }

    /// Carries out a kind of work by a function, whose input and result have the JSON forms that serde
    /// gives them.
    #[must_use]
    pub fn handle<I, O, F, R>(self, kind: KindId, run: F) -> Self
    where
        I: DeserializeOwned + Send,
        O: Serialize + 'static,
        F: Fn(Attempt, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, WorkError>> + Send + 'static,
    {
        self.with(kind, Handler::typed(run))
    }

    /// The same; the function names the outcome.
    #[must_use]
    pub fn handle_outcomes<I, F, R>(self, kind: KindId, run: F) -> Self
    where
        I: DeserializeOwned + Send,
        F: Fn(Attempt, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Done, WorkError>> + Send + 'static,
    {
        self.with(kind, Handler::with_outcomes(run))
    }

    /// Stores the workflow of a function when the worker starts. Its work is in the first queue that the worker serves, or
    /// in the default one where it names none.
    #[must_use]
    pub(crate) fn registers(mut self, function: WorkflowDefinition) -> Self {
        self.functions.push(function);
        self
    }

    fn with(mut self, kind: KindId, handler: Handler) -> Self {
        self.handlers.push((kind, handler));
        self
    }

    /// Takes each item from its queue, also the next one of a case.
    #[must_use]
    pub fn without_hand_over(mut self) -> Self {
        self.hands_over = false;
        self
    }

    /// Gives what runs another time to end after a shutdown than [`Worker::GRACE`].
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The worker.
    ///
    /// # Errors
    ///
    /// Two handlers of one kind, a queue that is there twice or has no concurrency, or nothing to do.
    pub fn build(self) -> Result<Worker, WorkerError> {
        let Self { petrel, name, mut queues, handlers: all, mut functions, hands_over, grace } =
            self;
        if let (true, false) = (queues.is_empty(), functions.is_empty()) {
            let queue = QueueId::new(Activity::QUEUE).expect("it is an id");
            queues.push(QueueOptions::new(queue));
        }
        let activities = functions.iter_mut().flat_map(|of| &mut of.transitions);
        for activity in activities.filter_map(|of| of.activity.as_mut()) {
            activity.queue = queues.first().map(|of| of.queue.clone());
        }
        if queues.is_empty() || all.is_empty() {
            return Err(WorkerError::Nothing);
        }
        let mut handlers: Handlers = HashMap::new();
        for (kind, handler) in all {
            if handlers.insert(kind.clone(), handler).is_some() {
                return Err(WorkerError::TwoHandlers(kind));
            }
        }
        for (number, QueueOptions { queue, concurrency, ack_wait }) in queues.iter().enumerate() {
            let wrong = |reason: &str| {
                Err(WorkerError::Queue { queue: queue.clone(), reason: reason.to_owned() })
            };
            if *concurrency == 0 {
                return wrong("at least one item is carried out at once");
            }
            if queues[..number].iter().any(|other| other.queue == *queue) {
                return wrong("it is named twice; name it once, with the concurrency of both");
            }
            if let Some(ack_wait) = ack_wait {
                let settings = QueueSettings { ack_wait: *ack_wait, ..QueueSettings::default() };
                settings.validate()?;
            }
        }
        let name = name.unwrap_or_else(default_name);
        let (book, shutdown, grace_over) = Default::default();
        let shared = Shared { petrel, name, handlers, book, hands_over, shutdown, grace_over };
        Ok(Worker { shared: Arc::new(shared), queues, functions, grace })
    }
}

/// Asks until the store answers; `None` if there is a shutdown before.
async fn answered<T, R: Future<Output = Result<T, WorkerError>>>(
    (shared, shutdown): (&Shared, &CancellationToken),
    ask: impl Fn() -> R,
    waits: &str,
) -> Result<Option<T>, WorkerError> {
    let mut complained = false;
    loop {
        match ask().await {
            Err(WorkerError::Petrel(error)) if error.retryable() => {
                if !complained {
                    tracing::warn!(worker = shared.name, %error, "the worker waits: {waits}");
                }
                complained = true;
            }
            answered => return answered.map(Some),
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Stores the workflows of functions, each in place of an earlier one of that function alone.
async fn register(petrel: &Petrel, functions: &[WorkflowDefinition]) -> Result<(), WorkerError> {
    for function in functions {
        loop {
            let expected = match petrel.workflow(&function.id).await {
                Ok(there)
                    if there.definition.metadata.get(FUNCTION) != Some(&Value::Bool(true)) =>
                {
                    return Err(WorkerError::Function(function.id.clone()));
                }
                Ok(there) => ExpectedVersion::Version(there.version),
                Err(Error::NotFound(_)) => ExpectedVersion::New,
                Err(error) => return Err(error.into()),
            };
            match petrel.create_workflow(function.clone(), expected).await {
                Ok(_) => break,
                // Somebody has stored one in between: it is looked at.
                Err(Error::AlreadyExists { .. } | Error::VersionConflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Listens for what happens to items whose attempts run, for ever.
async fn listen(shared: &Shared) {
    loop {
        match shared.petrel.storage().hints().await {
            Ok(mut hints) => {
                while let Some(hint) = hints.next().await {
                    shared.book.hint(&hint);
                }
            }
            Err(error) => tracing::debug!(%error, "ends are heard of at the next sign of life"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Announces a worker, for ever, so that others see it and what it does. One that can't be seen works all the
/// same.
async fn be_seen(shared: &Shared, queues: &[QueueOptions]) {
    let served =
        |of: &QueueOptions| Served { queue: of.queue.clone(), concurrency: of.concurrency };
    let mut kinds: Vec<_> = shared.handlers.keys().cloned().collect();
    kinds.sort();
    let (name, hands_over) = (shared.name.clone(), shared.hands_over);
    let (queues, since) = (queues.iter().map(served).collect(), shared.petrel.now());
    let card = WorkerCard { name, queues, kinds, hands_over, since };
    let _announced = loop {
        let (book, shutdown) = (Arc::clone(&shared.book), shared.shutdown.clone());
        let source = Source::new(move || book.now(shutdown.is_cancelled()));
        match shared.petrel.storage().announce(card.clone(), source).await {
            Ok(announced) => break Some(announced),
            Err(error) if error.retryable() => tokio::time::sleep(AGAIN).await,
            Err(error) => {
                tracing::warn!(worker = shared.name, %error, "the worker works, and is not listed");
                break None;
            }
        }
    };
    std::future::pending().await
}

/// A name made of the machine's, the process's number and a part of its own.
fn default_name() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = match machine.trim() {
        "" => "worker",
        name => name,
    };
    format!("{machine}-{}-{:04x}", std::process::id(), rand::random::<u16>())
}
