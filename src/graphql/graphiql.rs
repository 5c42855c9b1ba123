//! The page to explore the API with.

use async_graphql::http::GraphiQLSource;

/// GraphiQL as an HTML page, for the endpoint at `path`, by HTTP and by websocket.
///
/// The page loads GraphiQL itself from a public content delivery network, so it needs the
/// internet; everything else of the engine works offline.
pub fn graphiql(path: &str) -> String {
    GraphiQLSource::build()
        .title("Storm Petrel")
        .endpoint(path)
        .subscription_endpoint(path)
        .finish()
}
