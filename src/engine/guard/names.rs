//! Which names an expression may use, checked when its workflow is defined.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, SelectExpr, operators},
};

use super::{
    environment::ENVIRONMENT,
    view::{CASE_FIELDS, TOKEN_FIELDS},
};

/// The functions called as `name(…)`, with the numbers of arguments they take.
pub(super) const FUNCTIONS: &[(&str, &[usize])] = &[
    ("bool", &[1]),
    ("bytes", &[1]),
    ("double", &[1]),
    ("duration", &[1]),
    ("dyn", &[1]),
    ("int", &[1]),
    ("matches", &[2]),
    ("size", &[1]),
    ("string", &[1]),
    ("timestamp", &[1]),
    ("type", &[1]),
    ("uint", &[1]),
];

/// The functions called as `optional.name(…)`.
pub(super) const OPTIONAL_FUNCTIONS: &[(&str, &[usize])] =
    &[("none", &[0]), ("of", &[1]), ("ofNonZeroValue", &[1])];

/// The functions called as `value.name(…)`.
pub(super) const METHODS: &[(&str, &[usize])] = &[
    ("contains", &[1]),
    ("endsWith", &[1]),
    ("getDate", &[0, 1]),
    ("getDayOfMonth", &[0, 1]),
    ("getDayOfWeek", &[0, 1]),
    ("getDayOfYear", &[0, 1]),
    ("getFullYear", &[0, 1]),
    ("getHours", &[0, 1]),
    ("getMilliseconds", &[0, 1]),
    ("getMinutes", &[0, 1]),
    ("getMonth", &[0, 1]),
    ("getSeconds", &[0, 1]),
    ("hasValue", &[0]),
    ("matches", &[1]),
    ("or", &[1]),
    ("orValue", &[1]),
    ("size", &[0]),
    ("startsWith", &[1]),
    ("value", &[0]),
];

/// The macros called as `value.name(…)`. The parser has replaced every one that was called
/// as it should be.
const METHOD_MACROS: &[(&str, &[usize])] = &[
    ("all", &[2]),
    ("exists", &[2]),
    ("exists_one", &[2]),
    ("existsOne", &[2]),
    ("filter", &[2]),
    ("map", &[2, 3]),
];

/// All the names in `expr` that mean nothing, each as a problem in words.
pub(super) fn unknown(expr: &IdedExpr, variables: &[&str]) -> Vec<String> {
    let mut check = Check { variables, bound: Vec::new(), problems: Vec::new() };
    check.expr(expr);
    check.problems
}

/// Whether the tree of `expr` has more than `limit` levels.
pub(super) fn depth_exceeds(expr: &IdedExpr, limit: usize) -> bool {
    let Some(limit) = limit.checked_sub(1) else {
        return true;
    };
    children(&expr.expr).into_iter().any(|child| depth_exceeds(child, limit))
}

fn children(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(c) => {
            vec![&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Struct(made) => made.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}

struct Check<'e> {
    variables: &'e [&'e str],
    /// The variables of the comprehensions around what is being checked.
    bound: Vec<&'e str>,
    problems: Vec<String>,
}

impl<'e> Check<'e> {
    fn expr(&mut self, expr: &'e IdedExpr) {
        match &expr.expr {
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(made) => {
                let name = &made.type_name;
                self.problems.push(format!("can't make a `{name}`; write a map: {{'key': value}}"));
            }
            other => children(other).into_iter().for_each(|child| self.expr(child)),
        }
    }

    fn is_bound(&self, name: &str) -> bool {
        self.bound.contains(&name)
    }

    fn name(&mut self, name: &str) {
        // A name with an @ is the macros' own: it can't be written. A leading dot skips the
        // variables of comprehensions.
        let global = name.strip_prefix('.').unwrap_or(name);
        let known = name.starts_with('@')
            || self.is_bound(name)
            || self.variables.contains(&global)
            || ENVIRONMENT.types().find_type(global).is_some();
        if !known {
            let known = self.variables.join(", ");
            self.problems.push(format!("unknown name `{name}`; known are {known}"));
        }
    }

    fn select(&mut self, select: &'e SelectExpr) {
        if let Some(name) = qualified_name(&select.operand.expr) {
            let name = format!("{name}.{}", select.field);
            if ENVIRONMENT.types().find_type(&name).is_some() {
                return;
            }
        }
        self.field(&select.operand, &select.field);
        self.expr(&select.operand);
    }

