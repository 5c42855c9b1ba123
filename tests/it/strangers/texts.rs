//! Text from outside, where it is shown.

use std::{collections::BTreeSet, fs, sync::Arc};

use serde_json::{Value, json};
use stormpetrel::{
    petrel::{Change, ExpectedVersion, Fire, NewCase},
    storage::nats::NatsStorage,
    testing::TestServer,
};

use crate::{
    program::{Program, output, program},
    support::{case, config, definition, petrel_at, transition, workflow},
};

/// Clears the screen, forges a line, turns text round, and hides itself; in C0 and in C1.
const HOSTILE: &str = "=a\u{1b}[2J\r\nFORGED\u{9b}31m\u{202e}b\u{7}\u{200b}\u{2028}FORGED";

fn harmful(c: char) -> bool {
    (c.is_control() && c != '\n') || "\u{202e}\u{200b}\u{2028}".contains(c)
}

fn harmless(what: &str, said: &str) {
    let found: BTreeSet<_> = said.chars().filter(|c| harmful(*c)).collect();
    assert!(found.is_empty(), "{what}: {found:?} in {said:?}");
    let forged = said.lines().any(|line| line.starts_with("FORGED"));
    assert!(!forged, "{what}: {said}");
}

/// A store in which every text that may be anything is hostile.
async fn store(server: &TestServer) -> String {
    let petrel = petrel_at(server.url()).await;
    let hostile = definition(json!({
        "id": "w", "name": HOSTILE, "description": HOSTILE, "initial_place": "a",
        "places": [{ "id": "a", "name": HOSTILE }, { "id": "b", "name": HOSTILE }],
        "transitions": [
            { "id": "go", "name": HOSTILE, "description": HOSTILE, "from_places": ["a"], "to_place": "b" },
            { "id": "no", "name": HOSTILE, "from_places": ["a"], "to_place": "b",
              "conditions": [format!("token.data.text == {}", json!("x")) + " // \u{202e}\nFORGED || false"] },
        ],
    }));
    let mut plain = hostile.clone();
    if let Err(error) = petrel.create_workflow(hostile, ExpectedVersion::Any).await {
        // A condition of several lines is none; the names are what matters.
        let text = error.to_string();
        assert!(text.contains("condition"), "{text}");
        plain.transitions.pop();
        petrel.create_workflow(plain, ExpectedVersion::Any).await.unwrap();
    }
    let mut token = String::new();
    for id in ["c", "broken"] {
        let begun = petrel
            .create_case(NewCase {
                case: Some(case(id)),
                data: json!({ "text": HOSTILE, HOSTILE: 1 }),
                metadata: [("note".to_owned(), json!(HOSTILE))].into_iter().collect(),
                by: Some(HOSTILE.to_owned()),
                ..NewCase::of(workflow("w"))
            })
            .await
            .unwrap();
        token = begun.tokens[0].id.to_string();
        let change = Change { by: Some(HOSTILE.to_owned()), ..Change::default() };
        let fire = Fire::case(workflow("w"), case(id), transition("go"));
        petrel.fire(Fire { change, ..fire }).await.unwrap();
    }
    petrel.close().await;
    token
}

const PNML: &str = "<pnml xmlns=\"http://www.pnml.org/version-2009/grammar/pnml\"><net id=\"n\" \
    type=\"http://www.pnml.org/version-2009/grammar/ptnet\"><name><text>x&#x202e;&#10;FORGED</text>\
    </name><page id=\"p\"><place id=\"a\"><name><text>a&#x202e;&#10;FORGED&#x9b;</text></name>\
    <initialMarking><text>1</text></initialMarking></place><place id=\"b\"/><transition id=\"t\">\
    <name><text>t&#x202e;&#10;FORGED</text></name></transition><arc id=\"x\" source=\"a\" \
    target=\"t\"/><arc id=\"y\" source=\"t\" target=\"b\"/><toolspecific tool=\"&#x202e;&#10;FORGED\" \
    version=\"1\"/></page></net></pnml>";

