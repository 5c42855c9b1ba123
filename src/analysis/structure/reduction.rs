//! Makes systems of equations over non-negative unknowns small without a change of their meaning.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{
    combination::combine,
    incidence::Sparse,
    work::{TooComplex, Work},
};

/// The rest of a system `row · y = 0`, `y >= 0`, and the steps from its solutions to those of the
/// whole. An equation whose terms have all one sign makes its unknowns 0. One with a single term
/// of its sign gives that unknown: a sum of others that can't be below 0. Both are taken out, and
/// nearly all equations of usual nets go that way.
pub(super) struct Reduced {
    /// The equations left, each with at least two terms of either sign; but if numbers would
    /// outgrow 128 bits, any.
    pub equations: Vec<Sparse<i128>>,
    /// True for the unknowns that are 0 in every solution.
    pub zero: Vec<bool>,
    /// Unknowns in the order in which they were taken out, each with its factor and the terms of
    /// its sum. Those named later are already known when the list is read from its end.
    pub substituted: Vec<(usize, i128, Sparse<i128>)>,
}

struct Reduction<'a> {
    equations: Vec<Sparse<i128>>,
    /// The equations that an unknown may be in; all it is in, and maybe others.
    holders: Vec<Vec<usize>>,
    /// Equations that may be taken out, those that fill up the others least first.
    queue: BinaryHeap<Reverse<(usize, usize)>>,
    zero: Vec<bool>,
    substituted: Vec<(usize, i128, Sparse<i128>)>,
    work: &'a mut Work,
}

/// Takes out every equation that can be.
pub(super) fn reduce(
    equations: Vec<Sparse<i128>>,
    unknowns: usize,
    work: &mut Work,
) -> Result<Reduced, TooComplex> {
    let mut holders = vec![Vec::new(); unknowns];
    for (at, equation) in equations.iter().enumerate() {
        equation.iter().for_each(|(unknown, _)| holders[*unknown].push(at));
    }
    let mut reduction = Reduction {
        equations,
        holders,
        queue: BinaryHeap::new(),
        zero: vec![false; unknowns],
        substituted: Vec::new(),
        work,
    };
    (0..reduction.equations.len()).for_each(|at| reduction.enqueue(at));
    while let Some(Reverse((cost, at))) = reduction.queue.pop() {
        match reduction.cost(at) {
            Some(now) if now > cost => reduction.queue.push(Reverse((now, at))),
            Some(_) => reduction.take_out(at)?,
            None => {}
        }
    }
    let mut equations = reduction.equations;
    equations.retain(|equation| !equation.is_empty());
    Ok(Reduced { equations, zero: reduction.zero, substituted: reduction.substituted })
}

/// The only term of its sign, where there's one.
fn single(equation: &[(usize, i128)]) -> Option<usize> {
    let positive = equation.iter().filter(|(_, n)| *n > 0).count();
    let sought = match (positive, equation.len() - positive) {
        (_, 1) => |n: i128| n < 0,
        (1, _) => |n: i128| n > 0,
        _ => return None,
    };
    equation.iter().position(|(_, n)| sought(*n))
}

impl Reduction<'_> {
    /// Number of terms that taking an equation out may add to others; `None` if it can't be.
    fn cost(&self, at: usize) -> Option<usize> {
        let equation = &self.equations[at];
        let (first, rest) = equation.split_first()?;
        if rest.iter().all(|(_, n)| (*n > 0) == (first.1 > 0)) {
            return Some(0);
        }
        let unknown = equation[single(equation)?].0;
        Some((equation.len() - 1) * self.holders[unknown].len())
    }

    fn enqueue(&mut self, at: usize) {
        if let Some(cost) = self.cost(at) {
            self.queue.push(Reverse((cost, at)));
        }
    }

    fn take_out(&mut self, at: usize) -> Result<(), TooComplex> {
        match single(&self.equations[at]) {
            Some(position) if self.equations[at].len() > 1 => self.substitute(at, position),
            _ => {
                self.set_to_zero(at);
                Ok(())
            }
        }
    }

    fn set_to_zero(&mut self, at: usize) {
        for (unknown, _) in std::mem::take(&mut self.equations[at]) {
            self.zero[unknown] = true;
            for holder in std::mem::take(&mut self.holders[unknown]) {
                self.equations[holder].retain(|(other, _)| *other != unknown);
                self.enqueue(holder);
            }
        }
    }

    fn substitute(&mut self, at: usize, position: usize) -> Result<(), TooComplex> {
        let mut sum = std::mem::take(&mut self.equations[at]);
        let (unknown, factor) = sum[position];
        let mut changed = Vec::new();
        for &holder in &self.holders[unknown] {
            let Some(&(_, n)) = self.equations[holder].iter().find(|(u, _)| *u == unknown) else {
                continue;
            };
            self.work.spend((self.equations[holder].len() + sum.len()) as u64)?;
            // Multiplied by something above 0 and so that the unknown's terms cancel out.
            let sign = factor.signum();
            let Some(equation) =
                combine(&self.equations[holder], &(factor * sign), &sum, &(-n * sign))
            else {
                // Too large a number: everything stays as it was, this equation too.
                self.equations[at] = sum;
                return Ok(());
            };
            changed.push((holder, equation));
        }
        self.holders[unknown].clear();
        for (holder, equation) in changed {
            for (other, _) in &sum {
                if !self.holders[*other].contains(&holder) {
                    self.holders[*other].push(holder);
                }
            }
            self.equations[holder] = equation;
            self.enqueue(holder);
        }
        sum.remove(position);
        sum.iter_mut().for_each(|(_, n)| *n = n.abs());
        self.substituted.push((unknown, factor.abs(), sum));
        Ok(())
    }
}
