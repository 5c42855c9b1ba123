//! Pace of appends: whether a batch is faster than one after the other, by what each took lately.

use std::time::{Duration, Instant};

/// Appends that a batch has at least.
pub(super) const LEAST: usize = 4;

/// Time that a batch is thought to take before one was measured.
const GUESS: Duration = Duration::from_millis(4);

/// Time for which a measurement is relied on. Whatever is not done is not measured, so it is tried
/// again.
const FRESH: Duration = Duration::from_secs(5);

/// Time after which a stream that takes no batches is asked again.
const REFUSED: Duration = Duration::from_secs(60);

/// Number of appends one by one that are measured at once: their answers come in bursts.
const WINDOW: u32 = 32;

/// Number of measurements before anything is concluded.
const ENOUGH: usize = 2;

/// The most that one measurement counts, in multiples of what was known: a disk that stands still for
/// once says nothing of the next time.
const OUTLIER: f64 = 4.0;

/// Share of a batch's measured time that is believed once it is older than that.
const DOUBT: f64 = 0.25;

/// Gain from which on appends that go one by one begin to go together: a smaller one may be noise.
const GAIN: f64 = 1.2;

/// Weight of the last measurement.
const WEIGHT: f64 = 0.3;

/// Appends that are sent one by one to learn how long that takes.
pub(super) const TRIED: usize = 64;

/// The cost of appends, as it was measured.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Seconds from one append to the next where several are under way one by one, and the time of
    /// the last measurement.
    single: Option<(f64, Instant)>,
    /// Number of measurements.
    singles: usize,
    /// Beginning of the measurement that is under way, and the appends that have ended since.
    window: Option<(Instant, u32)>,
    /// Seconds of a batch, and the time of the last one. Most of it is the same for any size: the server
    /// makes a folder, syncs it and takes it away again.
    batch: Option<(f64, Instant)>,
    refused: Option<Instant>,
}

impl Pace {
    /// Returns true if so many appends are faster in one batch. `is_together` is true if the last ones
    /// were.
    pub(super) fn pays(&self, many: usize, is_together: bool, now: Instant) -> bool {
        let is_fresh = |at: Instant| now.saturating_duration_since(at) < FRESH;
        if many < LEAST || self.is_refused(now) {
            return false;
        }
        let batch = self.batch.map_or(GUESS.as_secs_f64(), |(seconds, at)| match is_fresh(at) {
            true => seconds,
            false => seconds * DOUBT,
        });
        let gain = if is_together { 1.0 } else { GAIN };
        let single = self.single.filter(|_| self.singles >= ENOUGH);
        single.is_some_and(|(single, _)| single * many as f64 > batch * gain)
    }

    /// Returns true if it is long ago that appends went one by one.
    pub(super) fn is_single_old(&self, now: Instant) -> bool {
        self.single.is_none_or(|(_, at)| now.saturating_duration_since(at) >= FRESH)
    }

    /// Notes that an append has ended, beside others or alone.
    pub(super) fn single(&mut self, now: Instant, beside_others: bool) {
        let (begun, ended) = match self.window {
            Some((begun, ended)) => (begun, ended + 1),
            None => (now, 0),
        };
        self.window = Some((begun, ended));
        if ended == WINDOW {
            self.learn_single((now - begun).as_secs_f64() / f64::from(ended), now);
            self.window = Some((now, 0));
        }
        if !beside_others {
            // The time to the next says nothing.
            self.window = None;
        }
    }

    /// Notes how long so many took that were sent at once, one by one.
    pub(super) fn apart(&mut self, now: Instant, took: Duration, many: usize) {
        self.window = None;
        if many >= LEAST {
            self.learn_single(took.as_secs_f64() / many as f64, now);
        }
    }

    fn learn_single(&mut self, seconds: f64, now: Instant) {
        self.single = Some((learnt(self.single, seconds, now), now));
        self.singles += 1;
    }

    /// Notes how long a batch took.
    pub(super) fn batch(&mut self, now: Instant, took: Duration) {
        self.batch = Some((learnt(self.batch, took.as_secs_f64(), now), now));
        self.window = None;
    }

    /// Notes that the stream takes no batches. Returns true if that is new.
    pub(super) fn refused(&mut self, now: Instant) -> bool {
        self.refused.replace(now).is_none()
    }

    /// Returns true if the stream took no batches a moment ago.
    pub(super) fn is_refused(&self, now: Instant) -> bool {
        self.refused.is_some_and(|at| now.saturating_duration_since(at) < REFUSED)
    }
}

/// Mixes a measurement with those before it, unless they are old.
fn learnt(known: Option<(f64, Instant)>, seconds: f64, now: Instant) -> f64 {
    match known.filter(|(_, at)| now.saturating_duration_since(*at) < FRESH) {
        Some((known, _)) => known + WEIGHT * (seconds.min(known * OUTLIER) - known),
        None => seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pace where appends come `single` milliseconds after each other, and a time just after.
    fn pace(single: u64) -> (Pace, Instant) {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        for number in 0..100 {
            pace.single(begun + Duration::from_millis(single) * number, true);
        }
        (pace, begun + Duration::from_millis(single) * 100)
    }

    #[test]
    fn as_many_as_take_longer_one_by_one_go_into_a_batch() {
        let (mut pace, now) = pace(1);
        assert!(!pace.pays(4, false, now) && pace.pays(6, false, now), "a guess of 4 ms");
        for _ in 0..100 {
            pace.batch(now, Duration::from_millis(40));
        }
        assert!(!pace.pays(48, false, now) && pace.pays(49, false, now));
        assert!(!pace.pays(40, true, now) && pace.pays(41, true, now), "they went together");
        assert!(pace.refused(now) && !pace.refused(now));
        assert!(!pace.pays(1_000, false, now));
        assert!(pace.pays(1_000, false, now + REFUSED), "it is tried again");
    }

    #[test]
    fn a_disk_that_stands_still_for_once_changes_little() {
        let (mut pace, now) = pace(1);
        pace.batch(now, Duration::from_millis(10));
        for _ in 0..WINDOW {
            pace.single(now + Duration::from_secs(1), true);
        }
        assert!(!pace.pays(8, false, now) && pace.pays(20, false, now));
        pace.batch(now, Duration::from_secs(1));
        assert!(pace.pays(20, true, now));
    }

    #[test]
    fn answers_that_come_in_bursts_are_as_far_apart_as_the_bursts_are_large() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        for number in 0..1_000 {
            pace.single(begun + Duration::from_millis(20) * (number / 20), true);
        }
        let now = begun + Duration::from_secs(1);
        pace.batch(now, Duration::from_millis(40));
        assert!(!pace.pays(25, true, now) && pace.pays(65, true, now));
    }

    #[test]
    fn nothing_is_known_before_appends_were_under_way_together() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        for number in 0..100 {
            pace.single(begun + Duration::from_secs(1) * number, false);
        }
        assert!(!pace.pays(1_000, false, begun) && pace.is_single_old(begun));
    }

    #[test]
    fn a_measurement_is_made_again_in_time_and_a_few_appends_change_it() {
        let (mut pace, now) = pace(1);
        pace.batch(now, Duration::from_millis(100));
        assert!(!pace.pays(50, false, now));
        let later = now + FRESH;
        assert!(pace.pays(50, false, later), "the disk may be another one by now");
        assert!(!pace.pays(25, false, later), "it was too far off");
        assert!(pace.is_single_old(later));
        for _ in 0..20 {
            pace.apart(later, Duration::from_millis(1), TRIED);
        }
        assert!(!pace.is_single_old(later) && !pace.pays(1_000, true, later));
    }
}
