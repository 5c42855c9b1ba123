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

/// Least number of appends one by one that are measured at once.
const WINDOW: usize = 32;

/// Number of measurements before anything is concluded.
const ENOUGH: usize = 2;

/// The most that one measurement counts, in multiples of what was known: a disk that stands still for
/// once says nothing of the next time.
const OUTLIER: f64 = 4.0;

/// Share of a batch's measured time that is believed once it is older than that.
const DOUBT: f64 = 0.25;

/// Gain from which on appends that go one by one begin to go together: a smaller one may be noise.
const GAIN: f64 = 1.2;

/// Deviation of the sizes of batches, in parts of their mean, from which on the time of each append is
/// told from that of the batch.
const SPREAD: f64 = 0.2;

/// Weight of the last measurement.
const WEIGHT: f64 = 0.3;

/// Appends that are sent one by one to learn how long that takes.
pub(super) const TRIED: usize = 64;

/// A measurement of appends that go one by one.
#[derive(Debug)]
struct Window {
    begun: Instant,
    /// Number of appends that have ended since.
    ended: usize,
    /// Number that it takes: answers come in bursts, the largest of all that were under way.
    whole: usize,
}

/// The cost of appends, as it was measured.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Seconds from one append to the next where several are under way one by one, and the time of
    /// the last measurement.
    single: Option<(f64, Instant)>,
    /// Number of measurements.
    singles: usize,
    /// The measurement that is under way.
    window: Option<Window>,
    batches: Batches,
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
        let batch = match self.batches.last {
            None => GUESS.as_secs_f64(),
            Some(at) if is_fresh(at) => self.batches.seconds(many),
            Some(_) => self.batches.seconds(many) * DOUBT,
        };
        let gain = if is_together { 1.0 } else { GAIN };
        let single = self.single.filter(|_| self.singles >= ENOUGH);
        single.is_some_and(|(single, _)| single * many as f64 > batch * gain)
    }

    /// Returns true if it is long ago that appends went one by one.
    pub(super) fn is_single_old(&self, now: Instant) -> bool {
        self.single.is_none_or(|(_, at)| now.saturating_duration_since(at) >= FRESH)
    }

    /// Notes that an append has ended, and the number of others that are under way one by one.
    pub(super) fn single(&mut self, now: Instant, others: usize) {
        let begin = || Window { begun: now, ended: 0, whole: WINDOW.max(others + 1) };
        let Some(window) = &mut self.window else {
            // The time from the only one to the next says nothing.
            self.window = (others > 0).then(begin);
            return;
        };
        window.ended += 1;
        if window.ended == window.whole {
            let each = (now - window.begun).as_secs_f64() / window.ended as f64;
            self.learn_single(each, now);
            self.window = Some(begin());
        }
        if others == 0 {
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

    /// Notes how long a batch of so many took.
    pub(super) fn batch(&mut self, now: Instant, took: Duration, many: usize) {
        self.batches.learn(now, took.as_secs_f64(), many);
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

/// The time of batches by their size, as the line through the last ones: a part that is the same for any
/// size, since the server makes a folder, syncs it and takes it away again, and a part for each append.
/// Without the second one, what a thousand took would speak against a batch of fifty.
#[derive(Debug, Default)]
struct Batches {
    /// Time of the last one.
    last: Option<Instant>,
    /// Means of the sizes, of the seconds, of the sizes' squares and of the products of both.
    size: f64,
    seconds: f64,
    squares: f64,
    products: f64,
}

impl Batches {
    fn learn(&mut self, now: Instant, seconds: f64, many: usize) {
        let size = many as f64;
        let (weight, seconds) = match self.last {
            Some(last) if now.saturating_duration_since(last) < FRESH => {
                (WEIGHT, seconds.min(self.seconds(many) * OUTLIER))
            }
            _ => (1.0, seconds),
        };
        let mix = |mean: &mut f64, value: f64| *mean += weight * (value - *mean);
        mix(&mut self.size, size);
        mix(&mut self.seconds, seconds);
        mix(&mut self.squares, size * size);
        mix(&mut self.products, size * seconds);
        self.last = Some(now);
    }

    /// The seconds that a batch of so many takes.
    fn seconds(&self, many: usize) -> f64 {
        let spread = self.squares - self.size * self.size;
        let slope = (self.products - self.size * self.seconds) / spread;
        // Sizes that are all about the same say nothing of others; and no part is less than nothing.
        let is_known = spread > (SPREAD * self.size).powi(2);
        let each = if is_known { slope.clamp(0.0, self.seconds / self.size) } else { 0.0 };
        self.seconds + each * (many as f64 - self.size)
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
            pace.single(begun + Duration::from_millis(single) * number, 1);
        }
        (pace, begun + Duration::from_millis(single) * 100)
    }

    #[test]
    fn as_many_as_take_longer_one_by_one_go_into_a_batch() {
        let (mut pace, now) = pace(1);
        assert!(!pace.pays(4, false, now) && pace.pays(6, false, now), "a guess of 4 ms");
        for _ in 0..100 {
            pace.batch(now, Duration::from_millis(40), 64);
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
        pace.batch(now, Duration::from_millis(10), 16);
        for _ in 0..WINDOW {
            pace.single(now + Duration::from_secs(1), 1);
        }
        assert!(!pace.pays(8, false, now) && pace.pays(20, false, now));
        pace.batch(now, Duration::from_secs(1), 16);
        assert!(pace.pays(20, true, now));
    }

    #[test]
    fn what_a_large_batch_took_does_not_speak_against_a_small_one() {
        let (mut pace, now) = pace(1);
        for many in [1_000_usize, 100, 700, 50, 900, 200] {
            pace.batch(now, Duration::from_micros(5_000 + 100 * many as u64), many);
        }
        assert!(!pace.pays(5, true, now) && pace.pays(6, true, now), "5 ms, and 0.1 ms for each");
        assert!(pace.pays(1_000, true, now));
    }

    #[test]
    fn answers_that_come_in_bursts_are_as_far_apart_as_the_bursts_are_large() {
        for burst in [20, 1_000] {
            let (mut pace, begun) = (Pace::default(), Instant::now());
            for number in 0..10 * burst {
                let bursts = u32::try_from(number / burst).unwrap();
                let time = begun + Duration::from_millis(burst as u64) * bursts;
                pace.single(time, burst - number % burst);
            }
            let now = begun + Duration::from_millis(10 * burst as u64);
            pace.batch(now, Duration::from_millis(40), 64);
            assert!(!pace.pays(25, true, now) && pace.pays(65, true, now), "{burst}: {pace:?}");
        }
    }

    #[test]
    fn nothing_is_known_before_appends_were_under_way_together() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        for number in 0..100 {
            pace.single(begun + Duration::from_secs(1) * number, 0);
        }
        assert!(!pace.pays(1_000, false, begun) && pace.is_single_old(begun));
    }

    #[test]
    fn a_measurement_is_made_again_in_time_and_a_few_appends_change_it() {
        let (mut pace, now) = pace(1);
        pace.batch(now, Duration::from_millis(100), 64);
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
