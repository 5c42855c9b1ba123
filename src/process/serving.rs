//! The tasks of a process that serves, put together.

use std::{io, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    filling,
    tasks::{Tasks, TasksError},
};
use crate::{
    graphql::{Api, Limits},
    petrel::Petrel,
    server::{Doors, ServerState, Tokens, serve},
    storage::nats::NatsStorage,
    worker::Worker,
};

/// Time that the tasks, and the changes under way, have to end when the requests have.
const GRACE: Duration = Duration::from_secs(10);

/// A process that serves.
#[derive(Debug)]
pub struct Serving {
    /// Every operation of the engine.
    pub petrel: Petrel,
    /// The store beneath, whose view is kept.
    pub storage: NatsStorage,
    /// Names and origins that are let in.
    pub doors: Doors,
    /// The tokens of callers; without, everybody may do everything.
    pub tokens: Option<Tokens>,
    /// The pause between two audits; without, there is none.
    pub audit_every: Option<Duration>,
    /// A worker in the same process.
    pub worker: Option<Worker>,
}

/// Reason that a process could not serve, or fault that it had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServingError {
    /// The system gives no signals, or the listener no address.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A task ended early, or did not end.
    #[error(transparent)]
    Tasks(#[from] TasksError),
}

impl Serving {
    /// Serves and keeps the views right until `shutdown`, and leaves everything in order. A `listener`
    /// of `TcpListener::bind` has a queue for 128 that come at once; `TcpSocket::listen` makes a longer one.
    ///
    /// # Errors
    ///
    /// When it could not serve; and, after the shutdown, when a task had ended before it or did
    /// not end in time.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), ServingError> {
        let Self { petrel, storage, doors, tokens, audit_every, worker } = self;
        let mut tasks = Tasks::new(&shutdown);
        let mut state = ServerState::new(Api::new(petrel.clone(), Limits::default()))
            .with_doors(doors)
            .with_faults(tasks.faults());
        if let Some(tokens) = tokens {
            state = state.with_tokens(tokens.clone());
            let reading = tokens.follow(shutdown.clone())?;
            tasks.run("reading of the token file", |_| reading);
        }
        tasks.run("reconciler", |stop| {
            let petrel = petrel.clone();
            async move { petrel.run_reconciler(stop).await }
        });
        tasks.run("index", |stop| {
            let petrel = petrel.clone();
            async move { petrel.run_index(stop).await }
        });
        tasks.run("timers", |stop| {
            let petrel = petrel.clone();
            async move { petrel.run_timers(stop).await }
        });
        tasks.run("filling of the view", |stop| {
            let petrel = petrel.clone();
            async move { filling::keep_view(&petrel, &storage, stop).await }
        });
        if let Some(every) = audit_every {
            let petrel = petrel.clone();
            tasks.run("audit", |stop| async move { petrel.run_auditor(every, stop).await });
        }
        if let Some(worker) = worker {
            tasks.run("worker", |stop| async move {
                if let Err(error) = worker.run(stop).await {
                    tracing::error!(%error, "the worker could not begin");
                }
            });
        }
        let served = serve(listener, state, shutdown).await;
        // Only now: requests under way may have begun further ones.
        let closing = petrel.clone();
        tasks.run("changes under way", |stop| async move {
            stop.cancelled().await;
            closing.close().await;
        });
        let ended = tasks.end(GRACE).await;
        // What a worker answered while it ended; what can't be written now the reconciler writes.
        let _ = tokio::time::timeout(GRACE / 5, petrel.close()).await;
        served?;
        Ok(ended?)
    }
}
