//! The health of the store, asked for once for all who want to know it at the time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::petrel::{Health, Petrel};

/// Time for which an answer is good. Probes come every few seconds; strangers may come as often as they
/// like.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// The health as it was told last, or the question that is under way. A clone shares it.
#[derive(Debug, Clone)]
pub(super) struct Vitals {
    told: Arc<Mutex<watch::Receiver<Option<Told>>>>,
    questions: TaskTracker,
}

#[derive(Debug, Clone)]
struct Told {
    at: Instant,
    health: Arc<Health>,
}

impl Vitals {
    /// Nothing asked yet.
    pub(super) fn new() -> Self {
        let told = Arc::new(Mutex::new(watch::channel(None).1));
        Self { told, questions: TaskTracker::new() }
    }

    /// The health of the store, at most [`GOOD_FOR`] old. There is one question at a time, which goes
    /// on when those have gone who asked it, until `shutdown`.
    pub(super) async fn of(&self, petrel: &Petrel, shutdown: &CancellationToken) -> Arc<Health> {
        let mut told = self.question(petrel, shutdown);
        match told.wait_for(Option::is_some).await.ok().as_deref() {
            Some(Some(told)) => Arc::clone(&told.health),
            _ => Arc::new(Health {
                problem: Some("the question for the store's health has failed".to_owned()),
                ..Health::default()
            }),
        }
    }

    /// Waits for the question that is under way; no others may be asked.
    pub(super) async fn end(&self) {
        self.questions.close();
        self.questions.wait().await;
    }

    /// The question that is under way or has a good answer; otherwise another one.
    fn question(
        &self,
        petrel: &Petrel,
        shutdown: &CancellationToken,
    ) -> watch::Receiver<Option<Told>> {
        let mut last = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = match &*last.borrow() {
            Some(told) => told.at.elapsed() < GOOD_FOR,
            None => last.has_changed().is_ok(),
        };
        if !is_good {
            let (teller, next) = watch::channel(None);
            let (petrel, shutdown) = (petrel.clone(), shutdown.clone());
            self.questions.spawn(async move {
                // An answer that an absent server owes must not hold up the shutdown.
                let asked = shutdown.run_until_cancelled(petrel.health()).await;
                let Some(health) = asked.map(Arc::new) else { return };
                teller.send_replace(Some(Told { at: Instant::now(), health }));
            });
            *last = next;
        }
        last.clone()
    }
}
