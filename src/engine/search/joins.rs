//! Joins by key: tokens that must agree in a value are looked up, where trying all choices would take
//! the product of their numbers.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::Value;

use super::Choices;
use crate::engine::{
    Budget, Guards,
    guard::{Join, KeyAt},
};
use crate::models::{Token, petri::Input};

/// Number of choices that are tried before an index of the tokens is worth making.
pub(in crate::engine) const TRIED_FIRST: usize = if cfg!(test) { 1 } else { 64 };

/// The most joins of one search.
const MOST: usize = 8;

/// The joins of one search.
pub(in crate::engine) struct Joins<'g> {
    constraints: Vec<Constraint<'g>>,
}

/// Agreement of an arc's token with that of an earlier arc.
struct Constraint<'g> {
    join: &'g Join,
    arc: usize,
    earlier: usize,
    /// The keys of the earlier arc's candidates.
    keys: Vec<Key>,
    index: Index,
}

/// A value, as far as it says what it equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// Equals only what has the same hash.
    Known(u64),
    /// Equals what comparing says: a list, an object, a fraction.
    Odd,
    /// There is none, so comparing fails.
    Missing,
}

/// The candidates of an arc by their keys, in their order.
#[derive(Debug, Default)]
struct Index {
    known: HashMap<u64, Vec<usize>>,
    odd: Vec<usize>,
    missing: Vec<usize>,
    count: usize,
}

