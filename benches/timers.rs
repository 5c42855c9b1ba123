//! Timers: how late a lone one is, many that come due at once, and firings beside many that are armed.
//!
//! ```sh
//! cargo bench --bench timers                 # 100,000 armed, 10,000 at once
//! cargo bench --bench timers -- 1000000
//! ```

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use stormpetrel::{
    local_server::{LocalServer, LocalServerOptions},
    models::{CaseId, CaseStatus, LogSequence, TransitionId, WorkflowDefinition, WorkflowId},
    petrel::{Change, ExpectedVersion, Fire, NewCase, NewToken, Petrel},
    storage::{
        Arming, Page,
        nats::{NatsStorage, NatsStorageConfig},
    },
};
use tokio_util::sync::CancellationToken;

/// Number of lone timers, and of firings on each side.
const LONE: usize = 200;
const FIRINGS: usize = 2_000;

/// Number of cases whose timers come due at once, and of timers in each.
const CASES: usize = 1_000;
const EACH: usize = 10;

const AT_ONCE: usize = 64;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Cargo adds `--bench`.
    let count = env::args().skip(1).find_map(|argument| argument.parse().ok());
    let count: u64 = count.unwrap_or(100_000);
    let server = LocalServer::start(LocalServerOptions::default()).await?;
    let settings =
        NatsStorageConfig { urls: vec![server.url()], ..NatsStorageConfig::development() };
    let petrel = Petrel::new(Arc::new(NatsStorage::connect(settings).await?));
    for definition in definitions()? {
        petrel.create_workflow(definition, ExpectedVersion::New).await?;
    }
    let stop = CancellationToken::new();
    let serving = {
        let (petrel, stop) = (petrel.clone(), stop.clone());
        tokio::spawn(async move { petrel.run_timers(stop).await })
    };

    let mut late = lone(&petrel).await?;
    late.sort();
    let at =
        |part: usize| late[(late.len() * part / 100).min(late.len() - 1)].as_seconds_f64() * 1e3;
    println!("a lone timer is late by      p50 {:>8.2} ms   p99 {:>8.2} ms", at(50), at(99));

    let took = at_once(&petrel).await?;
    println!(
        "{} at once, in {CASES} cases   done {:>8.2} s after their time, each case's in their order",
        CASES * EACH,
        took.as_seconds_f64()
    );

    let (before, begun) = (firings(&petrel, "before").await?, Instant::now());
    arm(&petrel, count).await?;
    let armed = begun.elapsed().as_secs_f64();
    println!("{count} armed in {armed:.1} s, {:.0}/s", count as f64 / armed);
    let after = firings(&petrel, "after").await?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "a firing that ends a timer and begins one   p50 {:.3} ms, beside {count} armed {:.3} ms: {:.2}",
        ms(before),
        ms(after),
        after.as_secs_f64() / before.as_secs_f64()
    );
    stop.cancel();
    serving.await?;
    server.stop().await?;
    Ok(())
}

fn definitions() -> Result<[WorkflowDefinition; 3], Error> {
    let of = |id: &str, transitions: serde_json::Value| {
        serde_json::from_value(json!({
            "id": id, "initial_place": "open", "places": [{"id": "open"}, {"id": "over"}],
            "transitions": transitions
        }))
    };
    let expire = |key: &str, when: &str| json!({"id": "expire", "from_places": ["open"], "to_place": "over", key: when});
    Ok([
        of("lone", json!([expire("after", "60ms")]))?,
        of("many", json!([expire("at", "timestamp(token.data.at)")]))?,
        of(
            "again",
            json!([
                expire("after", "1h"),
                {"id": "again", "from_places": ["open"], "to_place": "open"}
            ]),
        )?,
    ])
}

fn workflow(id: &str) -> Result<WorkflowId, Error> {
    Ok(WorkflowId::new(id)?)
}

async fn begin(
    petrel: &Petrel,
    of: &str,
    id: String,
    data: serde_json::Value,
) -> Result<(), Error> {
    let case = Some(CaseId::new(id)?);
    petrel.create_case(NewCase { case, data, ..NewCase::of(workflow(of)?) }).await?;
    Ok(())
}

