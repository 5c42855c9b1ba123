//! Somebody else's server, with GraphQL over cases beside routes of its own. The address to listen
//! on is its argument; the nats-server is that of `NATS_URL`, or one of its own.

use std::{env, sync::Arc};

use axum::{
    Router,
    response::Html,
    routing::{get, post_service},
};
use stormpetrel::{
    LocalServer, LocalServerOptions, NatsStorage, NatsStorageConfig, Petrel,
    graphql::{Api, Caller, Limits, graphiql},
    server::{
        Doors,
        async_graphql_axum::{GraphQL, GraphQLSubscription},
    },
};
use tokio::{net::TcpListener, signal::ctrl_c};
use tower_http::limit::RequestBodyLimitLayer;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (own, url) = match env::var("NATS_URL") {
        Ok(url) => (None, url),
        Err(_) => {
            let server = LocalServer::start(LocalServerOptions::default()).await?;
            let url = server.url();
            (Some(server), url)
        }
    };
    let config = NatsStorageConfig { urls: vec![url], ..NatsStorageConfig::development() };
    let petrel = Petrel::new(Arc::new(NatsStorage::connect(config).await?));

    let limits = Limits::default();
    let api = Api::new(petrel.clone(), limits);
    // Whoever reaches the route may do everything. Where callers differ, a handler finds out who
    // sends a request, and calls the services with an executor of his.
    let executor = api.executor(Caller::Anybody);
    // By GET only to become a websocket: the service would take a mutation by GET, too.
    let graphql = post_service(GraphQL::new(executor.clone()))
        .get_service(GraphQLSubscription::new(executor))
        .layer(RequestBodyLimitLayer::new(limits.body_bytes));
    let router = Router::new()
        .route("/graphql", graphql)
        .route("/explore", get(|| async { Html(graphiql("/graphql")) }))
        .route("/orders", get(|| async { "our own\n" }));

    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    // Pages of other servers, which a browser lets send requests to this one, stay outside.
    let router = Doors::default().guard(router, address);
    println!("http://{address}/explore");
    let stop = async { drop(ctrl_c().await) };
    axum::serve(listener, router).with_graceful_shutdown(stop).await?;

    // Mutations whose callers have gone go to their end.
    api.finish().await;
    petrel.close().await;
    match own {
        Some(server) => Ok(server.stop().await?),
        None => Ok(()),
    }
}