impl<'g> Joins<'g> {
    /// Indexes the candidates of arcs that a condition joins; `None` if there is none, or no budget
    /// for it.
    pub(in crate::engine) fn of(
        guards: &'g Guards,
        arcs: &[(Input, Choices<'_>)],
        budget: &Budget,
    ) -> Option<Self> {
        let mut joins = Self { constraints: Vec::new() };
        for join in guards.joins() {
            let (Some(one), Some(other)) =
                (arc_of(arcs, join.one.token), arc_of(arcs, join.other.token))
            else {
                continue;
            };
            let is_there = joins.constraints.iter().any(|constraint| constraint.join == join);
            if one == other || is_there || joins.constraints.len() == MOST {
                continue;
            }
            let (earlier, arc) = (one.min(other), one.max(other));
            let (at, own) =
                if one < other { (&join.one, &join.other) } else { (&join.other, &join.one) };
            let keys = |arc: usize, at: &KeyAt| -> Option<Vec<Key>> {
                let candidates = &arcs[arc].1.candidates;
                budget.charge(candidates.len() as u64 / 16).ok()?;
                candidates.iter().map(|token| key(value(token, at), budget)).collect()
            };
            let (keys, own) = (keys(earlier, at)?, keys(arc, own)?);
            let mut index = Index { count: own.len(), ..Index::default() };
            for (at, key) in own.into_iter().enumerate() {
                match key {
                    Key::Known(hash) => index.known.entry(hash).or_default().push(at),
                    Key::Odd => index.odd.push(at),
                    Key::Missing => index.missing.push(at),
                }
            }
            joins.constraints.push(Constraint { join, arc, earlier, keys, index });
        }
        (!joins.constraints.is_empty()).then_some(joins)
    }

    /// Moves on to the first choice, from the present one, whose tokens may agree; false at the end.
    pub(in crate::engine) fn settle(
        &self,
        arcs: &mut [(Input, Choices<'_>)],
        budget: &Budget,
    ) -> bool {
        let mut arc = 0;
        while arc < arcs.len() {
            let is_first = arcs[arc].1.is_at_start();
            if self.seek(arcs, arc) {
                arc += 1;
                continue;
            }
            // Where none of all agrees, others in between change nothing.
            let of_arc = self.constraints.iter().filter(|constraint| constraint.arc == arc);
            let before = match is_first {
                true => of_arc.map(|constraint| constraint.earlier + 1).max().unwrap_or(arc),
                false => arc,
            };
            let (before, rest) = arcs.split_at_mut(before);
            rest.iter_mut().for_each(|(_, choices)| choices.start_over());
            let moved = before.iter_mut().rposition(|(_, choices)| choices.advance());
            let Some(moved) = moved else { return false };
            arc = moved;
            if budget.charge(1 + self.constraints.len() as u64).is_err() {
                // Whoever searches looks at that next.
                return true;
            }
        }
        true
    }

    /// Moves an arc to its first candidate, from the present one, that may agree with those of earlier
    /// arcs; false if there is none.
    fn seek(&self, arcs: &mut [(Input, Choices<'_>)], arc: usize) -> bool {
        loop {
            let Some(at) = arcs[arc].1.chosen.first().copied() else { return true };
            let mut next = at;
            for constraint in self.constraints.iter().filter(|constraint| constraint.arc == arc) {
                let Some(&earlier) = arcs[constraint.earlier].1.chosen.first() else { continue };
                match constraint.index.next(constraint.keys[earlier], earlier, next) {
                    Some(found) => next = found,
                    None => return false,
                }
            }
            if next == at {
                return true;
            }
            arcs[arc].1.chosen[0] = next;
        }
    }
}

impl Index {
    /// The first candidate from `from` on that may agree with the earlier arc's candidate of this
    /// number and key. A value that is missing can't agree with any: it is tried with one, so that the
    /// condition says what is wrong with it, unless it is false for another reason then.
    fn next(&self, key: Key, earlier: usize, from: usize) -> Option<usize> {
        let first = |list: &[usize]| list.get(list.partition_point(|at| *at < from)).copied();
        let missing = || (earlier == 0).then(|| first(&self.missing)).flatten();
        match key {
            Key::Known(hash) => {
                let same = self.known.get(&hash).and_then(|list| first(list));
                same.into_iter().chain(first(&self.odd)).chain(missing()).min()
            }
            Key::Odd => (from < self.count).then_some(from),
            Key::Missing => (from == 0 && self.count > 0).then_some(0),
        }
    }
}

/// The arc that gives a token of the choice, if it gives just that one, and nobody has named it.
fn arc_of(arcs: &[(Input, Choices<'_>)], token: usize) -> Option<usize> {
    let mut before = 0;
    for (arc, (_, choices)) in arcs.iter().enumerate() {
        if before == token {
            return (choices.chosen.len() == 1 && !choices.is_fixed()).then_some(arc);
        }
        before += choices.chosen.len();
    }
    None
}

fn value<'t>(token: &'t Token, at: &KeyAt) -> Option<&'t Value> {
    let mut path = at.path.iter();
    let mut value = match at.of_metadata {
        true => token.metadata.get(path.next()?)?,
        false => &token.data,
    };
    for name in path {
        value = value.as_object()?.get(name)?;
    }
    Some(value)
}

/// The key of a value; `None` where the budget ends. Values of different kinds are never equal, but
/// numbers are by their value.
fn key(value: Option<&Value>, budget: &Budget) -> Option<Key> {
    let mut hasher = DefaultHasher::new();
    let length = match value {
        None => return Some(Key::Missing),
        Some(Value::Null) => {
            hasher.write_u8(0);
            0
        }
        Some(Value::Bool(truth)) => {
            (1_u8, truth).hash(&mut hasher);
            0
        }
        Some(Value::String(text)) => {
            (2_u8, text).hash(&mut hasher);
            text.len()
        }
        Some(Value::Number(number)) => {
            let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            let Some(whole) = whole.or_else(|| number.as_f64().and_then(whole_float)) else {
                return Some(Key::Odd);
            };
            (3_u8, whole).hash(&mut hasher);
            0
        }
        Some(Value::Array(_) | Value::Object(_)) => return Some(Key::Odd),
    };
    // What it takes to go through a long text; the values are counted together.
    if length >= 512 {
        budget.charge(length as u64 / 512).ok()?;
    }
    Some(Key::Known(hasher.finish()))
}

/// A float that is a whole number, which equals an integer.
fn whole_float(number: f64) -> Option<i128> {
    // Beyond, not each whole number is a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i128)
}
