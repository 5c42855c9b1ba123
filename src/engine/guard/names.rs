//! Check of the names in an expression, made when its workflow is defined.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, SelectExpr, operators},
};

use super::{
    environment::ENVIRONMENT,
    functions::{self, Style},
    view::{CASE_FIELDS, TOKEN_FIELDS},
};

/// All the names in `expr` that mean nothing, each as a problem in words.
pub(super) fn unknown(expr: &IdedExpr, variables: &[&str]) -> Vec<String> {
    let mut check = Check { variables, bound: Vec::new(), problems: Vec::new() };
    check.expr(expr);
    check.problems
}

/// Returns true if `expr` asks for the revision of a token.
pub(super) fn asks_for_revision(expr: &IdedExpr) -> bool {
    const FIELD: &str = "revision";
    // A field of a field is one of data, metadata or the marking.
    let is_token = |of: &IdedExpr| !matches!(of.expr, Expr::Select(_));
    let asks = match &expr.expr {
        Expr::Select(select) => select.field == FIELD && is_token(&select.operand),
        Expr::Call(call) if call.func_name == operators::INDEX => match &call.args[..] {
            [of, IdedExpr { expr: Expr::Literal(name), .. }] => {
                is_token(of) && format!("{name:?}").contains(FIELD)
            }
            _ => false,
        },
        _ => false,
    };
    asks || children(&expr.expr).into_iter().any(asks_for_revision)
}

/// Returns true if `expr` asks for a variable, by its name alone or in a comprehension.
pub(super) fn asks_for(expr: &IdedExpr, variable: &str) -> bool {
    let is_it = |name: &str| name.strip_prefix('.').unwrap_or(name) == variable;
    matches!(&expr.expr, Expr::Ident(name) if is_it(name))
        || children(&expr.expr).into_iter().any(|child| asks_for(child, variable))
}

/// Returns true if the tree of `expr` has more than `limit` levels.
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
    /// The variables of the comprehensions around the present expression.
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
        let qualified = match call.target.as_deref().map(|target| &target.expr) {
            Some(Expr::Ident(name)) => name == "optional" && !self.is_bound(name),
            _ => false,
        };
        let style = match &call.target {
            Some(_) if qualified => Style::Optional,
            Some(_) => Style::Method,
            None => Style::Function,
        };
        if let Some(target) = call.target.as_deref().filter(|_| !qualified) {
            self.expr(target);
        }
        match functions::check(call, style) {
            // What a wrongly called macro would have bound isn't known.
            Err(problem) if functions::is_macro(call) => self.problems.push(problem.to_string()),
            Err(problem) => {
                self.problems.push(problem.to_string());
                call.args.iter().for_each(|arg| self.expr(arg));
            }
            Ok(()) => call.args.iter().for_each(|arg| self.expr(arg)),
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

#[cfg(test)]
mod tests {
    use super::super::fixture::{cel_problems, one_cel_problem as only};

    #[test]
    fn an_unknown_name_is_a_problem_that_lists_the_known_ones() {
        let problem = only("tokn.data.amount > 100");
        assert_eq!(
            problem,
            "transitions[2].conditions[0]: unknown name `tokn`; known are token, tokens, case, now"
        );
        assert!(only("token.data.x == amount").contains("`amount`"));
        assert!(only("data.x == 1").contains("`data`"));
        assert!(only("token.dat.x == 1").contains("`dat`; token has id, place, data"));
        assert!(only("tokens[0].dta == 1").contains("`dta`; a token has id"));
        assert!(only("has(case.state)").contains("`state`; case has id, workflow"));
        assert_eq!(cel_problems("x == y").len(), 2);
    }

    #[test]
    fn variables_of_comprehensions_are_known_inside_them_only() {
        for source in [
            "tokens.all(t, t.data.ok)",
            "tokens.exists(case, case.anything)",
            "tokens.map(t, t.data.list.filter(i, i > 0 && t.data.ok)).size() > 0",
            "[1].exists_one(x, x == 1) && {'a': 1}.all(k, k == 'a')",
            ".token.data.x == 1",
            "type(1) == int && type(token) == map",
        ] {
            assert_eq!(cel_problems(source), Vec::<String>::new(), "{source}");
        }
        assert!(only("tokens.all(t, true) && t.data.ok").contains("`t`"));
        assert!(only("tokens.all(t, u.data.ok)").contains("`u`"));
    }
}
