//! Integer combinations of sparse vectors.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{CheckedAdd, CheckedMul, Signed};

use super::{incidence::Sparse, work::steps_of_bits};

/// An integer whose arithmetic fails where it is too small for a result.
pub(super) trait Number: Integer + Signed + CheckedAdd + CheckedMul + Clone {
    fn big(&self) -> BigInt;
    /// An estimate of the steps that arithmetic with it takes.
    fn steps(&self) -> u64;
}

impl Number for i128 {
    fn big(&self) -> BigInt {
        BigInt::from(*self)
    }

    fn steps(&self) -> u64 {
        // Most of it is for the common divisor.
        4
    }
}

impl Number for BigInt {
    fn big(&self) -> BigInt {
        self.clone()
    }

    fn steps(&self) -> u64 {
        steps_of_bits(self.bits())
    }
}

/// `factor * left + other * right` in lowest terms; `None` if a number is outgrown.
pub(super) fn combine<N: Number>(
    left: &[(usize, N)],
    factor: &N,
    right: &[(usize, N)],
    other: &N,
) -> Option<Sparse<N>> {
    let mut result: Sparse<N> = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let at = match (left.peek(), right.peek()) {
            (Some((left, _)), Some((right, _))) => *left.min(right),
            (Some((at, _)), None) | (None, Some((at, _))) => *at,
            (None, None) => break,
        };
        let mut n = N::zero();
        if let Some((_, mine)) = left.next_if(|(column, _)| *column == at) {
            n = mine.checked_mul(factor)?;
        }
        if let Some((_, theirs)) = right.next_if(|(column, _)| *column == at) {
            n = n.checked_add(&theirs.checked_mul(other)?)?;
        }
        if !n.is_zero() {
            result.push((at, n));
        }
    }
    let mut divisor = N::zero();
    for (_, n) in &result {
        divisor = divisor.gcd(n);
        if divisor.is_one() {
            return Some(result);
        }
    }
    result.iter_mut().for_each(|(_, n)| *n = n.clone() / divisor.clone());
    Some(result)
}
