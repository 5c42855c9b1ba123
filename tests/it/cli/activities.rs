//! Definitions with activities: what is kept of them, and what is refused and where.

use std::fs;

use serde_json::{Value, json};
use stormpetrel::{engine::Net, models::WorkflowDefinition, testing::TestServer};

use super::{errors, json, on, output, petrel, text};

const EVERY_FIELD: &str = include_str!("../../fixtures/activities/every-field.yaml");

fn every_field() -> String {
    format!("{}/tests/fixtures/activities/every-field.yaml", env!("CARGO_MANIFEST_DIR"))
}

/// The fields of an object that are left out of another one.
fn left_out<'a>(of: &'a Value, there: &Value) -> Vec<&'a String> {
    let names = of["properties"].as_object().unwrap().keys();
    names.filter(|name| there.get(name.as_str()).is_none()).collect()
}

#[tokio::test]
async fn every_field_of_an_activity_comes_back_from_the_store() {
    let written: Value = serde_saphyr::from_str(EVERY_FIELD).unwrap();
    let server = TestServer::start().await;
    text(&server, &["workflow", "apply", &every_field()]).await;
    let shown = json(&server, &["workflow", "show", "every-field"]).await;
    let shown = &shown["definition"];
    assert_eq!(shown["defaults"], written["defaults"]);
    for (number, transition) in written["transitions"].as_array().unwrap().iter().enumerate() {
        assert_eq!(&shown["transitions"][number], transition);
    }
    let read: WorkflowDefinition = serde_saphyr::from_str(EVERY_FIELD).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, again) in [
        ("a.yaml", text(&server, &["workflow", "show", "every-field"]).await),
        ("a.json", shown.to_string()),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, &again).unwrap();
        let back: WorkflowDefinition = serde_saphyr::from_str(&again).unwrap();
        assert_eq!(back, read, "{again}");
        let applied = text(&server, &["workflow", "apply", file.to_str().unwrap()]).await;
        assert!(applied.contains("unchanged v1"), "it is the same definition: {applied}");
    }

    // Nothing that can be written is missing in the file.
    let schema: Value = {
        let output = output(petrel(&["workflow", "schema"])).await;
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let of = |name: &str| &schema["$defs"][name];
    let activity = &written["transitions"][1]["activity"];
    let none: [&String; 0] = [];
    assert_eq!(left_out(of("Activity"), activity), none);
    assert_eq!(left_out(of("Retry"), &activity["retry"]), none);
    assert_eq!(left_out(of("ActivityDefaults"), &written["defaults"]), none);
    assert_eq!(left_out(of("Outcome"), &activity["outcomes"]["paid"]), ["to_place"]);
}

/// The answer of `petrel check` to a definition whose transition `t` has these fields.
async fn refusal(fields: &Value, defaults: &Value) -> String {
    let mut transition = json!({ "id": "t", "from_places": ["a"] });
    let mut definition = json!({ "id": "w", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}] });
    for (name, value) in fields.as_object().unwrap() {
        transition[name] = value.clone();
    }
    if !defaults.is_null() {
        definition["defaults"] = defaults.clone();
    }
    definition["transitions"] = json!([transition]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.json");
    fs::write(&file, serde_json::to_string_pretty(&definition).unwrap()).unwrap();
    let output = output(petrel(&["check", file.to_str().unwrap()])).await;
    assert!(!output.status.success(), "{definition} is no mistake");
    format!("{}{}", errors(&output), String::from_utf8_lossy(&output.stdout))
}

