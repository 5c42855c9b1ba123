use stormpetrel::testing::TestServer;

use super::{json, text};

const SHORT: [&str; 9] =
    ["bench", "--clients", "4", "--cases", "8", "--rounds", "2", "--turn", "100ms"];

#[tokio::test]
async fn a_bench_measures_all_sides_in_each_round_and_names_what_it_leaves() {
    let server = TestServer::start().await;
    let report = json(&server, &SHORT).await;
    assert_eq!((report["clients"].as_u64(), report["cases"].as_u64()), (Some(4), Some(8)));
    for side in ["engine", "guarded", "floor"] {
        let rates = report[side]["rates"].as_array().unwrap();
        assert_eq!(rates.len(), 2, "{report}");
        assert!(rates.iter().all(|rate| rate.as_f64().unwrap() > 0.0), "{report}");
        let (p50, p99) = (&report[side]["p50_ms"], &report[side]["p99_ms"]);
        assert!(p50.as_f64().unwrap() > 0.0 && p50.as_f64() <= p99.as_f64(), "{report}");
    }
    for ratio in ["ratio", "ratio_to_guarded", "guarded_ratio"] {
        assert!(report[ratio].as_f64().unwrap() > 0.0, "{report}");
    }
    assert_eq!(report["streams_left"].as_array().unwrap().len(), 4, "{report}");

    // It has not touched the system that others use on this server.
    assert_eq!(text(&server, &["workflow", "list"]).await, "none\n");
}

/// Each side waits longer for its next turn than a marker is kept.
#[tokio::test]
async fn a_bench_goes_on_where_its_markers_have_come_to_their_time() {
    let server = TestServer::start().await;
    let report = json(
        &server,
        &["bench", "--clients=1", "--cases=2", "--rounds=2", "--turn=700ms", "--marker-ttl=1s"],
    )
    .await;
    assert_eq!(report["guarded"]["rates"].as_array().unwrap().len(), 2, "{report}");
}
