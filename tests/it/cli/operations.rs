use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::{Value, json as value};
use stormpetrel::testing::TestServer;

use super::{errors, json, on, output, petrel, sample, text};

/// A server that knows the sample workflow.
pub(super) async fn with_sample() -> TestServer {
    let server = TestServer::start().await;
    let applied = text(&server, &["workflow", "apply", &sample()]).await;
    assert!(applied.starts_with("order-approval: created v1, sound, by "), "{applied}");
    server
}

pub(super) async fn start(server: &TestServer, case: &str) -> Value {
    let arguments =
        ["case", "start", "order-approval", "--id", case, "--data", r#"{"amount":120}"#];
    json(server, &arguments).await
}

pub(super) async fn fire(server: &TestServer, transition: &str, case: &str) -> Value {
    let arguments = ["fire", transition, "--workflow", "order-approval", "--case", case];
    json(server, &arguments).await
}

#[tokio::test]
async fn a_definition_is_created_then_unchanged_then_updated() {
    let server = with_sample().await;
    let again = text(&server, &["workflow", "apply", &sample()]).await;
    assert!(again.starts_with("order-approval: unchanged v1, sound"), "{again}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("changed.yaml");
    let shown = text(&server, &["workflow", "show", "order-approval"]).await;
    fs::write(&file, shown.replace("Ship the order", "Send the order")).unwrap();
    let path = file.display().to_string();
    let updated = text(&server, &["workflow", "apply", &path]).await;
    assert!(updated.starts_with("order-approval: updated v2, sound"), "{updated}");

    let refused = on(&server, &["workflow", "apply", &path, "--create-only"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", errors(&refused));
    let listed = json(&server, &["workflow", "list"]).await;
    assert_eq!(listed["items"][0]["version"], 2);
    assert_eq!(listed["next"], Value::Null);
}

#[tokio::test]
async fn what_show_prints_is_the_same_definition_when_applied() {
    let server = with_sample().await;
    let shown = text(&server, &["workflow", "show", "order-approval"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shown.yaml");
    fs::write(&file, shown).unwrap();
    let again = text(&server, &["workflow", "apply", &file.display().to_string()]).await;
    assert!(again.starts_with("order-approval: unchanged v1, sound"), "{again}");
    // A last value that ends in lines of its own.
    for (version, note) in ["a", "a\n", "a\n\n", "\n", "\n\n\n", " a\n \n\n"].iter().enumerate() {
        let mut noted = value!({
            "id": "noted", "initial_place": "a", "places": [{"id": "a"}], "transitions": [],
        });
        noted["metadata"] = value!({ "note": note });
        fs::write(&file, noted.to_string()).unwrap();
        text(&server, &["workflow", "apply", &file.display().to_string()]).await;
        let shown = text(&server, &["workflow", "show", "noted"]).await;
        fs::write(&file, shown).unwrap();
        let again = text(&server, &["workflow", "apply", &file.display().to_string()]).await;
        let unchanged = format!("noted: unchanged v{}", version + 1);
        assert!(again.starts_with(&unchanged), "{note:?}: {again}");
    }
}

#[tokio::test]
async fn a_transition_with_a_problem_makes_no_place_unreachable() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("both.json");
    let both = value!({
        "id": "both", "initial_place": "a", "places": [{"id": "a"}, {"id": "z"}],
        "transitions": [{"id": "t", "from_places": ["a"], "to_place": "z",
                         "inputs": [{"place": "a"}]}],
    });
    fs::write(&file, both.to_string()).unwrap();
    let refused = errors(&on(&server, &["workflow", "apply", &file.display().to_string()]).await);
    assert!(refused.contains("transitions[0]") && !refused.contains("reached"), "{refused}");
}

#[tokio::test]
async fn an_invalid_definition_lists_every_problem_with_its_path() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.json");
    let definition = value!({
        "id": "broken", "initial_place": "nowhere", "places": [{"id": "a"}],
        "transitions": [{"id": "t", "inputs": [{"place": "b"}], "outputs": [{"place": "c"}]}],
    });
    fs::write(&file, definition.to_string()).unwrap();
    let refused = on(&server, &["workflow", "apply", &file.display().to_string()]).await;
    assert_eq!(refused.status.code(), Some(1));
    let errors = errors(&refused);
    for path in
        ["initial_place", "transitions[0].inputs[0].place", "transitions[0].outputs[0].place"]
    {
        assert!(errors.contains(path), "{path} in {errors}");
    }
}

#[tokio::test]
async fn an_order_goes_from_draft_to_shipped() {
    let server = with_sample().await;
    let started = start(&server, "order-1").await;
    assert_eq!(started["repeated"], false);
    assert_eq!(start(&server, "order-1").await["repeated"], true);

    let split = fire(&server, "submit", "order-1").await;
    assert_eq!(split["tokens"].as_array().map(Vec::len), Some(2));
    for transition in ["approve", "reserve"] {
        fire(&server, transition, "order-1").await;
    }
    let shipped = fire(&server, "ship", "order-1").await;
    assert_eq!(shipped["case"]["status"], "completed");

    let history = text(&server, &["case", "history", "order-approval", "order-1"]).await;
    for event in ["created", "fired submit", "fired approve", "fired reserve", "fired ship"] {
        assert!(history.contains(event), "{event} in {history}");
    }
    let completed = ["case", "list", "order-approval", "--status", "completed"];
    assert_eq!(json(&server, &completed).await["items"][0]["id"], "order-1");
}

#[tokio::test]
async fn explain_says_why_a_transition_waits_and_fire_refuses_it_with_the_same_words() {
    let server = with_sample().await;
    start(&server, "order-1").await;
    let explained = text(&server, &["case", "explain", "order-approval", "order-1"]).await;
    assert!(explained.contains("enabled  submit"), "{explained}");
    let reason = "the arc that takes 1 from place approved finds 0: 1 missing";
    assert!(explained.contains(reason), "{explained}");

    let arguments = ["fire", "ship", "--workflow", "order-approval", "--case", "order-1", "--json"];
    let refused = on(&server, &arguments).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty());
    let error: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(error["error"]["code"], "NOT_ENABLED");
    assert_eq!(error["error"]["retryable"], false);
    assert!(error["error"]["message"].as_str().unwrap().contains(reason), "{error}");
}

#[tokio::test]
async fn a_firing_id_makes_a_firing_happen_once() {
    let server = with_sample().await;
    start(&server, "order-1").await;
    let arguments = [
        "fire",
        "submit",
        "--workflow",
        "order-approval",
        "--case",
        "order-1",
        "--firing-id",
        "f1",
    ];
    let first = json(&server, &arguments).await;
    let second = json(&server, &arguments).await;
    assert_eq!((&first["repeated"], &second["repeated"]), (&value!(false), &value!(true)));
    assert_eq!(first["sequence"], second["sequence"]);
}

#[tokio::test]
async fn a_token_is_shown_updated_and_fired_by_its_id() {
    let server = with_sample().await;
    let started = start(&server, "order-1").await;
    let token = started["tokens"][0]["id"].as_str().unwrap();

    let update = ["token", "update", token, "--data", r#"{"amount":90,"note":"x"}"#];
    json(&server, &update).await;
    for strong in [&[][..], &["--strong"]] {
        let shown = json(&server, &[&["token", "show", token], strong].concat()).await;
        assert_eq!(shown["data"], value!({"amount": 90, "note": "x"}));
        assert_eq!(shown["place"], "draft");
    }
    let wrong = on(&server, &["fire", "submit", "--token", token, "--to", "shipped"]).await;
    assert_eq!(wrong.status.code(), Some(1));
    json(&server, &["fire", "submit", "--token", token, "--by", "alice"]).await;
}

#[tokio::test]
async fn a_listing_says_that_there_is_more_and_goes_on_after_it() {
    let server = with_sample().await;
    for case in ["a", "b", "c"] {
        start(&server, case).await;
    }
    let first = ["token", "list", "order-approval", "--place", "draft", "--first", "2"];
    assert!(text(&server, &first).await.contains("there is more"));
    let page = json(&server, &first).await;
    let next = page["next"].to_string();
    let rest = json(&server, &[&first[..], &["--after", &next]].concat()).await;
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test]
async fn a_paused_case_refuses_to_fire_until_it_is_resumed() {
    let server = with_sample().await;
    start(&server, "order-1").await;
    let paused = json(&server, &["case", "pause", "order-approval", "order-1"]).await;
    assert_eq!(paused["case"]["status"], "paused");
    let arguments = ["fire", "submit", "--workflow", "order-approval", "--case", "order-1"];
    assert_eq!(on(&server, &arguments).await.status.code(), Some(1));
    json(&server, &["case", "resume", "order-approval", "order-1"]).await;
    fire(&server, "submit", "order-1").await;
    let cancelled = json(&server, &["case", "cancel", "order-approval", "order-1"]).await;
    assert_eq!(cancelled["case"]["status"], "cancelled");
}

#[tokio::test]
async fn rebuild_and_doctor_find_nothing_wrong_with_a_fresh_server() {
    let server = with_sample().await;
    start(&server, "order-1").await;
    let rebuilt = json(&server, &["rebuild"]).await;
    assert_eq!((&rebuilt["mended"], &rebuilt["failed"]), (&value!(0), &value!(0)));
    assert_eq!(json(&server, &["doctor"]).await["healthy"], true);
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_an_absent_server_with_3() {
    let usage = output(petrel(&["case", "show", "or.der", "a", "--json"])).await;
    assert_eq!(usage.status.code(), Some(2));
    let error: Value = serde_json::from_slice(&usage.stderr).unwrap();
    assert_eq!(error["error"]["code"], "USAGE");

    let conflict = ["--nats-url", "nats://a", "--nats-token", "t", "--nats-creds", "c"];
    let conflict = output(petrel(&[&conflict[..], &["workflow", "list"]].concat())).await;
    assert_eq!(conflict.status.code(), Some(2));
    assert!(!errors(&conflict).contains("panicked"));

    // A port that was free a moment ago, and refuses connections now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("nats://127.0.0.1:{port}");
    let once = ["--connect-attempts", "1", "--connect-timeout", "1s", "--nats-url", &url];
    let away = output(petrel(&[&once[..], &["workflow", "list"]].concat())).await;
    assert_eq!(away.status.code(), Some(3), "{}", errors(&away));
    assert!(errors(&away).contains("petrel doctor"));
    let sick = output(petrel(&[&once[..], &["doctor", "--json"]].concat())).await;
    assert_eq!(sick.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&sick.stdout).unwrap();
    assert_eq!(report["healthy"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_history_shows_what_was_and_what_comes() {
    let server = with_sample().await;
    start(&server, "order-1").await;
    let arguments = ["--json", "case", "history", "order-approval", "order-1", "--follow"];
    let mut command = petrel(&arguments);
    let mut child = command.env("NATS_URL", server.url()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next_kind = || {
        // Reading blocks, and the server of the test has to go on meanwhile.
        let line = tokio::task::block_in_place(|| lines.next()).unwrap().unwrap();
        serde_json::from_str::<Value>(&line).unwrap()["record"]["kind"].clone()
    };
    assert_eq!(next_kind(), "created");
    fire(&server, "submit", "order-1").await;
    assert_eq!(next_kind(), "fired");
    child.kill().unwrap();
    child.wait().unwrap();
}