/// The records of a case that has ended; waits for that.
async fn ended(
    petrel: &Petrel,
    of: &str,
    id: &str,
) -> Result<Vec<stormpetrel::models::Stored<stormpetrel::models::Record>>, Error> {
    let (workflow, case) = (workflow(of)?, CaseId::new(id)?);
    while petrel.case(&workflow, &case).await?.status != CaseStatus::Completed {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let page = Page { first: 1_000, after: None };
    let page = petrel.history(&workflow, &case, page).await?;
    Ok(page.items.into_iter().map(|(_, record)| record).collect())
}

/// The times by which timers that come due alone are late, from their time to the server's time of
/// the record.
async fn lone(petrel: &Petrel) -> Result<Vec<TimeDelta>, Error> {
    let mut late = Vec::with_capacity(LONE);
    for number in 0..LONE {
        let id = format!("k-{number}");
        begin(petrel, "lone", id.clone(), json!({})).await?;
        let records = ended(petrel, "lone", &id).await?;
        let last = records.last().ok_or("it has no record")?;
        let due = last.value.elapsed.first().ok_or("no timer came due")?.due;
        late.push(last.timestamp - due);
    }
    Ok(late)
}

/// The time from that at which many timers are due to the last record of theirs.
async fn at_once(petrel: &Petrel) -> Result<TimeDelta, Error> {
    let due = Utc::now() + TimeDelta::seconds(60);
    let time = |number: usize| -> DateTime<Utc> {
        // Armed in another order than they are due, all within a millisecond.
        due + TimeDelta::microseconds(((number * 7) % EACH) as i64 * 100)
    };
    let begun = stream::iter(0..CASES).map(|case| async move {
        let id = format!("k-{case}");
        begin(petrel, "many", id.clone(), json!({ "at": time(0) })).await?;
        for number in 1..EACH {
            let token = NewToken {
                workflow: workflow("many")?,
                case: CaseId::new(&*id)?,
                place: None,
                data: json!({ "at": time(number) }),
                metadata: Default::default(),
                change: Change::default(),
            };
            petrel.create_token(token).await?;
        }
        Ok::<_, Error>(())
    });
    begun.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    if Utc::now() >= due {
        return Err("this machine is too slow to arm them before they are due".into());
    }
    tokio::time::sleep((due - Utc::now()).to_std()?).await;
    let mut last = due;
    for case in 0..CASES {
        let records = ended(petrel, "many", &format!("k-{case}")).await?;
        let fired = records.iter().flat_map(|record| &record.value.cascade);
        let order: Vec<_> =
            fired.filter_map(|step| step.timer).map(|of| time(of as usize - 1)).collect();
        if order.len() != EACH || !order.is_sorted() {
            return Err(format!("case k-{case} fired in the order {order:?}").into());
        }
        last = last.max(records.last().ok_or("it has no record")?.timestamp);
    }
    Ok(last - due)
}

/// The median time of firings, each of which ends a timer and begins one.
async fn firings(petrel: &Petrel, id: &str) -> Result<Duration, Error> {
    begin(petrel, "again", id.to_owned(), json!({})).await?;
    let (case, transition) = (CaseId::new(id)?, TransitionId::new("again")?);
    let mut times = Vec::with_capacity(FIRINGS);
    for _ in 0..FIRINGS {
        let begun = Instant::now();
        petrel.fire(Fire::case(workflow("again")?, case.clone(), transition.clone())).await?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times[FIRINGS / 2])
}

/// Arms so many timers that are due in a year.
async fn arm(petrel: &Petrel, count: u64) -> Result<(), Error> {
    let due = Utc::now() + TimeDelta::days(365);
    let (workflow, numbers) = (workflow("again")?, (0..count).collect::<Vec<_>>());
    let chunks = numbers.chunks(1_000).map(|some| {
        some.iter()
            .map(|number| {
                Ok::<_, Error>(Arming {
                    workflow: workflow.clone(),
                    case: CaseId::new(format!("c-{}", number / 100))?,
                    timer: number % 100 + 1,
                    armed: LogSequence::FIRST,
                    due,
                })
            })
            .collect::<Result<Vec<_>, _>>()
    });
    for chunk in chunks {
        petrel.storage().arm(&chunk?).await?;
    }
    Ok(())
}
