//! GraphQL over HTTP, as the specification of that name says
//! (<https://graphql.github.io/graphql-over-http/draft/>).

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use http_body_util::LengthLimitError;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    ServerState,
    accept::{MediaType, is_json},
    budget::{self, Share, when_read},
    connections::Seat,
    shown, websocket,
};
use crate::{
    graphql::{Answer, Caller, Charge, Operation, OperationKind, Parameters},
    models::unambiguous,
};

/// Time that a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The code of requests that are malformed.
const INVALID_REQUEST: &str = "INVALID_REQUEST";

/// The status and the answer of a request that is not executed.
type Refusal = (StatusCode, Answer);

/// Requests to the GraphQL endpoint: POST, GET, and GET that becomes a websocket.
pub(super) async fn graphql(State(state): State<ServerState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if websocket::is_upgrade(&parts.headers) {
        return websocket::upgrade(state, parts).await;
    }
    if !matches!(parts.method, Method::GET | Method::HEAD | Method::POST) {
        return not_allowed(MediaType::Json, "use POST, or GET for queries", "GET, POST");
    }
    let Some(media) = MediaType::of(&parts.headers) else {
        let what_is = "what is there is application/graphql-response+json and application/json";
        let answer = Answer::refused(INVALID_REQUEST, what_is);
        return respond(MediaType::Json, StatusCode::NOT_ACCEPTABLE, &answer);
    };
    // Before the body is read: a stranger's is not worth the memory.
    let caller = state.caller(shown(&parts.headers));
    if let (Caller::Stranger, Err(answer)) = (&caller, caller.check(OperationKind::Query)) {
        return unauthenticated(media, &answer);
    }
    let by_post = parts.method == Method::POST;
    // The share is kept until it is answered.
    let (body, _share) = match by_post {
        true => match from_body(&state, &parts.headers, body).await {
            Ok((body, share)) => (Some(body), Some(share)),
            Err((status, answer)) => return respond(media, status, &answer),
        },
        false => (None, None),
    };
    if !parts.extensions.get::<Arc<Seat>>().is_none_or(|seat| seat.works()) {
        return overloaded("too many connections; try again in a moment");
    }
    let bytes = body.as_ref().map_or(parts.uri.query().map_or(0, str::len), Bytes::len);
    let prepare = || {
        let parameters = match &body {
            Some(body) => Parameters::from_json(body).map_err(bad_request),
            None => from_query(&parts.uri),
        };
        let prepared = state.api.prepare(parameters?, &caller);
        prepared.map_err(|answer| (status(media, &answer), answer))
    };
    match state.heavy.work(bytes, prepare).await {
        Ok(operation) => run(&state, media, operation, by_post).await,
        Err((status, answer)) => respond(media, status, &answer),
    }
}

async fn run(
    state: &ServerState,
    media: MediaType,
    operation: Operation,
    by_post: bool,
) -> Response {
    match operation.kind() {
        OperationKind::Subscription => {
            let how = "subscribe by websocket, with the subprotocol graphql-transport-ws";
            respond(media, StatusCode::BAD_REQUEST, &Answer::refused(INVALID_REQUEST, how))
        }
        OperationKind::Mutation if !by_post => {
            not_allowed(media, "a mutation must be sent by POST", "POST")
        }
        OperationKind::Query | OperationKind::Mutation => execute(state, media, operation).await,
    }
}

async fn execute(state: &ServerState, media: MediaType, operation: Operation) -> Response {
    let mut answer = state.api.execute(operation).await;
    let charge = answer.take_charge();
    let bytes = charge.as_ref().map_or(0, Charge::bytes);
    let write = || respond(media, status(media, &answer), &answer);
    let response = state.heavy.work(bytes, write).await;
    drop(answer);
    until_sent(response, charge)
}

