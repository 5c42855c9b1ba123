//! The schema, executed.

use std::{pin::pin, sync::Arc};

use async_graphql::{Response, parser::types::ExecutableDocument};
use futures::{StreamExt, stream::BoxStream};
use tokio::{sync::mpsc, task::JoinError};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::graphql::{
    Answer, Caller, Limits, Operation, OperationKind, Parameters,
    request::admission::Admission,
    request::shape::Shape,
    response::code::INTERNAL,
    response::completion::complete,
    schema::{self, Schema},
    work::{LookUps, NoRoom, Taker, Together, Work, joins::Joins},
};
use crate::petrel::Petrel;

/// The GraphQL API over cases. A clone shares everything.
#[derive(Clone)]
pub struct Api {
    schema: Schema,
    /// The same schema, to validate documents.
    checker: Schema,
    petrel: Petrel,
    limits: Limits,
    shape: Arc<Shape>,
    mutations: TaskTracker,
    together: Together,
    /// Of events of subscriptions.
    events: Together,
    admission: Admission,
}

impl Api {
    /// An API over `cases` that holds its clients to `limits`.
    ///
    /// # Panics
    ///
    /// Never, as the tests of the schema see to.
    pub fn new(petrel: Petrel, limits: Limits) -> Self {
        let schema = schema::over(petrel.clone(), &limits);
        let shape = Shape::of(&schema::sdl());
        // A test compares the schema with a file, which is parsed there too.
        let shape = Arc::new(shape.expect("the schema is written in its own language"));
        let (checker, mutations) = (schema::checker(&limits), TaskTracker::new());
        let admission = Admission::new(&limits);
        let (together, events) = (Together::default(), Together::default());
        Self { schema, checker, petrel, limits, shape, mutations, together, events, admission }
    }

    /// The limits that clients are held to.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The cases beneath.
    pub fn petrel(&self) -> &Petrel {
        &self.petrel
    }

    /// Returns true if events of subscriptions have all the room that there is for them: those who do
    /// not take theirs keep it from others.
    pub fn is_crowded(&self) -> bool {
        self.events.bytes() >= self.limits.answers_bytes / 2
    }

    /// Parses a request of `caller`, who must be allowed to send one of its kind.
    pub fn prepare(&self, parameters: Parameters, caller: &Caller) -> Result<Operation, Answer> {
        if matches!(caller, Caller::Stranger) {
            caller.check(OperationKind::Query)?;
        }
        let mut operation = Operation::new(parameters, &self.limits, &self.shape, &self.checker)?;
        caller.check(operation.kind())?;
        if let Some(name) = caller.name() {
            operation.request = operation.request.data(self.petrel.clone().acting_as(name));
        }
        operation.request = operation.request.data(caller.clone());
        Ok(operation)
    }

    /// Executes a query or a mutation.
    ///
    /// A mutation goes on to its end if this future is dropped, as it is when a client hangs
    /// up: a change must not stop between the fact and its views because nobody waits for it.
    pub async fn execute(&self, operation: Operation) -> Answer {
        let room = match self.admission.of(&operation) {
            Ok(room) => room,
            Err(answer) => return answer,
        };
        if operation.kind() != OperationKind::Mutation {
            let answer = self.execute_here(operation).await;
            drop(room);
            return answer;
        }
        let api = self.clone();
        let mutation = async move {
            let answer = api.execute_here(operation).await;
            drop(room);
            answer
        };
        let done = self.mutations.spawn(mutation).await;
        done.unwrap_or_else(|failure| failed(&failure))
    }

    async fn execute_here(&self, operation: Operation) -> Answer {
        let work = self.work(&operation, None);
        let response = self.schema.execute(operation.request.data(Arc::clone(&work))).await;
        self.answer(&operation.document, response, &work)
    }

