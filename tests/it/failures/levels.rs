//! The level of what may be written: an operator's word in the log's metadata, that every program
//! of the system reads a kind or a field of records.

use std::time::Duration;

use serde_json::{Value, json};
use stormpetrel::{
    petrel::{Fire, NewCase, Petrel},
    storage::{CaseLogExt, WriteLevel},
    testing::TestServer,
};

use super::{
    fixtures::{edit_stream, eventually, operator, stream_info, view_is_the_log},
    looking::{doctor, run, warnings},
};
use crate::support::{begin, case, definition, petrel_at, transition, workflow};

const KEY: &str = "stormpetrel.writes";

/// A level that no version has got to.
fn far() -> WriteLevel {
    WriteLevel::new(WriteLevel::KNOWN.get() + 1).unwrap()
}

/// The log's settings without our level, and the level's text.
async fn log_settings(operator: &async_nats::jetstream::Context) -> (Value, Value) {
    let mut settings = stream_info(operator, "CB_LOG").await["config"].take();
    let level = settings["metadata"].as_object_mut().unwrap().remove(KEY).unwrap_or_default();
    (settings, level)
}

async fn set_by_hand(operator: &async_nats::jetstream::Context, level: &str) {
    let mut metadata = stream_info(operator, "CB_LOG").await["config"]["metadata"].take();
    metadata[KEY] = json!(level);
    edit_stream(operator, "CB_LOG", json!({ "metadata": metadata })).await;
}

/// Waits until a running process may write a level, or may not.
async fn may_write(petrel: &Petrel, level: WriteLevel, wanted: bool) {
    eventually("the level is seen", Duration::from_secs(5), async || {
        let may = petrel.storage().may_write(level).await.unwrap();
        if may == wanted { Ok(()) } else { Err(format!("level {level}: {may}")) }
    })
    .await;
}

#[tokio::test]
async fn a_level_is_known_to_running_processes_and_changes_no_other_setting() {
    let server = TestServer::start().await;
    let (url, running) = (server.url(), petrel_at(server.url()).await);
    let operator = operator(server.url()).await;
    let (_, token) = begin(&running, json!({})).await;
    // What an operator has chosen stays.
    edit_stream(&operator, "CB_LOG", json!({ "max_bytes": 100_000_000 })).await;
    let (before, none) = log_settings(&operator).await;
    // In a new log nobody reads less.
    assert_eq!(none, json!(WriteLevel::KNOWN.to_string()));
    assert_eq!(running.storage().write_level().await.unwrap(), WriteLevel::KNOWN);

    // What can't be read there allows nothing, and is told.
    set_by_hand(&operator, "two").await;
    may_write(&running, far(), false).await;
    assert!(warnings(&doctor(&url, &[]).await).contains("petrel level"));
    let raised = run(&url, &["--json", "level", "1"]).await;
    assert!(raised.status.success(), "{raised:?}");
    let answer: Value = serde_json::from_slice(&raised.stdout).unwrap();
    assert_eq!(answer, json!({ "level": 1, "known": WriteLevel::KNOWN.get() }));
    assert_eq!(log_settings(&operator).await, (before.clone(), json!("1")));
    assert_eq!(warnings(&doctor(&url, &[]).await), "");

    // A level that a newer version has set: known within a second, without a restart.
    set_by_hand(&operator, &far().to_string()).await;
    may_write(&running, far(), true).await;
    running.fire(Fire::token(token, transition("submit"))).await.unwrap();
    view_is_the_log(&running).await.unwrap();
    let other = petrel_at(server.url()).await;
    assert_eq!(other.storage().write_level().await.unwrap(), far());
    let found = doctor(&url, &[]).await;
    assert_eq!(found["healthy"], true);
    assert!(warnings(&found).contains("use a newer petrel"), "{found}");

    // Settings that are put right leave it.
    edit_stream(&operator, "CB_LOG", json!({ "max_msgs": 1_000 })).await;
    assert!(run(&url, &["init"]).await.status.success());
    assert_eq!(log_settings(&operator).await, (before, json!(far().to_string())));
}

