use std::{collections::HashMap, fs, path::Path};

use serde_json::{Value, json as value};
use stormpetrel::{
    petrel::{Change, ExpectedVersion, Fire, NewCase, Petrel},
    testing::TestServer,
};

use super::{errors, json, on, text};
use crate::support::{case, definition, petrel_at, transition, workflow};

/// Three tokens of weight, a branch each, and names that every format has to escape.
async fn bakery(server: &TestServer) -> Petrel {
    let petrel = petrel_at(server.url()).await;
    let bakery = definition(value!({
        "id": "bakery", "initial_place": "order",
        "places": [{"id": "order"}, {"id": "dough"}, {"id": "bread"}, {"id": "icing"}, {"id": "cake"}],
        "transitions": [
            {"id": "mix", "name": "Mix <\"flour\", & water>", "inputs": [{"place": "order"}],
             "outputs": [{"place": "dough", "weight": 3}, {"place": "icing"}]},
            {"id": "bake", "inputs": [{"place": "dough", "weight": 3}],
             "outputs": [{"place": "bread"}]},
            {"id": "join", "name": "=JOIN\n(é)", "inputs": [{"place": "bread"}, {"place": "icing"}],
             "outputs": [{"place": "cake"}]}
        ]
    }));
    petrel.create_workflow(bakery, ExpectedVersion::Any).await.unwrap();
    petrel
}

