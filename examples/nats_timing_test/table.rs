//! Measurements, operation by operation.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// Raw operation that others are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raw {
    /// One publish, acknowledged.
    Publish,
    /// One direct get.
    Get,
}

/// One operation, done any number of times.
#[derive(Debug)]
struct Row {
    name: &'static str,
    raw: Raw,
    times: Vec<Duration>,
    checked: usize,
    right: usize,
}

/// All operations, in the order in which they were first done.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Table {
    fn row(&mut self, name: &'static str, raw: Raw) -> &mut Row {
        let known = self.rows.iter().position(|row| row.name == name);
        let at = known.unwrap_or_else(|| {
            self.rows.push(Row { name, raw, times: Vec::new(), checked: 0, right: 0 });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// Does something, and notes the time that it took.
    pub(crate) async fn time<T>(
        &mut self,
        name: &'static str,
        raw: Raw,
        what: impl Future<Output = T>,
    ) -> T {
        let begun = Instant::now();
        let result = what.await;
        self.note(name, raw, begun.elapsed());
        result
    }

    /// Notes the time that something took.
    pub(crate) fn note(&mut self, name: &'static str, raw: Raw, took: Duration) {
        self.row(name, raw).times.push(took);
    }

    /// Notes the last result of an operation as right or wrong; a wrong one is printed at
    /// once.
    pub(crate) fn check(&mut self, name: &'static str, right: bool, seen: impl FnOnce() -> String) {
        if !right {
            println!("WRONG: {name}: {}", seen());
        }
        let row = self.rows.iter_mut().find(|row| row.name == name);
        let row = row.expect("an operation is checked after it was done");
        row.checked += 1;
        row.right += usize::from(right);
    }

    /// Takes over the rows of another table.
    pub(crate) fn add(&mut self, other: Self) {
        for row in other.rows {
            let ours = self.row(row.name, row.raw);
            ours.times.extend(row.times);
            ours.checked += row.checked;
            ours.right += row.right;
        }
    }

    /// Number of checks that failed.
    pub(crate) fn wrong(&self) -> usize {
        self.rows.iter().map(|row| row.checked - row.right).sum()
    }
}

/// Time within which the given share of the operations ended.
fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let at = (times.len() as f64 * share) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw_names = [RAW_PUBLISH, RAW_GET];
        let raw = raw_names.map(|name| {
            let row = self.rows.iter().find(|row| row.name == name);
            row.map(|row| quantile(&mut row.times.clone(), 0.5).as_secs_f64())
        });
        writeln!(
            f,
            "{:<44} {:>6} {:>9} {:>9} {:>16} {:>11}",
            "operation", "times", "p50 ms", "p99 ms", "p50 / raw", "right"
        )?;
        for row in &self.rows {
            let mut times = row.times.clone();
            let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
            let (of, raw) = match row.raw {
                Raw::Publish => ("publish", raw[0]),
                Raw::Get => ("get", raw[1]),
            };
            let ratio = match raw {
                Some(raw) if !raw_names.contains(&row.name) => {
                    format!("{:.2} x {of}", p50.as_secs_f64() / raw)
                }
                _ => String::new(),
            };
            let right = match row.checked {
                0 => String::new(),
                checked => format!("{}/{checked}", row.right),
            };
            let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
            writeln!(
                f,
                "{:<44} {:>6} {:>9.3} {:>9.3} {ratio:>16} {right:>11}",
                row.name,
                times.len(),
                milliseconds(p50),
                milliseconds(p99),
            )?;
        }
        Ok(())
    }
}

/// The name of the raw publish, acknowledged.
pub(crate) const RAW_PUBLISH: &str = "raw publish with acknowledgement";
/// The name of the raw direct get.
pub(crate) const RAW_GET: &str = "raw direct get";
