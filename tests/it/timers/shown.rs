//! Timers as GraphQL and the command line show them.

use async_graphql::{Executor, Request};
use serde_json::{Value, json};
use stormpetrel::{
    graphql::{Api, Caller, Limits},
    petrel::ExpectedVersion,
};

use super::{begun, invoice};
use crate::{
    cli::{json as json_of, text},
    support::{definition, system},
};

#[tokio::test]
async fn the_command_line_shows_what_a_case_waits_for() {
    let (server, petrel) = system().await;
    begun(&petrel, invoice("14d"), "k", json!({})).await;
    let shown = text(&server, &["case", "show", "invoice", "k"]).await;
    assert!(shown.contains("timer 1 of remind is due 20"), "{shown}");
    let explained = text(&server, &["case", "explain", "invoice", "k"]).await;
    assert!(explained.contains("can fire: pay; remind fires at 20"), "{explained}");
    let json = json_of(&server, &["case", "show", "invoice", "k"]).await;
    assert_eq!(json["timers"][0]["transition"], "remind");
    let drawn = text(&server, &["workflow", "show", "invoice"]).await;
    assert!(drawn.contains("14d"), "{drawn}");
}

#[tokio::test]
async fn graphql_takes_and_shows_timed_transitions() {
    let (_server, petrel) = system().await;
    let executor = Api::new(petrel.clone(), Limits::default()).executor(Caller::Anybody);
    let ask = async |query: &str| -> Value {
        let answer = executor.execute(Request::new(query)).await;
        let answer = serde_json::to_value(&answer).unwrap();
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    };
    ask(r#"mutation { createWorkflow(input: { id: "w", name: "w", initialPlace: "a",
        places: [{ id: "a" }, { id: "b" }], transitions: [
        { id: "go", fromPlaces: ["a"], toPlace: "b", after: "2h 30m" }] }) { workflowId } }"#)
    .await;
    ask(r#"mutation { createToken(input: { workflowId: "w", caseId: "k" }) { tokenId } }"#).await;
    let shown = ask(r#"{ workflow(id: "w") { transitions { transitionId after at } }
        case(workflowId: "w", id: "k") { timers { number transitionId elapsed since due
            tokens { placeId } } explain { summary timers { number } transitions { timed enabled } }
            history { nodes { kind timers { number } elapsed { number } } } } }"#)
    .await;
    assert_eq!(
        shown["workflow"]["transitions"],
        json!([{ "transitionId": "go", "after": "2h 30m", "at": null }])
    );
    let timer = &shown["case"]["timers"][0];
    assert_eq!((&timer["number"], &timer["elapsed"]), (&json!(1), &json!(false)));
    let time = |name: &str| -> chrono::DateTime<chrono::Utc> {
        timer[name].as_str().unwrap().parse().unwrap()
    };
    assert_eq!(time("due") - time("since"), chrono::TimeDelta::minutes(150));
    let explain = &shown["case"]["explain"];
    assert_eq!(explain["transitions"], json!([{ "timed": true, "enabled": true }]));
    let summary = explain["summary"].as_str().unwrap();
    assert!(summary.starts_with("running; waits for time; go fires at 20"), "{summary}");
    assert_eq!(shown["case"]["history"]["nodes"][0]["timers"], json!([{ "number": 1 }]));
    ask(r#"mutation { pauseCase(input: { workflowId: "w", caseId: "k" }) { status } }"#).await;
    let resume = r#"mutation { resumeCase(input: { workflowId: "w", caseId: "k" },
        timers: KEEP_REMAINING) { status timers { due since } history { nodes { kind onResume } } } }"#;
    let resumed = ask(resume).await["resumeCase"].clone();
    assert_eq!(resumed["history"]["nodes"][2]["onResume"], "KEEP_REMAINING");
    assert_eq!(resumed["history"]["nodes"][1]["onResume"], Value::Null);
    let moved: chrono::DateTime<chrono::Utc> =
        resumed["timers"][0]["due"].as_str().unwrap().parse().unwrap();
    assert!(moved > time("due"));
}

/// Each mistake is a problem of the definition, with its path.
#[tokio::test]
async fn a_wrong_time_is_a_problem_of_the_definition() {
    let (_server, petrel) = system().await;
    let with = |key: Value| {
        let mut transition =
            json!({ "id": "t", "from_places": ["a"], "to_place": "b", "auto": false });
        for (name, value) in key.as_object().unwrap() {
            transition[name] = value.clone();
        }
        definition(json!({ "id": "w", "initial_place": "a",
            "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "transitions": [
                transition, {"id": "first", "from_places": ["c"], "to_place": "b", "auto": true},
                {"id": "u", "from_places": ["a"], "to_place": "c"}] }))
    };
    let reads = |key: &str, when: &str| {
        json!({ key: when, "from_places": [], "to_place": null, "outputs": [{"place": "b"}],
            "inputs": [{"place": "a", "kind": "read"}] })
    };
    for (key, path, words) in [
        (json!({ "after": "soon" }), "after", "unknown name `soon`"),
        (json!({ "after": "5 apples" }), "after", "is no time"),
        (json!({ "after": "" }), "after", "is empty"),
        (json!({ "after": "200y" }), "after", "more than 100 years"),
        (json!({ "after": "1 + 1" }), "after", "never duration"),
        (json!({ "after": "now" }), "after", "never duration"),
        (json!({ "at": "duration('1s')" }), "at", "never timestamp"),
        (json!({ "at": "timestamp('tomorrow')" }), "at", ""),
        (json!({ "after": "1s", "at": "now" }), "at", "beside `after`"),
        (json!({ "after": "1s", "auto": true }), "after", "leave one of them out"),
        (json!({ "after": "1s", "priority": 1 }), "priority", "immediate"),
        (
            json!({ "after": "1s", "conditions": ["now > token.created_at"] }),
            "conditions[0]",
            "`now`",
        ),
        (json!({ "at": "timestamp(string(token.revision))" }), "at", "revision"),
        (json!({ "after": "1s", "from_places": ["c"] }), "after", "first fires by itself at once"),
        (reads("at", "now"), "at", "takes no token"),
        (reads("after", "10ms"), "after", "takes no token"),
    ] {
        let error = petrel.create_workflow(with(key.clone()), ExpectedVersion::Any).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(&format!("transitions[0].{path}")), "{key}: {error}");
        assert!(error.contains(words), "{key}: {error}");
    }
    for key in [json!({ "after": "0s" }), json!({ "after": 30 }), json!({ "at": "now" })] {
        petrel.create_workflow(with(key), ExpectedVersion::Any).await.unwrap();
    }
}
