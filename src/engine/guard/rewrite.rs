//! Changes of an expression before it is kept.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, operators},
};

use super::{
    environment::{DYNAMIC, EACH, MADE, PATTERN, SEARCHED, TEXT, WHOLE},
    scope::METER,
};

/// Puts calls of the hidden functions into `expr`. [`WHOLE`] goes where one of the
/// interpreter's containers could meet a view it doesn't know. [`EACH`] goes around the range
/// of a comprehension, [`MADE`] around values that its body puts together, [`PATTERN`] and
/// [`DYNAMIC`] around patterns, and [`SEARCHED`] and [`TEXT`] around values that are gone
/// through.
pub(super) fn rewrite(expr: &mut IdedExpr) {
    rewrite_in(expr, false);
}

/// `looping` says that `expr` is evaluated once for each element of a comprehension.
fn rewrite_in(expr: &mut IdedExpr, looping: bool) {
    let mut makes = false;
    match &mut expr.expr {
        Expr::Call(call) => {
            makes = call.func_name == operators::ADD && !appends(call);
            rewrite_call(call, looping);
        }
        Expr::Comprehension(comprehension) => {
            rewrite_comprehension(comprehension, looping);
        }
        Expr::List(list) => {
            makes = true;
            list.elements.iter_mut().for_each(|element| rewrite_in(element, looping));
        }
        Expr::Map(map) => {
            makes = true;
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    rewrite_in(&mut entry.key, looping);
                    rewrite_in(&mut entry.value, looping);
                }
            }
        }
        Expr::Select(select) => rewrite_in(&mut select.operand, looping),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
    if makes && looping {
        wrap(expr, MADE);
    }
}

/// The functions and operators that go through the text that they are called with, or on.
const GO_THROUGH: &[&str] = &[
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "size",
    "string",
    "bytes",
    "int",
    "uint",
    "double",
    "bool",
    "timestamp",
    "duration",
    operators::LESS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
];

/// The step of `map` and `filter`, `@result + [element]`. The interpreter knows it by its form
/// and appends in place, so the form must stay.
fn appends(call: &CallExpr) -> bool {
    match call.args.first().map(|arg| &arg.expr) {
        Some(Expr::Ident(name)) => name.starts_with('@'),
        _ => false,
    }
}

fn rewrite_call(call: &mut CallExpr, looping: bool) {
    if let Some(target) = &mut call.target {
        rewrite_in(target, looping);
    }
    if call.func_name == operators::ADD && appends(call) {
        if let Some(IdedExpr { expr: Expr::List(list), .. }) = call.args.get_mut(1) {
            for element in &mut list.elements {
                rewrite_in(element, looping);
                if !matches!(element.expr, Expr::Literal(_)) {
                    wrap(element, MADE);
                }
            }
        }
        return;
    }
    call.args.iter_mut().for_each(|arg| rewrite_in(arg, looping));
    let scalar = |arg: &IdedExpr| matches!(arg.expr, Expr::Literal(_));
    if call.func_name == "matches"
        && let Some(pattern) = call.args.last_mut()
    {
        let function = if scalar(pattern) { PATTERN } else { DYNAMIC };
        wrap(pattern, function);
    }
    if GO_THROUGH.contains(&call.func_name.as_str())
        && let Some(text) = call.target.as_deref_mut().or(call.args.first_mut())
        && !scalar(text)
    {
        wrap(text, TEXT);
    }
    if call.func_name == operators::IN
        && let Some(container) = call.args.get_mut(1)
    {
        wrap(container, SEARCHED);
    }
    // A view compares itself with anything, so only the other side matters.
    let side = match call.func_name.as_str() {
        operators::EQUALS | operators::NOT_EQUALS => 1,
        operators::IN => 0,
        _ => return,
    };
    // No container equals a literal, so the commonest comparisons cost nothing more.
    let equality = side == 1;
    if call.args.len() == 2 && !scalar(&call.args[side]) && !(equality && scalar(&call.args[0])) {
        wrap(&mut call.args[side], WHOLE);
    }
}

fn rewrite_comprehension(comprehension: &mut ComprehensionExpr, looping: bool) {
    rewrite_in(&mut comprehension.iter_range, looping);
    wrap(&mut comprehension.iter_range, EACH);
    rewrite_in(&mut comprehension.loop_step, true);
    rewrite_in(&mut comprehension.result, looping);
}

fn wrap(expr: &mut IdedExpr, function: &str) {
    let inner = std::mem::take(expr);
    let id = inner.id;
    let args = vec![inner, IdedExpr { id, expr: Expr::Ident(METER.to_owned()) }];
    let call = CallExpr { func_name: function.to_owned(), target: None, args };
    *expr = IdedExpr { id, expr: Expr::Call(call) };
}