    /// A field of `token`, `tokens[…]` or `case`: those have the same fields always.
    fn field(&mut self, operand: &IdedExpr, field: &str) {
        let (name, shown, fields) = match &operand.expr {
            Expr::Ident(name) if name == "token" => (name, "token", TOKEN_FIELDS),
            Expr::Ident(name) if name == "case" => (name, "case", CASE_FIELDS),
            Expr::Call(call) if call.func_name == operators::INDEX => match &call.args[..] {
                [IdedExpr { expr: Expr::Ident(name), .. }, _] if name == "tokens" => {
                    (name, "a token", TOKEN_FIELDS)
                }
                _ => return,
            },
            _ => return,
        };
        if !self.is_bound(name) && !fields.contains(&field) {
            let known = fields.join(", ");
            self.problems.push(format!("unknown name `{field}`; {shown} has {known}"));
        }
    }

    fn call(&mut self, call: &'e CallExpr) {
        let name = call.func_name.as_str();
        let operator = name.starts_with(['_', '@', '!', '-']);
        let qualified = matches!(&call.target, Some(target)
            if matches!(&target.expr, Expr::Ident(name) if name == "optional" && !self.is_bound(name)));
        if qualified {
            self.function(call, OPTIONAL_FUNCTIONS, "functions of `optional`");
        } else if let Some(target) = &call.target {
            self.expr(target);
            self.function(call, METHODS, "functions of values");
        } else if !operator {
            self.function(call, FUNCTIONS, "functions");
        }
        if name == "matches" {
            self.pattern(call);
        }
        call.args.iter().for_each(|arg| self.expr(arg));
    }

    fn function(&mut self, call: &CallExpr, known: &[(&str, &[usize])], what: &str) {
        let (name, given) = (call.func_name.as_str(), call.args.len());
        let macros =
            if call.target.is_some() { METHOD_MACROS } else { &[("has", &[1usize] as &[_])] };
        match known.iter().chain(macros).find(|(known, _)| *known == name) {
            Some((_, counts)) if counts.contains(&given) => {}
            Some((_, counts)) => {
                let counts: Vec<_> = counts.iter().map(usize::to_string).collect();
                let counts = counts.join(" or ");
                let problem = format!("`{name}` takes {counts} arguments, not {given}");
                self.problems.push(problem);
            }
            None => {
                let names: Vec<_> = known.iter().chain(macros).map(|(name, _)| *name).collect();
                let names = names.join(", ");
                self.problems.push(format!("unknown function `{name}`; known {what} are {names}"));
            }
        }
    }

    /// A pattern that is written out must be one.
    fn pattern(&mut self, call: &CallExpr) {
        use cel::{Context, Value, common::ast::LiteralValue};
        let Some(Expr::Literal(LiteralValue::String(pattern))) = call.args.last().map(|e| &e.expr)
        else {
            return;
        };
        // The interpreter itself is asked, so that its engine and no other decides.
        let text = |text: &str| IdedExpr {
            id: 0,
            expr: Expr::Literal(LiteralValue::String(text.to_owned().into())),
        };
        let probe = CallExpr {
            func_name: "matches".to_owned(),
            target: None,
            args: vec![text(""), text(pattern.inner())],
        };
        let probe = IdedExpr { id: 0, expr: Expr::Call(probe) };
        if Value::resolve(&probe, &Context::with_env(ENVIRONMENT.clone())).is_err() {
            let pattern = super::reason::clip(pattern.inner());
            self.problems.push(format!("`{pattern}` is no regular expression"));
        }
    }

    fn comprehension(&mut self, comprehension: &'e ComprehensionExpr) {
        self.expr(&comprehension.iter_range);
        self.expr(&comprehension.accu_init);
        let outer = self.bound.len();
        self.bound.push(&comprehension.accu_var);
        self.bound.push(&comprehension.iter_var);
        self.bound.extend(comprehension.iter_var2.as_deref());
        self.expr(&comprehension.loop_cond);
        self.expr(&comprehension.loop_step);
        self.bound.truncate(outer);
    }
}

/// The dotted name that `expr` spells, if it is one.
fn qualified_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", qualified_name(&select.operand.expr)?, select.field))
        }
        _ => None,
    }
}