/// A file that can't be read is told with its line and column, and what does not fit with its path.
#[tokio::test]
async fn a_mistake_in_an_activity_is_told_with_where_it_is() {
    let ends = json!({ "yes": {"to_place": "b"}, "no": {"to_place": "c"} });
    let with = |field: &str, value: Value| {
        let mut activity = json!({ "outcomes": ends });
        activity[field] = value;
        json!({ "activity": activity })
    };
    let plain = |key: &str, value: Value| {
        let mut fields = json!({ "to_place": "b", "activity": {} });
        fields[key] = value;
        fields
    };
    let at = "transitions[0].activity";
    for (fields, wanted) in [
        (
            with("colour", json!("red")),
            "`colour` is unknown here; known are queue, kind".to_owned(),
        ),
        (with("queue", json!("a.b")), "queue id \"a.b\" has '.' at position 1".to_owned()),
        (with("kind", json!("charge card")), "kind id \"charge card\" has ' '".to_owned()),
        (with("timeout", json!({})), "a time such as 30s is needed here".to_owned()),
        (with("timeout", json!("soon")), format!("{at}.timeout: \"soon\" is no time")),
        (with("deadline", json!(0)), format!("{at}.deadline: must be more than nothing")),
        (with("max_parallel", json!(1_001)), format!("{at}.max_parallel: must be 1 to 1000")),
        (with("retry", json!({"factor": "fast"})), "a number is needed here".to_owned()),
        (with("retry", json!({"factor": 0.5})), format!("{at}.retry.factor: must be 1 to 100")),
        (with("retry", json!({"attempts": 1.5})), "a whole number from 0".to_owned()),
        (with("retry", json!({"attempts": 0})), format!("{at}.retry.attempts: must be 1 to")),
        (with("retry", json!({"first": "x"})), format!("{at}.retry.first: \"x\" is no time")),
        (with("retry", json!({"except": [""]})), format!("{at}.retry.except[0]: a code has")),
        (with("input", json!("token.data.")), format!("{at}.input: ")),
        (with("input", json!("tokn.data")), format!("{at}.input: ")),
        (with("priority", json!("urgent")), format!("{at}.priority: ")),
        (with("outcomes", json!({"a.b": {}})), "outcome id \"a.b\" has '.'".to_owned()),
        (with("outcomes", json!({"yes": {}})), format!("{at}.outcomes.yes: no way out")),
        (
            with("outcomes", json!({"yes": {"to_place": "nowhere"}})),
            format!("{at}.outcomes.yes.to_place: place nowhere is not among"),
        ),
        (
            with("outcomes", json!({"yes": {"outputs": [{"place": "x"}]}})),
            format!("{at}.outcomes.yes.outputs[0].place: place x is not"),
        ),
        (
            with("outcomes", json!({"yes": {"to_place": "b", "output": "reslt"}})),
            format!("{at}.outcomes.yes.output: "),
        ),
        (
            with("on_error", json!({"CARD": "mabye"})),
            format!("{at}.on_error.CARD: mabye is no outcome of this activity; it has no, yes"),
        ),
        (
            plain("activity", json!({"on_error": {"CARD": "no"}})),
            format!("{at}.on_error.CARD: no is no outcome of this activity: it has none"),
        ),
        (with("on_error", json!({"": "no"})), format!("{at}.on_error.: a code has")),
        (
            plain("activity", json!({ "outcomes": ends })),
            format!("{at}.outcomes: has outcomes, and these have outputs of their own"),
        ),
        (json!({"activity": {}}), "transitions[0]: no way out".to_owned()),
        (plain("auto", json!(true)), format!("{at}: is done by a worker")),
        (plain("after", json!("1h")), format!("{at}: is done by a worker")),
        (plain("at", json!("timestamp(token.data.x)")), format!("{at}: is done by a worker")),
    ] {
        let said = refusal(&fields, &Value::Null).await;
        assert!(said.contains(&wanted), "{wanted} is not in {said}");
        assert!(wanted.starts_with("transitions") || said.contains("line "), "{said}");
    }
    for (defaults, wanted) in [
        (json!({"kind": "x"}), "`kind` is unknown here; known are queue, timeout"),
        (json!({"queue": ""}), "queue id \"\" is empty"),
        (json!({"timeout": "x"}), "defaults.timeout: \"x\" is no time"),
        (json!({"deadline": "0s"}), "defaults.deadline: must be more than nothing"),
        (json!({"retry": {"lost": 0}}), "defaults.retry.lost: must be 1 to"),
        (json!({"max_parallel": 0}), "defaults.max_parallel: must be 1 to"),
    ] {
        let said = refusal(&plain("silent", json!(true)), &defaults).await;
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
}

#[test]
fn the_definitions_of_the_documentation_are_definitions() {
    let document = include_str!("../../../docs/workers.md");
    let blocks: Vec<_> = document.split("```yaml\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let text = block.split("```").next().unwrap();
        let read = serde_saphyr::from_str::<WorkflowDefinition>(text);
        let definition = read.unwrap_or_else(|error| panic!("{error} in {text}"));
        Net::compile(&definition).unwrap_or_else(|problems| panic!("{problems} in {text}"));
    }
}

#[tokio::test]
async fn the_sample_with_activities_is_sound() {
    let sample = format!("{}/samples/parcel.yaml", env!("CARGO_MANIFEST_DIR"));
    let output = output(petrel(&["check", &sample])).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("sound, by"), "{said}{}", errors(&output));
    let server = TestServer::start().await;
    let applied = on(&server, &["workflow", "apply", &sample]).await;
    assert!(applied.status.success(), "{}", errors(&applied));
}
