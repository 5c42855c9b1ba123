//! Inputs of durable handlers that no journal can have.

use serde_json::{Value, json};
use stormpetrel::{
    durable::Context,
    worker::{WorkError, Worker},
};

use super::{entries, queue};
use crate::{
    support::{case, system, workflow},
    work::{Running, begun, eventually, is_whole, kind, steps},
};

/// An expression of the definition makes it; data of tokens is refused before.
#[tokio::test]
async fn an_input_with_a_name_that_is_kept_is_an_incident_and_not_in_the_journal() {
    let (_server, petrel) = system().await;
    let run = |_: Context, _: Value| async { Ok::<_, WorkError>(json!({})) };
    let worker = Worker::builder(petrel.clone()).queue(queue()).durable(kind("step0"), run);
    let running = Running::start(&petrel, worker);
    let of = steps(1, json!({ "input": "{'$serde_json::private::': 1}" }));
    begun(&petrel, &of, "c").await;
    let now = eventually("an incident", async || {
        let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
        (!now.incidents.is_empty()).then_some(now)
    })
    .await;
    let words = petrel.incident_explanation(&now, &now.incidents[0]).await.unwrap();
    assert!(words.contains("INPUT_REFUSED") && words.contains("$serde_json::private::"), "{words}");
    assert_eq!(entries(&petrel, "c").await, []);
    running.stop().await;
    is_whole(&petrel).await;
}
