//! The driver: begins cases at a steady rate, and decides for the persons that some wait for.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use stormpetrel::{
    models::WorkflowId,
    petrel::{NewCase, Petrel},
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{follower::Follower, orders};

/// Wait before another try of what was not answered.
const AGAIN: Duration = Duration::from_millis(200);

/// Longest time that a person takes to decide, in milliseconds.
const DECIDES_WITHIN: u32 = 3_000;

const FIRE: &str = "mutation ($input: FireCaseInput!) { fireCase(input: $input) { repeated } }";

/// The driver of a run.
#[derive(Debug)]
pub(crate) struct Driver {
    pub petrel: Petrel,
    pub workflow: WorkflowId,
    /// Address of the process that serves.
    pub server: String,
    pub http: reqwest::Client,
    pub follower: Arc<Follower>,
    pub counts: Counts,
}

/// Numbers of what it asked for.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub begun: AtomicU64,
    /// Tries of begins that had to be made again.
    pub begun_again: AtomicU64,
    pub decided: AtomicU64,
    pub decided_again: AtomicU64,
    /// Milliseconds from the time at which each case was to begin until that was answered.
    pub waits: Mutex<Vec<u32>>,
    /// Requests that were refused for good.
    pub faults: Mutex<Vec<String>>,
}

impl Counts {
    fn fault(&self, fault: String) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }
}

impl Driver {
    /// Begins so many cases, so many a second, whatever becomes of those before, and waits until each has begun
    /// and was decided; gives up at `stop`.
    pub(crate) async fn run(self: &Arc<Self>, cases: u32, rate: f64, stop: &CancellationToken) {
        let (begun, tasks) = (Instant::now(), TaskTracker::new());
        for number in 0..cases {
            let at = begun + Duration::from_secs_f64(f64::from(number) / rate);
            sleep_until(at).await;
            let (driver, stop) = (Arc::clone(self), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    done = driver.order(number, at) => if let Err(error) = done {
                        driver.counts.fault(format!("order {number}: {error:#}"));
                    },
                }
            });
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn order(&self, number: u32, at: Instant) -> anyhow::Result<()> {
        self.begin(number).await?;
        self.counts.begun.fetch_add(1, Relaxed);
        self.follower.began();
        let waited = u32::try_from(at.elapsed().as_millis()).unwrap_or(u32::MAX);
        self.counts.waits.lock().unwrap_or_else(PoisonError::into_inner).push(waited);
        let Some(transition) = orders::decision(number) else { return Ok(()) };
        sleep(Duration::from_millis(u64::from(number.wrapping_mul(7_919) % DECIDES_WITHIN))).await;
        self.decide(number, transition).await?;
        self.counts.decided.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Begins a case, again with the same id until that is answered.
    async fn begin(&self, number: u32) -> anyhow::Result<()> {
        let (case, data) = (Some(orders::case(number)?), orders::data(number));
        let new = NewCase { case, data, ..NewCase::of(self.workflow.clone()) };
        loop {
            match self.petrel.create_case(new.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) if error.retryable() => {
                    self.counts.begun_again.fetch_add(1, Relaxed);
                    sleep(AGAIN).await;
                }
                Err(error) => return Err(error).context("it can't begin"),
            }
        }
    }

    /// Fires a person's transition by GraphQL, again with the same firing id until that is answered.
    async fn decide(&self, number: u32, transition: &str) -> anyhow::Result<()> {
        let input = json!({
            "workflowId": self.workflow, "caseId": orders::case(number)?,
            "transitionId": transition, "firingId": "decision", "triggeredBy": "soak",
        });
        let request = json!({ "query": FIRE, "variables": { "input": input } });
        let url = format!("http://{}/graphql", self.server);
        loop {
            let answer = async {
                let answer = self.http.post(&url).json(&request).send().await?;
                answer.json::<Value>().await
            };
            let answer = match answer.await {
                Ok(answer) => answer,
                Err(error) => json!({ "errors": [{
                    "message": error.to_string(), "extensions": { "retryable": true }
                }] }),
            };
            let Some(error) = answer["errors"].get(0) else { return Ok(()) };
            if error["extensions"]["retryable"] != true {
                bail!("a person can't {transition} it: {error}");
            }
            self.counts.decided_again.fetch_add(1, Relaxed);
            sleep(AGAIN).await;
        }
    }
}
