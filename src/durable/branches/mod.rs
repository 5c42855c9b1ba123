//! Branches of a handler that run side by side, and the journal's word on those that ended in time.

mod map;
mod select;

use std::{collections::BTreeSet, sync::Arc};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};

pub use map::{Map, NotEnough};
pub use select::Select;

use super::{
    Context,
    beside::rows,
    error::{Difference, Fatal},
    run::{Asked, Run},
};
use crate::models::{Chosen, EntryKind, Operation, OperationEnd, Times};

/// Branches, each in a scope of its own.
struct Branches<'a, T> {
    run: Arc<Run>,
    scopes: Vec<Context>,
    futures: Vec<BoxFuture<'a, T>>,
    /// The most that run at once.
    at_most: usize,
}

impl<'a, T> Branches<'a, T> {
    /// Runs them all to their ends.
    async fn all(self) -> Vec<T> {
        let mut results = self.until(|_| false).await;
        results.sort_by_key(|(place, _)| *place);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Runs them until one has ended after which there are `enough`, or all have: in the order of their ends. The others
    /// are dropped then.
    async fn until(self, mut enough: impl FnMut(&T) -> bool) -> Vec<(usize, T)> {
        let mut ended = Vec::with_capacity(self.futures.len());
        let mut waiting = self.futures.into_iter().enumerate();
        let placed =
            |(place, future): (usize, BoxFuture<'a, T>)| future.map(move |result| (place, result));
        let mut running: FuturesUnordered<_> =
            waiting.by_ref().take(self.at_most).map(placed).collect();
        while let Some((place, result)) = running.next().await {
            let is_last = enough(&result);
            ended.push((place, result));
            if is_last {
                break;
            }
            running.extend(waiting.next().map(placed));
        }
        ended
    }

    /// The same; another run comes to the same ones, since an entry says which they were.
    async fn chosen(
        self,
        (of, place): (Operation, String),
        enough: impl FnMut(&T) -> bool,
    ) -> Vec<(usize, T)> {
        let run = Arc::clone(&self.run);
        let Asked { of, past, under: _under, .. } = run.ask(of).await;
        if let Some((OperationEnd::Result(stored), _)) = past.and_then(|past| past.end) {
            let read = serde_json::from_value(stored).map_err(|error| error.to_string());
            let count = self.futures.len();
            let read = read.and_then(|chosen: Chosen| match chosen.of == count {
                true => Ok(chosen.chosen),
                false => {
                    Err(format!("it is about {} branches, and the code has {count}", chosen.of))
                }
            });
            return match read {
                Ok(chosen) => self.again(chosen).await,
                Err(reason) => {
                    run.end_by(Fatal::Differs(Difference::Unreadable { of, reason })).await
                }
            };
        }
        run.go_on().await;
        let (since, count) = (run.environment.now(), self.futures.len());
        let scopes: Vec<_> = self.scopes.iter().map(Context::number).collect();
        let ended = self.until(enough).await;
        let chosen: Vec<_> = ended.iter().map(|(place, _)| *place).collect();
        let won: BTreeSet<_> = chosen.iter().filter_map(|place| scopes.get(*place)).collect();
        let lost = scopes.iter().filter(|scope| !won.contains(scope)).copied().collect();
        let won = rows(won.into_iter().copied().collect());
        let stored = serde_json::json!(Chosen { chosen, of: count, won, lost: rows(lost) });
        let times = Times { attempt: 1, lost: 0, since, place };
        let entry =
            EntryKind::Ended { of, end: OperationEnd::Result(stored), times, beside: Vec::new() };
        run.write_whole(entry).await;
        ended
    }

    /// Runs those that were chosen, and leaves the others out.
    async fn again(mut self, chosen: Vec<usize>) -> Vec<(usize, T)> {
        let kept: BTreeSet<_> = chosen.iter().copied().collect();
        let lost = self.scopes.iter().enumerate().filter(|(place, _)| !kept.contains(place));
        self.run.leave_out(lost.map(|(_, scope)| scope.path()));
        let mut futures: Vec<_> = self.futures.drain(..).map(Some).collect();
        let mut taken = |place: &usize| futures.get_mut(*place)?.take();
        self.futures = chosen.iter().filter_map(&mut taken).collect();
        // In the order in which they had ended, whatever order they end in now.
        let results = self.all().await;
        chosen.into_iter().zip(results).collect()
    }
}
