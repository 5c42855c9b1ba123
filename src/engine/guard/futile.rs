//! Parts of an expression that fail whenever they are evaluated, as its text alone says.
//!
//! A part that names no variable is evaluated. Of any other it is asked which kinds of values it
//! can have. A part that may be passed over (a branch, the other side of `||`) is no better: it
//! fails when its time comes.

use std::collections::HashMap;

use cel::{
    ExecutionError, IdedExpr, Value,
    common::{
        ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, MapExpr, SelectExpr, operators},
        types::CelString,
        value::CowVal,
    },
};

use super::{
    conditions::{Condition, Form, Guards},
    expression::{Expression, context, reason},
    functions,
    kinds::{Alone, Argument, HIDDEN, Kinds, LOOK, NoSuchCall, is_closed, of_call, unwrapped},
    scope::GUARD_VARIABLES,
    wanted::Wanted,
};
use crate::engine::Budget;
use crate::models::Problems;

/// The most steps that looking at one expression takes; what takes more may fail or not.
const STEPS: u64 = 20_000;

/// The reasons, in words, that the rewritten `expr` can't give what is wanted. `all` is the budget of
/// all expressions that are looked at together; when it is used up, the rest passes.
pub(super) fn problems(expr: &IdedExpr, wanted: Wanted, all: &Budget) -> Vec<String> {
    if all.ran_out().is_some() {
        return Vec::new();
    }
    let mut look = Look {
        budget: Budget::of(STEPS),
        bound: Vec::new(),
        known: HashMap::new(),
        problems: Vec::new(),
    };
    look.kinds(expr);
    // A part that fails says more than what the whole would be.
    if look.problems.is_empty() {
        match wanted {
            Wanted::Verdict => look.verdict(expr),
            Wanted::Object => look.object(expr),
            Wanted::Json => look.json(expr),
            Wanted::Kind(kind) => look.kind(expr, kind),
        }
    }
    // The next one is asked whether that was too much.
    let _ = all.charge(look.budget.spent());
    look.problems
}

/// The functions and operators that give a part of what they are called on, of any kind.
const GIVE_A_PART: &[&str] = &[operators::INDEX, "or", "orValue", "value", "dyn"];

