//! The API as async-graphql's [`Executor`], by which servers that aren't ours mount it.

use std::{future::ready, sync::Arc};

use async_graphql::{BatchRequest, BatchResponse, Data, Executor, Request, Response};
use futures::{StreamExt, stream::BoxStream};
use serde_json::Value;

use crate::graphql::{
    Answer, Api, Caller, Operation, Parameters,
    response::code::{INVALID_REQUEST, TOO_LARGE},
};

/// The API as one caller has it, for services that take an [`Executor`]. A clone shares everything.
///
/// An operation goes the way of those of `petrel serve`: with the same limits, which bind all
/// executors of an [`Api`] together, and a mutation goes on to its end when nobody waits for it.
/// Its text counts, and not what a request says that it was parsed to; data of requests and
/// sessions is not looked at. Batches and uploads are refused.
#[derive(Clone)]
pub struct ApiExecutor {
    api: Api,
    caller: Caller,
}

impl Api {
    /// The API as `caller` has it: [`Caller::Anybody`] where everybody who reaches the route may do
    /// everything. Cheap enough to be made for each request, once it is known who sends it.
    pub fn executor(&self, caller: Caller) -> ApiExecutor {
        ApiExecutor { api: self.clone(), caller }
    }
}

impl ApiExecutor {
    fn operation(&self, request: Request) -> Result<Operation, Answer> {
        if !request.uploads.is_empty() {
            return Err(Answer::refused(INVALID_REQUEST, "uploads are not supported"));
        }
        let variables = serde_json::to_value(&request.variables).map_err(|error| {
            Answer::refused(INVALID_REQUEST, format!("the variables are no JSON: {error}"))
        })?;
        let bytes = request.query.len().saturating_add(variables.to_string().len());
        let most = self.api.limits().body_bytes;
        if bytes > most {
            let large = format!("the request has {bytes} bytes, and the most is {most}");
            return Err(Answer::refused(TOO_LARGE, large));
        }
        let variables = match variables {
            Value::Object(variables) => Some(variables),
            _ => None,
        };
        let parameters = Parameters {
            query: request.query,
            operation_name: request.operation_name,
            variables,
            extensions: None,
        };
        let mut operation = self.api.prepare(parameters, &self.caller)?;
        operation.request.introspection_mode = request.introspection_mode;
        Ok(operation)
    }
}

impl Executor for ApiExecutor {
    async fn execute(&self, request: Request) -> Response {
        match self.operation(request) {
            Ok(operation) => self.api.execute(operation).await.into(),
            Err(answer) => answer.into(),
        }
    }

    /// Refuses batches: each limit is one of a request.
    async fn execute_batch(&self, batch: BatchRequest) -> BatchResponse {
        let request = match batch.into_single() {
            Ok(request) => request,
            Err(_) => return Response::from(Answer::no_batch()).into(),
        };
        self.execute(request).await.into()
    }

    fn execute_stream(
        &self,
        request: Request,
        _session: Option<Arc<Data>>,
    ) -> BoxStream<'static, Response> {
        match self.operation(request) {
            Ok(operation) => self.api.stream(operation, ()).map(Response::from).boxed(),
            Err(answer) => futures::stream::once(ready(answer.into())).boxed(),
        }
    }
}
