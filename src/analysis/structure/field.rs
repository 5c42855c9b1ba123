//! The numbers that elimination counts in.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

use super::work::steps_of_bits;

/// Numbers that can be added, multiplied and divided without rounding.
pub(super) trait Field: Clone {
    fn from_integer(integer: i128) -> Self;
    fn is_zero(&self) -> bool;
    fn one() -> Self;
    /// `self - factor * other`
    fn minus_product(&self, factor: &Self, other: &Self) -> Self;
    /// `self / other`; `other` is not 0.
    fn over(&self, other: &Self) -> Self;
    fn zero() -> Self;
    /// An estimate of the steps that arithmetic with it takes.
    fn steps(&self) -> u64;
}

/// An integer modulo 2^61 - 1, a prime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Residue(u64);

impl Residue {
    pub(super) const MODULUS: u64 = (1 << 61) - 1;

    fn reduced(value: u128) -> Self {
        Self((value % u128::from(Self::MODULUS)) as u64)
    }

    fn times(self, other: Self) -> Self {
        // 2^61 = 1, so the upper bits are added to the lower ones.
        let product = u128::from(self.0) * u128::from(other.0);
        let sum = (product >> 61) as u64 + (product as u64 & Self::MODULUS);
        Self(if sum >= Self::MODULUS { sum - Self::MODULUS } else { sum })
    }

    fn inverse(self) -> Self {
        let (mut power, mut exponent, mut result) = (self, Self::MODULUS - 2, Self(1));
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result.times(power);
            }
            power = power.times(power);
            exponent >>= 1;
        }
        result
    }

    /// The representative nearest to 0.
    fn signed(self) -> i64 {
        if self.0 > Self::MODULUS / 2 {
            self.0 as i64 - Self::MODULUS as i64
        } else {
            self.0 as i64
        }
    }

    /// The least denominator of a fraction that is this residue, both its terms below 2^30;
    /// `None` if there's no such fraction (Wang 1981: the extended Euclidean algorithm, stopped
    /// half-way).
    fn denominator(self) -> Option<u64> {
        const BOUND: i64 = 1 << 30;
        let (mut before, mut rest) = (Self::MODULUS as i64, self.0 as i64);
        let (mut coefficient_before, mut coefficient) = (0i64, 1i64);
        while rest >= BOUND {
            let quotient = before / rest;
            (before, rest) = (rest, before - quotient * rest);
            (coefficient_before, coefficient) =
                (coefficient, coefficient_before - quotient * coefficient);
        }
        (coefficient.abs() < BOUND).then_some(coefficient.unsigned_abs())
    }
}

impl Field for Residue {
    fn from_integer(integer: i128) -> Self {
        let residue = Self::reduced(integer.unsigned_abs());
        if integer < 0 { Self::zero().minus_product(&Self(1), &residue) } else { residue }
    }

    fn is_zero(&self) -> bool {
        self.0 == 0
    }

    fn one() -> Self {
        Self(1)
    }

    fn minus_product(&self, factor: &Self, other: &Self) -> Self {
        let product = factor.times(*other).0;
        Self(if self.0 >= product { self.0 - product } else { self.0 + Self::MODULUS - product })
    }

    fn over(&self, other: &Self) -> Self {
        self.times(other.inverse())
    }

    fn zero() -> Self {
        Self(0)
    }

    fn steps(&self) -> u64 {
        1
    }
}

impl Field for BigRational {
    fn from_integer(integer: i128) -> Self {
        Self::from_integer(BigInt::from(integer))
    }

    fn is_zero(&self) -> bool {
        Zero::is_zero(self)
    }

    fn one() -> Self {
        One::one()
    }

    fn minus_product(&self, factor: &Self, other: &Self) -> Self {
        self - factor * other
    }

    fn over(&self, other: &Self) -> Self {
        self / other
    }

    fn zero() -> Self {
        Zero::zero()
    }

    fn steps(&self) -> u64 {
        steps_of_bits(self.numer().bits() + self.denom().bits())
    }
}

/// Integers in the proportions of the fractions whose residues these are, none of them 2^60 or
/// more; `None` if one residue is no small fraction's. They are only a guess, and must be checked.
pub(super) fn integers(residues: &[(usize, Residue)]) -> Option<Vec<(usize, i128)>> {
    let mut denominator = 1u64;
    for (_, residue) in residues {
        let scaled = residue.times(Residue::reduced(u128::from(denominator)));
        denominator = denominator.checked_mul(scaled.denominator()?)?;
        if denominator >= 1 << 60 {
            return None;
        }
    }
    let scale = Residue::reduced(u128::from(denominator));
    Some(residues.iter().map(|(at, r)| (*at, i128::from(r.times(scale).signed()))).collect())
}