pub(super) struct Look<'e> {
    budget: Budget,
    /// Variables of the comprehensions around the present part.
    bound: Vec<(&'e str, Kinds)>,
    /// Answers about calls with nothing fixed.
    known: HashMap<(&'e str, Vec<Kinds>), Result<Kinds, NoSuchCall>>,
    problems: Vec<String>,
}

impl<'e> Look<'e> {
    pub(super) fn add(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Returns true if `expr` names no variable but those of its own comprehensions.
    fn is_closed(&self, expr: &IdedExpr) -> bool {
        let open: Vec<_> = self.bound.iter().map(|(name, _)| *name).collect();
        is_closed(expr, &open, &mut Vec::new())
    }

    /// Calls `with` with the value of a part that names no variable, if it has one.
    pub(super) fn fixed<T>(
        &self,
        expr: &IdedExpr,
        with: impl FnOnce(Result<CowVal<'_, '_>, ExecutionError>) -> T,
    ) -> Option<T> {
        if !self.is_closed(expr) {
            return None;
        }
        self.budget.charge(LOOK).ok()?;
        let alone = Alone(&self.budget);
        let context = context(&alone);
        let value = Value::resolve_val(unwrapped(expr), &context);
        // What ran out may have been taken for another error.
        self.budget.ran_out().is_none().then(|| with(value))
    }

    /// The kinds of values that a part can have; whatever is wrong in it is noted.
    pub(super) fn kinds(&mut self, expr: &'e IdedExpr) -> Kinds {
        let fixed = self.fixed(expr, |value| match value {
            Ok(value) => Ok(Kinds::of(value.as_ref())),
            Err(error) => Err(reason(&error)),
        });
        match fixed {
            Some(Ok(kinds)) => return kinds,
            Some(Err(problem)) => {
                self.add(problem);
                return Kinds::ANY;
            }
            None => {}
        }
        match &expr.expr {
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                self.each(&list.elements);
                Kinds::LIST
            }
            Expr::Map(map) => self.map(map),
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Kinds::ANY,
        }
    }

    fn each(&mut self, parts: &'e [IdedExpr]) {
        for part in parts {
            self.kinds(part);
        }
    }

    fn variable(&self, name: &str) -> Kinds {
        if let Some((_, kinds)) = self.bound.iter().rev().find(|(bound, _)| *bound == name) {
            return *kinds;
        }
        match name {
            "token" | "case" => Kinds::MAP,
            "tokens" => Kinds::LIST,
            "now" => Kinds::TIME,
            _ => Kinds::ANY,
        }
    }

    fn select(&mut self, select: &'e SelectExpr) -> Kinds {
        let kinds = self.kinds(&select.operand);
        if !kinds.meets(Kinds::MAP.or(Kinds::OPTIONAL)) {
            self.add(format!("{kinds} has no field `{}`", select.field));
        }
        if select.test { Kinds::BOOL } else { Kinds::ANY }
    }

    fn call(&mut self, call: &'e CallExpr) -> Kinds {
        match (call.func_name.as_str(), &call.args[..]) {
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.must_be_bool("?:", condition);
                self.kinds(yes).or(self.kinds(no))
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                let name = call.func_name.trim_matches('_');
                self.must_be_bool(name, left);
                self.must_be_bool(name, right);
                Kinds::BOOL
            }
            (operators::EQUALS | operators::NOT_EQUALS, args) => {
                self.each(args);
                Kinds::BOOL
            }
            (operators::NOT_STRICTLY_FALSE, _) => Kinds::BOOL,
            (operators::OPT_SELECT, [operand, _]) => {
                self.kinds(operand);
                Kinds::OPTIONAL
            }
            (name, [inner, _]) if HIDDEN.contains(&name) => self.kinds(inner),
            (_, args) if is_optional(call, &self.bound) => {
                self.each(args);
                Kinds::OPTIONAL
            }
            (_, args) => {
                let args: Vec<_> = call.target.as_deref().into_iter().chain(args).collect();
                self.function(call, &args)
            }
        }
    }

    fn function(&mut self, call: &'e CallExpr, args: &[&'e IdedExpr]) -> Kinds {
        let before = self.problems.len();
        let mut arguments = Vec::with_capacity(args.len());
        for arg in args {
            let kinds = self.kinds(arg);
            let has_value = self.fixed(arg, |value| value.is_ok()) == Some(true);
            arguments.push(Argument { kinds, fixed: has_value.then(|| unwrapped(arg)) });
        }
        if self.problems.len() > before {
            return Kinds::ANY;
        }
        if call.func_name == "matches"
            && let Some(pattern) = args.last()
        {
            let text = |value: Result<CowVal<'_, '_>, _>| {
                let value = value.ok()?;
                value.downcast_ref::<CelString>().map(|text| text.inner().to_owned())
            };
            let wrong = self.fixed(pattern, text).flatten().map(|text| functions::pattern(&text));
            if let Some(Err(problem)) = wrong {
                self.add(problem.to_string());
                return Kinds::BOOL;
            }
        }
        let key = (call.func_name.as_str(), arguments.iter().map(|of| of.kinds).collect());
        let is_general = arguments.iter().all(|of| of.fixed.is_none());
        let given = match self.known.get(&key).filter(|_| is_general) {
            Some(known) => known.clone(),
            None => of_call(call, &arguments, &self.budget),
        };
        if is_general {
            self.known.insert(key, given.clone());
        }
        match given {
            Ok(_) if GIVE_A_PART.contains(&call.func_name.as_str()) => Kinds::ANY,
            Ok(kinds) => kinds,
            Err(problem) => {
                self.add(problem.to_string());
                Kinds::ANY
            }
        }
    }

    fn must_be_bool(&mut self, name: &str, expr: &'e IdedExpr) {
        let kinds = self.kinds(expr);
        if !kinds.meets(Kinds::BOOL) {
            self.add(format!("`{name}` needs true or false, not {kinds}"));
        }
    }

    fn comprehension(&mut self, comprehension: &'e ComprehensionExpr) -> Kinds {
        let range = self.kinds(&comprehension.iter_range);
        if !range.meets(Kinds::LIST.or(Kinds::MAP)) {
            self.add(format!("{range} has no elements to go over"));
        }
        let result = self.kinds(&comprehension.accu_init);
        let outer = self.bound.len();
        self.bound.push((&comprehension.accu_var, result));
        self.bound.push((&comprehension.iter_var, Kinds::ANY));
        self.bound.extend(comprehension.iter_var2.as_deref().map(|name| (name, Kinds::ANY)));
        self.kinds(&comprehension.loop_step);
        self.bound.truncate(outer + 1);
        let given = self.kinds(&comprehension.result);
        self.bound.truncate(outer);
        given
    }

    fn map(&mut self, map: &'e MapExpr) -> Kinds {
        let before = self.problems.len();
        let mut keys = MapExpr::default();
        for entry in &map.entries {
            let EntryExpr::MapEntry(of) = &entry.expr else { continue };
            self.kinds(&of.key);
            self.kinds(&of.value);
            // An optional entry may be left out.
            if !of.optional && self.is_closed(&of.key) {
                let mut key = entry.clone();
                if let EntryExpr::MapEntry(of) = &mut key.expr {
                    of.value = of.key.clone();
                }
                keys.entries.push(key);
            }
        }
        if self.problems.len() == before {
            // The keys alone: the interpreter says whether they can be in one map.
            let keys = IdedExpr { id: 0, expr: Expr::Map(keys) };
            if let Some(Some(problem)) =
                self.fixed(&keys, |made| made.err().map(|error| reason(&error)))
            {
                self.add(problem);
            }
        }
        Kinds::MAP
    }
}

