//! Non-negative solutions of homogeneous equations, with as few zeros as there can be: linear
//! programming in exact integers.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

use super::{
    combination::{Number, combine},
    elimination::whole,
    incidence::Sparse,
    reduction::{Reduced, reduce},
    work::{TooComplex, Work},
};

/// A solution of `row · y = 0`, `y >= 0` that is above 0 wherever any solution is; without
/// common divisor.
pub(super) fn widest(
    equations: Vec<Sparse<i128>>,
    unknowns: usize,
) -> Result<Vec<BigInt>, TooComplex> {
    let mut work = Work::new();
    let Reduced { equations, zero, substituted } = reduce(equations, unknowns, &mut work)?;
    let mut left = vec![false; unknowns];
    equations.iter().flatten().for_each(|(unknown, _)| left[*unknown] = true);
    // What no equation names can be anything.
    let mut solution: Vec<BigRational> = (0..unknowns)
        .map(|unknown| BigInt::from(u8::from(!left[unknown] && !zero[unknown])).into())
        .collect();
    let rays = match rays(&equations, unknowns, &mut work) {
        Ok(rays) => rays,
        Err(Stop::TooComplex) => return Err(TooComplex),
        Err(Stop::Outgrown) => {
            let row = |row: &Sparse<i128>| row.iter().map(|&(at, n)| (at, n.into())).collect();
            let equations: Vec<Sparse<BigInt>> = equations.iter().map(row).collect();
            rays(&equations, unknowns, &mut work).map_err(|_| TooComplex)?
        }
    };
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
    Ok(weights)
}

/// Reason for no answer.
enum Stop {
    /// A number doesn't hold a result.
    Outgrown,
    TooComplex,
}

impl From<TooComplex> for Stop {
    fn from(_: TooComplex) -> Self {
        Self::TooComplex
    }
}

/// Solutions of which, for each unknown, one is above 0 if there's any such at all.
///
/// The simplex method, for one unknown after the other. All right sides are 0, so that every
/// basis is feasible, and raising an unknown has but two ends: a direction in which nothing is
/// in the way is a solution; and an equation that says that the unknown and others, all with
/// factors above 0, add up to 0 is the proof that they are 0.
fn rays<N: Number>(
    equations: &[Sparse<N>],
    unknowns: usize,
    work: &mut Work,
) -> Result<Vec<Sparse<BigRational>>, Stop> {
    let mut tableau = Tableau::of(equations, unknowns, work)?;
    let mut decided = vec![true; unknowns];
    equations.iter().flatten().for_each(|(unknown, _)| decided[*unknown] = false);
    let mut rays = Vec::new();
    while let Some(unknown) = decided.iter().position(|decided| !decided) {
        match tableau.raise(unknown)? {
            Raised::Ray(ray) => {
                ray.iter().for_each(|(unknown, _)| decided[*unknown] = true);
                rays.push(ray);
            }
            Raised::Zero(zeros) => zeros.into_iter().for_each(|zero| decided[zero] = true),
        }
    }
    Ok(rays)
}

enum Raised {
    /// A solution in which the unknown is above 0.
    Ray(Sparse<BigRational>),
    /// Unknowns that are 0 in every solution, the one asked for among them.
    Zero(Vec<usize>),
}

/// Equations, each solved for an unknown of its own: the basis.
struct Tableau<'a, N> {
    /// The basic unknown's factor is above 0, and it's in no other row.
    rows: Vec<(usize, Sparse<N>)>,
    /// The row in which an unknown is basic.
    basic: Vec<Option<usize>>,
    work: &'a mut Work,
}

fn at<N>(row: &[(usize, N)], unknown: usize) -> Option<&N> {
    row.binary_search_by_key(&unknown, |(at, _)| *at).ok().map(|position| &row[position].1)
}

impl<'a, N: Number> Tableau<'a, N> {
    fn of(equations: &[Sparse<N>], unknowns: usize, work: &'a mut Work) -> Result<Self, Stop> {
        let mut tableau = Self { rows: Vec::new(), basic: vec![None; unknowns], work };
        let mut counts = vec![0usize; unknowns];
        equations.iter().flatten().for_each(|(unknown, _)| counts[*unknown] += 1);
        let mut equations: Vec<_> = equations.iter().collect();
        equations.sort_by_key(|equation| equation.len());
        for equation in equations {
            let mut row = equation.clone();
            for (basic, _) in equation {
                if let Some(by) = tableau.basic[*basic] {
                    row = without(&row, *basic, &tableau.rows[by].1, tableau.work)?;
                }
            }
            let Some((basic, factor)) = row.iter().min_by_key(|(u, _)| counts[*u]).cloned() else {
                continue;
            };
            if factor.is_negative() {
                row.iter_mut().for_each(|(_, n)| *n = -n.clone());
            }
            tableau.eliminate(basic, &row, None)?;
            tableau.basic[basic] = Some(tableau.rows.len());
            tableau.rows.push((basic, row));
        }
        Ok(tableau)
    }

