//! Non-negative solutions of homogeneous equations, with as few zeros as there can be: linear
//! programming in exact integers.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{CheckedAdd, CheckedMul, Signed, Zero};

use super::{
    elimination::whole,
    incidence::Sparse,
    reduction::{Reduced, reduce},
};

/// A solution of `row · y = 0`, `y >= 0` that is above 0 wherever any solution is; without
/// common divisor.
pub(super) fn widest(equations: Vec<Sparse<i128>>, unknowns: usize) -> Vec<BigInt> {
    let Reduced { equations, zero, substituted } = reduce(equations, unknowns);
    let mut left = vec![false; unknowns];
    equations.iter().flatten().for_each(|(unknown, _)| left[*unknown] = true);
    let sought: Vec<_> = (0..unknowns).filter(|unknown| left[*unknown]).collect();
    // What no equation names can be anything.
    let mut solution: Vec<BigRational> = (0..unknowns)
        .map(|unknown| BigInt::from(u8::from(!left[unknown] && !zero[unknown])).into())
        .collect();
    let rays = rays(&equations, &sought).unwrap_or_else(|| {
        let row = |row: &Sparse<i128>| row.iter().map(|&(at, n)| (at, n.into())).collect();
        let equations: Vec<Sparse<BigInt>> = equations.iter().map(row).collect();
        rays(&equations, &sought).expect("big integers do not overflow")
    });
    for (unknown, value) in rays.into_iter().flatten() {
        solution[unknown] += value;
    }
    for (unknown, factor, sum) in substituted.into_iter().rev() {
        let sum: BigRational =
            sum.into_iter().map(|(other, n)| &solution[other] * BigInt::from(n)).sum();
        solution[unknown] = sum / BigInt::from(factor);
    }
    let fractions = solution.into_iter().enumerate().filter(|(_, value)| !value.is_zero());
    let mut weights = vec![BigInt::ZERO; unknowns];
    for (unknown, weight) in whole(fractions.collect()) {
        weights[unknown] = weight;
    }
    weights
}

/// An integer that says when it is too small for a result.
pub(super) trait Number: Integer + Signed + CheckedAdd + CheckedMul + Clone {}
impl<N: Integer + Signed + CheckedAdd + CheckedMul + Clone> Number for N {}

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

/// Solutions of which, for each unknown that is sought, one is above 0 if there's any such at
/// all. `None` if a number is outgrown.
///
/// The simplex method for `max` of the sum of what is sought and not yet found. All right sides
/// are 0, so that every basis is feasible, and there's no end but these two: a column in whose
/// direction nothing is in the way is a solution; and an objective that no column improves is
/// the proof that there's none. Bland's rule (1977) rules out circles.
fn rays<N: Number>(equations: &[Sparse<N>], sought: &[usize]) -> Option<Vec<Sparse<BigRational>>>
where
    BigInt: From<N>,
{
    let mut tableau = Tableau::of(equations)?;
    let mut sought: Vec<_> = sought.to_vec();
    let mut rays = Vec::new();
    while !sought.is_empty() {
        let objective = sought.iter().map(|unknown| (*unknown, N::one())).collect();
        let Some(ray) = tableau.improve(objective)? else { break };
        sought.retain(|unknown| ray.binary_search_by_key(unknown, |(at, _)| *at).is_err());
        rays.push(ray);
    }
    Some(rays)
}

/// Equations, each solved for an unknown of its own: the basis.
struct Tableau<N> {
    /// The basic unknown's factor is above 0, and it's in no other row.
    rows: Vec<(usize, Sparse<N>)>,
}

fn at<N>(row: &[(usize, N)], unknown: usize) -> Option<&N> {
    row.binary_search_by_key(&unknown, |(at, _)| *at).ok().map(|position| &row[position].1)
}

/// Takes `unknown` out of `row` by means of a row in which its factor is above 0.
fn without<N: Number>(row: &Sparse<N>, unknown: usize, by: &Sparse<N>) -> Option<Sparse<N>> {
    match (at(row, unknown), at(by, unknown)) {
        (Some(mine), Some(theirs)) => combine(row, theirs, by, &-mine.clone()),
        _ => Some(row.clone()),
    }
}

impl<N: Number> Tableau<N>
where
    BigInt: From<N>,
{
    fn of(equations: &[Sparse<N>]) -> Option<Self> {
        let mut tableau = Self { rows: Vec::new() };
        for equation in equations {
            let mut row = equation.clone();
            for (basic, by) in &tableau.rows {
                row = without(&row, *basic, by)?;
            }
            let Some((basic, factor)) = row.iter().min_by_key(|(_, n)| n.abs()).cloned() else {
                continue;
            };
            if factor.is_negative() {
                row.iter_mut().for_each(|(_, n)| *n = -n.clone());
            }
            tableau.eliminate(basic, &row, None)?;
            tableau.rows.push((basic, row));
        }
        Some(tableau)
    }

    /// Takes `unknown` out of every row but one.
    fn eliminate(&mut self, unknown: usize, by: &Sparse<N>, but: Option<usize>) -> Option<()> {
        for (position, (_, row)) in self.rows.iter_mut().enumerate() {
            if Some(position) != but && at(row, unknown).is_some() {
                *row = without(row, unknown, by)?;
            }
        }
        Some(())
    }

    /// A solution for which the objective is above 0, or the inner `None` if there's none.
    fn improve(&mut self, mut objective: Sparse<N>) -> Option<Option<Sparse<BigRational>>> {
        for (basic, row) in &self.rows {
            objective = without(&objective, *basic, row)?;
        }
        loop {
            let Some(entering) = objective.iter().find(|(_, n)| n.is_positive()) else {
                return Some(None);
            };
            let entering = entering.0;
            let blocking = |(_, (_, row)): &(usize, &(usize, Sparse<N>))| {
                at(row, entering).is_some_and(N::is_positive)
            };
            let leaving = self.rows.iter().enumerate().filter(blocking);
            let Some((position, _)) = leaving.min_by_key(|(_, (basic, _))| *basic) else {
                return Some(Some(self.ray(entering)));
            };
            let row = self.rows[position].1.clone();
            self.eliminate(entering, &row, Some(position))?;
            objective = without(&objective, entering, &row)?;
            self.rows[position].0 = entering;
        }
    }

    /// One of the unknown, and what the basic ones are then.
    fn ray(&self, entering: usize) -> Sparse<BigRational> {
        let one = (entering, BigInt::from(N::one()).into());
        let rest = self.rows.iter().filter_map(|(basic, row)| {
            let (n, factor) = (at(row, entering)?, at(row, *basic)?);
            let big = |n: &N| BigInt::from(n.clone());
            Some((*basic, BigRational::new(-big(n), big(factor))))
        });
        let mut ray: Sparse<_> = std::iter::once(one).chain(rest).collect();
        ray.sort_unstable_by_key(|(unknown, _)| *unknown);
        ray
    }
}
