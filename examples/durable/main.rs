//! Durable functions, one at a time: `cargo run --example durable -- hello`. What each prints is in the text beside it.

mod approval;
mod concurrent;
mod delayed;
mod hello;
mod invoke_async;
mod pause_cancel;
mod retry_failed;
mod saga;
mod typed;

use stormpetrel::{LocalServer, LocalServerOptions, Petrel, worker::WorkerBuilder};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A worker that serves in this process until it is stopped. Another process would do as well.
struct Serving {
    ends: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Serving {
    async fn start(petrel: &Petrel, worker: WorkerBuilder) -> anyhow::Result<Self> {
        let worker = worker.build()?;
        // From now on its functions can be invoked.
        worker.register().await?;
        let ends = CancellationToken::new();
        let (of_worker, of_timers, petrel) = (ends.clone(), ends.clone(), petrel.clone());
        let tasks = vec![
            tokio::spawn(async move {
                if let Err(error) = worker.run(of_worker).await {
                    println!("{error}");
                }
            }),
            // As `petrel serve` does: it takes up what has slept for long enough.
            tokio::spawn(async move { petrel.run_timers(of_timers).await }),
        ];
        Ok(Self { ends, tasks })
    }

    async fn stop(self) {
        self.ends.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    // With a server of your own, give its address to `connect` and leave this out.
    let server = LocalServer::start(LocalServerOptions::default()).await?;
    let petrel = Petrel::connect(&server.url()).await?;
    let ended = match name.as_str() {
        "hello" => hello::run(&petrel).await,
        "async" => invoke_async::run(&petrel).await,
        "typed" => typed::run(&petrel).await,
        "concurrent" => concurrent::run(&petrel).await,
        "retry_failed" => retry_failed::run(&petrel).await,
        "pause_cancel" => pause_cancel::run(&petrel).await,
        "approval" => approval::run(&petrel).await,
        "delayed" => delayed::run(&petrel).await,
        "saga" => saga::run(&petrel).await,
        _ => Err(anyhow::anyhow!(
            "name one of: hello, async, typed, concurrent, retry_failed, pause_cancel, approval, delayed, saga"
        )),
    };
    petrel.close().await;
    server.stop().await?;
    ended
}