/// Returns true if it is a call as `optional.name(…)`.
fn is_optional(call: &CallExpr, bound: &[(&str, Kinds)]) -> bool {
    let target = call.target.as_deref().map(|target| &target.expr);
    matches!(target, Some(Expr::Ident(name)) if name == "optional")
        && !bound.iter().any(|(name, _)| *name == "optional")
}

/// The reasons against an expression of an immediate transition.
const PASSING_TIME: &str = "asks for `now`, and the transition fires by itself: no change of the case \
                            would say when; leave it to callers, or ask for what tokens carry";
pub(super) const PASSING_REVISION: &str = "asks for the revision of a token, and the transition fires by \
                                           itself: a token that the same change made has none yet";

impl Guards {
    /// Adds a problem at `path[i]` for each condition that asks for the time or for the revision of a
    /// token. A transition that fires by itself would be enabled by nothing that happens; and a token
    /// that the same record made has no revision yet.
    pub(in crate::engine) fn refuse_passing(&self, path: &str, problems: &mut Problems) {
        let timeless: Vec<_> =
            GUARD_VARIABLES.iter().copied().filter(|name| *name != "now").collect();
        for Condition { index, source, form } in self.0.iter() {
            let (asks_now, asks_revision) = match form {
                Form::Cel(expression) => {
                    let asks_now = Expression::compile(source, &timeless).is_err();
                    (asks_now, expression.asks_for_revision())
                }
                Form::Rule(_) => {
                    let of_token = |path: &str| {
                        let words: Vec<_> = path.split('.').collect();
                        matches!(words[..], ["token", "revision"] | ["tokens", _, "revision"])
                    };
                    (false, source.split('"').any(of_token))
                }
            };
            if asks_now {
                problems.add(format!("{path}[{index}]"), PASSING_TIME);
            } else if asks_revision {
                problems.add(format!("{path}[{index}]"), PASSING_REVISION);
            }
        }
    }
}
