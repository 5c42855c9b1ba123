//! The servers that are measured.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use serde_json::json;
use stormpetrel::{
    local_server::{LocalServerOptions, SyncInterval},
    storage::nats::{Floor, NatsStorageConfig},
};

/// Value that follows this flag on the command line.
fn after(flag: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != flag).nth(1)
}

/// Number of servers that `--cluster` asks for.
pub(crate) fn servers() -> usize {
    after("--cluster").map_or(1, |number| number.parse().expect("--cluster takes a number"))
}

pub(crate) fn options() -> LocalServerOptions {
    let sync_interval = match after("--sync-interval").as_deref() {
        None => return LocalServerOptions::default(),
        Some("always") => SyncInterval::Always,
        Some(other) => panic!("--sync-interval takes always, not {other}"),
    };
    LocalServerOptions { sync_interval, ..Default::default() }
}

/// Has one server lead all streams.
pub(crate) async fn lead(settings: &NatsStorageConfig, server: &str) {
    let client = async_nats::connect(&settings.urls[0]).await.unwrap();
    let jetstream = jetstream::new(client);
    let ours = [settings.log_stream.clone(), settings.marking_stream.clone()];
    for stream in ours.into_iter().chain(Floor::streams(settings)) {
        let begun = Instant::now();
        loop {
            let info = jetstream.get_stream(&stream).await.unwrap().cached_info().clone();
            let leader = info.cluster.and_then(|cluster| cluster.leader);
            if leader.as_deref() == Some(server) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{stream} is led by {leader:?}");
            let preferred = json!({"placement": {"preferred": server}});
            let step_down = format!("STREAM.LEADER.STEPDOWN.{stream}");
            // Refused while there is no leader, or while the server lags behind: asked again.
            let _: Result<serde_json::Value, _> = jetstream.request(step_down, &preferred).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
