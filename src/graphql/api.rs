//! The schema, executed.

use futures::{StreamExt, stream::BoxStream};
use tokio_util::task::TaskTracker;

use super::{
    Answer, Limits, Operation, OperationKind, Parameters,
    error::INTERNAL,
    schema::{self, Schema},
};
use crate::cases::Cases;

/// The GraphQL API over cases. A clone shares everything.
#[derive(Clone)]
pub struct Api {
    schema: Schema,
    cases: Cases,
    limits: Limits,
    mutations: TaskTracker,
}

impl Api {
    /// An API over `cases` that holds its clients to `limits`.
    pub fn new(cases: Cases, limits: Limits) -> Self {
        let schema = schema::over(cases.clone(), &limits);
        Self { schema, cases, limits, mutations: TaskTracker::new() }
    }

    /// What clients may ask for.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The cases beneath.
    pub fn cases(&self) -> &Cases {
        &self.cases
    }

    /// Parses a request.
    pub fn prepare(&self, parameters: Parameters) -> Result<Operation, Answer> {
        Operation::new(parameters, &self.limits)
    }

    /// Executes a query or a mutation.
    ///
    /// A mutation goes on to its end if this future is dropped, as it is when a client hangs
    /// up: a change must not stop between the fact and its views because nobody waits for it.
    pub async fn execute(&self, operation: Operation) -> Answer {
        if operation.kind() != OperationKind::Mutation {
            return self.schema.execute(operation.request).await.into();
        }
        let schema = self.schema.clone();
        let mutation = async move { Answer::from(schema.execute(operation.request).await) };
        let done = self.mutations.spawn(mutation).await;
        done.unwrap_or_else(|failure| {
            tracing::error!(%failure, "a mutation ended without an answer");
            Answer::refused(INTERNAL, "the mutation ended without an answer; the log has the cause")
        })
    }

    /// Executes any operation: a subscription answers many times, all others once.
    pub fn stream(&self, operation: Operation) -> BoxStream<'static, Answer> {
        if operation.kind() == OperationKind::Subscription {
            return self.schema.execute_stream(operation.request).map(Answer::from).boxed();
        }
        let api = self.clone();
        futures::stream::once(async move { api.execute(operation).await }).boxed()
    }

    /// Waits until the mutations under way have ended. Call it when no more will come.
    pub async fn finish(&self) {
        self.mutations.close();
        self.mutations.wait().await;
    }
}
