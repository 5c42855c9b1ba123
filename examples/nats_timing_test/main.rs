//! Shows that writes are read back at once, everywhere, and measures their times beside the
//! raw server in the same run:
//!
//! ```sh
//! cargo run --release --example nats_timing_test
//! ```
//!
//! It runs on a nats-server of its own, or on that of `NATS_URL`, in streams of its own.
//! Tokens are read by direct get, or as `PETREL_READ_PATH` says (`direct`, `consumer`). The
//! exit code is 0 only if every read was right.

mod scenarios;
mod table;
mod worked;

use std::{env, process::ExitCode, sync::Arc};

use stormpetrel::{
    local_server::{LocalServer, LocalServerOptions},
    petrel::Petrel,
    storage::{
        ReadPath,
        nats::{Floor, NatsStorage, NatsStorageConfig},
    },
};

use scenarios::Bench;
use table::Table;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    // In a task, as a service would: the main thread is not one of the runtime's workers, and
    // each wait there costs a hop between threads.
    match tokio::spawn(run()).await {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) | Err(_) => ExitCode::FAILURE,
        Ok(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<bool, Error> {
    let read_path = match env::var("PETREL_READ_PATH").as_deref() {
        Ok("consumer") => ReadPath::Consumer,
        Ok("direct") | Err(_) => ReadPath::Direct,
        Ok(other) => return Err(format!("PETREL_READ_PATH={other}: use direct or consumer").into()),
    };
    let settings = NatsStorageConfig { read_path, ..NatsStorageConfig::development() };
    let (own, settings) = match env::var("NATS_URL").ok().filter(|url| !url.is_empty()) {
        Some(url) => {
            let urls = url.split(',').map(|url| url.trim().to_owned()).collect();
            (None, NatsStorageConfig { urls, ..settings }.apart("timing"))
        }
        None => {
            let local = LocalServer::start(LocalServerOptions::default()).await?;
            let urls = vec![local.url()];
            (Some(local), NatsStorageConfig { urls, ..settings })
        }
    };
    let storage = NatsStorage::connect(settings.clone()).await?;
    let petrel = Petrel::new(Arc::new(storage));
    let floor = Floor::connect(&settings).await?;
    let health = petrel.health().await;
    println!("nats-server {}", health.server_version.unwrap_or_default());
    if let Some(local) = &own {
        println!("{}", local.durability());
    }

    let mut bench = Bench { petrel, floor, table: Table::default() };
    bench.run().await?;
    print!("\n{}", bench.table);
    let wrong = bench.table.wrong();
    match wrong {
        0 => println!("every read was right"),
        wrong => println!("{wrong} reads were WRONG"),
    }
    bench.petrel.close().await;
    match own {
        Some(local) => local.stop().await?,
        None => println!(
            "left on the server: {}, {}",
            settings.streams().join(", "),
            Floor::streams(&settings).join(", ")
        ),
    }
    Ok(wrong == 0)
}
