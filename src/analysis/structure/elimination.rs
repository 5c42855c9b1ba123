//! Solutions of homogeneous systems of linear equations, exactly.
//!
//! Elimination counts modulo a prime, which is fast and can't grow. Its result is then proved: the
//! rank modulo a prime is never above the true one, and as many independent integer solutions as
//! there are columns beyond that rank, each checked in integers, show that it is not below either.
//! Where the prime was unlucky or the numbers are large, elimination is done again in fractions of
//! any size.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed};

use super::{
    field::{Field, Residue, integers},
    incidence::Sparse,
    work::{TooComplex, Work},
};

/// A basis of the integer solutions `x` of `row · x = 0` for every row: one for each column that
/// is free, each primitive (its greatest common divisor is 1). The rank is `columns` less their
/// number.
pub(super) fn kernel(
    rows: &[Sparse<i128>],
    columns: usize,
) -> Result<Vec<Sparse<BigInt>>, TooComplex> {
    let mut work = Work::new();
    match by_residues(rows, columns, &mut work)? {
        Some(basis) => Ok(basis),
        None => by_fractions(rows, columns, &mut work),
    }
}

/// A basis by residues; `None` if they lead to one that is no solution.
fn by_residues(
    rows: &[Sparse<i128>],
    columns: usize,
    work: &mut Work,
) -> Result<Option<Vec<Sparse<BigInt>>>, TooComplex> {
    let echelon = Echelon::<Residue>::of(rows, columns, work)?;
    let mut basis = Vec::with_capacity(columns - echelon.pivots.len());
    let transposed = transpose(rows, columns);
    let mut sums = vec![0i128; rows.len()];
    for free in echelon.free() {
        let found = integers(&echelon.solution(free, work)?);
        let Some(solution) = found.filter(|found| solves(found, &transposed, &mut sums)) else {
            return Ok(None);
        };
        basis.push(primitive(solution.into_iter().map(|(at, n)| (at, BigInt::from(n))).collect()));
    }
    Ok(Some(basis))
}

fn by_fractions(
    rows: &[Sparse<i128>],
    columns: usize,
    work: &mut Work,
) -> Result<Vec<Sparse<BigInt>>, TooComplex> {
    let echelon = Echelon::<BigRational>::of(rows, columns, work)?;
    echelon.free().map(|free| Ok(whole(echelon.solution(free, work)?))).collect()
}

/// Multiplies fractions by the factor that makes them integers without a common divisor.
pub(super) fn whole(fractions: Sparse<BigRational>) -> Sparse<BigInt> {
    let scale =
        fractions.iter().fold(BigInt::one(), |scale, (_, fraction)| scale.lcm(fraction.denom()));
    let scaled = |fraction: &BigRational| fraction.numer() * (&scale / fraction.denom());
    primitive(fractions.iter().map(|(at, fraction)| (*at, scaled(fraction))).collect())
}

/// The vector divided by its greatest common divisor, signed so that its first entry is positive.
fn primitive(mut vector: Sparse<BigInt>) -> Sparse<BigInt> {
    let mut divisor = vector.iter().fold(BigInt::ZERO, |divisor, (_, n)| divisor.gcd(n));
    if vector.first().is_some_and(|(_, n)| n.is_negative()) {
        divisor = -divisor;
    }
    if !divisor.is_one() {
        vector.iter_mut().for_each(|(_, n)| *n /= &divisor);
    }
    vector
}

fn transpose(rows: &[Sparse<i128>], columns: usize) -> Vec<Sparse<i128>> {
    let mut transposed = vec![Vec::new(); columns];
    for (row, entries) in rows.iter().enumerate() {
        for &(column, n) in entries {
            transposed[column].push((row, n));
        }
    }
    transposed
}

/// Returns true if every equation holds. `sums` is a zero for each equation, and is so again
/// after; a sum that 128 bits can't hold counts as false.
fn solves(solution: &[(usize, i128)], columns: &[Sparse<i128>], sums: &mut [i128]) -> bool {
    let mut counted = true;
    for &(column, factor) in solution {
        for &(row, n) in &columns[column] {
            let sum = n.checked_mul(factor).and_then(|product| sums[row].checked_add(product));
            counted &= sum.is_some();
            sums[row] = sum.unwrap_or(0);
        }
    }
    let mut holds = counted;
    for &(column, _) in solution {
        for &(row, _) in &columns[column] {
            holds &= sums[row] == 0;
            sums[row] = 0;
        }
    }
    holds
}

