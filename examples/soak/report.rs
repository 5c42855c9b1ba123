//! The report of a run: numbers, and a line for each check.

use std::time::Duration;

/// Faults of a check that are printed.
const SHOWN: usize = 10;

/// A check that was made.
#[derive(Debug)]
pub(crate) struct Check {
    name: &'static str,
    /// The numbers that it went by.
    seen: String,
    faults: Vec<String>,
}

/// Numbers and checks of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    numbers: Vec<(String, String)>,
    checks: Vec<Check>,
}

impl Report {
    /// Adds a number.
    pub(crate) fn number(&mut self, name: impl Into<String>, value: impl ToString) {
        self.numbers.push((name.into(), value.to_string()));
    }

    /// Adds a check, which is fine if it has no faults.
    pub(crate) fn check(
        &mut self,
        name: &'static str,
        seen: impl ToString,
        faults: impl IntoIterator<Item = String>,
    ) {
        let (seen, faults) = (seen.to_string(), faults.into_iter().collect());
        self.checks.push(Check { name, seen, faults });
    }

    /// Returns true if every check is fine.
    pub(crate) fn is_fine(&self) -> bool {
        self.checks.iter().all(|check| check.faults.is_empty())
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        println!();
        for (name, value) in &self.numbers {
            println!("{name:<44} {value}");
        }
        println!();
        for Check { name, seen, faults } in &self.checks {
            let verdict = if faults.is_empty() { "ok    " } else { "FAILED" };
            println!("{verdict}  {name} ({seen})");
            for fault in faults.iter().take(SHOWN) {
                println!("          {fault}");
            }
            if faults.len() > SHOWN {
                println!("          and {} more", faults.len() - SHOWN);
            }
        }
    }
}

/// The part of sorted numbers that so many thousandths are not above.
pub(crate) fn quantile<T: Copy + Default>(sorted: &[T], thousandths: usize) -> T {
    let at = (sorted.len() * thousandths / 1_000).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

/// Milliseconds in a form for people.
pub(crate) fn times(mut millis: Vec<u32>) -> String {
    millis.sort_unstable();
    let of = |thousandths| {
        Duration::from_millis(u64::from(quantile(&millis, thousandths))).as_secs_f64()
    };
    let (half, most, longest) = (of(500), of(990), of(1_000));
    format!("median {half:.2} s, 99 % within {most:.2} s, longest {longest:.2} s")
}
