//! Definitions with activities, as clients write and read them.

use serde_json::{Map, Value, json};

use super::Served;

const EVERY_FIELD: &str = include_str!("../../fixtures/activities/every-field.yaml");

const CREATE: &str = "mutation($input: CreateWorkflowInput!) { createWorkflow(input: $input) {
    definition
    defaults { queue timeout deadline maxParallel
        retry { attempts first factor longest jitter lost except } }
    transitions { transitionId activity { queue kind input timeout deadline priority maxParallel
        retry { attempts first factor longest jitter lost except }
        outcomes { id toPlace output outputs { place weight } } onError { code outcome } } }
} }";

/// A definition as the input of its creation: names in camel case, and lists of entries for maps.
fn input(value: &Value) -> Value {
    let entries = |of: &Value, entry: &dyn Fn(&String, &Value) -> Value| {
        let of = of.as_object().unwrap();
        Value::from(of.iter().map(|(name, value)| entry(name, value)).collect::<Vec<_>>())
    };
    match value {
        Value::Array(list) => list.iter().map(input).collect(),
        Value::Object(object) => {
            let field = |(name, value): (&String, &Value)| match name.as_str() {
                "outcomes" => {
                    let outcome = |id: &String, of: &Value| {
                        let mut of = input(of);
                        of["id"] = json!(id);
                        of
                    };
                    (name.clone(), entries(value, &outcome))
                }
                "on_error" => {
                    let of = |code: &String, of: &Value| json!({ "code": code, "outcome": of });
                    ("onError".to_owned(), entries(value, &of))
                }
                "kind" if value == "terminal" => (name.clone(), json!("TERMINAL")),
                name => {
                    let mut words = name.split('_');
                    let mut spelled = words.next().unwrap().to_owned();
                    for word in words {
                        spelled.push_str(&word[..1].to_uppercase());
                        spelled.push_str(&word[1..]);
                    }
                    (spelled, input(value))
                }
            };
            Value::Object(object.iter().map(field).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

#[tokio::test]
async fn a_definition_with_every_field_of_an_activity_is_read_as_it_was_written() {
    let served = Served::start().await;
    let written: Value = serde_saphyr::from_str(EVERY_FIELD).unwrap();
    let made = served.data(CREATE, json!({ "input": input(&written) })).await;
    let made = &made["createWorkflow"];
    let stored = &made["definition"];
    assert_eq!(stored["defaults"], written["defaults"]);
    for (number, transition) in written["transitions"].as_array().unwrap().iter().enumerate() {
        assert_eq!(&stored["transitions"][number], transition);
    }
    let without_nulls = |of: &Value| {
        let mut of = of.clone();
        strip(&mut of);
        of
    };
    assert_eq!(without_nulls(&made["defaults"]), input(&written["defaults"]));
    let mut activity = input(&written["transitions"][1]["activity"]);
    activity["outcomes"].as_array_mut().unwrap().iter_mut().for_each(|outcome| {
        outcome["outputs"][0]["weight"] = json!(1);
    });
    assert_eq!(without_nulls(&made["transitions"][1]["activity"]), activity);
    let none = json!({ "outcomes": [], "onError": [] });
    assert_eq!(without_nulls(&made["transitions"][0]["activity"]), none);
    assert_eq!(made["transitions"][2]["activity"], Value::Null);
    served.stop().await;
}

fn strip(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(strip),
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(strip);
        }
        _ => {}
    }
}

#[tokio::test]
async fn the_faults_of_activities_come_at_once_with_their_paths() {
    let served = Served::start().await;
    let input = json!({ "id": "w", "name": "W", "initialPlace": "a",
        "places": [{ "id": "a" }, { "id": "b" }],
        "defaults": { "queue": "a b", "timeout": "soon", "maxParallel": 0, "retry": { "lost": 0 } },
        "transitions": [
            { "id": "t", "fromPlaces": ["a"], "activity": {
                "queue": "x.y", "kind": "", "deadline": "0s", "maxParallel": 1_001,
                "retry": { "factor": 0.5 },
                "outcomes": [
                    { "id": "not_ok", "toPlace": "no_where" },
                    { "id": "not_ok", "toPlace": "b" },
                    { "id": "a b", "outputs": [{ "place": "x y" }] },
                ],
                "onError": [
                    { "code": "NO_STOCK", "outcome": "maybe" },
                    { "code": "NO_STOCK", "outcome": "not_ok" },
                    { "code": "B", "outcome": "x y" },
                ] } },
            { "id": "u", "fromPlaces": ["b"], "toPlace": "a", "auto": true, "activity": {} },
        ] });
    let error = served.error(CREATE, json!({ "input": input })).await;
    assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT", "{error}");
    let problems = error["extensions"]["problems"].as_array().unwrap();
    let paths: Vec<_> = problems.iter().map(|problem| problem["path"].as_str().unwrap()).collect();
    let of = "transitions[0].activity";
    for expected in [
        "defaults.queue",
        "defaults.timeout",
        "defaults.maxParallel",
        "defaults.retry.lost",
        &format!("{of}.queue"),
        &format!("{of}.kind"),
        &format!("{of}.deadline"),
        &format!("{of}.maxParallel"),
        &format!("{of}.retry.factor"),
        &format!("{of}.outcomes.not_ok.toPlace"),
        &format!("{of}.outcomes[1].id"),
        &format!("{of}.outcomes[2].id"),
        &format!("{of}.outcomes[2].outputs[0].place"),
        &format!("{of}.onError.NO_STOCK"),
        &format!("{of}.onError[1].code"),
        &format!("{of}.onError[2].outcome"),
        "transitions[1].activity",
    ] {
        assert!(paths.contains(&expected), "{expected} is not in {error:#}");
    }
    served.stop().await;
}
