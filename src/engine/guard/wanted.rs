//! Results of expressions that are never what is wanted of them.

use cel::{
    IdedExpr,
    common::{
        ast::{EntryExpr, Expr, MapExpr, operators},
        types::CelString,
    },
};

use super::{
    closed::unwrapped,
    futile::Look,
    kinds::Kinds,
    value::{map_to_json, to_json, with_article},
};

/// The result that an expression is to have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// True or false.
    Verdict,
    /// A map that is a JSON object.
    Object,
}

impl<'e> Look<'e> {
    /// Notes what is never true or false.
    pub(super) fn verdict(&mut self, expr: &'e IdedExpr) {
        if let Some((yes, no)) = branches(expr) {
            self.verdict(yes);
            self.verdict(no);
            return;
        }
        let kinds = self.kinds(expr);
        if !kinds.meets(Kinds::BOOL) {
            self.add(format!("gives {kinds}, never true or false"));
        }
    }

    /// Notes what is never a map that is a JSON object.
    pub(super) fn object(&mut self, expr: &'e IdedExpr) {
        if let Some((yes, no)) = branches(expr) {
            self.object(yes);
            self.object(no);
            return;
        }
        let kinds = self.kinds(expr);
        if !kinds.meets(Kinds::MAP) {
            return self.add(format!("gives {kinds}, never a map"));
        }
        let problem = self.fixed(expr, |value| map_to_json(value.ok()?.as_ref()).err());
        match (problem, &expr.expr) {
            (Some(problem), _) => problem.into_iter().for_each(|problem| self.add(problem)),
            (None, Expr::Map(map)) => self.entries(map),
            (None, _) => {}
        }
    }

    /// Notes what JSON never holds.
    fn json(&mut self, expr: &'e IdedExpr) {
        if let Some((yes, no)) = branches(expr) {
            self.json(yes);
            self.json(no);
            return;
        }
        let problem = self.fixed(expr, |value| to_json(value.ok()?.as_ref()).err());
        match (problem, &unwrapped(expr).expr) {
            (Some(problem), _) => problem.into_iter().for_each(|problem| self.add(problem)),
            (None, Expr::Map(map)) => self.entries(map),
            (None, Expr::List(list)) => {
                for (index, element) in list.elements.iter().enumerate() {
                    if !list.optional_indices.contains(&index) {
                        self.json(element);
                    }
                }
            }
            (None, _) => {
                let kinds = self.kinds(expr);
                let none = Kinds::BYTES.or(Kinds::TYPE).or(Kinds::OPTIONAL);
                if none.or(kinds) == none {
                    self.add(format!("JSON can't hold {kinds}"));
                }
            }
        }
    }

    fn entries(&mut self, map: &'e MapExpr) {
        for entry in &map.entries {
            let EntryExpr::MapEntry(of) = &entry.expr else { continue };
            let not_text = self.fixed(&of.key, |key| {
                let key = key.ok()?;
                let is_text = key.downcast_ref::<CelString>().is_some();
                (!is_text).then(|| with_article(key.as_ref()))
            });
            let kinds = self.kinds(&of.key);
            if let Some(Some(kind)) = not_text {
                self.add(format!("a key is {kind}, not text"));
            } else if !kinds.meets(Kinds::TEXT) {
                self.add(format!("a key is {kinds}, never text"));
            }
            if !of.optional {
                self.json(&of.value);
            }
        }
    }
}

/// The branches of `expr`, if it is a conditional.
fn branches(expr: &IdedExpr) -> Option<(&IdedExpr, &IdedExpr)> {
    match &unwrapped(expr).expr {
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => match &call.args[..] {
            [_, yes, no] => Some((yes, no)),
            _ => None,
        },
        _ => None,
    }
}