async fn bake(petrel: &Petrel, id: &str, steps: &[&str]) {
    let new = NewCase { case: Some(case(id)), ..NewCase::of(workflow("bakery")) };
    petrel.create_case(new).await.unwrap();
    for step in steps {
        let mut fire = Fire::case(workflow("bakery"), case(id), transition(step));
        fire.change = Change { by: Some("Ann, \"A\"\r\n<x>\u{1}".to_owned()), ..fire.change };
        petrel.fire(fire).await.unwrap();
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

async fn exported(server: &TestServer, folder: &Path, format: &str, more: &[&str]) -> String {
    let file = folder.join(format);
    let path = file.display().to_string();
    let arguments = ["history", "export", "bakery", "--format", format, "-o", &path];
    text(server, &[&arguments[..], more].concat()).await;
    read(&file)
}

#[tokio::test]
async fn a_history_with_branches_weights_and_odd_names_is_the_same_in_every_format() {
    let server = TestServer::start().await;
    let petrel = bakery(&server).await;
    // Mixed in the log.
    bake(&petrel, "-two", &["mix"]).await;
    bake(&petrel, "one", &["mix", "bake", "join"]).await;
    let fire = Fire::case(workflow("bakery"), case("-two"), transition("bake"));
    petrel.fire(fire).await.unwrap();
    bake(&petrel, "none", &[]).await;
    let folder = tempfile::tempdir().unwrap();

    let xes = exported(&server, folder.path(), "xes", &[]).await;
    assert_eq!((xes.matches("<trace>").count(), xes.matches("<event>").count()), (3, 5));
    assert!(xes.contains("value=\"Mix &lt;&quot;flour&quot;, &amp; water&gt;\""), "{xes}");
    assert!(xes.contains("value=\"=JOIN&#10;(é)\""), "{xes}");
    assert!(xes.contains("value=\"Ann, &quot;A&quot;&#13;&#10;&lt;x&gt;\u{fffd}\""), "{xes}");

    let csv = exported(&server, folder.path(), "csv", &["--raw-cells"]).await;
    let rows: Vec<_> = csv::Reader::from_reader(csv.as_bytes())
        .deserialize()
        .collect::<Result<Vec<HashMap<String, String>>, _>>()
        .unwrap();
    let said: Vec<_> = rows.iter().map(|row| (&*row["case"], &*row["transition"])).collect();
    let expected =
        [("-two", "mix"), ("-two", "bake"), ("one", "mix"), ("one", "bake"), ("one", "join")];
    assert_eq!(said, expected);
    assert_eq!(rows[4]["label"], "=JOIN\n(é)");
    assert_eq!(rows[4]["who"], "Ann, \"A\"\r\n<x>\u{1}");
    assert_eq!(rows[3]["consumed"].split(' ').count(), 3);
    assert_eq!(rows[4]["status"], "completed");

    let ocel: Value =
        serde_json::from_str(&exported(&server, folder.path(), "ocel2", &[]).await).unwrap();
    let bake = &ocel["events"][3];
    let related = |qualifier: &str| {
        let related = bake["relationships"].as_array().unwrap().iter();
        related.filter(|related| related["qualifier"] == qualifier).count()
    };
    assert_eq!(bake["type"], "bake");
    assert_eq!((related("consumed"), related("produced"), related("case")), (3, 1, 1));
    assert_eq!(ocel["objects"].as_array().unwrap().len(), 3 + (1 + 4 + 1) + (1 + 4 + 1 + 1) + 1);
}

#[tokio::test]
async fn lifecycles_are_events_and_some_cases_are_chosen_only_when_asked() {
    let server = TestServer::start().await;
    let petrel = bakery(&server).await;
    for id in ["a", "b", "c"] {
        bake(&petrel, id, &["mix"]).await;
    }
    petrel.cancel(&workflow("bakery"), &case("b"), Change::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let only = ["--case", "b", "--case", "c", "--lifecycle"];
    let csv = exported(&server, folder.path(), "csv", &only).await;
    let rows: Vec<_> = csv.lines().skip(1).map(|row| row.split(',').next().unwrap()).collect();
    assert_eq!(rows.len(), 3 + 2 + 2, "two events have a line break in a cell: {csv}");
    assert!(csv.contains("cancelled,cancelled"), "{csv}");
    // Without --output it goes to standard output, alone.
    let stdout = ["history", "export", "bakery", "--format", "csv", "--case", "b", "--case", "c"];
    let stdout = text(&server, &stdout).await;
    assert!(stdout.starts_with("case,event,") && !stdout.contains("cancelled,cancelled"));
}

#[tokio::test]
async fn thousands_of_events_are_exported_and_counted() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let swing = definition(value!({
        "id": "swing", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [{"id": "go", "from_places": ["a"], "to_place": "b"},
                        {"id": "return", "from_places": ["b"], "to_place": "a"}]
    }));
    petrel.create_workflow(swing, ExpectedVersion::Any).await.unwrap();
    let swings = (0..40).map(|number| {
        let petrel = petrel.clone();
        tokio::spawn(async move {
            let id = case(&format!("case-{number}"));
            let new = NewCase { case: Some(id.clone()), ..NewCase::of(workflow("swing")) };
            petrel.create_case(new).await.unwrap();
            for step in 0..50 {
                let name = if step % 2 == 0 { "go" } else { "return" };
                let fire = Fire::case(workflow("swing"), id.clone(), transition(name));
                petrel.fire(fire).await.unwrap();
            }
        })
    });
    for swing in swings.collect::<Vec<_>>() {
        swing.await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("swing.xes");
    let path = file.display().to_string();
    let arguments = ["history", "export", "swing", "--format", "xes", "-o", &path];
    let exported = json(&server, &arguments).await;
    assert_eq!(exported, value!({"cases": 40, "events": 2_000, "silent": 0, "unreadable": []}));
    let mut last = String::new();
    for line in read(&file).lines() {
        if line.contains("<trace>") {
            last.clear();
        } else if line.contains("time:timestamp") && !line.contains("1970") {
            // Times of one form: their text sorts as they do.
            assert!(line > &*last, "{line} after {last}");
            last = line.to_owned();
        }
    }
}

#[tokio::test]
async fn a_record_that_cant_be_read_leaves_its_case_out_and_is_named() {
    let server = TestServer::start().await;
    let cases = bakery(&server).await;
    bake(&cases, "sick", &["mix"]).await;
    bake(&cases, "well", &["mix", "bake"]).await;
    let operator = async_nats::connect(server.url()).await.unwrap();
    let operator = async_nats::jetstream::new(operator);
    let subject = "cb.workflows.bakery.events.transitions.sick";
    let at = operator.publish(subject, "rubbish".into()).await.unwrap().await.unwrap().sequence;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.csv").display().to_string();
    for output in [&["-o", &path][..], &[]] {
        let arguments = [&["history", "export", "bakery", "--format", "csv"], output].concat();
        let exported = on(&server, &arguments).await;
        assert_eq!(exported.status.code(), Some(1));
        let errors = errors(&exported);
        for part in ["1 case left out", "sick", subject, &format!("sequence {at}")] {
            assert!(errors.contains(part), "{part} in {errors}");
        }
        let log = match output {
            [] => String::from_utf8(exported.stdout).unwrap(),
            _ => read(Path::new(&path)),
        };
        assert!(log.contains("well,2,bake") && !log.contains("sick"), "{log}");
    }
    let arguments = ["--json", "history", "export", "bakery", "--format", "csv", "-o", &path];
    let exported = on(&server, &arguments).await;
    assert_eq!(exported.status.code(), Some(1));
    let exported: Value = serde_json::from_slice(&exported.stdout).unwrap();
    assert_eq!(exported, value!({"cases": 1, "events": 2, "silent": 0, "unreadable": ["sick"]}));
}

#[tokio::test]
async fn what_does_not_exist_or_cant_be_written_is_said_and_leaves_no_file() {
    let server = TestServer::start().await;
    let cases = bakery(&server).await;
    bake(&cases, "a", &["mix"]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xes").display().to_string();
    let nowhere = folder.path().join("no/such/folder").display().to_string();
    let wrong: [(&[&str], i32, &str); 3] = [
        (&["bread", "-o", &path], 1, "workflow bread does not exist"),
        (&["bakery", "-o", &path, "--case", "nobody"], 1, "case nobody does not exist"),
        (&["bakery", "-o", &nowhere], 2, &nowhere),
    ];
    for (arguments, code, said) in wrong {
        let arguments = [&["history", "export", "--format", "xes"], arguments].concat();
        let refused = on(&server, &arguments).await;
        assert_eq!(refused.status.code(), Some(code));
        assert!(errors(&refused).contains(said), "{}", errors(&refused));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn messages_of_no_case_keep_nobody_from_an_event_log() {
    let server = TestServer::start().await;
    let cases = bakery(&server).await;
    bake(&cases, "one", &["mix", "bake"]).await;
    let folder = tempfile::tempdir().unwrap();
    let formats = ["xes", "ocel2", "csv"];
    let mut before = Vec::new();
    for format in formats {
        before.push(exported(&server, folder.path(), format, &[]).await);
    }
    // Any client can write at ids that are none, and the log denies their deletion.
    let raw = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    for id in ["a{b".to_owned(), "x".repeat(100), "é".to_owned()] {
        for branch in ["transitions", "lifecycle"] {
            let subject = format!("cb.workflows.bakery.events.{branch}.{id}");
            raw.publish(subject, "garbage".into()).await.unwrap().await.unwrap();
        }
    }
    for (format, before) in formats.into_iter().zip(before) {
        let said = on(&server, &["history", "export", "bakery", "--format", format]).await;
        assert!(said.status.success() && errors(&said).contains("a{b at sequence"), "{said:?}");
        assert_eq!(exported(&server, folder.path(), format, &[]).await, before, "{format}");
    }
}