    /// Takes `unknown` out of every row but one.
    fn eliminate(
        &mut self,
        unknown: usize,
        by: &Sparse<N>,
        but: Option<usize>,
    ) -> Result<(), Stop> {
        for (position, (_, row)) in self.rows.iter_mut().enumerate() {
            if Some(position) != but && at(row, unknown).is_some() {
                *row = without(row, unknown, by, self.work)?;
            }
        }
        Ok(())
    }

    fn raise(&mut self, unknown: usize) -> Result<Raised, Stop> {
        let mut pivots = 0;
        loop {
            let Some(entering) = self.entering(unknown, pivots) else {
                return Ok(Raised::Zero(self.take_out(unknown)));
            };
            let blocking = |(_, (_, row)): &(usize, &(usize, Sparse<N>))| {
                at(row, entering).is_some_and(N::is_positive)
            };
            let leaving = self.rows.iter().enumerate().filter(blocking);
            let Some((position, _)) = leaving.min_by_key(|(_, (basic, _))| *basic) else {
                return Ok(Raised::Ray(self.ray(entering)));
            };
            let row = self.rows[position].1.clone();
            self.eliminate(entering, &row, Some(position))?;
            self.basic[self.rows[position].0] = None;
            self.basic[entering] = Some(position);
            self.rows[position].0 = entering;
            pivots += 1;
        }
    }

    /// An unknown with which the one that is asked for rises; `None` if there's none. First the
    /// one with the least in its way; later the first one, by which there's no going in circles
    /// (Bland 1977).
    fn entering(&self, unknown: usize, pivots: usize) -> Option<usize> {
        /// Pivots by the least in the way; usual nets need no more.
        const BY_WHAT_BLOCKS: usize = 200;
        let Some(row) = self.basic[unknown] else { return Some(unknown) };
        let row = self.rows[row].1.iter();
        let mut rising = row.filter(|(_, n)| n.is_negative()).map(|(at, _)| *at);
        if pivots >= BY_WHAT_BLOCKS {
            return rising.next();
        }
        let mut blockers = vec![0usize; self.basic.len()];
        for (unknown, n) in self.rows.iter().flat_map(|(_, row)| row) {
            blockers[*unknown] += usize::from(n.is_positive());
        }
        rising.min_by_key(|unknown| blockers[*unknown])
    }

    /// Takes out the unknowns of a row without factors below 0: they are 0.
    fn take_out(&mut self, basic: usize) -> Vec<usize> {
        let row = self.basic[basic].map(|row| self.rows[row].1.as_slice());
        let zeros: Vec<_> = row.into_iter().flatten().map(|(at, _)| *at).collect();
        for (_, row) in &mut self.rows {
            row.retain(|(at, _)| zeros.binary_search(at).is_err());
        }
        zeros
    }

    /// One of the unknown, with the values of the basic ones then.
    fn ray(&self, entering: usize) -> Sparse<BigRational> {
        let one = (entering, BigInt::from(1).into());
        let rest = self.rows.iter().filter_map(|(basic, row)| {
            let (n, factor) = (at(row, entering)?, at(row, *basic)?);
            Some((*basic, BigRational::new(-n.big(), factor.big())))
        });
        let mut ray: Sparse<_> = std::iter::once(one).chain(rest).collect();
        ray.sort_unstable_by_key(|(unknown, _)| *unknown);
        ray
    }
}

/// Takes `unknown` out of `row` by means of a row in which its factor is above 0.
fn without<N: Number>(
    row: &Sparse<N>,
    unknown: usize,
    by: &Sparse<N>,
    work: &mut Work,
) -> Result<Sparse<N>, Stop> {
    let (Some(mine), Some(theirs)) = (at(row, unknown), at(by, unknown)) else {
        return Ok(row.clone());
    };
    let combined = combine(row, theirs, by, &-mine.clone()).ok_or(Stop::Outgrown)?;
    work.spend(1 + combined.iter().map(|(_, n)| n.steps()).sum::<u64>())?;
    Ok(combined)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each equation has two terms of either sign, so that nothing is taken out beforehand.
    fn equations(largest: i128) -> Vec<Sparse<i128>> {
        let row = |at: i128| {
            let from = usize::try_from(at).unwrap();
            vec![(from, -largest + at), (from + 1, -3), (from + 2, largest - 7), (from + 3, 5 + at)]
        };
        (0..8).map(row).collect()
    }

    #[test]
    fn what_would_take_too_long_is_given_up() {
        for steps in [0, 20] {
            let stopped = rays(&equations(1 << 40), 11, &mut Work::of(steps));
            assert!(matches!(stopped, Err(Stop::TooComplex)), "{steps}");
        }
    }

    #[test]
    fn numbers_outgrow_128_bits_only_where_they_must() {
        let stopped = |largest| rays(&equations(largest), 11, &mut Work::new()).err();
        assert!(stopped(100).is_none());
        assert!(matches!(stopped(1 << 60), Some(Stop::Outgrown)));
        assert!(widest(equations(1 << 60), 11).unwrap().iter().all(|n| *n > BigInt::ZERO));
    }
}
