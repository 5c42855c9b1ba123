//! Measurements with sizes of their own: clients after a start, one long case, subscribers,
//! workflows.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{
    StreamExt,
    future::{join_all, try_join_all},
};
use serde_json::json;
use stormpetrel::{
    models::{CaseId, TokenId, WorkflowDefinition, WorkflowId},
    petrel::{ExpectedVersion, NewCase, Petrel},
    storage::{Consistency, LogScope},
};

use tokio_util::sync::CancellationToken;

use super::{
    Error,
    cases::{Site, connect, definition, serve, tick},
    median,
};

/// Time that the clients fire.
const CLIENTS_FOR: Duration = Duration::from_secs(3);

/// Time and memory that it takes to make the index of a process.
pub(crate) async fn index(site: &Site) -> Result<String, Error> {
    let (begun, before) = (Instant::now(), resident()?);
    site.petrel.index_cases().await?;
    let took = begun.elapsed().as_secs_f64();
    let bytes = resident()?.saturating_sub(before);
    let each = bytes / site.count().max(1);
    Ok(format!("{took:.2} s, {} kB, {each} bytes a case", bytes / 1_024))
}

/// Bytes of memory of this process, if the system says it (Linux).
fn resident() -> Result<usize, Error> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm.split(' ').nth(1).ok_or("/proc/self/statm says nothing")?.parse()?;
    Ok(pages * 4_096)
}

/// Speed of 32 clients of a process that has just started, each change in a case that the
/// process has not touched.
pub(crate) async fn clients_after_a_start(site: &Site) -> Result<String, Error> {
    let petrel = site.started().await?;
    let begun = Instant::now();
    let clients = (0..32).map(|_| async {
        let (mut done, mut refused, mut times) = (0, Vec::new(), Vec::new());
        while begun.elapsed() < CLIENTS_FOR {
            let at = Instant::now();
            match petrel.fire(site.tick(site.untouched())).await {
                Ok(_) => done += 1,
                Err(error) => refused.push(error.to_string()),
            }
            times.push(at.elapsed());
        }
        (done, refused, times)
    });
    let (mut done, mut refused, mut times) = (0, Vec::new(), Vec::new());
    for (one, mut no, mut took) in join_all(clients).await {
        done += one;
        refused.append(&mut no);
        times.append(&mut took);
    }
    let rate = f64::from(done) / begun.elapsed().as_secs_f64();
    let example = refused.first().map(|error| format!(", as in: {error}")).unwrap_or_default();
    let p50 = median(times).as_secs_f64() * 1_000.0;
    Ok(format!("{rate:.0}/s, p50 {p50:.2} ms, {} refused{example}", refused.len()))
}

/// The first change with a firing id in one case with 10, 1,000 and 50,000 records.
pub(crate) async fn one_long_case(folder: Option<&Path>) -> Result<(), Error> {
    const LENGTHS: [usize; 3] = [10, 1_000, 50_000];
    let server = serve(folder, "long").await?;
    let petrel = connect(&server).await?;
    petrel.create_workflow(definition()?, ExpectedVersion::Any).await?;
    let workflow = WorkflowId::new("growth")?;
    let case = |length: usize| CaseId::new(format!("long-{length}")).unwrap();
    for length in LENGTHS {
        let case = Some(case(length));
        let begun =
            petrel.create_case(NewCase { case, ..NewCase::of(workflow.clone()) }).await?.case;
        if begun.sequence.get() < 50_000 {
            for _ in 1..length {
                let mut fire = tick(&workflow, begun.id.clone());
                fire.change.firing = None;
                petrel.fire(fire).await?;
            }
        }
    }
    let mut times = vec![Vec::new(); LENGTHS.len()];
    let begun = Instant::now();
    for turn in 0..100 {
        if turn >= 3 && begun.elapsed() > Duration::from_secs(20) {
            break;
        }
        for (length, times) in LENGTHS.iter().zip(&mut times) {
            let process = Petrel::new(Arc::clone(petrel.storage()));
            let fire = tick(&workflow, case(*length));
            let at = Instant::now();
            process.fire(fire).await?;
            times.push(at.elapsed());
        }
    }
    println!("\nfirst change with a firing id in one case of");
    for (length, times) in LENGTHS.iter().zip(times) {
        println!("  {length:>6} records: {:.3} ms", median(times).as_secs_f64() * 1_000.0);
    }
    server.stop().await?;
    Ok(())
}