/// A response that counts among all answers until its body has been taken from here. Nearly all of
/// it has been sent then.
fn until_sent(response: Response, charge: Option<Charge>) -> Response {
    let Some(mut charge) = charge else { return response };
    let length = response.body().size_hint().exact();
    if let Some(text) = length.and_then(|length| usize::try_from(length).ok()) {
        charge.shrink(text);
    }
    let mut response = response.map(|body| {
        // Asked for once what came before has been written.
        let end = futures::stream::once(async move {
            drop(charge);
            Ok(Bytes::new())
        });
        Body::from_stream(body.into_data_stream().chain(end))
    });
    if let Some(length) = length {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response
}

/// The status of an answer to a well-formed request.
fn status(media: MediaType, answer: &Answer) -> StatusCode {
    match media {
        // No answer of GraphQL's, but one of this process; whoever balances loads reads it too.
        _ if answer.found_no_room() => StatusCode::SERVICE_UNAVAILABLE,
        _ if answer.was_forbidden() => StatusCode::FORBIDDEN,
        MediaType::GraphqlResponse if answer.failed() => StatusCode::INTERNAL_SERVER_ERROR,
        MediaType::GraphqlResponse if !answer.executed() => StatusCode::BAD_REQUEST,
        MediaType::GraphqlResponse | MediaType::Json => StatusCode::OK,
    }
}

async fn from_body(
    state: &ServerState,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, Share), Refusal> {
    if !is_json(headers) {
        let answer = Answer::refused(INVALID_REQUEST, "the body must be application/json");
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, answer));
    }
    let most = state.api.limits().body_bytes;
    let too_large = || {
        let large = format!("the body has more than {most} bytes, which is the most");
        (StatusCode::PAYLOAD_TOO_LARGE, Answer::refused("TOO_LARGE", large))
    };
    // Refused before anything is read: a client that waits for `100 Continue` keeps it.
    let declared = body.size_hint().upper();
    if declared.is_some_and(|bytes| bytes > most as u64) {
        return Err(too_large());
    }
    let bytes = declared.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(most);
    let arriving = state.budget.arriving(bytes).await.ok_or_else(no_room)?;
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, most)).await;
    let read = read.map_err(|_| {
        let late = format!("the body took longer than {BODY_TIMEOUT:?}");
        (StatusCode::REQUEST_TIMEOUT, Answer::refused(INVALID_REQUEST, late))
    })?;
    let body = read.map_err(|error| {
        let error = error.into_inner();
        if error.is::<LengthLimitError>() {
            return too_large();
        }
        let broken = format!("the body can't be read: {error}");
        (StatusCode::BAD_REQUEST, Answer::refused(INVALID_REQUEST, broken))
    })?;
    let takes = when_read(&body);
    if takes > budget::MOST {
        let many = "the body has too many values: read, it would take more than 64 MiB";
        return Err((StatusCode::PAYLOAD_TOO_LARGE, Answer::refused("TOO_LARGE", many)));
    }
    let share = state.budget.read(takes).await.ok_or_else(no_room)?;
    drop(arriving);
    Ok((body, share))
}

fn no_room() -> Refusal {
    let why = "too many large requests are under way in this process; try again in a moment";
    (StatusCode::SERVICE_UNAVAILABLE, Answer::overloaded(why))
}

/// The parameters of a GET: JSON objects are written as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryString {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

fn from_query(uri: &Uri) -> Result<Parameters, Refusal> {
    let invalid = |why: String| bad_request(Answer::refused(INVALID_REQUEST, why));
    let Query(given) = Query::<QueryString>::try_from_uri(uri)
        .map_err(|error| invalid(format!("the query string is malformed: {error}")))?;
    let query = given.query.ok_or_else(|| invalid("the parameter `query` is missing".into()))?;
    // Clients that write all parameters leave those that have no value empty.
    let operation_name = given.operation_name.filter(|name| !name.is_empty());
    Ok(Parameters {
        query,
        operation_name,
        variables: object("variables", given.variables).map_err(invalid)?,
        extensions: object("extensions", given.extensions).map_err(invalid)?,
    })
}

fn object<T: DeserializeOwned>(name: &str, text: Option<String>) -> Result<Option<T>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    unambiguous(text.as_bytes())
        .and_then(serde_json::from_value)
        .map_err(|error| format!("the parameter `{name}` is not a JSON object: {error}"))
}

fn bad_request(answer: Answer) -> Refusal {
    (StatusCode::BAD_REQUEST, answer)
}

fn not_allowed(media: MediaType, why: &str, allowed: &'static str) -> Response {
    let answer = Answer::refused(INVALID_REQUEST, why);
    let mut response = respond(media, StatusCode::METHOD_NOT_ALLOWED, &answer);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

fn respond(media: MediaType, status: StatusCode, answer: &Answer) -> Response {
    let headers =
        [(header::CONTENT_TYPE, media.content_type()), (header::CACHE_CONTROL, "no-store")];
    let mut response = (status, headers, answer.to_json()).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The answer to a caller who shows no token that is known.
pub(super) fn unauthenticated(media: MediaType, answer: &Answer) -> Response {
    let mut response = respond(media, StatusCode::UNAUTHORIZED, answer);
    let scheme = HeaderValue::from_static("Bearer realm=\"petrel\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    response
}

/// The answer to a request that is not let in.
pub(super) fn refused(status: StatusCode, answer: &Answer) -> Response {
    respond(MediaType::Json, status, answer)
}

/// The answer to a request that finds no room in this process now.
pub(super) fn overloaded(why: &str) -> Response {
    respond(MediaType::Json, StatusCode::SERVICE_UNAVAILABLE, &Answer::overloaded(why))
}
