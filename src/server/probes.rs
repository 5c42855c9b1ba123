//! Endpoints for operators and their tools.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{ServerState, accept::MediaType, http::unauthenticated, shown};
use crate::graphql::OperationKind;

/// Answers while the process can answer at all.
pub(super) async fn live() -> Json<serde_json::Value> {
    Json(json!({ "status": "live" }))
}

/// 200 while the NATS server answers, 503 with the reason while it does not, once a task that
/// serving needs has ended, and once the shutdown has begun. The store's answer is up to a
/// second old. The details are for callers who may look at everything.
pub(super) async fn ready(State(state): State<ServerState>, headers: HeaderMap) -> Response {
    let stopping = json!({ "status": "not ready", "reason": "shutting down" });
    if state.shutdown.is_cancelled() {
        return not_ready(stopping);
    }
    let fault = state.faults.borrow().clone();
    if let Some(fault) = fault {
        let reason = format!("{fault}; restart this process");
        return not_ready(json!({ "status": "not ready", "reason": reason }));
    }
    let health = state.vitals.of(state.api.petrel(), &state.shutdown).await;
    // The question is given up when the shutdown begins.
    if state.shutdown.is_cancelled() {
        return not_ready(stopping);
    }
    if state.caller(shown(&headers)).check(OperationKind::Query).is_err() {
        return match health.connected {
            true => Json(json!({ "status": "ready" })).into_response(),
            false => not_ready(json!({ "status": "not ready" })),
        };
    }
    if health.connected {
        return Json(json!({ "status": "ready", "health": &*health })).into_response();
    }
    let reason = health.problem.as_deref().unwrap_or("the NATS server does not answer");
    not_ready(json!({ "status": "not ready", "reason": reason, "health": &*health }))
}

fn not_ready(body: serde_json::Value) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

/// Metrics in the text format of Prometheus (OpenMetrics 1.0).
pub(super) async fn metrics(State(state): State<ServerState>, headers: HeaderMap) -> Response {
    if let Err(answer) = state.caller(shown(&headers)).check(OperationKind::Query) {
        return unauthenticated(MediaType::Json, &answer);
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], state.api.petrel().metrics().render()).into_response()
}
