//! Work: a long queue beside a short one, the pick-up of a new item by an idle worker, and the messages
//! and bytes of a chain's steps.
//!
//! ```sh
//! cargo bench --bench work                   # 10,000 wait
//! cargo bench --bench work -- 100000
//! cargo bench --bench work -- 100 --trace    # and each message of one chain
//! ```

use std::{
    collections::BTreeMap,
    env,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use stormpetrel::{
    engine::Answered,
    local_server::{LocalServer, LocalServerOptions},
    models::{CaseId, KindId, QueueId, WorkClass, WorkflowDefinition, WorkflowId},
    petrel::{Change, ExpectedVersion, NewCase, Petrel, StartWork, WorkId},
    storage::nats::{NatsStorage, NatsStorageConfig},
    worker::{Attempt, QueueOptions, WorkError, Worker, WorkerError},
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Number of items in the short queue, and of those that are carried out beside each.
const FEW: u64 = 100;
const CARRIED_OUT: usize = 1_000;

/// Number of items that an idle worker picks up, and the pause before each.
const PICKED_UP: usize = 1_000;
const IDLE: Duration = Duration::from_millis(5);

/// Number of steps of a chain, and of chains whose messages are counted.
const STEPS: usize = 5;
const CHAINS: usize = 200;

const AT_ONCE: usize = 64;

/// Time without a message after which all of a chain's have come: its views are written within 100 ms.
const QUIET: Duration = Duration::from_millis(300);

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Cargo adds `--bench`.
    let count = env::args().skip(1).find_map(|argument| argument.parse().ok());
    let (count, traces): (u64, _) =
        (count.unwrap_or(10_000), env::args().any(|of| of == "--trace"));
    let server = LocalServer::start(LocalServerOptions::default()).await?;
    let settings =
        NatsStorageConfig { urls: vec![server.url()], ..NatsStorageConfig::development() };
    // Who begins cases, and who carries work out: two connections, as of two processes.
    let (petrel, other) = (connect(&settings).await?, connect(&settings).await?);
    for (id, steps) in [("few", 1), ("many", 1), ("idle", 1), ("chain", STEPS)] {
        petrel.create_workflow(steps_of(id, steps)?, ExpectedVersion::New).await?;
    }
    for handed in [true, false] {
        messages(&petrel, &server.url(), handed, traces).await?;
    }
    pick_up(&petrel, &other).await?;
    long_queue(&petrel, &other, count).await?;
    petrel.close().await;
    other.close().await;
    server.stop().await?;
    Ok(())
}

async fn connect(settings: &NatsStorageConfig) -> Result<Petrel, Error> {
    Ok(Petrel::new(Arc::new(NatsStorage::connect(settings.clone()).await?)))
}

/// Places in a row, and an activity between each two, in a queue that is named as the workflow.
fn steps_of(id: &str, steps: usize) -> Result<WorkflowDefinition, Error> {
    let step = |number: usize| {
        json!({ "id": format!("step{number}"), "from_places": [format!("p{number}")],
            "to_place": format!("p{}", number + 1), "activity": { "queue": id, "kind": "step" } })
    };
    let place = |number: usize| match number == steps {
        true => json!({ "id": format!("p{number}"), "kind": "terminal" }),
        false => json!({ "id": format!("p{number}") }),
    };
    Ok(serde_json::from_value(json!({
        "id": id, "initial_place": "p0",
        "places": (0..=steps).map(place).collect::<Vec<_>>(),
        "transitions": (0..steps).map(step).collect::<Vec<_>>()
    }))?)
}

async fn begin(petrel: &Petrel, of: &str, id: String) -> Result<(), Error> {
    let case = Some(CaseId::new(id)?);
    petrel.create_case(NewCase { case, ..NewCase::of(WorkflowId::new(of)?) }).await?;
    Ok(())
}

/// A worker that runs.
struct Running {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    /// A worker of one queue, which tells of each handler that begins.
    fn of(petrel: &Petrel, queue: &str, hands: bool) -> Result<(Self, Told), Error> {
        let (tell, told) = mpsc::unbounded_channel();
        let handler = move |_: Attempt, _: Value| {
            // Nobody listens where nobody asks.
            let _ = tell.send(Instant::now());
            async { Ok::<_, WorkError>(json!({})) }
        };
        let mut builder = Worker::builder(petrel.clone())
            .queue(QueueOptions::new(QueueId::new(queue)?))
            .handle(KindId::new("step")?, handler);
        if !hands {
            builder = builder.without_hand_over();
        }
        let (worker, stop) = (builder.build()?, CancellationToken::new());
        let stopped = stop.clone();
        let ended = tokio::spawn(async move { worker.run(stopped).await });
        Ok((Self { stop, ended }, told))
    }

    async fn end(self) -> Result<(), Error> {
        self.stop.cancel();
        Ok(self.ended.await??)
    }
}

type Told = mpsc::UnboundedReceiver<Instant>;

fn ms(time: f64) -> String {
    format!("{:>7.3} ms", time * 1e3)
}

/// The time from the answer to a creation to the begin of the handler, in a worker that had nothing to do.
async fn pick_up(petrel: &Petrel, other: &Petrel) -> Result<(), Error> {
    let (running, mut told) = Running::of(other, "idle", true)?;
    let mut waited = Vec::with_capacity(PICKED_UP);
    for number in 0..=PICKED_UP {
        tokio::time::sleep(IDLE).await;
        begin(petrel, "idle", format!("k-{number}")).await?;
        let created = Instant::now();
        let begun = told.recv().await.ok_or("the worker has ended")?;
        // It may have begun before the creation was answered. The first one makes its consumer.
        if number > 0 {
            waited.push(begun.saturating_duration_since(created).as_secs_f64());
        }
    }
    waited.sort_by(f64::total_cmp);
    let at = |part: usize| ms(waited[waited.len() * part / 100]);
    println!("an idle worker picks up a new item   p50 {}   p99 {}", at(50), at(99));
    running.end().await
}

/// Items that are claimed and completed beside few and many that wait.
async fn long_queue(petrel: &Petrel, other: &Petrel, count: u64) -> Result<(), Error> {
    fill(petrel, "few", 0..FEW).await?;
    let begun = Instant::now();
    fill(petrel, "many", 0..count).await?;
    println!("{count} items offered, {:.0}/s", count as f64 / begun.elapsed().as_secs_f64());
    let (mut few, mut many) = (Vec::new(), Vec::new());
    let sides = [("few", FEW), ("many", count)];
    // In turns, since times change from minute to minute.
    for number in 0..CARRIED_OUT as u64 {
        for ((queue, waiting), times) in sides.into_iter().zip([&mut few, &mut many]) {
            times.push(carry_out(other, queue).await?);
            // As many wait as before.
            begin(petrel, queue, format!("k-{}", waiting + number)).await?;
        }
    }
    let median = |all: &[Parts], part: Part| {
        let mut times: Vec<_> = all.iter().map(part).collect();
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let parts: [(&str, Part); 5] = [
        ("claim and complete", |of| of.iter().sum()),
        ("  taken", |of| of[0]),
        ("  begun", |of| of[1]),
        ("  completed", |of| of[2]),
        ("  acknowledged", |of| of[3]),
    ];
    for (name, part) in parts {
        let (few, many) = (median(&few, part), median(&many, part));
        println!(
            "{name:<20} p50 {} beside {FEW} that wait, {} beside {count}: {:.2}",
            ms(few),
            ms(many),
            many / few
        );
    }
    Ok(())
}

/// Times of taking, beginning, completing and acknowledging an item.
type Parts = [Duration; 4];

/// One of them, or several.
type Part = fn(&Parts) -> Duration;

async fn fill(petrel: &Petrel, of: &str, numbers: std::ops::Range<u64>) -> Result<(), Error> {
    let begun = stream::iter(numbers).map(|number| begin(petrel, of, format!("k-{number}")));
    begun.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// Takes one item, claims and completes it, as a worker does. Returns the times.
async fn carry_out(petrel: &Petrel, queue: &str) -> Result<Parts, Error> {
    let (queue, storage, mut since) = (QueueId::new(queue)?, petrel.storage(), Instant::now());
    let mut part = || std::mem::replace(&mut since, Instant::now()).elapsed();
    let mut taken = storage.take(&queue, WorkClass::Normal, 1, Duration::from_secs(5)).await?;
    let delivery = taken.pop().ok_or("nothing waits")?;
    let taken = part();
    let (workflow, case) = (delivery.offer.workflow.clone(), delivery.offer.case.clone());
    let work = WorkId { workflow, case, item: delivery.offer.item };
    let (worker, lease) = ("bench".to_owned(), Duration::from_secs(30));
    let start = StartWork { work: work.clone(), over: None, worker, lease, start: rand::random() };
    let claim = petrel.begin_work(start).await?.item.claim;
    let begun = part();
    let answer = Answered { outcome: None, result: json!({}), hand_over: None };
    petrel.complete_work(&work, Some(claim), answer, Change::default()).await?;
    let completed = part();
    storage.acknowledge(&delivery).await?;
    Ok([taken, begun, completed, part()])
}

/// A message that the server has got from a client.
struct Seen {
    at: Instant,
    subject: String,
    bytes: usize,
}

/// The messages that chains cost, one after the other, and their bytes: subject, headers and body.
async fn messages(petrel: &Petrel, url: &str, handed: bool, traces: bool) -> Result<(), Error> {
    let (running, mut told) = Running::of(petrel, "chain", handed)?;
    let kind = if handed { "handed over" } else { "through the queue" };
    // What the first chain makes is there from then on.
    chain(petrel, &mut told, format!("{handed}-first")).await?;
    tokio::time::sleep(QUIET).await;
    let client = async_nats::connect(url).await?;
    let mut all = client.subscribe(">").await?;
    client.flush().await?;
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let sees = Arc::clone(&seen);
    let seeing = tokio::spawn(async move {
        while let Some(message) = all.next().await {
            let (subject, bytes) = (message.subject.to_string(), message.length);
            let seen = Seen { at: Instant::now(), subject, bytes };
            sees.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        }
    });
    if traces {
        let begun = Instant::now();
        chain(petrel, &mut told, format!("{handed}-traced")).await?;
        let ended = begun.elapsed();
        tokio::time::sleep(QUIET).await;
        println!(
            "messages of a chain of {STEPS} steps, {kind}, the last step begins after {}:",
            ms(ended.as_secs_f64())
        );
        for Seen { at, subject, bytes } in
            seen.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            let since = at.saturating_duration_since(begun).as_secs_f64();
            println!("  {} {bytes:>6} bytes  {subject}", ms(since));
        }
    }
    seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    for number in 0..CHAINS {
        chain(petrel, &mut told, format!("{handed}-{number}")).await?;
    }
    tokio::time::sleep(QUIET).await;
    running.end().await?;
    seeing.abort();
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for Seen { subject, bytes, .. } in &seen {
        let (count, sum) = kinds.entry(kind_of(subject)).or_default();
        (*count, *sum) = (*count + 1, *sum + bytes);
    }
    println!("{STEPS} steps {kind}:");
    for (kind, (count, bytes)) in kinds {
        let (count, bytes) = (count as f64 / CHAINS as f64, bytes / CHAINS / STEPS);
        println!("  {kind:<30} {count:>6.2} messages a chain   {bytes:>6} bytes a step");
    }
    Ok(())
}

/// Begins a case and waits for its last step. A look at the case would be a message of its own.
async fn chain(petrel: &Petrel, told: &mut Told, id: String) -> Result<(), Error> {
    begin(petrel, "chain", id).await?;
    for _ in 0..STEPS {
        told.recv().await.ok_or("the worker has ended")?;
    }
    Ok(())
}

/// The part of the system that a message is of.
fn kind_of(subject: &str) -> &str {
    let words: Vec<_> = subject.split('.').collect();
    match words[..] {
        ["_INBOX", ..] => "answers",
        ["$JS", "ACK", ..] => "acknowledgements",
        ["$JS", "API", "CONSUMER", "MSG", "NEXT", ..] => "requests for work",
        ["$JS", "API", "DIRECT", ..] => "reads",
        ["$JS", "API", ..] => "other requests",
        [_, "workflows", _, "events", ..] => "log",
        [_, "workflows", _, "places", ..] => "view of tokens",
        [_, "work", ..] => "queue, offered and delivered",
        [_, "open", ..] => "index of open work",
        [_, "beats", ..] => "beats",
        [_, "timers" | "due", ..] => "timers",
        _ => "others",
    }
}
