//! The HTTP server: GraphQL on `/graphql`, GraphiQL on `/`, and what operators ask for.
//!
//! There is no authentication: who can reach the listener can do everything. Bind it to
//! loopback, or put a proxy before it that knows who may.

mod accept;
mod connections;
mod http;
mod probes;
mod websocket;

use std::{io, time::Duration};

use axum::{
    Router,
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use connections::file_limit;

use crate::graphql::{Api, graphiql};

/// Connections at a time, while the system lets the process open as many files.
pub const MOST_CONNECTIONS: usize = 4_096;

/// How long requests under way may take to finish after the shutdown began.
pub const GRACE: Duration = Duration::from_secs(10);

/// Where GraphQL is served.
pub const GRAPHQL_PATH: &str = "/graphql";

/// What every handler may use. A clone shares everything.
#[derive(Clone)]
pub struct ServerState {
    api: Api,
    shutdown: CancellationToken,
    sockets: TaskTracker,
}

impl ServerState {
    /// A server of this API.
    pub fn new(api: Api) -> Self {
        Self { api, shutdown: CancellationToken::new(), sockets: TaskTracker::new() }
    }
}

/// Serves until `shutdown`, and then ends in order: no new connections, websockets are closed
/// with 1001 (going away), and requests under way have [`GRACE`] to finish. Returns when
/// nothing runs any more, or when the grace is over.
pub async fn serve(
    listener: TcpListener,
    state: ServerState,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let state = ServerState { shutdown: shutdown.clone(), ..state };
    let server =
        connections::serve(listener, router(state.clone()), MOST_CONNECTIONS, shutdown.clone());
    let ended = async {
        server.await;
        state.sockets.close();
        state.sockets.wait().await;
        state.api.finish().await;
    };
    let grace_over = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = ended => Ok(()),
        () = grace_over => {
            tracing::warn!("requests were still under way {GRACE:?} after the shutdown began");
            Ok(())
        }
    }
}

/// Everything that is served.
fn router(state: ServerState) -> Router {
    Router::new()
        .route("/", get(explorer))
        .route(GRAPHQL_PATH, any(http::graphql))
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/metrics", get(probes::metrics))
        .with_state(state)
}

async fn explorer() -> Response {
    Html(graphiql(GRAPHQL_PATH)).into_response()
}
