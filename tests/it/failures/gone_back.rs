//! The log goes back, or another one takes its place, and the views stay. Tokens of records
//! that the log has not got are found and mended.

use std::{fs, path::PathBuf, sync::Mutex, time::Duration};

use serde_json::json;
use stormpetrel::{
    audit::{AuditScope, AuditWatcher, Finding, FindingIn},
    models::{TokenId, WorkflowId},
    petrel::{Change, ExpectedVersion, Fire, NewCase, Petrel},
    storage::{Consistency, Page, RegisterState, TokenScope, nats::NatsStorageConfig},
    testing::TestServer,
};

use super::fixtures::{
    Reconciler, connect, empty_log, eventually, in_view, operator, pendulum, swing, view_is_the_log,
};
use crate::support::{
    begin, case, config, copy_folder, definition, petrel_at, place, transition, workflow,
};

/// The reconciler lets three seconds pass; a busy machine gets as many again, and more.
const HEALED: Duration = Duration::from_secs(60);

const CASES: u64 = 5;

fn stream(server: &TestServer, name: &str) -> PathBuf {
    server.local().store_dir().join("jetstream/$G/streams").join(name)
}

async fn go(petrel: &Petrel, token: &TokenId, name: &str) {
    petrel.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
}

fn name(number: u64) -> String {
    format!("case-{number}")
}

/// A log that has gone back behind the view: `between` happens after the copy that is put
/// back.
async fn gone_back(between: impl AsyncFnOnce(&Petrel, &[TokenId])) -> (TestServer, Vec<TokenId>) {
    let mut server = TestServer::start().await;
    // The view is to have more than the log in the end, after a crash.
    let on_disk = NatsStorageConfig { view_on_disk: true, ..config(server.url()) };
    let cases = connect(on_disk).await;
    pendulum(&cases).await;
    let mut tokens = Vec::new();
    for number in 0..CASES {
        tokens.push(swing(&cases, &name(number)).await.1);
    }
    drop(cases);
    server.kill().await;
    let kept = tempfile::tempdir().unwrap();
    copy_folder(&stream(&server, "CB_LOG"), &kept.path().join("CB_LOG"));
    server.restart().await;
    between(&petrel_at(server.url()).await, &tokens).await;
    server.kill().await;
    fs::remove_dir_all(stream(&server, "CB_LOG")).unwrap();
    copy_folder(&kept.path().join("CB_LOG"), &stream(&server, "CB_LOG"));
    server.restart().await;
    (server, tokens)
}

/// Each token has moved, which the log has forgotten.
async fn moved_on() -> (TestServer, Vec<TokenId>) {
    gone_back(async |cases, tokens| {
        for token in tokens {
            go(cases, token, "go").await;
        }
    })
    .await
}

#[derive(Default)]
struct Heard(Mutex<Vec<Finding>>);

impl AuditWatcher for Heard {
    fn found(&self, finding: Finding) {
        self.0.lock().unwrap().push(finding);
    }

    fn unchecked(&self, reason: &str) {
        panic!("{reason}");
    }

    fn noted(&self, notice: &str) {
        panic!("{notice}");
    }

    fn progress(&self, _: u64, _: u64) {}
}

/// Registers of the view that the audit finds.
async fn found(petrel: &Petrel) -> Vec<(WorkflowId, String, TokenId)> {
    let heard = Heard::default();
    petrel.audit(&AuditScope::default(), &heard).await.unwrap();
    let findings = heard.0.into_inner().unwrap();
    let of_view = findings.into_iter().map(|finding| {
        assert_eq!(finding.place_of, FindingIn::View, "{finding:?}");
        let place = finding.place.unwrap();
        (finding.workflow, place.as_str().to_owned(), finding.token.unwrap())
    });
    let mut of_view: Vec<_> = of_view.collect();
    of_view.sort();
    of_view
}