    /// A request that has used nothing yet.
    fn work(&self, operation: &Operation, taker: Option<Taker>) -> Arc<Work> {
        let kind = operation.kind();
        let is_query = kind == OperationKind::Query;
        let look_ups = Arc::new(LookUps::new(self.limits.look_ups));
        let joins = Joins::new(is_query, self.petrel.clone(), Arc::clone(&look_ups));
        let (no_room, together) = match (taker, kind) {
            (Some(taker), _) => (NoRoom::Waits(taker), &self.events),
            (None, OperationKind::Mutation) => (NoRoom::Counts, &self.together),
            (None, _) => (NoRoom::Refuses, &self.together),
        };
        Arc::new(Work::new(self.limits, no_room, together.clone(), look_ups, joins))
    }

    fn answer(&self, document: &ExecutableDocument, mut response: Response, work: &Work) -> Answer {
        complete(&self.shape, document, &mut response);
        Answer::from(response).charged(work.take())
    }

    /// Executes any operation: a subscription answers many times, all others once. `held` is dropped
    /// when one of the others has been executed, and when a subscription has begun, which counts
    /// among all that last.
    ///
    /// An answer is made whether or not the stream is asked for it: who does not take answers would
    /// otherwise keep from others whatever its request has, or is next to have. All ends when the
    /// stream is dropped.
    pub fn stream(
        &self,
        operation: Operation,
        held: impl Send + 'static,
    ) -> BoxStream<'static, Answer> {
        self.stream_to(Taker::default(), operation, held)
    }

    /// Does the same for one of several operations whose answers one client takes: of their events,
    /// there is one at a time.
    pub(in crate::graphql) fn stream_to(
        &self,
        taker: Taker,
        operation: Operation,
        held: impl Send + 'static,
    ) -> BoxStream<'static, Answer> {
        if operation.kind() == OperationKind::Subscription {
            let room = match self.admission.of(&operation) {
                Ok(room) => room,
                Err(answer) => return futures::stream::once(async { answer }).boxed(),
            };
            drop(held);
            let work = self.work(&operation, Some(taker));
            let responses = self.schema.execute_stream(operation.request.data(Arc::clone(&work)));
            let (api, document) = (self.clone(), operation.document);
            let (answers, mut taken) = mpsc::channel(1);
            let (wanted, mut wants) = mpsc::channel(1);
            let task = AbortOnDropHandle::new(tokio::spawn(async move {
                let mut responses = pin!(responses);
                // Only between two answers is it waited for who takes them: the next one is made when
                // it is asked for.
                while wants.recv().await.is_some()
                    && let Some(response) = responses.next().await
                    && answers.send(api.answer(&document, response, &work)).await.is_ok()
                {
                }
            }));
            let mut is_asked_for = false;
            let answers = futures::stream::poll_fn(move |cx| {
                // Held for as long as the subscription is.
                let _room = &room;
                if !is_asked_for {
                    // It is empty, or the task has ended, which is told by what follows.
                    let _ = wanted.try_send(());
                    is_asked_for = true;
                }
                let taken = taken.poll_recv(cx);
                is_asked_for = taken.is_pending();
                taken
            });
            let end = futures::stream::once(task)
                .filter_map(async |ended| ended.err().map(|failure| failed(&failure)));
            return answers.chain(end).boxed();
        }
        let api = self.clone();
        let executed = AbortOnDropHandle::new(tokio::spawn(async move {
            let answer = api.execute(operation).await;
            drop(held);
            answer
        }));
        futures::stream::once(async { executed.await.unwrap_or_else(|failure| failed(&failure)) })
            .boxed()
    }

    /// Waits until the mutations under way have ended. Call it when no more will come.
    pub async fn finish(&self) {
        self.mutations.close();
        self.mutations.wait().await;
    }
}

/// The answer of an operation that has panicked.
fn failed(failure: &JoinError) -> Answer {
    tracing::error!(%failure, "an operation ended without an answer");
    Answer::refused(INTERNAL, "the operation ended without an answer; the log has the cause")
}
