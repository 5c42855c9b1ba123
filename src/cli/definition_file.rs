//! Definitions as files: YAML or JSON, told apart by their contents.

use std::{fs, io, path::PathBuf};

use serde::de::IgnoredAny;
use serde_json::Value;
use serde_saphyr::options::{DuplicateKeyPolicy, Options};

use crate::{
    cli::{failure::Failure, wording},
    models::{MAX_NESTING, Unambiguous, WorkflowDefinition, unambiguous},
};

/// The order-approval workflow that a new installation starts with.
pub(super) const SAMPLE: &str = include_str!("../../samples/order-approval.yaml");

/// A sample that runs by itself.
pub(super) const RUNNING_SAMPLE: &str = include_str!("../../samples/order.yaml");

/// The most levels of a definition around a rule or metadata, and some to spare for the check that
/// names what is too deep.
const FRAME: usize = 16;

/// The most values that all aliases of a file stand for.
const MOST_REPEATED: usize = 100_000;

/// Reads and parses a file; `-` is the standard input.
pub(super) fn read(path: &PathBuf) -> Result<WorkflowDefinition, Failure> {
    let (name, text) = if path.as_os_str() == "-" {
        ("standard input".to_owned(), io::read_to_string(io::stdin()))
    } else {
        (path.display().to_string(), fs::read_to_string(path))
    };
    let text = text.map_err(|error| Failure::usage(format!("can't read {name}: {error}")))?;
    parse(&text).map_err(|reason| Failure::invalid(format!("{name}: {reason}")))
}

/// The definition in `text`, or its fault with the place.
pub(super) fn parse(text: &str) -> Result<WorkflowDefinition, String> {
    if text.trim().is_empty() {
        return Err("is empty; write a workflow definition in YAML or JSON".to_owned());
    }
    let looks_like_json = text.trim_start().starts_with('{');
    if !looks_like_json {
        return from_yaml(text);
    }
    // YAML has maps in braces too. What neither language reads was meant as JSON.
    let from_json = serde_json::from_str(text).and_then(|definition| {
        unambiguous(text.as_bytes())?;
        Ok(definition)
    });
    // YAML takes a text in quotes for a number, and would pass over what is wrong in JSON.
    let is_json = || serde_json::from_str::<IgnoredAny>(text).is_ok();
    from_json.or_else(|error| match is_json() {
        true => Err(wording::of_json(&error)),
        false => from_yaml(text).map_err(|fault| {
            let is_yaml = || serde_saphyr::from_str_with_options::<Value>(text, lenient()).is_ok();
            if error.is_syntax() && is_yaml() { fault } else { wording::of_json(&error) }
        }),
    })
}

fn from_yaml(text: &str) -> Result<WorkflowDefinition, String> {
    // YAML tells 1 and true from "1" and "true", and JSON does not.
    let read = serde_saphyr::from_str_with_options::<Unambiguous>(text, lenient());
    let definition = serde_saphyr::from_str_with_options(text, options());
    match (read, definition) {
        (Ok(_), definition) => definition,
        // Of the outermost object only the other knows the line.
        (Err(fault), Err(located)) if fault.location().is_none() => Err(located),
        (Err(fault), _) => Err(fault),
    }
    .map_err(|error| wording::of_yaml(&error))
}