/// Checks that each command is tried, but for those that show nothing of what is stored.
async fn each_command_is_among(commands: &[&[&str]]) {
    let mut all = program();
    all.arg("-h");
    let help = String::from_utf8(output(all).await.stdout).unwrap();
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let listed: BTreeSet<_> =
        listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let tried: BTreeSet<_> = commands
        .iter()
        .map(|command| command[0])
        .chain(["dev", "serve", "init", "level", "bench", "help"])
        .collect();
    assert_eq!(listed.difference(&tried).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[tokio::test]
async fn no_command_shows_text_from_outside_as_it_is() {
    let server = TestServer::start().await;
    let token = store(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let [pnml, out, csv] =
        ["net.pnml", "out", "out.csv"].map(|name| folder.path().join(name).display().to_string());
    fs::write(&pnml, PNML).unwrap();
    let commands: &[&[&str]] = &[
        &["workflow", "list"],
        &["workflow", "apply", "-h"],
        &["case", "list", "w"],
        &["case", "show", "w", "c"],
        &["case", "history", "w", "c"],
        &["case", "explain", "w", "c"],
        &["case", "pause", "w", "c", "--by", HOSTILE],
        &["case", "show", HOSTILE, "c"],
        &["case", "show", "w", "absent"],
        &["case", "resume", "w", "c"],
        &["case", "quarantine", "w", "c", "--reason", HOSTILE],
        &["incident", "list", "w", "c"],
        &["incident", "retry", "w", "c", "1"],
        &["incident", "complete", "w", "c", "1"],
        &["incident", "settle", "w", "c", "1", "--not-done"],
        &["awakeable", "resolve", "aw1.dw.AA"],
        &["awakeable", "reject", "aw1.dw.AA", "--code", "NO"],
        &["work", "list", "w", "c"],
        &["work", "fail", "w", "c", "1", "--code", HOSTILE],
        &["work", "complete", "w", "c", "1", "--by", HOSTILE],
        &["queue", "list"],
        &["queue", "pause", HOSTILE],
        &["queue", "workers"],
        &["queue", "workers", HOSTILE],
        &["worker", "--command", HOSTILE],
        &["token", "list", "w"],
        &["token", "show", &token],
        &["token", "show", &token, "--strong"],
        &["fire", "no", "--workflow", "w", "--case", "c"],
        &["fire", HOSTILE, "--workflow", "w", "--case", "c"],
        &["draw", "w", "-o", &out, "--format", "svg"],
        &["export", "w", "-o", &out],
        &["history", "export", "w", "--format", "csv", "-o", &csv],
        &["audit"],
        &["rebuild"],
        &["doctor"],
        &["check", &pnml],
        &["analyse", &pnml],
        &["simulate", &pnml, "--cases", "3"],
        &["import", &pnml, "--id", "n", "-o", &out],
    ];
    for command in commands {
        for json in [false, true] {
            let mut petrel = program();
            petrel.args(*command).env("NATS_URL", server.url());
            if json {
                petrel.arg("--json");
            }
            let done = output(petrel).await;
            let (out, errors) =
                (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
            harmless(&format!("{command:?}"), &out);
            harmless(&format!("{command:?}, errors"), &errors);
            if json && !out.is_empty() && !command.contains(&"-h") {
                let answer: Value = serde_json::from_str(&out).unwrap();
                let exact = command[..] == ["case", "history", "w", "c"];
                assert!(!exact || answer.to_string().contains("\u{202e}"), "{answer}");
            }
        }
    }
    each_command_is_among(commands).await;

    let csv = fs::read_to_string(&csv).unwrap();
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    for row in rows.records().map(Result::unwrap) {
        let is_formula = |cell: &&str| cell.starts_with(['=', '+', '-', '@']);
        assert_eq!(row.iter().find(is_formula), None);
    }
}

#[tokio::test]
async fn the_log_of_a_server_has_a_line_an_event() {
    let server = TestServer::start().await;
    store(&server).await;
    let storage = Arc::new(NatsStorage::connect(config(server.url())).await.unwrap());
    drop(storage);
    // A record that is none, with words in it that a parser may repeat.
    let client = async_nats::connect(server.url()).await.unwrap();
    let subject = "cb.workflows.w.events.transitions.broken";
    let payload = json!({ "v": 1, "kind": HOSTILE }).to_string();
    client.publish(subject, payload.into()).await.unwrap();
    client.flush().await.unwrap();
    let mut command = program();
    command.args(["--json", "serve", "--listen", "127.0.0.1:0", "--audit-every", "1s"]);
    command.env("NATS_URL", server.url()).env("RUST_LOG", "debug");
    let mut program = Program::start(command);
    program.json().await;
    program.logs("broken").await;
    let (_, errors) = program.terminate().await;
    harmless("serve", &errors);
}
