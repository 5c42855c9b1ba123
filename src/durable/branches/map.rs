//! A branch for each of some items.

use std::{fmt, future::IntoFuture, panic::Location};

use futures::{FutureExt, future::BoxFuture};

use super::Branches;
use crate::{
    durable::{Context, context::place},
    models::{Operation, OperationKind},
    worker::WorkError,
};

/// A branch for each of some items. They begin when it is awaited.
#[must_use = "no branch begins unless it is awaited"]
pub struct Map<'a, T, E> {
    of: Operation,
    place: String,
    branches: Branches<'a, Result<T, E>>,
    enough: Option<usize>,
    tolerate: Option<usize>,
}

impl<T, E> fmt::Debug for Map<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("of", &self.of).finish_non_exhaustive()
    }
}

/// Branches of which too many have failed.
#[derive(Debug)]
pub struct NotEnough<E> {
    /// The errors, each with the place of its item, from 0; in the order of their ends, or of the items where all were
    /// awaited.
    pub failed: Vec<(usize, E)>,
    /// Number of branches that had ended well.
    pub succeeded: usize,
}

impl<E: fmt::Display> fmt::Display for NotEnough<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failed, succeeded } = self;
        write!(f, "{} branches have failed, and {succeeded} have ended well", failed.len())?;
        failed.iter().try_for_each(|(place, error)| write!(f, "; {place}: {error}"))
    }
}

impl Context {
    /// A branch for each of some items, side by side. Each gets a context of its own, in a scope with this name. The
    /// results are in the order of the items.
    ///
    /// All are awaited to their ends, unless [`Map::enough`] or [`Map::tolerate`] says less: then an entry of the journal
    /// says which had ended, another run takes the same ones, and the others are dropped as those of a
    /// [`select`](Self::select) are.
    #[track_caller]
    pub fn map<'a, I, T, E, F, R>(
        &self,
        name: &str,
        items: impl IntoIterator<Item = I>,
        run: F,
    ) -> Map<'a, T, E>
    where
        F: Fn(Context, I) -> R,
        R: Future<Output = Result<T, E>> + Send + 'a,
    {
        let (of, place) = (self.operation(OperationKind::Map, name), place(Location::caller()));
        let (mut scopes, mut futures) = (Vec::new(), Vec::new());
        for item in items {
            let scope = self.scope(name);
            futures.push(run(scope.clone(), item).boxed());
            scopes.push(scope);
        }
        let branches = Branches { run: self.run().clone(), scopes, futures, at_most: usize::MAX };
        Map { of, place, branches, enough: None, tolerate: None }
    }
}

impl<'a, T: Send + 'a, E: Send + 'a> Map<'a, T, E> {
    /// Runs so many at once, at most; at least one. All where nothing is said.
    pub fn at_most(mut self, count: usize) -> Self {
        self.branches.at_most = count.max(1);
        self
    }

    /// Ends at once when so many have ended well.
    pub fn enough(mut self, count: usize) -> Self {
        self.enough = Some(count);
        self
    }

    /// Ends at once when more have failed. Where nothing is said none may fail, and all are awaited.
    pub fn tolerate(mut self, count: usize) -> Self {
        self.tolerate = Some(count);
        self
    }

    /// Runs the branches: the results of those that ended well, each with the place of its item, in that order.
    ///
    /// # Errors
    ///
    /// [`NotEnough`] with the failures if more have failed than are tolerated, or fewer have ended well than are enough.
    pub async fn places(self) -> Result<Vec<(usize, T)>, NotEnough<E>> {
        let Self { of, place, branches, enough, tolerate } = self;
        let (mut well, mut failed) = (0, 0);
        let is_done = move |result: &Result<T, E>| {
            match result {
                Ok(_) => well += 1,
                Err(_) => failed += 1,
            }
            enough.is_some_and(|enough| well >= enough)
                || tolerate.is_some_and(|tolerate| failed > tolerate)
        };
        let ended = match (enough, tolerate) {
            (Some(0), _) => Vec::new(),
            // All are awaited, so their order says nothing.
            (None, None) => branches.all().await.into_iter().enumerate().collect(),
            _ if branches.futures.is_empty() => Vec::new(),
            _ => branches.chosen((of, place), is_done).await,
        };
        let (mut well, mut failed) = (Vec::new(), Vec::new());
        for (place, result) in ended {
            match result {
                Ok(result) => well.push((place, result)),
                Err(error) => failed.push((place, error)),
            }
        }
        let is_enough = enough.is_none_or(|enough| well.len() >= enough);
        if !is_enough || (enough.is_none() && failed.len() > tolerate.unwrap_or_default()) {
            return Err(NotEnough { failed, succeeded: well.len() });
        }
        well.sort_by_key(|(place, _)| *place);
        Ok(well)
    }
}

impl<'a, T: Send + 'a, E: Send + 'a> IntoFuture for Map<'a, T, E> {
    type Output = Result<Vec<T>, NotEnough<E>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    /// The results, in the order of the items.
    fn into_future(self) -> Self::IntoFuture {
        let results = |all: Vec<_>| all.into_iter().map(|(_, result)| result).collect();
        async move { self.places().await.map(results) }.boxed()
    }
}

/// The first failure, in the order in which they ended: tried again, the handler goes on there.
impl<E: Into<WorkError>> From<NotEnough<E>> for WorkError {
    fn from(not: NotEnough<E>) -> Self {
        let succeeded = not.succeeded;
        match not.failed.into_iter().next() {
            Some((_, first)) => first.into(),
            None => Self::new("NOT_ENOUGH", format!("only {succeeded} branches have ended well")),
        }
    }
}