async fn places(petrel: &Petrel, token: &TokenId) -> Vec<String> {
    let view = in_view(petrel).await.unwrap();
    let of_token = view.keys().filter(|(_, _, id)| id == token);
    of_token.map(|(_, place, _)| place.as_str().to_owned()).collect()
}

#[tokio::test]
async fn rebuild_and_audit_find_the_same_where_the_log_has_gone_back() {
    let (server, tokens) = moved_on().await;
    let petrel = petrel_at(server.url()).await;
    assert_eq!(
        places(&petrel, &tokens[0]).await,
        ["there"],
        "the view must be ahead for this test"
    );
    let audited = found(&petrel).await;
    assert_eq!(audited.len(), 2 * tokens.len(), "where it is not, and where it is: {audited:?}");
    let rebuilt = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.ahead), (audited.len() as u64, CASES));
    view_is_the_log(&petrel).await.unwrap();
    for token in &tokens {
        assert_eq!(places(&petrel, token).await, ["here"]);
        let read = petrel.token(None, token, Consistency::Eventual).await.unwrap();
        assert_eq!(read.place, place("here"));
    }
    assert_eq!(found(&petrel).await, []);
    let again = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((again.mended, again.ahead, again.failed), (0, 0, 0));
}

#[tokio::test]
async fn a_serving_process_mends_what_is_ahead_of_the_log() {
    let (server, tokens) = moved_on().await;
    let petrel = petrel_at(server.url()).await;
    let _reconciler = Reconciler::of(&petrel);
    eventually("healed views", HEALED, async || view_is_the_log(&petrel).await).await;
    for token in &tokens {
        let read = petrel.token(None, token, Consistency::Eventual).await.unwrap();
        assert_eq!((read.place, read.data), (place("here"), json!({"n": 0})));
    }
    let scope =
        TokenScope { workflow: workflow("pendulum"), place: Some(place("here")), case: None };
    let listed = petrel.tokens(&scope, Page::default()).await.unwrap().items.len();
    assert_eq!(listed as u64, CASES);
}

/// The process goes on with a connection that it had before, and has noted its own records.
#[tokio::test]
async fn a_process_that_was_serving_learns_that_the_log_has_gone_back() {
    let mut server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    pendulum(&petrel).await;
    let (_, token) = swing(&petrel, "one").await;
    let reconciler = Reconciler::of(&petrel);
    let last = petrel.storage().last_sequence().await.unwrap();
    server.kill().await;
    let kept = tempfile::tempdir().unwrap();
    copy_folder(&stream(&server, "CB_LOG"), &kept.path().join("CB_LOG"));
    server.restart().await;
    eventually("a connection", HEALED, async || petrel.storage().last_sequence().await).await;
    for turn in 0..7 {
        go(&petrel, &token, ["go", "return"][turn % 2]).await;
    }
    // Until the process has looked at all of it, some time after the last.
    eventually("a look", HEALED, async || {
        let metrics = petrel.metrics().render();
        let lag = metrics
            .lines()
            .find(|line| line.contains("reconciler_lag_records ") && !line.starts_with('#'));
        match lag {
            Some(lag) if lag.ends_with(" 0") => Ok(()),
            lag => Err(format!("{lag:?}")),
        }
    })
    .await;
    server.kill().await;
    fs::remove_dir_all(stream(&server, "CB_LOG")).unwrap();
    copy_folder(&kept.path().join("CB_LOG"), &stream(&server, "CB_LOG"));
    server.restart().await;
    eventually("the shorter log", HEALED, async || match petrel.storage().last_sequence().await {
        Ok(now) if now == last => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    // Another process takes the same sequences for other things.
    let other = petrel_at(server.url()).await;
    for number in 0..9 {
        swing(&other, &name(number)).await;
    }
    eventually("healed views", HEALED, async || view_is_the_log(&petrel).await).await;
    assert_eq!(places(&petrel, &token).await, ["here"]);
    drop(reconciler);
}

#[tokio::test]
async fn the_next_firing_leaves_its_own_registers_right_and_no_other_writer_is_undone() {
    let (server, tokens) = moved_on().await;
    let petrel = petrel_at(server.url()).await;
    // The sequences of what the log has lost are given to other records.
    for token in &tokens {
        go(&petrel, token, "go").await;
        assert_eq!(places(&petrel, token).await, ["there"]);
        let read = petrel.token(None, token, Consistency::Eventual).await.unwrap();
        let strong = petrel.token(None, token, Consistency::Strong).await.unwrap();
        assert_eq!((&read.data, read.nats_sequence), (&strong.data, strong.nats_sequence));
    }
    let moving = async {
        for turn in 0..40 {
            for token in &tokens {
                go(&petrel, token, ["return", "go"][turn % 2]).await;
            }
        }
    };
    let other = petrel_at(server.url()).await;
    let rebuilding = async {
        for _ in 0..8 {
            other.rebuild(&|_, _| ()).await.unwrap();
        }
    };
    tokio::join!(moving, rebuilding);
    view_is_the_log(&petrel).await.unwrap();
    let rebuilt = other.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.failed), (0, 0));
}

