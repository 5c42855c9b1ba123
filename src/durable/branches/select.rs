//! The first of some branches.

use std::{future::IntoFuture, panic::Location};

use futures::{FutureExt, future::BoxFuture};

use super::Branches;
use crate::{
    durable::{Context, context::place},
    models::{Operation, OperationKind},
};

/// Branches of which the first one that ends is taken. They begin when it is awaited.
#[must_use = "no branch begins unless it is awaited"]
pub struct Select<'a, T> {
    ctx: Context,
    of: Operation,
    place: String,
    branches: Branches<'a, T>,
}

impl<T> std::fmt::Debug for Select<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Select").field("of", &self.of).finish_non_exhaustive()
    }
}

impl Context {
    /// Branches of which the first one that ends is taken, as [`Select::branch`] gives them. Which one that was is an
    /// entry of the journal, so another run takes the same one. The others are dropped at that point: what they have
    /// done stays done, a step of theirs that runs may have its effect or not, and what they wait for is waited for by
    /// nobody. Without a branch it waits for ever.
    #[track_caller]
    pub fn select<'a, T>(&self) -> Select<'a, T> {
        let of = self.operation(OperationKind::Select, "");
        let place = place(Location::caller());
        let (run, scopes, futures) = (self.run().clone(), Vec::new(), Vec::new());
        let branches = Branches { run, scopes, futures, at_most: usize::MAX };
        Select { ctx: self.clone(), of, place, branches }
    }
}

impl<'a, T: Send + 'a> Select<'a, T> {
    /// Adds a branch. It gets a context of its own, in a scope with this name.
    pub fn branch<F, R>(mut self, name: &str, run: F) -> Self
    where
        F: FnOnce(Context) -> R,
        R: Future<Output = T> + Send + 'a,
    {
        let scope = self.ctx.scope(name);
        self.branches.futures.push(run(scope.clone()).boxed());
        self.branches.scopes.push(scope);
        self
    }

    async fn first(self) -> T {
        let Self { of, place, branches, .. } = self;
        let ended = match branches.futures.is_empty() {
            true => Vec::new(),
            false => branches.chosen((of, place), |_| true).await,
        };
        match ended.into_iter().next() {
            Some((_, result)) => result,
            None => std::future::pending().await,
        }
    }
}

impl<'a, T: Send + 'a> IntoFuture for Select<'a, T> {
    type Output = T;
    type IntoFuture = BoxFuture<'a, T>;

    fn into_future(self) -> Self::IntoFuture {
        self.first().boxed()
    }
}