/// Rows after elimination. Each has a column of its own, its pivot, that no later row has.
struct Echelon<F> {
    pivots: Vec<(usize, Sparse<F>)>,
    columns: usize,
}

impl<F: Field> Echelon<F> {
    /// Eliminates, next always with a shortest row, in its column that the fewest others have:
    /// that keeps the matrix sparse (Markowitz 1957).
    fn of(rows: &[Sparse<i128>], columns: usize, work: &mut Work) -> Result<Self, TooComplex> {
        let field = |row: &Sparse<i128>| -> Sparse<F> {
            row.iter()
                .map(|&(column, n)| (column, F::from_integer(n)))
                .filter(|(_, n)| !n.is_zero())
                .collect()
        };
        let mut rows: Vec<Sparse<F>> = rows.iter().map(field).collect();
        let mut pending = Pending::of(&rows, columns);
        let mut pivots = Vec::new();
        while let Some(row) = pending.shortest(&rows) {
            let pivot_row = std::mem::take(&mut rows[row]);
            let (column, value) = pivot_row
                .iter()
                .min_by_key(|(column, _)| pending.holders[*column].len())
                .expect("a row that was put in order of its length is not empty");
            for &(held, _) in &pivot_row {
                pending.holders[held].retain(|holder| *holder != row);
            }
            for other in pending.holders[*column].clone() {
                let entry = rows[other].partition_point(|(held, _)| held < column);
                let factor = rows[other][entry].1.over(value);
                rows[other] = pending.subtract(other, &rows[other], &factor, &pivot_row);
                work.spend(1 + rows[other].iter().map(|(_, n)| n.steps()).sum::<u64>())?;
            }
            pivots.push((*column, pivot_row));
        }
        Ok(Self { pivots, columns })
    }

    /// The columns without a pivot.
    fn free(&self) -> impl Iterator<Item = usize> {
        let mut free = vec![true; self.columns];
        self.pivots.iter().for_each(|(column, _)| free[*column] = false);
        (0..self.columns).filter(move |column| free[*column])
    }

    /// The solution that is 1 at `free` and 0 in the other columns without a pivot.
    fn solution(&self, free: usize, work: &mut Work) -> Result<Sparse<F>, TooComplex> {
        let mut solution = vec![F::zero(); self.columns];
        solution[free] = F::one();
        for (column, row) in self.pivots.iter().rev() {
            let (mut sum, mut pivot) = (F::zero(), None);
            // To skip a term takes a fraction of a step.
            work.spend(1 + row.len() as u64 / 16)?;
            for (at, value) in row {
                if at == column {
                    pivot = Some(value);
                } else if !solution[*at].is_zero() {
                    sum = sum.minus_product(value, &solution[*at]);
                    work.spend(solution[*at].steps())?;
                }
            }
            if let (false, Some(pivot)) = (sum.is_zero(), pivot) {
                solution[*column] = sum.over(pivot);
            }
        }
        let solution = solution.into_iter().enumerate();
        Ok(solution.filter(|(_, value)| !value.is_zero()).collect())
    }
}

/// The rows still to be eliminated: those that hold each column, and those of each length.
struct Pending {
    holders: Vec<Vec<usize>>,
    /// Rows by length; one whose length has changed since stands here more than once.
    lengths: Vec<Vec<usize>>,
}

impl Pending {
    fn of<F>(rows: &[Sparse<F>], columns: usize) -> Self {
        let mut pending =
            Self { holders: vec![Vec::new(); columns], lengths: vec![Vec::new(); columns + 1] };
        for (row, entries) in rows.iter().enumerate() {
            entries.iter().for_each(|(column, _)| pending.holders[*column].push(row));
            pending.lengths[entries.len()].push(row);
        }
        pending
    }

    /// A row with the fewest entries, but with some; no longer pending.
    fn shortest<F>(&mut self, rows: &[Sparse<F>]) -> Option<usize> {
        for length in 1..self.lengths.len() {
            while let Some(row) = self.lengths[length].pop() {
                if rows[row].len() == length {
                    return Some(row);
                }
            }
        }
        None
    }

