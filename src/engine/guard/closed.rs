//! Parts of an expression that name no variable, so that they have the same value each time.

use cel::{
    IdedExpr,
    common::ast::{EntryExpr, Expr},
};

use super::{
    environment::{DYNAMIC, EACH, ENVIRONMENT, MADE, PATTERN, SEARCHED, TEXT, WHOLE},
    scope::METER,
};

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
