//! Results of expressions that are never what is wanted of them.

use cel::{
    IdedExpr,
    common::{
        ast::{EntryExpr, Expr, MapExpr, operators},
        types::CelString,
    },
};

use super::{
    futile::Look,
    kinds::{Kinds, unwrapped},
    value::{map_to_json, to_json, with_article},
};

/// The result that an expression is to have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// True or false.
    Verdict,
    /// A map that is a JSON object.
    Object,
    /// A value that JSON can hold.
    Json,
    /// A value of a kind.
    Kind(Kinds),
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

    /// Notes what is never of a kind.
    pub(super) fn kind(&mut self, expr: &'e IdedExpr, wanted: Kinds) {
        if let Some((yes, no)) = branches(expr) {
            self.kind(yes, wanted);
            self.kind(no, wanted);
            return;
        }
        let kinds = self.kinds(expr);
        if !kinds.meets(wanted) {
            self.add(format!("gives {kinds}, never {wanted}"));
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
            (Some(problem), _) => {
                problem.into_iter().for_each(|problem| self.add(problem.to_string()))
            }
            (None, Expr::Map(map)) => self.entries(map),
            (None, _) => {}
        }
    }

    /// Notes what JSON never holds.
    pub(super) fn json(&mut self, expr: &'e IdedExpr) {
        if let Some((yes, no)) = branches(expr) {
            self.json(yes);
            self.json(no);
            return;
        }
        let problem = self.fixed(expr, |value| to_json(value.ok()?.as_ref()).err());
        match (problem, &unwrapped(expr).expr) {
            (Some(problem), _) => {
                problem.into_iter().for_each(|problem| self.add(problem.to_string()))
            }
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

#[cfg(test)]
mod tests {
    use super::super::{Guards, OutputExpression};
    use crate::engine::Budget;
    use crate::models::{Guard, Problems};

    fn of_guard(source: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let guards = Guards::compile(&[Guard::Cel(source.to_owned())], "c", &mut problems);
        guards.refuse_futile("c", &Budget::default(), &mut problems);
        problems.0.iter().map(ToString::to_string).collect()
    }

    fn of_output(source: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let output = OutputExpression::compile(source, "o", &mut problems);
        output
            .iter()
            .for_each(|output| output.refuse_futile("o", &Budget::default(), &mut problems));
        problems.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_map_that_has_a_key_twice_is_a_problem_wherever_it_is() {
        for source in [
            "{'a': 1, 'a': 2}",
            "{'a': token.data.x, 'b': 1, 'a': now}",
            "{'x': [{'a': token.data.x, \"a\": 1}]}",
            "{'x': token.data.l.map(e, {'a': e, 'a': 1})}",
            "token.data.ok ? {'x': 1} : {'a': token.data.x, 'a': 1}",
            "{'x': token.data.ok && {'a': token.id, 'a': 1}.b}",
            "{'ab': token.data.x, 'a' + 'b': 1}",
        ] {
            let found = of_output(source);
            assert_eq!(found.len(), 1, "{source}: {found:?}");
            assert!(found[0].contains("twice"), "{source}: {found:?}");
        }
        assert_eq!(
            of_guard("{'a': 1, 'a': token.data.x}.a == 1"),
            ["c[0]: a map has the key \"a\" twice"]
        );
        assert_eq!(of_guard("1 in {1: token, 1u: 2}"), ["c[0]: a map has the key 1u twice"]);
    }

    #[test]
    fn what_fails_for_every_token_is_a_problem() {
        let mut others = Vec::new();
        for (source, words) in [
            ("1 / 0 > token.data.x", "division by zero"),
            ("token.data.x / 0 > 1", "division by zero"),
            ("token.data.x % 0 == 1", "division by zero"),
            ("9223372036854775807 + 1 > token.data.x", "range"),
            ("token.data.x > int('x')", "`int` fails"),
            ("timestamp('tomorrow') < now", "`timestamp` fails"),
            ("token.created_at + duration('soon') < now", "`duration` fails"),
            ("token.id.matches('[' + 'a')", "no regular expression"),
            ("token.data.x == 'a' + 1", "add"),
            ("token.data.x + null > 1", "`+` can't be applied to (anything, null)"),
            ("now > 5", "`>` can't be applied to (timestamp, int)"),
            ("tokens > token.data.x", "`>`"),
            ("token.data.x in 'abc'", "`in` can't be applied to (anything, string)"),
            ("size(1) > 0 || token.data.ok", "size"),
            ("tokens.data.x == 1", "list has no field `data`"),
            ("tokens['a'].data == 1", "`[_]`"),
            ("now.all(t, true)", "timestamp has no elements"),
            ("!token || true", "`!` can't be applied to (map)"),
            ("token.data.ok && 'yes'", "`&&` needs true or false, not string"),
            ("'yes' ? token.data.a : token.data.b", "`?:` needs true or false"),
            ("tokens.all(t, 'x')", "`&&` needs true or false"),
            ("'text'", "gives string, never true or false"),
            ("token", "gives map, never true or false"),
            ("size(tokens)", "gives int, never true or false"),
            ("token.data.x + 1", "never true or false"),
            ("tokens.map(t, t.data)", "gives list, never"),
            ("token.data.ok ? 1 : true", "gives int, never"),
        ] {
            let found = of_guard(source);
            if found.len() != 1 || !found[0].contains(words) {
                others.push(format!("{source}: {found:?}"));
            }
        }
        assert_eq!(others, Vec::<String>::new());
    }

    #[test]
    fn an_output_that_is_never_a_json_object_is_a_problem() {
        for (source, words) in [
            ("1 + 1", "gives int, never a map"),
            ("[token.data]", "gives list, never a map"),
            ("token.data.ok ? token.data : 'none'", "gives string, never a map"),
            ("{1: token.data}", "a key is an int, not text"),
            ("{now: token.data}", "key"),
            ("{'a': b'x', 'b': token}", "JSON can't hold a bytes"),
            ("{'a': [type(token)]}", "JSON can't hold type"),
            ("{'a': token.data.?x}", "JSON can't hold optional"),
            ("{'a': 1.0 / 0.0, 'b': token.id}", "JSON has no number inf"),
            ("{'a': {'b': {2: token.id}}}", "a key is an int"),
        ] {
            let found = of_output(source);
            assert_eq!(found.len(), 1, "{source}: {found:?}");
            assert!(found[0].contains(words), "{source}: {found:?}");
        }
    }

    #[test]
    fn what_may_succeed_is_no_problem() {
        for source in [
            "true",
            "false",
            "1 == 2",
            "token.data.x",
            "token.data.x / 2 > 1.5",
            "token.data.a + token.data.b == 'ab' || has(token.data.c)",
            "tokens.all(int, int.data.ok)",
            "tokens.exists(t, t.data.l.filter(i, i > 0).size() > 1)",
            "tokens.exists_one(t, t.data.a == [1, 2][0])",
            "tokens.map(t, t.data.n > 1, t.data.n)[0] in [1, 2, 3]",
            "{'a': token.data.x}.a == 1 && {1: 'x'}[1] == 'x'",
            "now - token.created_at > duration('1h')",
            "now.getHours('Europe/Zurich') < 12",
            "token.data.?x.orValue(1) > 0 && token.data[?'y'].hasValue()",
            "optional.of(token.data.x).value() == 1 || optional.none().hasValue()",
            "timestamp(token.data.at) < now && timestamp(token.data.n) < now",
            "string(token.data.x).matches('^[a-z]+$') && token.id.matches(token.data.pattern)",
            "type(token.data.x) == int ? token.data.x > 1 : token.data.x == 'one'",
            "size(token.data.x) > 0 && 'a' in token.data && token.data.x in tokens[0].data",
            "-token.data.x < 1 && !token.data.ok && bool(token.data.s)",
            "case.marking.received >= 1 && 'x' in case.marking && case.status == 'running'",
            "dyn(token.data.x) == 1 && bytes(token.id) != b'x' && uint(token.data.x) > 1u",
            "token.data.l[token.data.i] == tokens[size(tokens) - 1].data.x",
            "{'a': 1, ?'a': token.data.?x}.a == 1",
            "[1, 2].map(x, {'k': x, string(x): token.id}).size() == 2",
        ] {
            assert_eq!(of_guard(source), Vec::<String>::new(), "{source}");
        }
        for source in [
            "token.data",
            "token",
            "{}",
            "data",
            "{'a': now, 'b': now - token.created_at, 'c': null, ?'d': token.data.?x}",
            "token.data.ok ? {'a': token.data.x} : {}",
            "{'a': [token.data, ?token.data.?x], token.id: 1}",
            "token.data.l.map(e, {'x': e})[0]",
            "optional.of(token.data).value()",
            "token.data.?x.orValue({'a': 1})",
        ] {
            assert_eq!(of_output(source), Vec::<String>::new(), "{source}");
        }
    }

    #[test]
    fn looking_at_a_costly_expression_takes_no_longer_than_it_may() {
        let nested = format!("{}true{}", "[1,2,3,4,5,6,7,8].all(x, ".repeat(20), ")".repeat(20));
        let sum = "token.data.x + ".repeat(120) + "1 > 0";
        let patterns = vec!["token.id.matches('a' + 'b')"; 100].join(" || ");
        for source in [nested, sum, patterns] {
            let begun = std::time::Instant::now();
            assert_eq!(of_guard(&source), Vec::<String>::new());
            assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
        }
    }
}