/// A token of the log's own past that is gone stands nowhere in the view, and is put back.
#[tokio::test]
async fn tokens_that_were_made_taken_and_edited_after_the_copy_are_as_they_were() {
    let (server, _) = gone_back(async |petrel, tokens| {
        petrel.cancel(&workflow("pendulum"), &case(&name(0)), Change::default()).await.unwrap();
        let patch = json!({"n": 77});
        petrel.update_token_data(None, &tokens[1], patch, Change::default()).await.unwrap();
        swing(petrel, "never-was").await;
        begin(petrel, json!({})).await;
        go(petrel, &tokens[2], "go").await;
        go(petrel, &tokens[2], "return").await;
    })
    .await;
    let petrel = petrel_at(server.url()).await;
    let audited = found(&petrel).await.len() as u64;
    assert_eq!(audited, 5, "one lost, two changed, two unknown");
    let rebuilt = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.failed, rebuilt.unknown), (3, 0, 2));
    assert_eq!(found(&petrel).await.len(), 2);
    let rebuilt = petrel.rebuild_and_remove_unknown(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.removed, rebuilt.unknown), (2, 2, 0));
    view_is_the_log(&petrel).await.unwrap();
}

/// A new log has the same ids, and its sequences are smaller than those of the view.
#[tokio::test]
async fn a_view_that_is_older_than_its_log_is_judged_by_the_log() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    pendulum(&petrel).await;
    let mut tokens = Vec::new();
    for number in 0..CASES {
        let (_, token) = swing(&petrel, &name(number)).await;
        go(&petrel, &token, "go").await;
        tokens.push(token);
    }
    let (_, order) = begin(&petrel, json!({"amount": 1})).await;
    let operator = operator(server.url()).await;
    empty_log(&operator).await;
    let petrel = petrel_at(server.url()).await;
    pendulum(&petrel).await;
    for number in 0..2 {
        swing(&petrel, &name(number)).await;
    }
    let _reconciler = Reconciler::of(&petrel);
    let begun_anew =
        async || [places(&petrel, &tokens[0]).await, places(&petrel, &tokens[1]).await];
    eventually("healed views", HEALED, async || match begun_anew().await {
        [one, other] if one == ["here"] && other == ["here"] => Ok(()),
        others => Err(format!("{others:?}")),
    })
    .await;
    // The other cases, and a workflow, are gone: perhaps all is lost.
    let left = async || {
        assert_eq!(places(&petrel, &order).await, ["draft"]);
        assert_eq!(places(&petrel, &tokens[2]).await, ["there"]);
    };
    left().await;
    let rebuilt = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.unknown), (0, CASES - 1));
    left().await;
    let rebuilt = petrel.rebuild_and_remove_unknown(&|_, _| ()).await.unwrap();
    let gone = CASES - 1;
    assert_eq!((rebuilt.mended, rebuilt.ahead, rebuilt.removed), (gone, gone, gone));
    assert_eq!(view_is_the_log(&petrel).await.unwrap().len(), 2);
}

