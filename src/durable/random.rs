//! Chance that is the same in every run of a handler.

use std::convert::Infallible;

use rand::TryRng;
use sha2::{Digest, Sha256};

/// A stream of random bits that is made of a seed: the SHA-256 of the seed and a counter. It is the same on every machine
/// and in every version. It is no secret: who reads the journal can make it.
#[derive(Debug, Clone)]
pub struct Seeded {
    seed: [u8; 32],
    block: u64,
    rest: Vec<u8>,
}

impl Seeded {
    /// The stream of a text.
    pub(super) fn of(text: &str) -> Self {
        Self { seed: Sha256::digest(text).into(), block: 0, rest: Vec::new() }
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for byte in to {
            if self.rest.is_empty() {
                let digest =
                    Sha256::new().chain_update(self.seed).chain_update(self.block.to_le_bytes());
                self.rest = digest.finalize().to_vec();
                self.block += 1;
            }
            *byte = self.rest.pop().unwrap_or_default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn a_seed_gives_these_numbers_for_ever() {
        let mut numbers = Seeded::of("seed");
        let first = [numbers.next_u64(), numbers.next_u64(), u64::from(numbers.next_u32())];
        let mut again = Seeded::of("seed");
        assert_eq!(first, [again.next_u64(), again.next_u64(), u64::from(again.next_u32())]);
        assert_ne!(Seeded::of("other").next_u64(), first[0]);
        let mut many = Seeded::of("seed");
        let ones: u32 = (0..10_000).map(|_| many.next_u64().count_ones()).sum();
        assert!((318_000..322_000).contains(&ones), "{ones} of 640,000");
    }
}
