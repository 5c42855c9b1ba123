//! Consumers and streams that somebody deletes, and a server that is away.

use std::time::Duration;

use stormpetrel::{
    storage::{Page, Storage, StorageError, Work, nats::NatsStorage},
    testing::TestServer,
};

use super::{MOMENT, NORMAL, PATIENCE, all_of, connect, is_quiet, offers, once, queue, take};
use crate::{
    failures::{
        fixtures::{eventually, impatient, operator, stream_info},
        looking::{doctor, run, warnings},
    },
    support::config,
};

const CONSUMER: &str = "petrel-q-normal";

#[tokio::test]
async fn a_consumer_that_is_deleted_by_hand_is_made_again_and_gives_out_what_is_there() {
    let server = TestServer::start().await;
    let (work, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    work.offer(&offers("q", 0..20)).await.unwrap();
    let taken = take(&work, "q", 20).await;
    for delivery in &taken[..10] {
        work.acknowledge(delivery).await.unwrap();
    }
    let delete = async || operator.delete_consumer_from_stream(CONSUMER, "CB_WORK").await.unwrap();
    delete().await;
    // Nobody hears these, but for an end.
    work.extend(&taken[18]).await.unwrap();
    work.give_work_back(&taken[18], Duration::ZERO).await.unwrap();
    work.acknowledge(&taken[19]).await.unwrap();
    assert_eq!(all_of(&work, "q", 9).await, once(10..19), "at once, and not when a time is over");
    is_quiet(&work, "q").await;

    // Under one who waits.
    let waits = take(&work, "q", 1);
    let deletes = async {
        eventually("a pull", PATIENCE, async || {
            let pulls = work.queue(&queue("q")).await.unwrap().class(NORMAL).open_pulls;
            if pulls > 0 { Ok(()) } else { Err("none") }
        })
        .await;
        delete().await;
        work.offer(&offers("q", 20..21)).await.unwrap();
    };
    let (came, ()) = tokio::join!(waits, deletes);
    assert_eq!(came[0].offer.item, 20);
}

#[tokio::test]
async fn a_stream_of_work_that_is_deleted_is_made_again_and_says_that_it_lacks_offers() {
    let server = TestServer::start().await;
    let (work, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    let before = stream_info(&operator, "CB_WORK").await["config"].take();
    assert_eq!(before["retention"], "workqueue");
    let first = work.work_to_be_filled().await.unwrap().expect("a life");
    work.work_filled(&first).await.unwrap();
    assert_eq!(work.work_to_be_filled().await.unwrap(), None);
    work.offer(&offers("q", 0..2)).await.unwrap();
    let old = take(&work, "q", 2).await;

    operator.delete_stream("CB_WORK").await.unwrap();
    let problem = work.health().await.problem.expect("a problem");
    assert!(problem.contains("CB_WORK") && problem.contains("missing"), "{problem}");
    let told = warnings(&doctor(&server.url(), &[]).await);
    assert!(told.contains("CB_WORK: is missing"), "{told}");
    // By who offers.
    work.offer(&offers("q", 1..100)).await.unwrap();
    assert_eq!(work.health().await.problem, None);
    let second = work.work_to_be_filled().await.unwrap().expect("another life");
    assert_ne!(second, first);
    work.work_filled(&first).await.unwrap();
    assert_eq!(work.work_to_be_filled().await.unwrap(), Some(second));
    // What was taken from the former one touches nothing here.
    work.acknowledge(&old[1]).await.unwrap();
    assert_eq!(all_of(&work, "q", 99).await, once(1..100));

    // By who takes, under his pull.
    let waits = take(&work, "q", 1);
    let deletes = async {
        tokio::time::sleep(MOMENT).await;
        operator.delete_stream("CB_WORK").await.unwrap();
        eventually("a stream", PATIENCE, async || {
            operator.get_stream("CB_WORK").await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        work.offer(&offers("q", 100..101)).await.unwrap();
    };
    let (came, ()) = tokio::join!(waits, deletes);
    assert_eq!(came[0].offer.item, 100);
    let mut again = stream_info(&operator, "CB_WORK").await["config"].take();
    assert!(again["first_seq"].as_u64() > Some(1_000_000), "{again}");
    again.as_object_mut().unwrap().remove("first_seq");
    assert_eq!(again, before);

    // Whoever only looks makes nothing.
    operator.delete_stream("CB_WORK").await.unwrap();
    let looks = NatsStorage::connect_to_existing(config(server.url())).await.unwrap();
    let error = looks.offer(&offers("q", 0..1)).await.unwrap_err();
    assert!(
        matches!(&error, StorageError::Stream { stream, .. } if stream == "CB_WORK"),
        "{error}"
    );
    looks.take(&queue("q"), NORMAL, 1, MOMENT).await.unwrap_err();
    assert_eq!(looks.queue(&queue("q")).await.unwrap().class(NORMAL).waiting, 0);
    assert_eq!(looks.queues().await.unwrap(), []);
    assert!(operator.get_stream("CB_WORK").await.is_err());
    assert!(run(&server.url(), &["init"]).await.status.success());
    assert!(operator.get_stream("CB_WORK").await.is_ok());
    // Nor does anybody where the log is gone.
    for stream in ["CB_LOG", "CB_WORK"] {
        operator.delete_stream(stream).await.unwrap();
    }
    work.offer(&offers("q", 0..1)).await.unwrap_err();
    assert!(operator.get_stream("CB_WORK").await.is_err());
}

/// With it no consumer is at the head of the stream, where the server looks at all that waits before each message that it
/// gives out.
#[tokio::test]
async fn a_message_that_nobody_takes_stays_at_the_head_of_the_stream() {
    let server = TestServer::start().await;
    let work = connect(config(server.url())).await;
    let operator = operator(server.url()).await;
    for _ in 0..2 {
        work.offer(&offers("q", 0..10)).await.unwrap();
        assert_eq!(all_of(&work, "q", 10).await, once(0..10));
        let state = stream_info(&operator, "CB_WORK").await["state"].take();
        assert_eq!(state["messages"], 1, "{state}");
        let stream = operator.get_stream("CB_WORK").await.unwrap();
        let head = stream.get_raw_message(state["first_seq"].as_u64().unwrap()).await.unwrap();
        assert_eq!(head.subject.as_str(), "cb.open.incidents.~.~.~");
        assert_eq!(work.queues().await.unwrap(), [queue("q")]);
        // It is there once, also where the stream is made again.
        NatsStorage::connect(config(server.url())).await.unwrap();
        operator.delete_stream("CB_WORK").await.unwrap();
        work.work_to_be_filled().await.unwrap();
    }
}

#[tokio::test]
async fn one_who_waits_goes_on_when_the_server_was_killed_and_is_back() {
    let mut server = TestServer::start().await;
    let work = connect(impatient(server.url())).await;
    work.offer(&offers("q", 0..3)).await.unwrap();
    assert_eq!(all_of(&work, "q", 3).await, once(0..3));
    let waits = take(&work, "q", 3);
    let kills = async {
        tokio::time::sleep(MOMENT).await;
        server.kill().await;
        tokio::time::sleep(MOMENT).await;
        server.restart().await;
        eventually("they are offered", PATIENCE, async || work.offer(&offers("q", 3..6)).await)
            .await;
    };
    let (came, ()) = tokio::join!(waits, kills);
    assert_eq!(came.iter().map(|it| it.offer.item).collect::<Vec<_>>(), [3, 4, 5]);
    // What somebody has had since before a kill is there after it, and so is what nobody had.
    work.offer(&offers("q", 6..9)).await.unwrap();
    server.kill().await;
    server.restart().await;
    let left = eventually("a list", PATIENCE, async || work.all_offered(Page::default()).await);
    assert_eq!(left.await.items.len(), 6);
    for delivery in &came {
        super::acknowledged(&work, delivery).await;
    }
    assert_eq!(all_of(&work, "q", 3).await, once(6..9));
}

#[tokio::test]
async fn none_is_lost_while_the_server_is_killed_again_and_again() {
    let mut server = TestServer::start().await;
    let work = connect(impatient(server.url())).await;
    let (mut number, mut came) = (0, std::collections::BTreeMap::new());
    for _ in 0..3 {
        work.offer(&offers("q", number..number + 100)).await.unwrap();
        number += 100;
        for delivery in take(&work, "q", 30).await {
            if delivery.offer.item % 2 == 0 {
                work.acknowledge(&delivery).await.unwrap();
                *came.entry(delivery.offer.item).or_insert(0) += 1;
            } else {
                work.give_work_back(&delivery, Duration::from_millis(10)).await.unwrap();
            }
        }
        server.kill().await;
        server.restart().await;
        let missing = usize::try_from(number).unwrap() - came.len();
        for (item, times) in all_of(&work, "q", missing).await {
            *came.entry(item).or_insert(0) += times;
        }
    }
    assert_eq!(came, once(0..number), "what was acknowledged stays so");
}

/// The server writes what a consumer has given out a moment later: after a kill it may know nothing of it, and then it
/// answers no acknowledgement.
#[tokio::test]
async fn what_was_given_out_just_before_a_kill_is_acknowledged() {
    let mut server = TestServer::start().await;
    let work = connect(impatient(server.url())).await;
    work.offer(&offers("q", 0..3)).await.unwrap();
    let came = take(&work, "q", 3).await;
    assert_eq!(came.len(), 3);
    let mut folders = vec![server.local().store_dir().to_owned()];
    server.kill().await;
    let mut forgotten = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_of_work = path.components().any(|part| part.as_os_str() == "CB_WORK");
            if path.is_dir() {
                folders.push(path);
            } else if is_of_work && path.ends_with("o.dat") {
                std::fs::remove_file(path).unwrap();
                forgotten += 1;
            }
        }
    }
    assert!(forgotten > 0, "consumers have their states in other files");
    server.restart().await;
    for delivery in &came {
        super::acknowledged(&work, delivery).await;
    }
    let left = eventually("a list", PATIENCE, async || work.all_offered(Page::default()).await);
    assert_eq!(left.await.items.len(), 0);
}
