//! `petrel queue`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    answer::Answer,
    connection::{self, Connection},
    failure::Failure,
    presentation::{listing, time},
    queue_workers::Workers,
    table::Table,
};
use crate::{
    config::{Config, duration},
    models::{QueueId, WorkClass},
    petrel::{Petrel, QueueChange},
    storage::{MostInFlight, PresentWorker, QueueSettings, QueueState},
};

/// Queues: where workers look for work
#[derive(Debug, Subcommand)]
pub(super) enum Queue {
    List(List),
    Set(Set),
    Pause(Pause),
    Resume(Resume),
    Workers(Workers),
}

/// List the queues: what waits, what is with workers, and their settings
#[derive(Debug, Args)]
pub(super) struct List {}

const SET_EXAMPLES: &str = "\
Examples:
  petrel queue set billing --ack-wait 2m
  petrel queue set billing --most-in-flight 50";

/// Change a queue's settings; they hold for all its workers from then on
#[derive(Debug, Args)]
#[command(after_help = SET_EXAMPLES)]
pub(super) struct Set {
    /// The queue
    queue: QueueId,
    /// Time for which a worker is left alone without a sign of life, as in 30s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ack_wait: Option<Duration>,
    /// Most items of each class that are with workers at once
    #[arg(long, value_name = "N")]
    most_in_flight: Option<u32>,
}

/// Give out no more work of a queue; what is with workers goes on
#[derive(Debug, Args)]
pub(super) struct Pause {
    /// The queue
    queue: QueueId,
}

/// Give out a queue's work again
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The queue
    queue: QueueId,
}

impl Queue {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        Connection::with(config, &shutdown, async |connection| {
            let petrel = &connection.petrel;
            match self {
                Self::List(List {}) => list(petrel).await,
                Self::Set(set) => set.run(petrel).await,
                Self::Pause(Pause { queue }) => change(petrel, &queue, PAUSED).await,
                Self::Resume(Resume { queue }) => change(petrel, &queue, RESUMED).await,
                Self::Workers(workers) => workers.run(petrel).await,
            }
        })
        .await
    }
}

impl Set {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Self { queue, ack_wait, most_in_flight } = self;
        if ack_wait.is_none() && most_in_flight.is_none() {
            return Err(Failure::usage("say what is to change: --ack-wait or --most-in-flight"));
        }
        let most_in_flight = most_in_flight.map(MostInFlight::each);
        change(petrel, &queue, QueueChange { ack_wait, most_in_flight, paused: None }).await
    }
}

async fn list(petrel: &Petrel) -> Result<Answer, Failure> {
    let header = [
        "QUEUE",
        "WAITING",
        "OLDEST",
        "WITH WORKERS",
        "AGAIN",
        "WORKERS",
        "PULLS",
        "RATE",
        "ACK WAIT",
        "STATE",
    ];
    let (mut table, mut items) = (Table::new(&header), Vec::new());
    let workers = petrel.workers(None).await?;
    for state in petrel.queues().await? {
        let sum = |of: fn(&crate::storage::ClassState) -> u64| {
            state.classes.iter().map(of).sum::<u64>().to_string()
        };
        let rate = PresentWorker::rate(&workers, &state.queue);
        let serve = workers.iter().filter(|worker| worker.serves(&state.queue)).count();
        table.row([
            state.queue.to_string(),
            sum(|class| class.waiting),
            state.oldest().map_or_else(|| "-".to_owned(), time),
            sum(|class| class.in_flight),
            sum(|class| class.redelivered),
            serve.to_string(),
            sum(|class| class.open_pulls),
            format!("{rate:.1}/s"),
            format!("{:?}", state.settings.ack_wait),
            if state.settings.paused { "paused" } else { "open" }.to_owned(),
        ]);
        let mut item = as_json(&state);
        (item["workers"], item["rate"]) = (json!(serve), json!(rate));
        items.push(item);
    }
    Ok(listing(items, None, &table))
}

const PAUSED: QueueChange =
    QueueChange { ack_wait: None, most_in_flight: None, paused: Some(true) };
const RESUMED: QueueChange = QueueChange { paused: Some(false), ..PAUSED };

async fn change(petrel: &Petrel, queue: &QueueId, change: QueueChange) -> Result<Answer, Failure> {
    let now = petrel.change_queue(queue, change).await?;
    let QueueSettings { ack_wait, most_in_flight, paused } = now.settings;
    let MostInFlight { high, normal, low } = most_in_flight;
    let state = if paused { "paused" } else { "open" };
    let text = format!(
        "queue {queue} is {state}: ack wait {ack_wait:?}; in flight at most {high} high, {normal} \
         normal, {low} low"
    );
    Ok(Answer::new(as_json(&now), text))
}

fn as_json(state: &QueueState) -> Value {
    let QueueSettings { ack_wait, most_in_flight, paused } = state.settings;
    let classes: serde_json::Map<_, _> = WorkClass::ALL
        .into_iter()
        .map(|class| {
            let of = state.class(class);
            let value = json!({
                "waiting": of.waiting, "in_flight": of.in_flight, "redelivered": of.redelivered,
                "open_pulls": of.open_pulls, "oldest": of.oldest,
            });
            (class.as_str().to_owned(), value)
        })
        .collect();
    json!({
        "queue": state.queue, "ack_wait_seconds": ack_wait.as_secs_f64(),
        "most_in_flight": most_in_flight, "paused": paused, "oldest": state.oldest(),
        "classes": classes,
    })
}
