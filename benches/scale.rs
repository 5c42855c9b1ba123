//! Reads, a rebuild, and this process's memory, with a thousand and with a million live tokens.
//!
//! ```sh
//! cargo bench --bench scale              # a million, some minutes
//! cargo bench --bench scale -- 100000
//! ```

use std::{
    env, fs,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use stormpetrel::{
    local_server::{LocalServer, LocalServerOptions},
    models::{PlaceId, TokenId, WorkflowDefinition, WorkflowId},
    petrel::{ExpectedVersion, NewCase, Petrel},
    storage::{
        Consistency, Page, TokenScope,
        nats::{NatsStorage, NatsStorageConfig},
    },
};

/// Number of cases that are created at once.
const AT_ONCE: usize = 256;

/// Number of times that each read is measured.
const READS: usize = 2_000;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Cargo adds `--bench`.
    let count = env::args().skip(1).find_map(|argument| argument.parse().ok());
    let count: usize = count.unwrap_or(1_000_000);
    let server = LocalServer::start(LocalServerOptions::default()).await?;
    let settings =
        NatsStorageConfig { urls: vec![server.url()], ..NatsStorageConfig::development() };
    let petrel = Petrel::new(Arc::new(NatsStorage::connect(settings.clone()).await?));
    petrel.create_workflow(definition()?, ExpectedVersion::New).await?;

    let mut some = fill(&petrel, "few", 10).await?;
    some.extend(fill(&petrel, "many", 990).await?);
    let before = measure(&petrel, &some).await?;
    let begun = Instant::now();
    some.extend(fill(&petrel, "many", count.saturating_sub(1_000)).await?);
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("{count} tokens created, {rate:.0}/s");
    let after = measure(&petrel, &some).await?;
    println!("p50 ms                       with 1000   with {count}   ratio");
    for ((name, before), (_, after)) in before.into_iter().zip(after) {
        let (ms, ratio) = (1_000.0, after.as_secs_f64() / before.as_secs_f64());
        let (before, after) = (before.as_secs_f64() * ms, after.as_secs_f64() * ms);
        println!("{name:<28} {before:>9.3}   {after:>9.3}   {ratio:>9.2}");
    }
    println!("this process: at most {} MB", peak_megabytes()?);

    let begun = Instant::now();
    let repaired = petrel.rebuild(&|_, _| {}).await?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("rebuild: {} cases, {} mended, in {seconds:.0} s", repaired.cases, repaired.mended);
    println!("this process: at most {} MB", peak_megabytes()?);
    server.stop().await?;
    Ok(())
}

fn definition() -> Result<WorkflowDefinition, Error> {
    Ok(serde_json::from_value(json!({
        "id": "scale",
        "name": "Scale",
        "initial_place": "few",
        "places": [{"id": "few"}, {"id": "many"}],
        "transitions": [{"id": "move", "from_places": ["few"], "to_place": "many"}]
    }))?)
}

/// Creates cases with a token in a place, and returns some of the tokens.
async fn fill(petrel: &Petrel, place: &str, count: usize) -> Result<Vec<TokenId>, Error> {
    let place = PlaceId::new(place)?;
    let workflow = WorkflowId::new("scale")?;
    let every = count.div_ceil(1_000).max(1);
    let created = stream::iter(0..count).map(|number| {
        let data = json!({"number": number, "customer": "c-1207", "currency": "EUR"});
        let place = Some(place.clone());
        let new = NewCase { data, place, ..NewCase::of(workflow.clone()) };
        async move {
            let token = petrel.create_case(new).await?.tokens[0].id.clone();
            Ok::<_, Error>((number % every == 0).then_some(token))
        }
    });
    let some = created.buffer_unordered(AT_ONCE).try_filter_map(async |token| Ok(token));
    some.try_collect().await
}

/// The median times of the reads.
async fn measure(
    petrel: &Petrel,
    tokens: &[TokenId],
) -> Result<Vec<(&'static str, Duration)>, Error> {
    let workflow = WorkflowId::new("scale")?;
    let scope =
        TokenScope { workflow: workflow.clone(), place: Some(PlaceId::new("few")?), case: None };
    let (mut get, mut strong, mut list) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..READS {
        let token = &tokens[number % tokens.len()];
        let begun = Instant::now();
        petrel.token(Some(&workflow), token, Consistency::Eventual).await?;
        get.push(begun.elapsed());
        let begun = Instant::now();
        petrel.token(Some(&workflow), token, Consistency::Strong).await?;
        strong.push(begun.elapsed());
        let begun = Instant::now();
        let listed = petrel.tokens(&scope, Page { first: 100, after: None }).await?;
        list.push(begun.elapsed());
        assert_eq!(listed.items.len(), 10);
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    Ok(vec![
        ("get by workflow and id", median(get)),
        ("get, strong", median(strong)),
        ("list a place of 10", median(list)),
    ])
}

/// The most memory that this process has had, if the system says it (Linux).
fn peak_megabytes() -> Result<u64, Error> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .ok_or("/proc/self/status has no VmHWM")?
        .parse()?;
    Ok(kilobytes / 1_024)
}
