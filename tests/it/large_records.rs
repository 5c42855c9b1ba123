//! Records above the size that is decoded at once.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use stormpetrel::{petrel::Fire, storage::Page, testing::TestServer};
use tokio::time::timeout;

use crate::support::{begin, petrel_at, transition, workflow};

/// A page reads records ahead, and whole ones are put together of others: nobody who waits for a
/// record keeps others, or himself, from reading.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_large_records_are_read_side_by_side() {
    let server = TestServer::start().await;
    let writer = petrel_at(server.url()).await;
    let (begun, token) = begin(&writer, json!({"text": "x".repeat(60_000)})).await;
    for number in 0..60 {
        let name = ["submit", "reject"][number % 2];
        writer.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
    }
    let workflow = workflow("orders");
    let reader = petrel_at(server.url()).await;
    for _ in 0..4 {
        let page = Page { first: 30, after: None };
        let first = reader.history(&workflow, &begun.case.id, page).await.unwrap();
        let page = Page { first: 25, after: first.end() };
        let pages = join_all((0..4).map(|_| reader.history(&workflow, &begun.case.id, page)));
        let pages = timeout(Duration::from_secs(30), pages).await.expect("the pages");
        for page in pages {
            assert_eq!(page.unwrap().items.len(), 25);
        }
    }
}
