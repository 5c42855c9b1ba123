//! Named tasks, which a process needs until its shutdown.

use std::{
    fmt::{self, Display},
    panic::AssertUnwindSafe,
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Tasks that a process needs until its shutdown. The end of one before that, by a return or a
/// panic, makes the process not ready; nothing begins it again, since its state is lost.
#[derive(Debug)]
pub struct Tasks {
    shutdown: CancellationToken,
    running: Vec<(&'static str, JoinHandle<()>)>,
    faults: watch::Sender<Option<String>>,
}

/// Faults of tasks, told when all have been awaited.
#[derive(Debug, thiserror::Error)]
pub struct TasksError {
    /// Tasks that ended early, and in which way.
    pub faults: Option<String>,
    /// Tasks that had not ended when the time for it was over.
    pub late: Vec<&'static str>,
    /// The time that they had.
    pub within: Duration,
}

impl Display for TasksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = (!self.late.is_empty()).then(|| {
            let names = self.late.join(", the ");
            format!("not ended {:?} after the shutdown: the {names}", self.within)
        });
        let parts: Vec<_> = self.faults.iter().chain(&late).map(String::as_str).collect();
        f.write_str(&parts.join("; "))
    }
}

impl Tasks {
    /// No tasks yet; they are to end with `shutdown`.
    pub fn new(shutdown: &CancellationToken) -> Self {
        let faults = watch::Sender::new(None);
        Self { shutdown: shutdown.child_token(), running: Vec::new(), faults }
    }

    /// Runs a task until the token that it gets is cancelled, and a moment more for what it has
    /// to end.
    pub fn run<T>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let (shutdown, faults) = (self.shutdown.clone(), self.faults.clone());
        let task = AssertUnwindSafe(task(shutdown.clone())).catch_unwind();
        let supervised = async move {
            let fault = match task.await {
                Ok(()) if shutdown.is_cancelled() => return,
                Ok(()) => format!("the {name} has ended"),
                // The panic itself has been written to stderr.
                Err(_) => format!("the {name} has panicked"),
            };
            tracing::error!("{fault}; restart this process");
            faults.send_modify(|all| match all {
                Some(all) => all.extend([", ", &fault]),
                None => *all = Some(fault),
            });
        };
        self.running.push((name, tokio::spawn(supervised)));
    }

    /// Tells the early ends, as soon as there is one.
    pub fn faults(&self) -> watch::Receiver<Option<String>> {
        self.faults.subscribe()
    }

    /// Cancels the tasks' token and waits for all of them, for at most the time `within`. Who has
    /// not ended then is left at its next pause.
    ///
    /// # Errors
    ///
    /// The names of tasks that ended early, and of those that had to be left.
    pub async fn end(self, within: Duration) -> Result<(), TasksError> {
        self.shutdown.cancel();
        let (until, mut late) = (Instant::now() + within, Vec::new());
        for (name, mut task) in self.running {
            // An error is that of a runtime that ends: a panic has been noted.
            if timeout_at(until, &mut task).await.is_err() {
                task.abort();
                late.push(name);
            }
        }
        let faults = self.faults.borrow().clone();
        match (&faults, late.is_empty()) {
            (None, true) => Ok(()),
            _ => Err(TasksError { faults, late, within }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// Longer than any test.
    const LONG: Duration = Duration::from_secs(60);

    fn tasks() -> Tasks {
        Tasks::new(&CancellationToken::new())
    }

    async fn fault(tasks: &Tasks) -> String {
        let mut faults = tasks.faults();
        let fault = faults.wait_for(Option::is_some).await.unwrap();
        fault.clone().unwrap()
    }

    #[tokio::test]
    async fn tasks_that_end_with_the_shutdown_are_awaited_and_leave_no_fault() {
        let (ended, mut ends) = watch::channel(0);
        let mut tasks = tasks();
        for name in ["one", "other"] {
            let ended = ended.clone();
            tasks.run(name, |stop| async move {
                stop.cancelled().await;
                tokio::task::yield_now().await;
                ended.send_modify(|count| *count += 1);
            });
        }
        let faults = tasks.faults();
        tasks.end(LONG).await.unwrap();
        assert_eq!(*ends.borrow_and_update(), 2);
        assert_eq!(*faults.borrow(), None);
    }

    #[tokio::test]
    async fn an_early_end_is_told_at_once_and_again_at_the_end() {
        let mut tasks = tasks();
        tasks.run("reader", |_| async {});
        assert_eq!(fault(&tasks).await, "the reader has ended");
        tasks.run("writer", |_| async { panic!("out of order") });
        let mut faults = tasks.faults();
        let both = "the reader has ended, the writer has panicked";
        faults.wait_for(|fault| fault.as_deref() == Some(both)).await.unwrap();
        assert_eq!(tasks.end(LONG).await.unwrap_err().to_string(), both);
    }

    #[tokio::test]
    async fn a_panic_during_the_shutdown_is_told() {
        let mut tasks = tasks();
        tasks.run("reader", |stop| async move {
            stop.cancelled().await;
            panic!("out of order");
        });
        assert_eq!(tasks.end(LONG).await.unwrap_err().to_string(), "the reader has panicked");
    }

    #[tokio::test]
    async fn tasks_that_do_not_end_in_time_are_named_and_left() {
        let (alive, dropped) = watch::channel(());
        let mut tasks = tasks();
        tasks.run("first", |stop| async move { stop.cancelled().await });
        tasks.run("second", |_| async move {
            pending::<()>().await;
            drop(alive);
        });
        tasks.run("third", |_| pending());
        let left = tasks.end(Duration::from_millis(20)).await.unwrap_err();
        let text = "not ended 20ms after the shutdown: the second, the third";
        assert_eq!(left.to_string(), text);
        let mut dropped = dropped;
        assert!(tokio::time::timeout(LONG, dropped.changed()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn the_shutdown_of_the_process_ends_its_tasks() {
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(&shutdown);
        let (ended, mut ends) = watch::channel(false);
        tasks.run("reader", |stop| async move {
            stop.cancelled().await;
            ended.send_replace(true);
        });
        shutdown.cancel();
        ends.wait_for(|ended| *ended).await.unwrap();
        tasks.end(LONG).await.unwrap();
    }
}
