//! The servers of a trap, and workers that wait in the middle of their work.

use async_nats::jetstream;
use stormpetrel::testing::{TestCluster, TestServer};
use tokio::sync::Notify;

use super::*;
use crate::{
    failures::{fixtures::operator, replicas::joined},
    support::{petrel_at, replicated},
};

/// One server, or three.
pub(super) enum Servers {
    One(Box<TestServer>),
    Three(TestCluster),
}

impl Servers {
    pub(super) async fn one() -> Self {
        Self::One(Box::new(TestServer::start().await))
    }

    pub(super) async fn three() -> Self {
        Self::Three(TestCluster::start(3).await)
    }

    /// A process of its own; on three servers each with another one.
    pub(super) async fn process(&self, number: usize) -> Petrel {
        match self {
            Self::One(server) => petrel_at(server.url()).await,
            Self::Three(cluster) => joined(replicated(cluster, number % 3)).await,
        }
    }

    pub(super) async fn operator(&self) -> jetstream::Context {
        match self {
            Self::One(server) => operator(server.url()).await,
            Self::Three(cluster) => operator(cluster.url(0)).await,
        }
    }

    /// Another leader for a stream and its consumers, or a killed server that comes back where there is one.
    pub(super) async fn disturb(&mut self, stream: &str, consumers: &[&str]) {
        match self {
            Self::One(server) => {
                server.kill().await;
                server.restart().await;
            }
            Self::Three(_) => {
                let operator = self.operator().await;
                for consumer in consumers {
                    let subject = format!("CONSUMER.LEADER.STEPDOWN.{stream}.{consumer}");
                    asked(&operator, &subject).await;
                }
                asked(&operator, &format!("STREAM.LEADER.STEPDOWN.{stream}")).await;
            }
        }
    }
}

/// Asks the server, and reports a refusal.
async fn asked(operator: &jetstream::Context, subject: &str) {
    let answer: Value = operator.request(subject.to_owned(), &()).await.unwrap();
    assert!(answer["error"].is_null(), "{subject}: {answer}");
}

/// A worker whose attempts begin and wait until they are let go.
#[derive(Clone, Default)]
pub(super) struct Gate {
    begun: Arc<Mutex<Vec<(String, u64)>>>,
    open: Arc<Notify>,
}

impl Gate {
    pub(super) fn worker(&self, petrel: &Petrel, of: &str) -> WorkerBuilder {
        let gate = self.clone();
        Worker::builder(petrel.clone()).queue(QueueOptions::new(queue(of))).handle(
            kind("step"),
            move |attempt: Attempt, _: Value| {
                let gate = gate.clone();
                async move {
                    let of = (attempt.work().case.to_string(), attempt.claim());
                    gate.begun.lock().unwrap().push(of);
                    gate.open.notified().await;
                    Ok::<_, WorkError>(json!({}))
                }
            },
        )
    }

    pub(super) fn begun(&self) -> Vec<(String, u64)> {
        let mut begun = self.begun.lock().unwrap().clone();
        begun.sort();
        begun
    }

    /// Waits until so many have begun.
    pub(super) async fn until(&self, count: usize) {
        eventually("they begin", async || (self.begun().len() >= count).then_some(())).await;
    }

    /// Lets all go that wait, until the cases have ended.
    pub(super) async fn let_go(&self, petrel: &Petrel, of: &str, cases: &[String]) {
        for id in cases {
            eventually("it ends", async || {
                self.open.notify_waiters();
                let now = petrel.case(&workflow(of), &case(id)).await.ok()?;
                (now.status == CaseStatus::Completed).then_some(())
            })
            .await;
        }
    }
}