    /// The row `entries - factor * pivot`, noted as the new row `row`.
    fn subtract<F: Field>(
        &mut self,
        row: usize,
        entries: &[(usize, F)],
        factor: &F,
        pivot: &[(usize, F)],
    ) -> Sparse<F> {
        let mut result = Vec::with_capacity(entries.len() + pivot.len());
        let (mut left, mut right) = (entries.iter().peekable(), pivot.iter().peekable());
        loop {
            let column = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some((left, _)), None) => *left,
                (None, Some((right, _))) => *right,
                (Some((left, _)), Some((right, _))) => *left.min(right),
            };
            let mine = left.next_if(|(at, _)| *at == column).map(|(_, value)| value);
            let theirs = right.next_if(|(at, _)| *at == column).map(|(_, value)| value);
            let value = match (mine, theirs) {
                (Some(mine), None) => mine.clone(),
                (mine, Some(theirs)) => {
                    mine.cloned().unwrap_or_else(F::zero).minus_product(factor, theirs)
                }
                (None, None) => F::zero(),
            };
            match (mine.is_some(), value.is_zero()) {
                (true, true) => self.holders[column].retain(|holder| *holder != row),
                (false, false) => self.holders[column].push(row),
                _ => {}
            }
            if !value.is_zero() {
                result.push((column, value));
            }
        }
        self.lengths[result.len()].push(row);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that both ways agree, whatever the numbers.
    fn check(rows: &[Sparse<i128>], columns: usize, dimension: usize) {
        let exact = by_fractions(rows, columns, &mut Work::new()).unwrap();
        assert_eq!(exact.len(), dimension);
        for solution in exact.iter().chain(&kernel(rows, columns).unwrap()) {
            assert!(!solution.is_empty());
            for row in rows {
                let at = |column| solution.iter().find(|(at, _)| *at == column);
                let sum: BigInt =
                    row.iter().filter_map(|(column, n)| at(*column).map(|(_, x)| x * n)).sum();
                assert_eq!(sum, BigInt::ZERO);
            }
        }
        assert_eq!(kernel(rows, columns).unwrap().len(), dimension);
    }

    #[test]
    fn a_small_system_is_solved_in_lowest_terms() {
        let rows = [vec![(0, 2), (1, -4)], vec![(1, 3), (2, -9)]];
        let one = vec![(0, BigInt::from(6)), (1, BigInt::from(3)), (2, BigInt::from(1))];
        assert_eq!(kernel(&rows, 3).unwrap(), [one]);
    }

    #[test]
    fn dependent_rows_and_empty_systems_are_no_trouble() {
        check(&[vec![(0, 1), (1, 1)], vec![(0, 2), (1, 2)], vec![]], 3, 2);
        check(&[], 3, 3);
        check(&[vec![], vec![]], 0, 0);
    }

    #[test]
    fn numbers_beyond_the_prime_and_beyond_64_bits_are_exact() {
        let large = i128::from(u64::MAX);
        // A coefficient that is 0 modulo the prime would lose a rank.
        let prime = i128::from(Residue::MODULUS);
        check(&[vec![(0, prime), (1, 1)], vec![(0, 1)]], 2, 0);
        check(&[vec![(0, prime)]], 2, 1);
        // A chain of such factors has solutions far beyond 128 bits.
        let chain: Vec<_> = (0..6).map(|at| vec![(at, large - 2), (at + 1, -large)]).collect();
        check(&chain, 7, 1);
        assert!(kernel(&chain, 7).unwrap()[0].iter().any(|(_, n)| n.bits() > 300));
    }

    #[test]
    fn what_would_take_too_long_is_given_up() {
        let chain: Vec<_> = (0..50).map(|at| vec![(at, 3), (at + 1, -2)]).collect();
        for steps in [0, 40, 400] {
            let work = &mut Work::of(steps);
            assert_eq!(by_fractions(&chain, 51, work), Err(TooComplex), "{steps}");
        }
        assert_eq!(by_residues(&chain, 51, &mut Work::of(20)), Err(TooComplex));
        assert_eq!(kernel(&chain, 51).unwrap().len(), 1);
    }
}