#[tokio::test]
async fn a_level_that_is_not_known_or_lower_is_refused() {
    let server = TestServer::start().await;
    let (url, operator) = (server.url(), operator(server.url()).await);
    drop(petrel_at(server.url()).await);
    let refused = async |level: &str, code: i32, why: &str| {
        let before = stream_info(&operator, "CB_LOG").await["config"].take();
        let output = run(&url, &["level", level]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{level}: {said}");
        assert!(said.contains(why), "{level}: {said}");
        assert_eq!(stream_info(&operator, "CB_LOG").await["config"].take(), before, "{level}");
    };
    refused(&far().to_string(), 1, "use a newer petrel").await;
    refused("0", 2, "whole numbers from 1 on").await;
    refused("high", 2, "whole numbers from 1 on").await;
    set_by_hand(&operator, &far().to_string()).await;
    refused("1", 1, "is not given 1").await;
}

#[tokio::test]
async fn a_log_whose_metadata_was_taken_away_has_the_first_level() {
    let server = TestServer::start().await;
    let (running, operator) = (petrel_at(server.url()).await, operator(server.url()).await);
    let (_, token) = begin(&running, json!({})).await;
    set_by_hand(&operator, &far().to_string()).await;
    may_write(&running, far(), true).await;
    edit_stream(&operator, "CB_LOG", json!({ "metadata": null })).await;
    may_write(&running, far(), false).await;
    running.fire(Fire::token(token, transition("submit"))).await.unwrap();
    // Who begins now does not take it for ours: the format was noted there too.
    let output = run(&server.url(), &["level", "1"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("not made by Storm Petrel"), "{said}");
}

/// A level that somebody took back by hand: programs that know less may write again.
#[tokio::test]
async fn nothing_runs_by_itself_where_the_log_does_not_allow_it_and_everything_once_it_does() {
    let server = TestServer::start().await;
    let (running, operator) = (petrel_at(server.url()).await, operator(server.url()).await);
    let net = |id: &str, auto: bool| {
        definition(json!({
            "id": id, "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
            "transitions": [{"id": "go", "from_places": ["a"], "to_place": "b", "auto": auto},
                            {"id": "end", "from_places": ["b"], "to_place": "c"}]
        }))
    };
    running.create_workflow(net("auto", true), Default::default()).await.unwrap();
    running.create_workflow(net("plain", false), Default::default()).await.unwrap();
    let new =
        |id: &str, name: &str| NewCase { case: Some(case(name)), ..NewCase::of(workflow(id)) };
    let held = running.create_case(new("auto", "before")).await.unwrap();
    let end = || Fire::case(workflow("auto"), case("before"), transition("end"));
    for (number, level) in ["1", "abc", ""].into_iter().enumerate() {
        set_by_hand(&operator, level).await;
        may_write(&running, WriteLevel::SECOND, false).await;
        let name = format!("k-{number}");
        let fresh = petrel_at(server.url()).await;
        for petrel in [&running, &fresh] {
            for refused in [
                petrel.create_case(new("auto", &name)).await.unwrap_err(),
                petrel.fire(end()).await.unwrap_err(),
                petrel.create_workflow(net("later", true), Default::default()).await.unwrap_err(),
            ] {
                let said = refused.to_string();
                assert!(said.contains("petrel level 2"), "{level}: {said}");
            }
            let stored = petrel.case(&workflow("auto"), &case(&name)).await.unwrap_err();
            assert!(stored.to_string().contains(&name), "{stored}");
            let now = petrel.case(&workflow("auto"), &case("before")).await.unwrap();
            assert_eq!(now.sequence, held.case.sequence, "nothing is stored");
        }
        let plain = running.create_case(new("plain", &name)).await.unwrap();
        assert_eq!(plain.record.value.format, 1);
        // Allowed again by another program: at once, not when a second is over.
        let raised = run(&server.url(), &["level", "2"]).await;
        assert!(raised.status.success(), "{raised:?}");
        for (petrel, name) in [(&running, name), (&fresh, format!("f-{number}"))] {
            let begun = petrel.create_case(new("auto", &name)).await.unwrap();
            assert_eq!((begun.record.value.format, begun.record.value.cascade.len()), (2, 1));
        }
    }
    running.fire(end()).await.unwrap();
    view_is_the_log(&running).await.unwrap();
}
