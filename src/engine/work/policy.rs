//! The policy by which failed attempts are tried again.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use super::activity::wrong_code;
use crate::engine::timing::written;
use crate::models::{Failure, Problems, Retry};

/// The most attempts of an item that a policy may allow.
const MOST_ATTEMPTS: u32 = 1_000;

const ATTEMPTS: u32 = 3;
const LOST: u32 = 5;
const FIRST: TimeDelta = TimeDelta::seconds(1);
const LONGEST: TimeDelta = TimeDelta::seconds(60);
const FACTOR: f64 = 2.0;

/// The way in which failed attempts of an activity are tried again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Policy {
    /// The most attempts that may fail.
    pub attempts: u64,
    /// The most attempts whose worker may be lost.
    pub lost: u64,
    first: TimeDelta,
    factor: f64,
    longest: TimeDelta,
    jitter: bool,
    except: BTreeSet<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::compile(None, None, "", &mut Problems::default())
    }
}

impl Policy {
    /// Reads it from what a caller says.
    pub(crate) fn of(retry: &Retry) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let policy = Self::compile(Some(retry), None, "retry", &mut problems);
        if problems.0.is_empty() { Ok(policy) } else { Err(problems) }
    }

    /// Reads it from a definition; each error becomes a problem under `path`.
    pub(super) fn compile(
        retry: Option<&Retry>,
        defaults: Option<&Retry>,
        path: &str,
        problems: &mut Problems,
    ) -> Self {
        if let Some(retry) = retry {
            check(retry, path, problems);
        }
        fn of<T>(
            retry: Option<&Retry>,
            defaults: Option<&Retry>,
            field: impl Fn(&Retry) -> Option<T>,
        ) -> Option<T> {
            retry.and_then(&field).or_else(|| defaults.and_then(&field))
        }
        let time = |text: Option<String>, none: TimeDelta| {
            text.and_then(|text| written(&text).ok()).unwrap_or(none)
        };
        let codes = of(retry, defaults, |of| (!of.except.is_empty()).then(|| of.except.clone()));
        Self {
            attempts: of(retry, defaults, |of| of.attempts).unwrap_or(ATTEMPTS).into(),
            lost: of(retry, defaults, |of| of.lost).unwrap_or(LOST).into(),
            first: time(of(retry, defaults, |of| of.first.clone()), FIRST),
            factor: of(retry, defaults, |of| of.factor).unwrap_or(FACTOR),
            longest: time(of(retry, defaults, |of| of.longest.clone()), LONGEST),
            jitter: of(retry, defaults, |of| of.jitter).unwrap_or(true),
            except: codes.unwrap_or_default().into_iter().collect(),
        }
    }

    /// Returns true if no attempt follows a failure, the last of `failed`.
    pub(crate) fn is_final(&self, failure: &Failure, failed: u64) -> bool {
        failure.is_final || failed >= self.attempts || self.except.contains(&failure.code)
    }

    /// Delay before the next attempt, after as many have failed. The part by which it is shortened is
    /// made of `seed`: the engine has no randomness.
    pub(crate) fn delay(&self, failed: u64, seed: &str) -> TimeDelta {
        let exponent = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
        let longest = self.longest.as_seconds_f64();
        let grown = self.first.as_seconds_f64() * self.factor.powi(exponent);
        let delay = if grown.is_finite() { grown.min(longest) } else { longest };
        let part = if self.jitter { part_of_one(seed) } else { 1.0 };
        // Whole microseconds, as the times of records.
        #[expect(clippy::cast_possible_truncation, reason = "at most a hundred years")]
        let micros = (delay * part * 1e6) as i64;
        TimeDelta::microseconds(micros)
    }
}

/// A number from 0 to 1 that differs from text to text.
fn part_of_one(seed: &str) -> f64 {
    let digest = Sha256::digest(seed);
    let first = [digest[0], digest[1], digest[2], digest[3]];
    f64::from(u32::from_be_bytes(first)) / f64::from(u32::MAX)
}

fn check(retry: &Retry, path: &str, problems: &mut Problems) {
    for (name, count) in [("attempts", retry.attempts), ("lost", retry.lost)] {
        if count.is_some_and(|count| !(1..=MOST_ATTEMPTS).contains(&count)) {
            problems.add(format!("{path}.{name}"), format!("must be 1 to {MOST_ATTEMPTS}"));
        }
    }
    if retry.factor.is_some_and(|factor| !(1.0..=100.0).contains(&factor)) {
        problems.add(format!("{path}.factor"), "must be 1 to 100");
    }
    for (name, text) in [("first", &retry.first), ("longest", &retry.longest)] {
        if let Some(Err(reason)) = text.as_deref().map(written) {
            problems.add(format!("{path}.{name}"), reason);
        }
    }
    let time = |text: &Option<String>| text.as_deref().and_then(|text| written(text).ok());
    if let (Some(first), Some(longest)) = (time(&retry.first), time(&retry.longest))
        && first > longest
    {
        problems.add(format!("{path}.longest"), "is less than `first`, the delay that it limits");
    }
    for (number, code) in retry.except.iter().enumerate() {
        if let Some(reason) = wrong_code(code) {
            problems.add(format!("{path}.except[{number}]"), reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(retry: &Retry) -> Policy {
        let mut problems = Problems::default();
        let policy = Policy::compile(Some(retry), None, "retry", &mut problems);
        assert_eq!(problems, Problems::default());
        policy
    }

    #[test]
    fn delays_grow_up_to_the_longest() {
        let plain = policy(&Retry { jitter: Some(false), ..Retry::default() });
        let seconds = |failed| plain.delay(failed, "").num_seconds();
        assert_eq!([1, 2, 3, 6, 7, 8, u64::MAX].map(seconds), [1, 2, 4, 32, 60, 60, 60]);
    }

    #[test]
    fn what_fails_together_is_not_tried_again_together() {
        let policy = policy(&Retry { first: Some("10s".to_owned()), ..Retry::default() });
        let delays: Vec<_> = (0..1_000)
            .map(|item| policy.delay(1, &format!("case-{item}")).as_seconds_f64())
            .collect();
        assert!(delays.iter().all(|delay| (0.0..=10.0).contains(delay)));
        for second in 0..10 {
            let range = f64::from(second)..f64::from(second + 1);
            let here = delays.iter().filter(|delay| range.contains(*delay)).count();
            assert!((50..=150).contains(&here), "{here} of 1,000 in {range:?}");
        }
    }

    #[test]
    fn wrong_policies_are_told_by_field() {
        let retry = Retry {
            attempts: Some(0),
            lost: Some(1_001),
            factor: Some(0.5),
            first: Some("soon".to_owned()),
            except: vec!["A".to_owned(), String::new()],
            ..Retry::default()
        };
        let mut problems = Problems::default();
        let _ = Policy::compile(Some(&retry), None, "retry", &mut problems);
        let paths: Vec<_> = problems.0.iter().map(|problem| problem.path.as_str()).collect();
        let fields = ["attempts", "lost", "factor", "first", "except[1]"];
        assert_eq!(paths, fields.map(|field| format!("retry.{field}")));
    }
}
