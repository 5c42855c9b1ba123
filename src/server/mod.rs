//! The HTTP server: GraphQL on `/graphql`, GraphiQL on `/`, and what operators ask for.
//!
//! There is no authentication: who can reach the listener can do everything. Bind it to
//! loopback, or put a proxy before it that knows who may.

mod accept;
mod http;
mod probes;
mod websocket;

use std::{
    future::IntoFuture,
    io,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use futures::FutureExt;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::graphql::{Api, graphiql};

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
    /// The task beside answering that has panicked.
    broken: Arc<OnceLock<&'static str>>,
}

impl ServerState {
    /// A server of this API.
    pub fn new(api: Api) -> Self {
        let (shutdown, sockets) = (CancellationToken::new(), TaskTracker::new());
        Self { api, shutdown, sockets, broken: Arc::default() }
    }

    /// Runs a task that serving needs. When it panics, this process is not ready from then on.
    pub fn supervise(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let broken = Arc::clone(&self.broken);
        tokio::spawn(async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                tracing::error!(task = name, "a task has panicked; restart this process");
                broken.get_or_init(|| name);
                resume_unwind(panic);
            }
        })
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
    let server = axum::serve(listener, router(state.clone()))
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let ended = async {
        let result = server.await;
        state.sockets.close();
        state.sockets.wait().await;
        state.api.finish().await;
        result
    };
    let grace_over = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = ended => result,
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
