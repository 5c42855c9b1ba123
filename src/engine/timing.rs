//! The time at which a timed transition fires.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Budget, Scope, guard::TimeExpression};
use crate::models::{Problems, Transition};

/// The longest wait: what is due later is due at no time.
const LONGEST_DAYS: i64 = 36_525;

/// The shortest time between two firings of a transition that takes nothing.
pub(super) const SHORTEST_PERIOD: TimeDelta = TimeDelta::seconds(1);

/// The time at which a timed transition fires, once it is enabled.
#[derive(Debug)]
pub(super) enum Timing {
    /// So long after.
    After(TimeDelta),
    /// As long after, or at that time, as an expression says.
    By(TimeExpression),
}

impl Timing {
    /// Reads it from a definition; each error becomes a problem under `path`.
    pub(super) fn compile(
        transition: &Transition,
        path: &str,
        budget: Option<&Budget>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let (source, is_span) = match (&transition.after, &transition.at) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                problems
                    .add(format!("{path}.at"), "is there beside `after`; leave one of them out");
                return None;
            }
            (Some(after), None) => (after, true),
            (None, Some(at)) => (at, false),
        };
        let path = format!("{path}.{}", if is_span { "after" } else { "at" });
        if transition.auto {
            let reason = "says when, and `auto` that it fires at once; leave one of them out";
            problems.add(path, reason);
            return None;
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || c == '.';
        let is_written = source.trim_start().starts_with(|c: char| c.is_ascii_digit());
        if is_span && is_written && source.chars().all(is_part) {
            return match written(source) {
                Ok(span) => Some(Self::After(span)),
                Err(reason) => {
                    problems.add(path, reason);
                    None
                }
            };
        }
        let expression = TimeExpression::compile(source, is_span, &path, problems)?;
        if let Some(budget) = budget {
            expression.refuse_futile(&path, budget, problems);
        }
        Some(Self::By(expression))
    }

    /// Returns true if it asks for the case, whose marking is that of all places.
    pub(super) fn asks_for_case(&self) -> bool {
        matches!(self, Self::By(expression) if expression.asks_for_case())
    }

    /// Returns true if its text says that it is shorter than this.
    pub(super) fn is_shorter_than(&self, least: TimeDelta) -> bool {
        matches!(self, Self::After(span) if *span < least)
    }

    /// The time at which it fires, for tokens with which it is enabled since `scope.now`; not before
    /// that. Times have microseconds, as those of records do.
    ///
    /// # Errors
    ///
    /// The reason in words that there is none.
    pub(super) fn due(&self, scope: &Scope<'_>) -> Result<DateTime<Utc>, String> {
        let due = match self {
            Self::After(span) => scope.now.checked_add_signed(*span),
            Self::By(expression) => expression.evaluate(scope)?,
        };
        let latest = scope.now.checked_add_signed(TimeDelta::days(LONGEST_DAYS));
        match (due, latest) {
            (Some(due), Some(latest)) if due <= latest => Ok(whole(due).max(scope.now)),
            _ => Err(format!("is more than {} years away", LONGEST_DAYS / 365)),
        }
    }
}

/// A time with whole microseconds, the next if need be: nothing fires too early.
pub(super) fn whole(time: DateTime<Utc>) -> DateTime<Utc> {
    let rest = i64::from(time.timestamp_subsec_nanos() % 1_000);
    match rest {
        0 => time,
        rest => time.checked_add_signed(TimeDelta::nanoseconds(1_000 - rest)).unwrap_or(time),
    }
}

/// A time with its units; of one without it is the second.
pub(super) fn written(text: &str) -> Result<TimeDelta, String> {
    let text = text.trim();
    let seconds = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("{text}s"));
    let wrong =
        |reason: String| format!("{text:?} is no time: {reason}; write one as in 30s or 2h 30m");
    let span = humantime::parse_duration(seconds.as_deref().unwrap_or(text));
    let span = span.map_err(|error| wrong(error.to_string()))?;
    let span = TimeDelta::from_std(span).ok().filter(|span| span.num_days() <= LONGEST_DAYS);
    span.ok_or_else(|| wrong(format!("more than {} years", LONGEST_DAYS / 365)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_units_or_is_one_of_seconds() {
        for (text, seconds) in [
            ("30s", 30),
            ("300", 300),
            (" 5m ", 300),
            ("2h 30m", 9_000),
            ("2h30m", 9_000),
            ("30d", 2_592_000),
            ("1day", 86_400),
            ("0s", 0),
        ] {
            assert_eq!(written(text), Ok(TimeDelta::seconds(seconds)), "{text}");
        }
        assert_eq!(written("250ms"), Ok(TimeDelta::milliseconds(250)));
        for wrong in ["3x", "1.5", "5 somethings", "101y", "99999999999999999999s", "1h-5m"] {
            let reason = written(wrong).unwrap_err();
            assert!(reason.contains("30s"), "{reason}");
        }
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let at = |nanos| DateTime::from_timestamp(1, nanos).unwrap();
        assert_eq!(whole(at(1_000)), at(1_000));
        assert_eq!(whole(at(1_001)), at(2_000));
        assert_eq!(whole(at(999_999_999)), DateTime::from_timestamp(2, 0).unwrap());
    }
}
