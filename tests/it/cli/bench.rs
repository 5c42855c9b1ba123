use serde_json::Value;
use stormpetrel::testing::TestServer;

use super::{json, text};

const SHORT: [&str; 9] =
    ["bench", "--clients", "4", "--cases", "8", "--rounds", "2", "--turn", "100ms"];

#[tokio::test]
async fn a_bench_measures_all_sides_in_each_round_and_names_what_it_leaves() {
    let server = TestServer::start().await;
    let report = json(&server, &SHORT).await;
    assert_eq!((report["clients"].as_u64(), report["cases"].as_u64()), (Some(4), Some(8)));
    for side in ["engine", "guarded", "waiting", "floor", "publish"] {
        let rates = report[side]["rates"].as_array().unwrap();
        assert_eq!(rates.len(), 2, "{report}");
        assert!(rates.iter().all(|rate| rate.as_f64().unwrap() > 0.0), "{report}");
        let (p50, p99) = (&report[side]["p50_ms"], &report[side]["p99_ms"]);
        assert!(p50.as_f64().unwrap() > 0.0 && p50.as_f64() <= p99.as_f64(), "{report}");
    }
    let ratios = [
        ("ratio", "engine", "floor"),
        ("ratio_to_guarded", "engine", "guarded"),
        ("ratio_to_waiting", "engine", "waiting"),
        ("ratio_to_publish", "engine", "publish"),
        ("guarded_ratio", "guarded", "floor"),
        ("waiting_ratio", "waiting", "guarded"),
    ];
    for (ratio, side, other) in ratios {
        let rate = |side: &str, round: usize| report[side]["rates"][round].as_f64().unwrap();
        let of = |round: usize| rate(side, round) / rate(other, round);
        // Of two rounds, the upper one is the median.
        let (found, right) = (report[ratio].as_f64().unwrap(), of(0).max(of(1)));
        assert!((found / right - 1.0).abs() < 1e-9, "{ratio} is not {right}: {report}");
    }
    assert_eq!(report["streams_left"].as_array().unwrap().len(), 7, "{report}");

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

/// The firings in flight and the connections that a side was tried with.
fn tried(report: &Value, side: &str) -> Vec<(u64, u64)> {
    let number = |tried: &Value, name: &str| tried[name].as_u64().unwrap();
    let tried = report[side]["tried"].as_array().unwrap().iter();
    tried.map(|tried| (number(tried, "in_flight"), number(tried, "connections"))).collect()
}

#[tokio::test]
async fn the_raw_server_has_as_many_in_flight_as_it_is_fastest_with() {
    let server = TestServer::start().await;
    let report = json(&server, &SHORT).await;
    let plain = [(4, 1), (8, 1), (16, 1), (4, 2), (8, 2), (16, 2), (4, 4), (8, 4), (16, 4)];
    // There are eight cases, and each has one change in flight.
    let guarded = [(4, 1), (8, 1), (4, 2), (8, 2), (4, 4), (8, 4)];
    for (side, all) in [("publish", &plain[..]), ("floor", &plain), ("guarded", &guarded)] {
        assert_eq!(tried(&report, side), all, "{report}");
        let fastest = report[side]["tried"].as_array().unwrap().iter().max_by(|one, other| {
            one["rate"].as_f64().unwrap().total_cmp(&other["rate"].as_f64().unwrap())
        });
        for number in ["in_flight", "connections"] {
            assert_eq!(report[side][number], fastest.unwrap()[number], "{report}");
        }
    }
    // But for one side, which has what the engine has.
    assert_eq!(tried(&report, "waiting"), [], "{report}");
    let flight = (&report["waiting"]["in_flight"], &report["waiting"]["connections"]);
    assert_eq!((flight.0.as_u64(), flight.1.as_u64()), (Some(4), Some(1)), "{report}");
    let text = text(&server, &SHORT).await;
    let waiting = "the same, as many in flight as the engine";
    assert!(text.contains(&format!("\n{waiting}  ")), "{text}");
    assert!(text.contains(&format!("\nengine / {waiting}: ")), "{text}");
}

#[tokio::test]
async fn one_client_is_compared_by_its_time_and_has_one_firing_in_flight_on_each_side() {
    let server = TestServer::start().await;
    let one = ["bench", "--clients=1", "--cases=2", "--rounds=1", "--turn=100ms"];
    let report = json(&server, &one).await;
    for side in ["guarded", "waiting", "floor", "publish"] {
        assert_eq!(tried(&report, side), [], "{report}");
        let flight = (&report[side]["in_flight"], &report[side]["connections"]);
        assert_eq!((flight.0.as_u64(), flight.1.as_u64()), (Some(1), Some(1)), "{report}");
    }
    let text = text(&server, &one).await;
    let rows = text.lines().filter(|line| line.contains("  1          1 "));
    assert_eq!(rows.count(), 5, "{text}");
    for other in ["the same messages and batches, no engine", "one plain publish"] {
        assert!(text.contains(&format!("engine / {other}, P50: ")), "{text}");
    }
}

#[tokio::test]
async fn chains_of_activities_are_measured_beside_the_raw_server() {
    let server = TestServer::start().await;
    let arguments = ["bench", "--steps", "2", "--rounds", "1", "--turn", "200ms"];
    let report = json(&server, &arguments).await;
    let levels = report["steps"].as_array().unwrap();
    let cases: Vec<_> = levels.iter().map(|level| level["cases"].as_u64().unwrap()).collect();
    assert_eq!(cases, [1, 64, 1_024]);
    for level in levels {
        for side in ["handed_over", "queued", "appends", "messages", "publish"] {
            assert!(level[side]["rate"].as_f64().unwrap() > 0.0, "{side}: {level}");
        }
        let ratio = level["handed_over"]["rates"][0].as_f64().unwrap()
            / level["appends"]["rates"][0].as_f64().unwrap();
        assert!((ratio / level["handed_over_ratio"].as_f64().unwrap() - 1.0).abs() < 1e-9);
        assert!(level["log_bytes"][0].as_f64().unwrap() > 100.0, "{level}");
    }
    // What it has done is its own.
    assert_eq!(text(&server, &["workflow", "list"]).await, "none\n");
}
