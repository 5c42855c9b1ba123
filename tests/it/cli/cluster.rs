//! Three servers of petrel's own. Their processes are seen in `/proc`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant, SystemTime},
};

use async_nats::jetstream::{self, Context};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{sync::Mutex, time::timeout};

use super::{
    dev::{Dev, in_folder, run},
    errors, output, petrel,
};

/// Three servers, which may be slow: other tests run beside them.
const CLUSTER: [&str; 2] = ["--cluster=3", "--consumer-timeout=30s"];

/// Taken by each test that runs a cluster, so that their elections have the machine to themselves.
static TURN: Mutex<()> = Mutex::const_new(());

/// Asks again and again, with a short pause, until there is an answer.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The processes with a file in `folder` among their arguments: the servers that use it.
fn servers(folder: &Path) -> Vec<Pid> {
    let folder = folder.canonicalize().unwrap();
    let is_there = |process: &fs::DirEntry| {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(&*folder.to_string_lossy())
    };
    let processes = fs::read_dir("/proc").unwrap().map(Result::unwrap).filter(is_there);
    processes
        .filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// The files beneath a folder, with their sizes and the times of their last changes.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        match metadata.is_dir() {
            true => found.extend(files(&entry.path())),
            false => {
                found.insert(entry.path(), (metadata.len(), metadata.modified().unwrap()));
            }
        }
    }
    found
}

async fn context(url: &str) -> Context {
    jetstream::new(async_nats::connect(url).await.unwrap())
}

async fn replicas(context: &Context, stream: &str) -> usize {
    let stream = context.get_stream(stream).await.unwrap();
    stream.cached_info().config.num_replicas
}

fn nats(dev: &Dev) -> Vec<String> {
    dev.up["nats"].as_str().unwrap().split(',').map(str::to_owned).collect()
}

async fn refusal(folder: &Path, arguments: &[&str], code: i32) -> String {
    let refused = output(in_folder(folder, arguments)).await;
    assert_eq!(refused.status.code(), Some(code), "{}", errors(&refused));
    errors(&refused)
}

#[tokio::test]
async fn a_cluster_has_three_copies_bears_the_end_of_one_server_and_keeps_its_data() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start_with(folder.path(), &CLUSTER).await;
    let urls = nats(&dev);
    assert_eq!((urls.len(), servers(folder.path()).len()), (3, 3), "{}", dev.up);
    assert!(dev.up["durability"].as_str().unwrap().contains("2 of 3 servers"), "{}", dev.up);
    let streams = context(&urls[0]).await;
    for stream in ["CB_LOG", "CB_MARKING", "CB_TIMERS", "CB_WORK", "CB_BEATS"] {
        assert_eq!(replicas(&streams, stream).await, 3);
    }
    // Only petrel's own are left.
    assert!(streams.get_stream("PETREL_PROBE").await.is_err());
    let listed = run(folder.path(), &["workflow", "list"]).await;
    assert_eq!(listed["items"][1]["definition"]["id"], "order-approval", "{listed}");
    assert_eq!(run(folder.path(), &["doctor"]).await["healthy"], true);
    let start = ["case", "start", "order-approval", "--id", "a", "--data", r#"{"amount":1}"#];
    run(folder.path(), &start).await;

    // Whichever leads: the others elect again.
    kill_process(servers(folder.path())[0], Signal::KILL).unwrap();
    // Under an id, so that a try whose answer was lost is found done by the next one.
    let fire = ["fire", "submit", "--workflow=order-approval", "--case=a", "--firing-id=f-1"];
    until("a change without one server", async || {
        let fired = output(in_folder(folder.path(), &fire)).await;
        fired.status.success().then_some(())
    })
    .await;
    assert_eq!(dev.terminate().await, Some(0));
    assert!(servers(folder.path()).is_empty());

    let dev = Dev::start_with(folder.path(), &CLUSTER).await;
    let shown = run(folder.path(), &["case", "show", "order-approval", "a"]).await;
    assert_eq!(shown["status"], "running");
    let history = run(folder.path(), &["case", "history", "order-approval", "a"]).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 2, "{history}");
    assert_eq!(dev.terminate().await, Some(0));
}

#[tokio::test]
async fn the_data_of_one_server_and_of_a_cluster_is_for_nobody_else() {
    let _turn = TURN.lock().await;
    let one = tempfile::tempdir().unwrap();
    let dev = Dev::start_with(one.path(), &[]).await;
    assert_eq!(dev.terminate().await, Some(0));
    let before = files(one.path());
    let dev = ["dev", "--listen", "127.0.0.1:0"];
    let refused = refusal(one.path(), &[&dev[..], &CLUSTER].concat(), 3).await;
    assert!(refused.contains("one server") && refused.contains("--data-dir"), "{refused}");
    assert_eq!(files(one.path()), before);

    let three = tempfile::tempdir().unwrap();
    let cluster = Dev::start_with(three.path(), &CLUSTER).await;
    assert_eq!(cluster.terminate().await, Some(0));
    let before = files(three.path());
    let five = [&dev[..], &["--cluster", "5"]].concat();
    for arguments in [&dev[..], &five[..], &["workflow", "list"][..]] {
        let refused = refusal(three.path(), arguments, 3).await;
        assert!(refused.contains("3 servers") && refused.contains("--cluster 3"), "{refused}");
        assert_eq!(files(three.path()), before, "{arguments:?}");
    }
}