/// A firing beside subscribers of its workflow, all of whom see it.
pub(crate) async fn firings_beside_subscribers() -> Result<(), Error> {
    println!("\na firing beside subscribers of its workflow, and until the last of them has it");
    for subscribers in [0, 1, 100, 1_000] {
        let server = serve(None, "subscribers").await?;
        let petrel = connect(&server).await?;
        petrel.create_workflow(definition()?, ExpectedVersion::Any).await?;
        let workflow = WorkflowId::new("growth")?;
        let case = petrel.create_case(NewCase::of(workflow.clone())).await?.case.id.clone();
        let scope = LogScope::Workflow(workflow.clone());
        let mut streams =
            try_join_all((0..subscribers).map(|_| petrel.watch(scope.clone(), None))).await?;
        let (mut fired, mut seen) = (Vec::new(), Vec::new());
        for _ in 0..50 {
            let next = join_all(streams.iter_mut().map(StreamExt::next));
            let at = Instant::now();
            let firing = tokio::spawn({
                let (petrel, fire) = (petrel.clone(), tick(&workflow, case.clone()));
                async move {
                    petrel.fire(fire).await.unwrap();
                    at.elapsed()
                }
            });
            next.await;
            seen.push(at.elapsed());
            fired.push(firing.await?);
        }
        let (fired, seen) = (median(fired).as_secs_f64(), median(seen).as_secs_f64());
        println!("  {subscribers:>5}: {:.3} ms, {:.3} ms", fired * 1_000.0, seen * 1_000.0);
        drop(streams);
        server.stop().await?;
    }
    Ok(())
}

/// Firings a second of 64 clients in 512 cases, in turns with and without an index that follows.
pub(crate) async fn firings_beside_the_index() -> Result<(), Error> {
    let server = serve(None, "index").await?;
    let petrel = connect(&server).await?;
    petrel.create_workflow(definition()?, ExpectedVersion::Any).await?;
    let workflow = WorkflowId::new("growth")?;
    let begun = (0..512).map(|_| petrel.create_case(NewCase::of(workflow.clone())));
    let begun = try_join_all(begun).await?;
    let mut rates = [Vec::new(), Vec::new()];
    for turn in 0..10 {
        let stop = CancellationToken::new();
        let index = (turn % 2 == 1).then(|| {
            let (petrel, stop) = (petrel.clone(), stop.clone());
            tokio::spawn(async move { petrel.run_index(stop).await })
        });
        let at = Instant::now();
        let clients = begun.chunks(8).map(|mine| {
            let (petrel, workflow) = (petrel.clone(), workflow.clone());
            let mine: Vec<_> = mine.iter().map(|begun| begun.case.id.clone()).collect();
            tokio::spawn(async move {
                let mut done = 0_u32;
                for case in mine.iter().cycle() {
                    if at.elapsed() > Duration::from_secs(2) {
                        break;
                    }
                    let mut fire = tick(&workflow, case.clone());
                    fire.change.firing = None;
                    petrel.fire(fire).await.unwrap();
                    done += 1;
                }
                done
            })
        });
        let done: u32 = try_join_all(clients).await?.into_iter().sum();
        rates[turn % 2].push(f64::from(done) / at.elapsed().as_secs_f64());
        stop.cancel();
        if let Some(index) = index {
            index.await?;
        }
    }
    let [without, with] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!("\nfirings a second: {without:.0}; beside an index that follows {with:.0}");
    server.stop().await?;
    Ok(())
}

/// 990 unknown tokens asked for at once, and a known one beside them, with many workflows.
pub(crate) async fn unknown_tokens_beside_workflows() -> Result<(), Error> {
    println!("\n990 unknown tokens at once, each of an unknown workflow, and a known one beside");
    for workflows in [10, 2_000] {
        let server = serve(None, "workflows").await?;
        let petrel = connect(&server).await?;
        for number in 0..workflows {
            let definition: WorkflowDefinition = serde_json::from_value(json!({
                "id": format!("w{number}"), "initial_place": "a", "places": [{"id": "a"}],
                "transitions": []
            }))?;
            petrel.create_workflow(definition, ExpectedVersion::Any).await?;
        }
        let workflow = WorkflowId::new("w0")?;
        let known = petrel.create_case(NewCase::of(workflow)).await?.tokens[0].id.clone();
        let case = CaseId::new("nobody")?;
        let begun = Instant::now();
        let unknown = (0..990_u64).map(|number| {
            let token = TokenId::of_case(&format!("{number:010x}"), &case, 1);
            let petrel = petrel.clone();
            async move { petrel.token(None, &token, Consistency::Eventual).await.unwrap_err() }
        });
        let beside = async {
            let (mut refused, mut times) = (0, Vec::new());
            for _ in 0..20 {
                let at = Instant::now();
                if petrel.storage().last_sequence().await.is_err()
                    || petrel.token(None, &known, Consistency::Strong).await.is_err()
                {
                    refused += 1;
                }
                times.push(at.elapsed());
            }
            (refused, median(times))
        };
        let (errors, (refused, beside)) = tokio::join!(join_all(unknown), beside);
        let others = errors.iter().filter(|error| error.retryable()).count();
        println!(
            "  {workflows:>5} workflows: {:.0} ms, {others} of them refused; beside {:.3} ms, {refused} refused",
            begun.elapsed().as_secs_f64() * 1_000.0,
            beside.as_secs_f64() * 1_000.0
        );
        server.stop().await?;
    }
    Ok(())
}
