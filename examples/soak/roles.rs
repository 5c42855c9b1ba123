//! The processes that the soak starts: one that serves, and workers. Each ends in order when its standard input
//! does, so none outlives the soak.

use std::{sync::Arc, time::Duration};

use stormpetrel::{
    petrel::Petrel,
    process::Serving,
    server::Doors,
    storage::nats::{NatsStorage, NatsStorageConfig},
    worker::WorkerError,
};
use tokio::{
    io::{AsyncReadExt, stdin},
    net::TcpListener,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    activities,
    ledger::Ledger,
    options::{ServerRole, WorkerRole},
};

/// Pause between two audits of the process that serves.
const AUDIT_EVERY: Duration = Duration::from_secs(60);

/// Wait before another try to connect: nats-server may be killed at this moment.
const AGAIN: Duration = Duration::from_millis(100);

/// Settings of all that connect.
pub(crate) fn settings(nats: &str) -> NatsStorageConfig {
    NatsStorageConfig { urls: vec![nats.to_owned()], ..NatsStorageConfig::development() }
}

/// Serves as `petrel serve` does, with audits.
pub(crate) async fn serve(role: &ServerRole) -> anyhow::Result<()> {
    logging();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let storage = NatsStorage::connect(settings(&role.nats)).await?;
    println!("{}", listener.local_addr()?);
    let petrel = Petrel::new(Arc::new(storage.clone()));
    let (doors, tokens, worker) = (Doors::default(), None, None);
    let audit_every = Some(AUDIT_EVERY);
    let serving = Serving { petrel, storage, doors, tokens, audit_every, worker };
    Ok(serving.run(listener, input_ended()).await?)
}

/// Carries out the sample's activities.
pub(crate) async fn work(role: &WorkerRole) -> anyhow::Result<()> {
    logging();
    let shutdown = input_ended();
    let storage = loop {
        match NatsStorage::connect_to_existing(settings(&role.nats)).await {
            Ok(storage) => break storage,
            Err(error) if error.retryable() && !shutdown.is_cancelled() => {
                tracing::warn!(%error, "not connected yet");
                sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let petrel = Petrel::new(Arc::new(storage));
    loop {
        let ledger = Ledger::open(&role.ledger, &role.name)?;
        let worker = activities::worker(petrel.clone(), &role.name, ledger)?;
        match worker.run(shutdown.clone()).await {
            Ok(()) => break,
            // It looks at its queue before it serves it, and nats-server may be killed just then.
            Err(WorkerError::Petrel(error)) if error.retryable() && !shutdown.is_cancelled() => {
                tracing::warn!(%error, "the worker could not begin");
                sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    petrel.close().await;
    Ok(())
}

fn logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    lines.with_writer(std::io::stderr).init();
}

/// A token that the end of the standard input cancels: its other end is the soak.
fn input_ended() -> CancellationToken {
    let token = CancellationToken::new();
    let ended = token.clone();
    tokio::spawn(async move {
        let mut rest = Vec::new();
        // Nothing is written to it, so it ends by its end alone.
        let _ = stdin().read_to_end(&mut rest).await;
        ended.cancel();
    });
    token
}