#[tokio::test]
async fn what_does_not_go_with_a_cluster_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["dev", "bench"] {
        for (arguments, reason) in [
            (&["--cluster", "2"][..], "more than half"),
            (&["--cluster", "7"][..], "at most 5 copies"),
            (&["--cluster", "3", "--nats-url", "nats://127.0.0.1:1"][..], "--nats-url"),
            (&["--cluster", "3", "--replicas", "5"][..], "--replicas 5"),
        ] {
            let refused = refusal(folder.path(), &[&[command][..], arguments].concat(), 2).await;
            assert!(refused.contains(reason), "{refused}");
        }
    }
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn a_server_that_does_not_start_is_named_and_the_others_end() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("server-2")).unwrap();
    // A file where the server wants its folder.
    fs::write(folder.path().join("server-2/jetstream"), "").unwrap();
    let refused = refusal(folder.path(), &["dev", "--listen=127.0.0.1:0", "--cluster=3"], 3).await;
    assert!(refused.contains("server 2 of 3") && refused.contains("[FTL]"), "{refused}");
    assert!(servers(folder.path()).is_empty());

    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let on_port = [
        "dev",
        "--listen=127.0.0.1:0",
        "--cluster=3",
        "--consumer-timeout=30s",
        "--nats-port",
        &port[..],
    ];
    let refused = refusal(folder.path(), &on_port, 3).await;
    assert!(refused.contains("server 1 of 3") && refused.contains(&port[..]), "{refused}");
    assert!(servers(folder.path()).is_empty());
    drop(busy);
    let dev = Dev::start_with(folder.path(), &on_port[2..]).await;
    assert!(nats(&dev)[0].ends_with(&port[..]), "{}", dev.up);
}

#[tokio::test]
async fn an_interrupt_while_the_servers_start_ends_all() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = in_folder(folder.path(), &["dev", "--listen=127.0.0.1:0", "--cluster=3"]);
    let mut dev = command.stdout(Stdio::piped()).spawn().unwrap();
    until("a server", async || (!servers(folder.path()).is_empty()).then_some(())).await;
    kill_process(Pid::from_child(&dev), Signal::INT).unwrap();
    let ended = tokio::task::spawn_blocking(move || dev.wait().unwrap().code()).await.unwrap();
    assert_eq!(ended, Some(130));
    assert!(servers(folder.path()).is_empty());
}

#[tokio::test]
async fn no_server_outlives_a_petrel_that_is_killed_and_the_next_one_has_the_data() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start_with(folder.path(), &CLUSTER).await;
    run(folder.path(), &["case", "start", "order-approval", "--id", "a"]).await;
    // Killed when dropped.
    drop(dev);
    until("the end of all servers", async || servers(folder.path()).is_empty().then_some(())).await;
    let _dev = Dev::start_with(folder.path(), &CLUSTER).await;
    run(folder.path(), &["case", "show", "order-approval", "a"]).await;
}

#[tokio::test]
async fn without_most_of_its_servers_petrel_ends_and_takes_the_last_along() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start_with(folder.path(), &CLUSTER).await;
    for server in &servers(folder.path())[..2] {
        kill_process(*server, Signal::KILL).unwrap();
    }
    assert_eq!(dev.ended().await, Some(3));
    assert!(servers(folder.path()).is_empty());
}

#[tokio::test]
async fn a_bench_of_three_servers_has_three_copies_on_all_sides() {
    let _turn = TURN.lock().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let bench = petrel(&[
        "bench",
        "--json",
        "--cluster=3",
        "--consumer-timeout=30s",
        "--clients=2",
        "--cases=2",
        "--rounds=2",
        "--turn=2s",
        "--nats-port",
        &port,
    ]);
    let mut bench = tokio::spawn(output(bench));
    let url = format!("nats://127.0.0.1:{port}");
    let client = until("the first server", async || async_nats::connect(&url).await.ok()).await;
    let streams = jetstream::new(client);
    for stream in [
        "CB_LOG",
        "CB_MARKING",
        "CB_TIMERS",
        "CB_WORK",
        "CB_BEATS",
        "CB_LOG_FLOOR",
        "CB_MARKING_FLOOR",
    ] {
        let copies = until(stream, async || {
            // Without a leader nobody answers, and the bench does not wait for this test.
            let asked = timeout(Duration::from_millis(500), streams.get_stream(stream)).await;
            Some(asked.ok()?.ok()?.cached_info().config.num_replicas)
        });
        tokio::select! {
            copies = copies => assert_eq!(copies, 3, "{stream}"),
            done = &mut bench => panic!("{stream} did not come: {}", errors(&done.unwrap())),
        }
    }
    let done = bench.await.unwrap();
    assert!(done.status.success(), "{}", errors(&done));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    for number in ["servers", "replicas"] {
        assert_eq!(report[number], 3, "{report}");
    }
    assert_eq!(report["engine"]["rates"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(report["streams_left"], serde_json::json!([]));
}
