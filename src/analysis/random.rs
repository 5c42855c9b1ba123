//! Numbers that look random and are decided by a seed.

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). It is
/// written out here since its sequence is part of the promise of a seed: no version of a library
/// may change it.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The generator of one run: runs don't depend on the length of those before them.
    pub(super) fn of(seed: u64, run: u64) -> Self {
        let mut seeds = Self(seed);
        let first = seeds.next();
        Self(first ^ Self(run).next())
    }

    /// The generator whose numbers begin with those of `seed`.
    pub(super) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, each as likely as the others: the high half of a product, and
    /// again where that would favour some (Lemire, 2019). `bound` is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let least = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next()) * u128::from(bound);
            if product as u64 >= least {
                return (product >> 64) as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        // The first numbers of the reference implementation for the seed 1234567.
        let mut random = Random::from_seed(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn every_number_below_a_bound_comes_about_as_often() {
        let mut random = Random::of(1, 1);
        let mut seen = [0_u32; 3];
        for _ in 0..30_000 {
            seen[usize::try_from(random.below(3)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|count| (9_600..10_400).contains(count)), "{seen:?}");
        assert_eq!(random.below(1), 0);
    }
}
