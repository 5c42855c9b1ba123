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

/// Least number of appends one by one in a measurement, where they don't end before.
const WINDOW: usize = 32;

/// Time after which a measurement needs no more than that.
const LONG: Duration = Duration::from_millis(250);

/// Number of measurements before anything is concluded.
const ENOUGH: usize = 2;

/// The most that one measurement counts, in multiples of what is known and fresh: a disk that stands still for
/// once says nothing of the next time.
const OUTLIER: f64 = 4.0;

/// Share of a batch's measured time that is believed once it is older than [`FRESH`], and again after as
/// long: one bad measurement would be the last one otherwise.
const DOUBT: f64 = 0.25;

/// Gain from which on appends that go one by one begin to go together: a smaller one may be noise.
const GAIN: f64 = 1.2;

/// Deviation of the sizes of batches, in parts of their mean, from which on the part for each append is
/// told from the part that is the same for any size.
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
    /// The most that were under way at once. Their answers may come in one burst, so it has as many.
    most: usize,
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
        if many < LEAST || self.is_refused(now) {
            return false;
        }
        let batch = self.batches.last.map_or(GUESS.as_secs_f64(), |at| {
            let times = now.saturating_duration_since(at).as_secs() / FRESH.as_secs();
            self.batches.seconds(many) * DOUBT.powi(i32::try_from(times).unwrap_or(i32::MAX))
        });
        let gain = if is_together { 1.0 } else { GAIN };
        let single = self.single.filter(|_| self.singles >= ENOUGH);
        single.is_some_and(|(single, _)| single * many as f64 > batch * gain)
    }

    /// Returns true if it is long ago that appends went one by one.
    pub(super) fn is_single_old(&self, now: Instant) -> bool {
        self.single.is_none_or(|(_, at)| now.saturating_duration_since(at) >= FRESH)
    }

    /// Notes that an append that was begun then has ended now, and the number of others that are under way
    /// one by one.
    pub(super) fn single(&mut self, begun: Instant, now: Instant, others: usize) {
        // What was measured before is not measured again.
        let measured = self.single.map(|(_, at)| at).max(self.batches.last);
        let begun = measured.map_or(begun, |at| at.max(begun));
        let window = self.window.get_or_insert(Window { begun, ended: 0, most: 0 });
        window.ended += 1;
        window.most = window.most.max(others + 1);
        let took = now.saturating_duration_since(window.begun);
        let is_whole = match others {
            0 => window.ended >= LEAST,
            _ => window.ended >= WINDOW && (window.ended >= window.most || took >= LONG),
        };
        if is_whole {
            let each = took.as_secs_f64() / window.ended as f64;
            self.learn_single(each, now);
        }
        if others == 0 {
            self.window = None;
        } else if is_whole {
            self.window = Some(Window { begun: now, ended: 0, most: 0 });
        }
    }

    /// Notes that an append had no answer.
    pub(super) fn failed(&mut self) {
        self.window = None;
    }

    /// Notes how long so many took of more that were sent at once, one by one.
    pub(super) fn apart(&mut self, now: Instant, took: Duration, many: usize) {
        self.window = None;
        self.learn_single(took.as_secs_f64() / many as f64, now);
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
        // Sizes that are all about the same say nothing of others; and neither part is negative.
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

    /// Ends an append every `single` milliseconds, so many times, while another one is under way.
    fn one_by_one(pace: &mut Pace, begun: Instant, single: u64, many: u32) -> Instant {
        let mut last = begun;
        for _ in 0..many {
            let now = last + Duration::from_millis(single);
            pace.single(last, now, 1);
            last = now;
        }
        last
    }

    /// The pace where appends come `single` milliseconds after each other, and a time just after.
    fn pace(single: u64) -> (Pace, Instant) {
        let mut pace = Pace::default();
        let now = one_by_one(&mut pace, Instant::now(), single, 96);
        (pace, now)
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
        let now = one_by_one(&mut pace, now + Duration::from_secs(1), 1, 32);
        pace.batch(now, Duration::from_millis(10), 16);
        assert!(!pace.pays(5, false, now) && pace.pays(20, false, now), "{pace:?}");
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
        for burst in [20_u32, 40, 1_000] {
            // Another one is under way all the time; or all have ended before the next begin.
            for left in [1, 0] {
                let (mut pace, mut now) = (Pace::default(), Instant::now());
                for _ in 0..10 {
                    let begun = now;
                    now += Duration::from_micros(100) * burst;
                    for number in 1..=burst {
                        pace.single(begun, now, (burst - number) as usize + left);
                    }
                }
                pace.batch(now, Duration::from_millis(4), 64);
                let is_right = !pace.pays(25, true, now) && pace.pays(65, true, now);
                assert!(is_right, "{burst}, {left}: {pace:?}");
            }
        }
    }

    #[test]
    fn a_thousand_on_a_slow_disk_are_measured_within_two_seconds() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        for number in 1..=100 {
            pace.single(begun, begun + Duration::from_millis(20) * number, 1_000);
        }
        assert!(pace.pays(1_000, false, begun + Duration::from_secs(2)));
    }

    #[test]
    fn nothing_is_known_before_appends_were_under_way_together() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        for number in 0..100 {
            let now = begun + Duration::from_secs(1) * number;
            pace.single(now, now + Duration::from_millis(1), 0);
        }
        assert!(!pace.pays(1_000, false, begun) && pace.is_single_old(begun));
    }

    #[test]
    fn one_bad_batch_is_not_the_last_one() {
        let (mut pace, now) = pace(1);
        pace.batch(now, Duration::from_secs(10), 1_000);
        assert!(!pace.pays(8, false, now + FRESH));
        assert!((1..10).any(|times| pace.pays(8, false, now + FRESH * times)));
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
