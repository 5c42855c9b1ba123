//! Beats when their stream, or the server, goes away.

use std::time::{Duration, Instant};

use bytes::Bytes;
use stormpetrel::{
    storage::{Beat, Beats, Progress, Storage, StorageError},
    testing::TestServer,
};

use super::{PATIENCE, connect};
use crate::{
    failures::fixtures::{eventually, impatient, operator, stream_info},
    support::{case, config, workflow},
};

const LIFE: Duration = Duration::from_secs(2);

fn beat(claim: u64) -> Beat {
    let (holder, worker) = ("h".to_owned(), "a worker".to_owned());
    Beat { workflow: workflow("w"), case: case("c"), item: 1, claim, holder, worker }
}

fn progress(claim: u64) -> Progress {
    let Beat { workflow, case, item, .. } = beat(claim);
    Progress { workflow, case, item, claim, json: Bytes::from_static(b"[1]") }
}

#[tokio::test]
async fn a_beat_ends_in_time_though_the_server_was_killed_meanwhile_and_progress_stays() {
    let mut server = TestServer::start().await;
    let beats = connect(impatient(server.url())).await;
    let (w, c) = (workflow("w"), case("c"));
    let first = beats.beat(&beat(1), LIFE, None).await.unwrap();
    let begun = Instant::now();
    beats.progress(&progress(1), None).await.unwrap();
    server.kill().await;
    server.restart().await;
    let mut last =
        eventually("an answer", PATIENCE, async || beats.last_beat(&w, &c, 1).await).await;
    while last.is_some() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
        last = beats.last_beat(&w, &c, 1).await.unwrap();
    }
    assert!(begun.elapsed() >= LIFE.mul_f64(0.9), "{:?}", begun.elapsed());
    let refused = beats.beat(&beat(1), LIFE, Some(first)).await;
    assert!(matches!(refused, Err(StorageError::LostRace { .. })), "{refused:?}");
    beats.beat(&beat(2), LIFE, None).await.unwrap();
    let kept = beats.last_progress(&w, &c, 1).await.unwrap().expect("progress");
    assert_eq!(kept.progress, progress(1));
}

#[tokio::test]
async fn a_stream_of_beats_that_is_deleted_is_made_again_by_who_beats_and_by_who_looks() {
    let server = TestServer::start().await;
    let (beats, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    let before = stream_info(&operator, "CB_BEATS").await["config"].take();
    let first = beats.beat(&beat(1), LIFE, None).await.unwrap();
    operator.delete_stream("CB_BEATS").await.unwrap();
    let problem = beats.health().await.problem.expect("a problem");
    assert!(problem.contains("CB_BEATS") && problem.contains("missing"), "{problem}");
    let refused = beats.beat(&beat(1), LIFE, Some(first)).await;
    assert!(matches!(refused, Err(StorageError::LostRace { .. })), "{refused:?}");
    let second = beats.beat(&beat(1), LIFE, None).await.unwrap();
    assert!(second > first, "what was seen of the former one fits nothing here");
    operator.delete_stream("CB_BEATS").await.unwrap();
    assert_eq!(beats.last_beat(&workflow("w"), &case("c"), 1).await.unwrap(), None);
    operator.delete_stream("CB_BEATS").await.unwrap();
    beats.end_beats(&workflow("w"), &case("c"), 1).await.unwrap();
    beats.progress(&progress(1), None).await.unwrap();
    let mut again = stream_info(&operator, "CB_BEATS").await["config"].take();
    again.as_object_mut().unwrap().remove("first_seq");
    assert_eq!(again, before);
    assert_eq!(beats.health().await.problem, None);
}

#[tokio::test]
async fn a_beat_that_cannot_be_read_is_told_with_its_place() {
    let server = TestServer::start().await;
    let (beats, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    for subject in ["cb.beats.w.c.1", "cb.beats.w.c.1.progress"] {
        operator.publish(subject, "theirs".into()).await.unwrap().await.unwrap();
    }
    let told = beats.last_beat(&workflow("w"), &case("c"), 1).await.unwrap_err().to_string();
    assert!(told.contains("cb.beats.w.c.1 at sequence 1"), "{told}");
    let told = beats.last_progress(&workflow("w"), &case("c"), 1).await.unwrap_err().to_string();
    assert!(told.contains("cb.beats.w.c.1.progress at sequence 2"), "{told}");
    beats.end_beats(&workflow("w"), &case("c"), 1).await.unwrap();
    beats.beat(&beat(1), LIFE, None).await.unwrap();
}
