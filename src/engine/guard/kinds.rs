//! Kinds of values that a part of an expression can have, asked of the interpreter itself; and parts
//! that have the same value each time, since they name no variable.

use std::{fmt, sync::LazyLock};

use cel::{
    ExecutionError, IdedExpr, Value,
    common::{
        ast::{CallExpr, EntryExpr, Expr},
        types::Kind,
        value::{CowVal, Val},
    },
    context::VariableResolver,
};

use super::{
    environment::{DYNAMIC, EACH, ENVIRONMENT, MADE, PATTERN, SEARCHED, TEXT, WHOLE},
    expression::context,
    expression::reason,
    scope::METER,
};
use crate::engine::Budget;

/// A set of kinds of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kinds(u16);

/// Every kind that a value can have: its bit, its name, and a value of it.
const SAMPLES: [(Kinds, &str, &str); 13] = [
    (Kinds(1), "null", "null"),
    (Kinds::BOOL, "bool", "true"),
    (Kinds(1 << 2), "int", "1"),
    (Kinds(1 << 3), "uint", "1u"),
    (Kinds(1 << 4), "double", "1.0"),
    (Kinds::TEXT, "string", "'a'"),
    (Kinds::BYTES, "bytes", "b'a'"),
    (Kinds::LIST, "list", "[1]"),
    (Kinds::MAP, "map", "{'a': 1}"),
    (Kinds::TIME, "timestamp", "timestamp('2026-01-01T00:00:00Z')"),
    (Kinds::SPAN, "duration", "duration('1s')"),
    (Kinds::TYPE, "type", "int"),
    (Kinds::OPTIONAL, "optional", "optional.of(1)"),
];

static PARSED: LazyLock<Vec<(Kinds, IdedExpr)>> = LazyLock::new(|| {
    let parse = |source| ENVIRONMENT.parser().parse(source).expect("each sample is an expression");
    SAMPLES.iter().map(|(kind, _, source)| (*kind, parse(source))).collect()
});

impl Kinds {
    pub(super) const BOOL: Self = Self(1 << 1);
    pub(super) const TEXT: Self = Self(1 << 5);
    pub(super) const BYTES: Self = Self(1 << 6);
    pub(super) const LIST: Self = Self(1 << 7);
    pub(super) const MAP: Self = Self(1 << 8);
    pub(super) const TIME: Self = Self(1 << 9);
    /// Durations.
    pub(super) const SPAN: Self = Self(1 << 10);
    pub(super) const TYPE: Self = Self(1 << 11);
    pub(super) const OPTIONAL: Self = Self(1 << 12);
    /// All of them: nothing is known.
    pub(super) const ANY: Self = Self((1 << SAMPLES.len()) - 1);
    const NONE: Self = Self(0);

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns true if the two have a kind in common.
    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The kind of a value.
    pub(super) fn of(value: &(dyn Val + '_)) -> Self {
        let name = match value.get_type().kind() {
            Kind::NullType => "null",
            Kind::Boolean => "bool",
            Kind::Int => "int",
            Kind::UInt => "uint",
            Kind::Double => "double",
            Kind::String => "string",
            Kind::Bytes => "bytes",
            Kind::List => "list",
            Kind::Map => "map",
            Kind::Timestamp => "timestamp",
            Kind::Duration => "duration",
            Kind::Type => "type",
            Kind::Opaque => "optional",
            _ => return Self::ANY,
        };
        let found = SAMPLES.iter().find(|(_, known, _)| *known == name);
        found.map_or(Self::ANY, |(kind, ..)| *kind)
    }

    fn samples(self) -> impl Iterator<Item = &'static IdedExpr> {
        PARSED.iter().filter(move |(kind, _)| self.meets(*kind)).map(|(_, sample)| sample)
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY {
            return f.write_str("anything");
        }
        let names = SAMPLES.iter().filter(|(kind, ..)| self.meets(*kind));
        let names: Vec<_> = names.map(|(_, name, _)| *name).collect();
        f.write_str(&names.join(" or "))
    }
}

/// Number of steps for one evaluation, beside those that it takes itself.
pub(super) const LOOK: u64 = 10;

/// An argument of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Argument<'e> {
    /// Kinds that it can have.
    pub(super) kinds: Kinds,
    /// The argument itself, if it has the same value each time.
    pub(super) fixed: Option<&'e IdedExpr>,
}

/// The reason that a call fails for whatever it is called with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoSuchCall {
    #[error("{reason}")]
    Zero { reason: String },
    #[error("`{name}` can't be applied to ({kinds})")]
    Kinds { name: String, kinds: String },
}

/// The kinds that `call` can give. `arguments` begin with the value that it is called on, if it is
/// called on one.
///
/// # Errors
///
/// If it fails for whatever it is called with.
pub(super) fn of_call(
    call: &CallExpr,
    arguments: &[Argument<'_>],
    budget: &Budget,
) -> Result<Kinds, NoSuchCall> {
    let mut tried = Tried { call, budget, given: Kinds::NONE, error: None };
    tried.with(arguments, &mut Vec::new());
    if budget.ran_out().is_some() {
        return Ok(Kinds::ANY);
    }
    let Some(error) = tried.error.filter(|_| tried.given == Kinds::NONE) else {
        return Ok(tried.given);
    };
    Err(match error {
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            NoSuchCall::Zero { reason: reason(&error) }
        }
        _ => {
            let kinds: Vec<_> = arguments.iter().map(|of| of.kinds.to_string()).collect();
            let name = call.func_name.trim_matches(['_', '@']).to_owned();
            NoSuchCall::Kinds { name, kinds: kinds.join(", ") }
        }
    })
}

