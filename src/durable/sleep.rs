//! Sleeps: waits for a time that is in the journal.

use std::{panic::Location, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Context,
    context::place,
    error::Fatal,
    run::{Asked, Run},
};
use crate::models::{EntryKind, Operation, OperationEnd, OperationKind, Times};

/// The longest wait.
pub(super) const LONGEST: TimeDelta = TimeDelta::days(36_525);

impl Context {
    /// Waits for some time, counted from the first run that comes here: another one waits for the rest. A wait of more
    /// than some seconds lets the worker go, if nothing else of the handler goes on meanwhile, and costs nobody
    /// anything. At most 100 years. One that a `select` drops has no effect, and may be left out in another run.
    #[track_caller]
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (of, place) = (self.operation(OperationKind::Sleep, ""), place(Location::caller()));
        let run = Arc::clone(self.run());
        async move {
            let until =
                |now: DateTime<Utc>| now.checked_add_signed(TimeDelta::from_std(time).ok()?);
            sleep(&run, (of, place), until).await;
        }
    }

    /// Waits for a point in time; not at all if that is over. As [`sleep`](Self::sleep) else.
    #[track_caller]
    pub fn sleep_until(&self, time: DateTime<Utc>) -> impl Future<Output = ()> + Send + use<> {
        let (of, place) = (self.operation(OperationKind::Sleep, ""), place(Location::caller()));
        let run = Arc::clone(self.run());
        async move { sleep(&run, (of, place), |_| Some(time)).await }
    }
}

async fn sleep(
    run: &Run,
    (of, place): (Operation, String),
    until: impl FnOnce(DateTime<Utc>) -> Option<DateTime<Utc>>,
) {
    let Asked { of, past, under: _under, .. } = run.ask(of).await;
    run.go_on().await;
    let known = match past {
        Some(past) if past.end.is_some() => return,
        past => past.and_then(|past| past.until),
    };
    let since = run.environment.now();
    let until = match known {
        Some(until) => until,
        None => {
            let until = until(since).filter(|until| *until - since <= LONGEST);
            let Some(until) = until else {
                let reason = format!("{of} is longer than 100 years");
                return run.end_by(Fatal::Wait(reason)).await;
            };
            if until > since {
                // It has nothing that could be too large.
                let _ = run.write(EntryKind::Waits { of: of.clone(), until }).await;
            }
            until
        }
    };
    run.wait_until(until).await;
    run.go_on().await;
    let times = Times { attempt: 1, lost: 0, since, place };
    let end = OperationEnd::Result(serde_json::Value::Null);
    let _ = run.write(EntryKind::Ended { of, end, times, beside: Vec::new() }).await;
}
