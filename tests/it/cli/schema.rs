//! `petrel workflow schema`: the JSON Schema of definitions, compared with what is read.

use std::fs;

use serde_json::{Value, json};
use stormpetrel::{engine::Net, models::WorkflowDefinition};

use super::{errors, output, petrel};

async fn schema() -> Value {
    let output = output(petrel(&["workflow", "schema"])).await;
    assert!(output.status.success(), "{}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn small(transition: Value) -> Value {
    json!({
        "id": "w", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b", "kind": "terminal", "capacity": 3}],
        "transitions": [transition]
    })
}

/// What one of the two takes, the other one takes.
#[tokio::test]
async fn the_schema_takes_what_is_read_and_refuses_what_is_not() {
    let schema = schema().await;
    let validator = jsonschema::validator_for(&schema).unwrap();
    let with = |name: &str, value: Value| {
        let mut transition = json!({ "id": "t", "from_places": ["a"], "to_place": "b" });
        transition[name] = value;
        small(transition)
    };
    let deep = json!([{"and": [{"not": {"exists": "x"}}, {"less": {"path": "y", "value": 3}}]}]);
    for definition in [
        with("auto", json!(true)),
        with("priority", json!(-3)),
        with("after", json!("30s")),
        with("after", json!(30)),
        with("at", json!("timestamp(token.data.at)")),
        with("conditions", json!(["token.data.x > 1", {"equals": {"path": "a", "value": null}}])),
        with("conditions", deep),
        with("inputs", json!([{"place": "b", "weight": 2, "kind": "inhibitor"}])),
        with("outputs", json!([{"place": "b"}])),
        with("silent", json!(true)),
        json!({"id": "w", "initial_place": "a", "places": [], "max_cascade": 5,
            "final_markings": [{"a": 2}], "metadata": {"x": [1, {}]}, "name": "n",
            "description": "d"}),
        // Mistakes.
        with("auto", json!("yes")),
        with("priority", json!("high")),
        with("priority", json!(3_000_000_000_u64)),
        with("after", json!(-1)),
        with("after", json!({})),
        with("at", json!(5)),
        with("conditions", json!([7])),
        with("conditions", json!([{"odd": 1}])),
        with("inputs", json!([{"place": "b", "kind": "odd"}])),
        with("inputs", json!([{"place": "b", "weight": -1}])),
        with("outputs", json!([{"weight": 1}])),
        with("colour", json!("red")),
        with("id", json!("a.b")),
        with("id", json!("x".repeat(65))),
        json!({"id": "w", "places": []}),
        json!({"initial_place": "a", "places": []}),
        json!({"id": "w", "initial_place": "a", "places": [{"name": "no id"}]}),
        json!({"id": "w", "initial_place": "a", "places": {}, "transitions": []}),
        json!({"id": "w", "initial_place": "a", "places": [], "max_cascade": -1}),
        json!({"id": "w", "initial_place": "a", "places": [], "final_markings": [{"a": "x"}]}),
        json!({"id": "w", "initial_place": "a", "places": [], "title": "x"}),
        json!([]),
    ] {
        let read = serde_json::from_value::<WorkflowDefinition>(definition.clone());
        let found: Vec<_> =
            validator.iter_errors(&definition).map(|error| error.to_string()).collect();
        assert_eq!(read.is_ok(), found.is_empty(), "{definition}: {read:?}, {found:?}");
    }
}

/// Activities: the schema knows the numbers that are allowed, too, so it is compared with the check.
#[tokio::test]
async fn the_schema_of_activities_takes_what_is_right_and_refuses_mistakes() {
    let schema = schema().await;
    let validator = jsonschema::validator_for(&schema).unwrap();
    let text = include_str!("../../fixtures/activities/every-field.yaml");
    let every: Value = serde_saphyr::from_str(text).unwrap();
    let with = |path: &str, value: Value| {
        let mut definition = every.clone();
        let (parent, name) = path.rsplit_once('/').unwrap();
        definition.pointer_mut(parent).unwrap()[name] = value;
        definition
    };
    let of = "/transitions/1/activity";
    let paid = format!("{of}/outcomes/paid");
    let retry = format!("{of}/retry");
    let right = [
        every.clone(),
        with(&format!("{of}/timeout"), json!(30)),
        with(&format!("{of}/priority"), json!("low")),
        with("/transitions/1/activity/retry", json!({})),
        with("/defaults/retry/factor", json!(1)),
        with("/defaults", json!({})),
    ];
    let wrong = [
        with(&format!("{of}/colour"), json!("red")),
        with(&format!("{of}/queue"), json!("a.b")),
        with(&format!("{of}/kind"), json!("x".repeat(65))),
        with(&format!("{of}/input"), json!({"amount": 1})),
        with(&format!("{of}/timeout"), json!(-1)),
        with(&format!("{of}/deadline"), json!(["2h"])),
        with(&format!("{of}/priority"), json!(5)),
        with(&format!("{of}/max_parallel"), json!(1_001)),
        with(&format!("{of}/max_parallel"), json!(0)),
        with(&format!("{of}/outcomes"), json!(["paid"])),
        with(&format!("{of}/outcomes"), json!({"a.b": {"to_place": "paid"}})),
        with(&format!("{of}/on_error"), json!({"CARD": "try again"})),
        with(&format!("{of}/on_error"), json!(["CARD"])),
        with(&format!("{paid}/outputs"), json!([{"weight": 1}])),
        with(&format!("{paid}/from_places"), json!(["packed"])),
        with(&format!("{retry}/attempts"), json!(0)),
        with(&format!("{retry}/lost"), json!(1_001)),
        with(&format!("{retry}/factor"), json!("fast")),
        with(&format!("{retry}/factor"), json!(0.5)),
        with(&format!("{retry}/jitter"), json!("yes")),
        with(&format!("{retry}/except"), json!("NO_STOCK")),
        with(&format!("{retry}/except"), json!([""])),
        with("/defaults/kind", json!("pick")),
        with("/defaults/queue", json!("")),
    ];
    for (definition, is_right) in
        right.iter().map(|of| (of, true)).chain(wrong.iter().map(|of| (of, false)))
    {
        let read = serde_json::from_value::<WorkflowDefinition>(definition.clone());
        let checked = read.map_err(|error| error.to_string()).and_then(|definition| {
            Net::compile(&definition).map(|_| ()).map_err(|problems| problems.to_string())
        });
        let found: Vec<_> =
            validator.iter_errors(definition).map(|error| error.to_string()).collect();
        assert_eq!(
            (checked.is_ok(), found.is_empty()),
            (is_right, is_right),
            "{checked:?}, {found:?}"
        );
    }
    for (name, count) in [("Activity", 7), ("ActivityDefaults", 3), ("Retry", 3)] {
        let text = schema["$defs"][name].to_string();
        assert!(text.matches("\"examples\"").count() >= count, "{text}");
        assert!(!text.contains("[`"), "no links of the library's documentation: {text}");
    }
}

/// Everything that a person may write is described.
#[tokio::test]
async fn everything_in_the_schema_is_described() {
    fn bare(at: &str, of: &Value, found: &mut Vec<String>) {
        if let Some(properties) = of["properties"].as_object() {
            for (name, property) in properties {
                let at = format!("{at}.{name}");
                if property["description"].as_str().is_none_or(str::is_empty) {
                    found.push(at.clone());
                }
                bare(&at, property, found);
            }
        }
        for list in ["oneOf", "anyOf"] {
            for part in of[list].as_array().into_iter().flatten() {
                bare(at, part, found);
            }
        }
    }
    let schema = schema().await;
    let mut found = Vec::new();
    bare("", &schema, &mut found);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        bare(name, definition, &mut found);
    }
    // Each rule is an object of one name, which says what it is.
    found.retain(|at| !at.starts_with("Rule."));
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn the_samples_fit_the_schema() {
    let validator = jsonschema::validator_for(&schema().await).unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let shown = path.display().to_string();
        if !shown.ends_with(".yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let definition: Value = serde_saphyr::from_str(&text).unwrap();
        validator.validate(&definition).unwrap_or_else(|error| panic!("{shown}: {error}"));
        count += 1;
    }
    assert!(count > 0);
}
