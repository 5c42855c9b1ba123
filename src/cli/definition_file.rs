//! Definitions as files: YAML or JSON, told apart by their contents.

use std::{fs, io, path::PathBuf};

use crate::{
    cli::failure::Failure,
    models::{WorkflowDefinition, unambiguous},
};

/// The order-approval workflow that a new installation starts with.
pub(super) const SAMPLE: &str = include_str!("../../samples/order-approval.yaml");

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
    // The message says line and column; the lines around them would only say it twice.
    let options = serde_saphyr::options! { with_snippet: false };
    let from_yaml =
        || serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string());
    if !looks_like_json {
        return from_yaml();
    }
    // YAML has maps in braces too. If neither language reads it, it was meant as JSON.
    let from_json = serde_json::from_str(text).and_then(|definition| {
        unambiguous(text.as_bytes())?;
        Ok(definition)
    });
    from_json.or_else(|error| from_yaml().map_err(|_| error.to_string()))
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

    #[test]
    fn an_empty_file_says_what_to_write() {
        assert!(parse(" \n").unwrap_err().contains("YAML or JSON"));
    }
}
