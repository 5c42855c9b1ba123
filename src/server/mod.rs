//! The HTTP server: GraphQL on `/graphql`, GraphiQL on `/`, and the endpoints for operators.
//!
//! Without [`Tokens`] there is no authentication: everybody who can reach the listener can do
//! everything. `docs/security.md` has the checks and the limits.

mod accept;
mod budget;
mod connections;
mod doors;
mod heavy;
mod http;
mod inlet;
mod probes;
mod tokens;
mod vitals;
mod websocket;

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, header},
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The services that mount an [`executor`](Api::executor) in somebody else's router, of the version
/// that it fits: `examples/graphql_axum.rs` shows it. They hold nobody to this server's limits of
/// connections, memory and time; `docs/architecture.md` has what they are short of.
pub use async_graphql_axum;
use budget::Budget;
pub use doors::Doors;
use heavy::Heavy;
pub use tokens::{TokenFileError, Tokens};
use vitals::Vitals;

use crate::graphql::{Api, Caller, bearer, graphiql};

/// Connections at a time, while the system lets the process open as many files.
pub const MOST_CONNECTIONS: usize = 4_096;

/// Time that requests under way may take to finish after the shutdown began.
pub const GRACE: Duration = Duration::from_secs(10);

/// The path of the GraphQL endpoint.
pub const GRAPHQL_PATH: &str = "/graphql";

/// The state that every handler may use. A clone shares everything.
#[derive(Clone)]
pub struct ServerState {
    api: Api,
    shutdown: CancellationToken,
    sockets: TaskTracker,
    /// The fault for which this process is not ready, if it has one.
    faults: watch::Receiver<Option<String>>,
    doors: Doors,
    tokens: Option<Tokens>,
    budget: Budget,
    vitals: Vitals,
    heavy: Heavy,
}

impl ServerState {
    /// A server of this API.
    pub fn new(api: Api) -> Self {
        Self {
            api,
            shutdown: CancellationToken::new(),
            sockets: TaskTracker::new(),
            faults: watch::channel(None).1,
            doors: Doors::default(),
            tokens: None,
            budget: Budget::new(),
            vitals: Vitals::new(),
            heavy: Heavy::new(),
        }
    }

    /// The same server, which is not ready from when on this tells a fault.
    #[must_use]
    pub fn with_faults(self, faults: watch::Receiver<Option<String>>) -> Self {
        Self { faults, ..self }
    }

    /// The same server, with these doors.
    #[must_use]
    pub fn with_doors(self, doors: Doors) -> Self {
        Self { doors, ..self }
    }

    /// The same server, which serves only callers who show one of these tokens.
    #[must_use]
    pub fn with_tokens(self, tokens: Tokens) -> Self {
        Self { tokens: Some(tokens), ..self }
    }

    /// The caller who shows this token, or none.
    fn caller(&self, shown: Option<&str>) -> Caller {
        let Some(tokens) = &self.tokens else { return Caller::Anybody };
        shown.and_then(|token| tokens.find(token)).map_or(Caller::Stranger, Caller::Known)
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
    let router = router(state.clone(), listener.local_addr()?);
    let server = connections::serve(listener, router, MOST_CONNECTIONS, shutdown.clone());
    let ended = async {
        server.await;
        state.sockets.close();
        state.sockets.wait().await;
        state.vitals.end().await;
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

/// The token that a request shows.
fn shown(headers: &HeaderMap) -> Option<&str> {
    bearer(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

/// Everything that is served at this address.
fn router(state: ServerState, address: SocketAddr) -> Router {
    let doors = state.doors.clone();
    let router = Router::new()
        .route("/", get(explorer))
        .route(GRAPHQL_PATH, any(http::graphql))
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/metrics", get(probes::metrics))
        .with_state(state);
    doors.guard(router, address)
}

async fn explorer() -> Response {
    // In a frame of somebody else's page, its clicks would be theirs.
    let alone = [(header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'")];
    (alone, Html(graphiql(GRAPHQL_PATH))).into_response()
}
