//! Markers: what a token leaves in the register of the place that it left, for a while, so that
//! a writer who saw it there comes too late.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::{RegisterVersion, ViewOutcome};
use crate::models::ViewSequence;

/// Rules of time for a view whose markers expire.
///
/// A write that expects an empty register is stopped by the marker of whoever wrote there since
/// the writer read the log, while that marker is kept. So such a write counts if half of that
/// time had not passed when it ended, and is checked against the log otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Markers {
    kept: Duration,
}

impl Markers {
    /// Rules for markers that are surely gone after this time.
    pub fn kept_for(kept: Duration) -> Self {
        Self { kept }
    }

    /// The sequence that a register must have for a write: that of what was seen, and none where
    /// that was a marker which is gone by now.
    pub fn expected(&self, seen: &RegisterVersion) -> Option<ViewSequence> {
        let forgotten = seen.marker_since().is_some_and(|since| since.elapsed() > self.kept);
        seen.sequence().filter(|_| !forgotten)
    }

    /// The outcome of a write that has just been done where `expected` was found, by a writer who
    /// read the log at `log_read`.
    pub fn outcome(
        &self,
        written: RegisterVersion,
        expected: Option<ViewSequence>,
        log_read: Instant,
    ) -> ViewOutcome {
        match expected.is_none() && log_read.elapsed() > self.kept / 2 {
            true => ViewOutcome::Unfenced(written),
            false => ViewOutcome::Written(written),
        }
    }

    /// True if so much time has passed since `log_read` that a write would hardly end in time.
    pub fn is_stale(&self, log_read: Instant) -> bool {
        log_read.elapsed() > self.kept / 4
    }

    /// True if a marker that somebody wrote at `left` is surely gone at `now`. The two times may
    /// be of different clocks, so it takes twice as long.
    pub fn has_forgotten(&self, left: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let kept = TimeDelta::from_std(self.kept.saturating_mul(2)).ok();
        kept.and_then(|kept| now.checked_sub_signed(kept)).is_some_and(|since| left <= since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn ago(time: Duration) -> Instant {
        Instant::now().checked_sub(time).expect("this computer runs for longer")
    }

    #[test]
    fn a_marker_is_expected_while_it_is_kept_and_a_token_always() {
        let at = ViewSequence::new(7).unwrap();
        let markers = Markers::kept_for(Duration::ZERO);
        assert_eq!(markers.expected(&RegisterVersion::NOTHING), None);
        assert_eq!(markers.expected(&RegisterVersion::token(at)), Some(at));
        let seen = RegisterVersion::marker(at);
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(markers.expected(&seen), None);
        assert_eq!(Markers::kept_for(MINUTE).expected(&seen), Some(at));
    }

    #[test]
    fn a_late_write_is_unfenced_where_nothing_was() {
        let markers = Markers::kept_for(Duration::from_millis(8));
        let at = ViewSequence::new(7);
        let written = RegisterVersion::token(ViewSequence::FIRST);
        let late = ago(Duration::from_millis(5));
        assert_eq!(markers.outcome(written, None, late), ViewOutcome::Unfenced(written));
        assert_eq!(markers.outcome(written, at, late), ViewOutcome::Written(written));
        let markers = Markers::kept_for(MINUTE);
        assert_eq!(markers.outcome(written, None, late), ViewOutcome::Written(written));
        assert!(!markers.is_stale(late));
    }

    #[test]
    fn a_marker_of_another_clock_is_gone_after_twice_the_time() {
        let now: DateTime<Utc> = "2026-01-01T00:10:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let markers = Markers::kept_for(MINUTE);
        assert!(markers.has_forgotten(at("2026-01-01T00:08:00Z"), now));
        assert!(!markers.has_forgotten(at("2026-01-01T00:08:01Z"), now));
        assert!(!Markers::kept_for(Duration::MAX).has_forgotten(at("1970-01-01T00:00:00Z"), now));
    }
}
