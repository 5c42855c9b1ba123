//! The turns of a side, and its speed over them.

use std::time::{Duration, Instant};

use futures::future::join_all;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::{driver::Driver, load::LoadError};

/// Results of one side over its turns.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// Firings a second, of each turn in order.
    pub rates: Vec<f64>,
    /// The median of the rates.
    pub rate: f64,
    /// Longest time of the faster half of the firings, in milliseconds.
    pub p50_ms: f64,
    /// Longest time of the fastest 99 % of the firings, in milliseconds.
    pub p99_ms: f64,
}

/// The turns of one side.
#[derive(Debug)]
pub(super) struct Turns {
    rates: Vec<f64>,
    times: Histogram<u64>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { rates: Vec::new(), times: histogram() }
    }
}

impl Turns {
    /// Lets all of them fire, each one firing after the other, until the time is up.
    pub(super) async fn take<D: Driver>(
        &mut self,
        drivers: Vec<D>,
        turn: Duration,
    ) -> Result<Vec<D>, LoadError> {
        let begun = Instant::now();
        let tasks = drivers.into_iter().map(|one| tokio::spawn(drive(one, begun + turn)));
        let mut drivers = Vec::new();
        let mut done = 0;
        for ended in join_all(tasks).await {
            let (driver, times) = match ended {
                Ok(driven) => driven?,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            done += times.len();
            self.times += times;
            drivers.push(driver);
        }
        self.rates.push(done as f64 / begun.elapsed().as_secs_f64());
        Ok(drivers)
    }

    /// The median over the rounds of this side's rate, divided by the other's.
    pub(super) fn ratio(&self, other: &Self) -> f64 {
        let pairs = self.rates.iter().zip(&other.rates);
        median(pairs.map(|(this, other)| this / other).collect())
    }

    pub(super) fn side(self) -> Side {
        let milliseconds = |quantile| self.times.value_at_quantile(quantile) as f64 / 1e6;
        let (p50_ms, p99_ms) = (milliseconds(0.5), milliseconds(0.99));
        Side { rate: median(self.rates.clone()), rates: self.rates, p50_ms, p99_ms }
    }
}

/// Fires until the time is up, and notes how long each firing took.
async fn drive<D: Driver>(mut driver: D, until: Instant) -> Result<(D, Histogram<u64>), LoadError> {
    let mut times = histogram();
    loop {
        let begun = Instant::now();
        if begun >= until {
            return Ok((driver, times));
        }
        driver.fire().await?;
        let nanoseconds = begun.elapsed().as_nanos();
        times.saturating_record(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
    }
}

/// Histogram of nanoseconds up to a minute, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 3)
        .unwrap_or_else(|error| unreachable!("these bounds are allowed: {error}"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