fn options() -> Options {
    serde_saphyr::options! {
        // The message says line and column; the lines around them would only say it twice.
        with_snippet: false,
        // What is refused for its depth is refused by the check of definitions, in all forms.
        budget: serde_saphyr::budget! {
            max_depth: MAX_NESTING + FRAME,
            // Any number of aliases may stand for the same; the next limit is of what they stand
            // for in all.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_REPEATED },
    }
}

/// Options that leave it to the visitor to look at names.
fn lenient() -> Options {
    let mut options = options();
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    options
}

/// A definition as YAML that [`parse`] reads back.
pub(super) fn to_yaml(definition: &WorkflowDefinition) -> Result<String, Failure> {
    serde_saphyr::to_string(definition)
        .map_err(|error| Failure::internal(format!("can't write the definition as YAML: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{ArcKind, Guard, PlaceKind, Rule};

    #[test]
    fn the_sample_is_a_definition_with_every_guard_form() {
        let sample = parse(SAMPLE).unwrap();
        assert_eq!(sample.id.as_str(), "order-approval");
        assert_eq!(sample.initial_place.as_str(), "draft");
        let find = |id: &str| sample.transitions.iter().find(|t| t.id.as_str() == id).unwrap();
        assert!(matches!(&find("submit").conditions[..], [Guard::Cel(_)]));
        assert!(matches!(&find("approve").conditions[..], [Guard::Rule(Rule::Less { .. })]));
        assert_eq!(find("approve").from_places.len(), 2);
        assert_eq!(find("reject").inputs[1].kind, ArcKind::Reset);
        let terminal = sample.places.iter().filter(|place| place.kind == PlaceKind::Terminal);
        assert_eq!(terminal.count(), 2);
    }

    #[test]
    fn a_definition_comes_back_from_yaml_and_json_as_it_was() {
        let mut definition = parse(SAMPLE).unwrap();
        let path = || "amount".to_owned();
        let rules = vec![
            Rule::Exists("token.data.customer".to_owned()),
            Rule::Not(Box::new(Rule::Equals { path: path(), value: serde_json::Value::Null })),
            Rule::Or(vec![
                Rule::Greater { path: path(), value: 1.5.into() },
                Rule::Contains { path: "tags".to_owned(), value: "yes".into() },
            ]),
        ];
        definition.transitions[0].conditions =
            vec![Guard::Cel("true".to_owned()), Guard::Rule(Rule::And(rules))];
        definition.transitions[0].description = Some("two\nlines: with a colon # and".to_owned());
        definition.name = "123".to_owned();
        definition
            .metadata
            .insert("owner".to_owned(), serde_json::json!({"on": "no", "n": [1, {}]}));

        let yaml = to_yaml(&definition).unwrap();
        assert_eq!(parse(&yaml).unwrap(), definition, "{yaml}");
        let json = serde_json::to_string_pretty(&definition).unwrap();
        assert_eq!(parse(&json).unwrap(), definition);
    }

    #[test]
    fn a_mistake_in_yaml_is_reported_with_its_line_and_column() {
        let text = "id: orders\ninitial_place: a\nplaces:\n  - id: a.b\n";
        let error = parse(text).unwrap_err();
        assert!(error.contains("line 4, column 9"), "{error}");
        assert!(error.contains("'.' at position 1"), "{error}");

        let error = parse("id: orders\ninitial_plase: a\nplaces: []\n").unwrap_err();
        assert!(error.contains("line 2, column 1") && error.contains("initial_plase"), "{error}");
    }

    #[test]
    fn a_mistake_in_json_is_reported_with_its_line_and_column() {
        let error = parse("{\n  \"id\": \"orders\",\n  \"places\": 7\n}").unwrap_err();
        assert!(error.contains("line 3 column 13"), "{error}");
    }

    #[test]
    fn yaml_in_braces_is_read_as_yaml() {
        let definition = parse("{id: a, initial_place: p, places: [{id: p}]}").unwrap();
        assert_eq!(definition.places.len(), 1);
    }

    /// The refusal of a small definition with these lines at its end.
    fn refusal(lines: &str) -> String {
        let text = format!("id: a\ninitial_place: p\nplaces: [{{id: p}}, {{id: q}}]\n{lines}\n");
        parse(&text).map_or_else(|error| error, |read| format!("{read:?}"))
    }

    #[test]
    fn names_that_are_the_same_in_json_are_refused_with_the_path() {
        for (lines, name, path) in [
            ("metadata: {1: x, \"1\": y}", "1", "metadata.1"),
            ("metadata: {\"1\": x, 1: y}", "1", "metadata.1"),
            ("metadata: {1.0: x, '1.0': y}", "1.0", "metadata.1.0"),
            ("metadata: {a: [{true: x, 'true': y}]}", "true", "metadata.a[0].true"),
            ("metadata: {a: 1, a: 2}", "a", "metadata.a"),
            ("metadata: {a: 1, 'a': 1}", "a", "metadata.a"),
            ("metadata: {a: 1, !!str a: 1}", "a", "metadata.a"),
            ("metadata: {a: &x {1: b}, c: {<<: *x, '1': d}}", "1", "metadata.c.1"),
            ("id: b", "id", ""),
            ("transitions: [{id: t, id: u}]", "id", "transitions[0].id"),
            (
                "transitions: [{id: t, conditions: [{equals: {path: a, value: {1: x, '1': y}}}]}]",
                "1",
                "transitions[0].conditions[0].equals.value.1",
            ),
        ] {
            let said = refusal(lines);
            let wanted = format!("an object has {name:?} twice: {path}");
            assert!(said.contains(wanted.trim_end_matches(": ")), "{said}");
            assert!(said.contains("line 4, column"), "{said}");
        }
        let flow = "{id: a, initial_place: p, places: [{id: p}], metadata: {1: x, '1': y}}";
        let said = parse(flow).unwrap_err();
        assert!(said.contains("an object has \"1\" twice: metadata.1"), "{said}");
        let json = r#"{"id": "a", "initial_place": "p", "places": [{"id": "p", "id": "q"}]}"#;
        let said = parse(json).unwrap_err();
        assert!(said.contains("an object has \"id\" twice"), "{said}");
    }

    #[test]
    fn a_fault_is_told_in_our_words_with_its_place() {
        let mut others = Vec::new();
        let deep = format!("metadata: {{a: {}}}", "[".repeat(200) + &"]".repeat(200));
        let bomb: String = (1..9)
            .map(|n| format!("  l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 10].join(",")))
            .collect();
        let bomb = format!("metadata:\n  l0: &l0 [x,x,x,x,x,x,x,x,x,x]\n{bomb}");
        for (lines, words) in [
            ("transitions: 7", "a list is needed here"),
            ("transitions: {a: b}", "a list is needed here"),
            ("name: [a]", "a text is needed here"),
            ("name: null", "a text is needed here, not null"),
            ("transitions: [7]", "an object is needed here"),
            ("transitions: [{id: t, silent: maybe}]", "true or false is needed here"),
            ("final_markings: [{p: many}]", "a whole number from 0 is needed here"),
            ("final_markings: [{p: -1}]", "a whole number from 0 is needed here"),
            ("transitions: [{id: t, priority: high}]", "a whole number is needed here"),
            ("transitions: [{id: t, priority: 3000000000}]", "a whole number"),
            ("transitions: [{id: t, colour: red}]", "`colour` is unknown here; known are id"),
            ("transitions: [{name: t}]", "`id` is missing"),
            (
                "transitions: [{id: t, inputs: [{place: p, kind: odd}]}]",
                "`odd` is unknown here; known are",
            ),
            ("transitions: [{id: t, conditions: [7]}]", "a condition is needed here"),
            ("transitions: [{id: t, conditions: [{odd: 1}]}]", "a condition is needed here"),
            ("metadata: {[1, 2]: x}", "a text is needed here"),
            ("metadata: {null: x, 'null': y}", "a text is needed here, not null"),
            ("metadata: {a: .nan}", "JSON has no number"),
            ("metadata: {a: *x}", "an alias (`*…`) stands for nothing"),
            ("metadata: &m {a: *m}", "an alias (`*…`) stands for"),
            ("metadata: {a: {<<: 7}}", "`<<` takes an object"),
            ("---\nid: b", "one definition a file"),
            (&deep, "nests too many levels"),
            (&bomb, "aliases (`*…`) stand for too much"),
        ] {
            let said = refusal(lines);
            if !said.contains(words) || !said.contains("line ") || has_foreign_words(&said) {
                others.push(format!("{lines:.60}: {said:.200}"));
            }
        }
        for (text, words) in [
            ("- a\n", "an object is needed here"),
            ("hello\n", "an object is needed here"),
            ("{\"id\": \"a\", \"places\": 7}", "a list is needed here, not `7`"),
            ("{\"id\": \"a\", \"places\": [{}]}", "`id` is missing"),
            ("{\"id\": \"a\", \"max_cascade\": \"5\"}", "a whole number from 0 is needed here"),
            ("{\"transitions\": [{\"id\": \"a\", \"auto\": \"yes\"}]}", "true or false is needed"),
            (
                "{\"transitions\": [{\"id\": \"a\", \"priority\": \"3\"}]}",
                "a whole number is needed",
            ),
            ("{\"id\": \"a\", \"colour\": []}", "`colour` is unknown here; known are id, name"),
        ] {
            let said = parse(text).unwrap_err();
            if !said.contains(words) || !said.contains("line ") || has_foreign_words(&said) {
                others.push(format!("{text}: {said}"));
            }
        }
        assert_eq!(others, Vec::<String>::new(), "{}", others.join("\n"));
    }

    fn has_foreign_words(said: &str) -> bool {
        let foreign = [
            "invalid type",
            "expected",
            "struct",
            "enum",
            "duplicate",
            "Option",
            "olicy",
            "serde",
            "breach",
            "field",
            "variant",
            "deserialize",
            "mapping",
            "sequence",
            "replay",
            "scalar",
        ];
        foreign.into_iter().any(|word| said.contains(word))
    }

    #[test]
    fn aliases_and_merged_objects_are_read_as_what_they_stand_for() {
        let read = parse(
            "id: a\ninitial_place: p\nplaces: [&x {id: p}, {<<: *x, id: q}]\n\
             metadata: {l: &l [1, 2], m: *l, n: &n {a: 1, b: 2}, o: {<<: *n, a: 3}}\n",
        )
        .unwrap();
        assert_eq!(read.places.len(), 2);
        let wanted = serde_json::json!({"l": [1, 2], "m": [1, 2], "n": {"a": 1, "b": 2}, "o": {"a": 3, "b": 2}});
        assert_eq!(serde_json::Value::Object(read.metadata), wanted);
        let many = format!(
            "id: a\ninitial_place: p\nplaces: [{{id: p}}]\nmetadata: {{x: &x [1], y: [{}]}}",
            vec!["*x"; 1_000].join(", ")
        );
        parse(&many).unwrap();
    }

    #[test]
    fn metadata_as_deep_as_it_may_be_is_read_from_yaml_too() {
        let mut definition = parse(SAMPLE).unwrap();
        let deep =
            (1..MAX_NESTING - 1).fold(serde_json::json!(1), |deep, _| serde_json::json!([deep]));
        definition.metadata.insert("deep".to_owned(), deep);
        assert_eq!(parse(&to_yaml(&definition).unwrap()).unwrap(), definition);
    }

    #[test]
    fn an_empty_file_says_what_to_write() {
        assert!(parse(" \n").unwrap_err().contains("YAML or JSON"));
    }
}