/// Somebody has deleted it: the view is all that is left, and no process takes that away.
#[tokio::test]
async fn the_views_of_a_log_that_is_gone_are_left_alone_until_somebody_asks() {
    let server = TestServer::start().await;
    let cases = petrel_at(server.url()).await;
    pendulum(&cases).await;
    for number in 0..CASES {
        swing(&cases, &name(number)).await;
    }
    drop(cases);
    empty_log(&operator(server.url()).await).await;
    let cases = petrel_at(server.url()).await;
    let (_, order) = begin(&cases, json!({})).await;
    // No record is about that place: only who looks at the view finds it there.
    double(&server, &cases, &order, "draft", "left").await;
    let fresh = petrel_at(server.url()).await;
    let _reconciler = Reconciler::of(&fresh);
    eventually("a look at the view", HEALED, async || {
        let places = places(&fresh, &order).await;
        if places == ["draft"] { Ok(()) } else { Err(format!("{places:?}")) }
    })
    .await;
    assert_eq!(in_view(&cases).await.unwrap().len() as u64, CASES + 1);
}

/// Copies the message of a token's place to another place too.
async fn double(server: &TestServer, petrel: &Petrel, token: &TokenId, from: &str, to: &str) {
    let read = petrel.token(None, token, Consistency::Eventual).await.unwrap();
    let register = petrel.storage().register(&read.workflow, &place(from), token).await.unwrap();
    let RegisterState::Live(old) = register.state else { panic!("{register:?}") };
    let subject = petrel.storage().token_subject(&read.workflow, &place(to), token);
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Petrel-Revision", old.nats_sequence.unwrap().to_string());
    let old = serde_json::to_vec(&old).unwrap().into();
    let operator = operator(server.url()).await;
    operator.publish_with_headers(subject, headers, old).await.unwrap().await.unwrap();
}

/// A late writer of another make puts a token where it was long ago.
#[tokio::test]
async fn a_token_that_a_late_writer_has_doubled_stands_in_one_place_again() {
    let server = TestServer::start().await;
    let cases = petrel_at(server.url()).await;
    pendulum(&cases).await;
    let (_, token) = swing(&cases, "one").await;
    go(&cases, &token, "go").await;
    double(&server, &cases, &token, "there", "here").await;
    assert_eq!(places(&cases, &token).await, ["here", "there"]);
    assert_eq!(found(&cases).await.len(), 1);
    // A process that starts looks at what the view has got lately.
    let fresh = petrel_at(server.url()).await;
    let _reconciler = Reconciler::of(&fresh);
    eventually("healed views", HEALED, async || view_is_the_log(&fresh).await).await;
    assert_eq!(places(&cases, &token).await, ["there"]);
}

/// A rebuild looks at each case once, at any number of tokens.
#[tokio::test]
async fn a_rebuild_goes_on_past_a_case_that_fails_and_says_so() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let wide = definition(json!({
        "id": "wide", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [{"id": "split", "inputs": [{"place": "a"}],
                         "outputs": [{"place": "b", "weight": 700}]}]
    }));
    petrel.create_workflow(wide, ExpectedVersion::New).await.unwrap();
    for id in ["one", "sick", "two"] {
        let new = NewCase { case: Some(case(id)), ..NewCase::of(workflow("wide")) };
        petrel.create_case(new).await.unwrap();
        petrel.fire(Fire::case(workflow("wide"), case(id), transition("split"))).await.unwrap();
    }
    let operator = operator(server.url()).await;
    let subject = "cb.workflows.wide.events.transitions.sick";
    operator.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
    operator.get_stream("CB_MARKING").await.unwrap().purge().await.unwrap();
    let rebuilt = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.failed), (1_400, 1));
    let again = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((again.mended, again.failed), (0, 1));
}
