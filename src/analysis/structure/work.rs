//! The arithmetic that a question may take.

/// The most steps, each about the work on a term modulo a prime: a fifth of a second or two. Nets
/// of thousands of nodes from practice take a tenth of it; only nets made to be hard come near.
const MOST: u64 = 10_000_000;

/// A question about a net was given up, since its arithmetic would take too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it would take more than {MOST} steps of arithmetic")]
pub struct TooComplex;

/// The steps that are left.
pub(super) struct Work(u64);

impl Work {
    pub(super) fn new() -> Self {
        Self(MOST)
    }

    #[cfg(test)]
    pub(super) fn of(steps: u64) -> Self {
        Self(steps)
    }

    pub(super) fn spend(&mut self, steps: u64) -> Result<(), TooComplex> {
        self.0 = self.0.checked_sub(steps).ok_or(TooComplex)?;
        Ok(())
    }
}

/// An estimate of the steps to multiply numbers of so many bits and to find a common divisor,
/// which grows with the square of their size.
pub(super) fn steps_of_bits(bits: u64) -> u64 {
    let words = 1 + bits / 64;
    32 * words * words
}