/// One call, tried with every combination of samples.
struct Tried<'c> {
    call: &'c CallExpr,
    budget: &'c Budget,
    given: Kinds,
    error: Option<ExecutionError>,
}

impl Tried<'_> {
    fn with<'e>(&mut self, arguments: &[Argument<'e>], chosen: &mut Vec<&'e IdedExpr>) {
        let Some((first, rest)) = arguments.split_first() else {
            return self.once(chosen);
        };
        let samples: Vec<&'e IdedExpr> = match first.fixed {
            Some(fixed) => vec![fixed],
            None => first.kinds.samples().collect(),
        };
        for sample in samples {
            chosen.push(sample);
            self.with(rest, chosen);
            chosen.pop();
        }
    }

    fn once(&mut self, chosen: &[&IdedExpr]) {
        if self.budget.charge(LOOK).is_err() {
            return;
        }
        let mut args = chosen.iter().map(|sample| (*sample).clone());
        let target = self.call.target.as_ref().and_then(|_| args.next()).map(Box::new);
        let call =
            CallExpr { func_name: self.call.func_name.clone(), target, args: args.collect() };
        let call = IdedExpr { id: 0, expr: Expr::Call(call) };
        let alone = Alone(self.budget);
        match Value::resolve_val(&call, &context(&alone)) {
            Ok(value) => self.given = self.given.or(Kinds::of(value.as_ref())),
            // The better reason of the two.
            Err(
                error @ (ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_)),
            ) => self.error = Some(error),
            Err(error) if is_of_kinds(&error) => {
                self.error.get_or_insert(error);
            }
            // Another value of the same kind may do.
            Err(_) => self.given = Kinds::ANY,
        }
    }
}

/// Returns true if the error comes of the kinds of values and not of the values.
fn is_of_kinds(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::NoSuchOverload(_)
            | ExecutionError::UnsupportedBinaryOperator(..)
            | ExecutionError::UnsupportedIndex(..)
            | ExecutionError::UnsupportedTargetType { .. }
            | ExecutionError::NotSupportedAsMethod { .. }
            | ExecutionError::UnexpectedType { .. }
    )
}

/// No variables but the budget.
pub(super) struct Alone<'a>(pub(super) &'a Budget);

impl VariableResolver for Alone<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        (name == METER).then_some(CowVal::Borrowed(self.0))
    }
}

/// The functions that a rewrite puts in. Each returns its first argument.
pub(super) const HIDDEN: &[&str] = &[WHOLE, EACH, MADE, PATTERN, DYNAMIC, SEARCHED, TEXT];

/// `expr` without the hidden functions around it.
pub(super) fn unwrapped(expr: &IdedExpr) -> &IdedExpr {
    match &expr.expr {
        Expr::Call(call) if HIDDEN.contains(&call.func_name.as_str()) => {
            call.args.first().map_or(expr, unwrapped)
        }
        _ => expr,
    }
}

/// Returns true if `expr` names no variable but those of its own comprehensions, `bound`. `open` are
/// those of the comprehensions around it.
pub(super) fn is_closed<'e>(expr: &'e IdedExpr, open: &[&str], bound: &mut Vec<&'e str>) -> bool {
    match &expr.expr {
        Expr::Literal(_) => true,
        Expr::Ident(name) => {
            name == METER
                || bound.contains(&name.as_str())
                || !open.contains(&name.as_str()) && ENVIRONMENT.types().find_type(name).is_some()
        }
        Expr::Select(select) => is_closed(&select.operand, open, bound),
        Expr::Call(call) => {
            let target = match call.target.as_deref() {
                Some(IdedExpr { expr: Expr::Ident(name), .. }) if name == "optional" => {
                    !open.contains(&"optional") && !bound.contains(&"optional")
                }
                Some(target) => is_closed(target, open, bound),
                None => true,
            };
            target && call.args.iter().all(|arg| is_closed(arg, open, bound))
        }
        Expr::List(list) => list.elements.iter().all(|element| is_closed(element, open, bound)),
        Expr::Map(map) => map.entries.iter().all(|entry| match &entry.expr {
            EntryExpr::MapEntry(of) => {
                is_closed(&of.key, open, bound) && is_closed(&of.value, open, bound)
            }
            EntryExpr::StructField(_) => false,
        }),
        Expr::Comprehension(of) => {
            if !is_closed(&of.iter_range, open, bound) || !is_closed(&of.accu_init, open, bound) {
                return false;
            }
            let outer = bound.len();
            bound.extend([of.accu_var.as_str(), of.iter_var.as_str()]);
            bound.extend(of.iter_var2.as_deref());
            let inner = [&of.loop_cond, &of.loop_step, &of.result];
            let closed = inner.into_iter().all(|part| is_closed(part, open, bound));
            bound.truncate(outer);
            closed
        }
        Expr::Struct(_) | Expr::Unspecified => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_is_of_its_kind() {
        let budget = Budget::default();
        let alone = Alone(&budget);
        for (kind, sample) in PARSED.iter() {
            let context = context(&alone);
            let value = Value::resolve_val(sample, &context).unwrap();
            assert_eq!(Kinds::of(value.as_ref()), *kind, "{kind}");
        }
        assert_eq!(PARSED.iter().fold(Kinds::NONE, |all, (kind, _)| all.or(*kind)), Kinds::ANY);
    }
}
