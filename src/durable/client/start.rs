//! Starts of invocations.

use std::{future::IntoFuture, marker::PhantomData, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Invocation, InvokeError};
use crate::{
    durable::{finite, function::INPUT},
    models::{CaseId, WorkflowId},
    petrel::{Error, NewCase, Petrel},
};

/// The longest wait of an [`Invoke`] where nothing says another.
const WAITS: Duration = Duration::from_secs(60);

/// A start of a durable function. It begins when it is awaited, and answers with a handle.
#[must_use = "nothing is begun unless it is awaited"]
#[derive(Debug)]
pub struct Start<'p> {
    petrel: &'p Petrel,
    function: String,
    input: Result<Value, String>,
    id: Option<String>,
    by: Option<String>,
}

impl Start<'_> {
    /// Gives the invocation an id. The same id and input again is the same invocation; with another input it is an
    /// error that says so.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Names who begins it, for the log.
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.by = Some(who.into());
        self
    }

    async fn begin(self) -> Result<Invocation, InvokeError> {
        let Self { petrel, function, input, id, by } = self;
        let wrong = |argument: &str| {
            let argument = argument.to_owned();
            move |reason: String| Error::argument(argument, reason)
        };
        let workflow = WorkflowId::new(&function)
            .map_err(|error| wrong("function")(error.problem.to_string()))?;
        let input = input.map_err(|reason| InvokeError::Type {
            function: function.clone(),
            what: "input",
            reason,
        })?;
        let id = id.map(CaseId::new).transpose();
        let case = id.map_err(|error| wrong("id")(error.problem.to_string()))?;
        let data = serde_json::json!({ INPUT: input });
        let new = NewCase { case, data, by, ..NewCase::of(workflow) };
        let changed = petrel.create_case(new).await?;
        let (case, repeated) = (&changed.case, changed.repeated);
        Ok(Invocation::of(petrel, case.workflow.clone(), case.id.clone(), repeated))
    }
}

impl<'p> IntoFuture for Start<'p> {
    type Output = Result<Invocation, InvokeError>;
    type IntoFuture = BoxFuture<'p, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.begin().boxed()
    }
}

/// A start of a durable function, and a wait for its result. It begins when it is awaited.
#[must_use = "nothing is begun unless it is awaited"]
#[derive(Debug)]
pub struct Invoke<'p, O> {
    start: Start<'p>,
    limit: Duration,
    result: PhantomData<fn() -> O>,
}

impl<O> Invoke<'_, O> {
    /// Gives the invocation an id, as [`Start::id`] does.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.start = self.start.id(id);
        self
    }

    /// Names who begins it, for the log.
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.start = self.start.by(who);
        self
    }

    /// Waits for so long, and then ends with [`InvokeError::StillRunning`], which has the id. A minute where nothing is
    /// said.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

impl<'p, O: DeserializeOwned + Send + 'p> IntoFuture for Invoke<'p, O> {
    type Output = Result<O, InvokeError>;
    type IntoFuture = BoxFuture<'p, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.start.begin().await?.result(self.limit).await }.boxed()
    }
}

impl Petrel {
    /// Invokes a durable function, and waits for its result: `let hello: Hello = petrel.invoke("hello", &name).await?`.
    /// The input and the result have the JSON forms that serde gives them. It runs on if the caller is gone.
    ///
    /// # Errors
    ///
    /// [`InvokeError::Failed`] with the error of its handler, and `NOT_FOUND` if no worker has ever served the function.
    pub fn invoke<O>(&self, function: &str, input: &impl Serialize) -> Invoke<'_, O> {
        let (start, limit, result) = (self.invoke_async(function, input), WAITS, PhantomData);
        Invoke { start, limit, result }
    }

    /// Begins a durable function, and does not wait for its result.
    pub fn invoke_async(&self, function: &str, input: &impl Serialize) -> Start<'_> {
        let (function, input) = (function.to_owned(), finite::json(input));
        Start { petrel: self, function, input, id: None, by: None }
    }

    /// A handle on an invocation, by its id. Nothing is looked at.
    ///
    /// # Errors
    ///
    /// A name or an id that is none.
    pub fn invocation(&self, function: &str, id: &str) -> Result<Invocation, InvokeError> {
        let wrong = |argument: &str, problem: String| Error::argument(argument, problem);
        let workflow = WorkflowId::new(function)
            .map_err(|error| wrong("function", error.problem.to_string()))?;
        let case = CaseId::new(id).map_err(|error| wrong("id", error.problem.to_string()))?;
        Ok(Invocation::of(self, workflow, case, false))
    }
}
