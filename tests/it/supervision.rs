//! Every task, thread and process has somebody who waits for it.

use crate::layering::{code, library, word};

/// Tasks and threads that are begun elsewhere than in `src/process/tasks.rs`: the file, their
/// number, and who waits for them.
const SPAWNED: &[(&str, usize, &str)] = &[
    (
        "src/bench/peers/server.rs",
        2,
        "the server, which it owns; the making of its data, which the program's end waits for",
    ),
    ("src/bench/peers/sqlite.rs", 1, "the thread that writes, which `Sqlite` waits for"),
    ("src/bench/steps.rs", 3, "the measurement waits for its worker and its followers"),
    ("src/bench/turns.rs", 1, "the load waits for its clients"),
    ("src/cli/history.rs", 1, "the command waits for the file"),
    ("src/graphql/api.rs", 3, "the request waits, for changes `Api::finish`, too"),
    ("src/graphql/types/workflow.rs", 1, "the request waits for its drawing"),
    ("src/graphql/work/joins.rs", 1, "the look-ups of one request, which waits for them"),
    ("src/local_server/process.rs", 3, "the server, and the thread that ends with it"),
    (
        "src/local_server/server.rs",
        2,
        "the server, which it owns; the search for the binary is awaited",
    ),
    ("src/petrel/cache/index.rs", 1, "all who need the reading wait; `run_index` tells its panic"),
    ("src/petrel/change/commit.rs", 1, "the caller waits, and `Petrel::close` for all"),
    ("src/petrel/change/costly.rs", 1, "the change waits for its decision"),
    ("src/petrel/open/notes.rs", 1, "`Petrel::close`; what is not noted the reconciler notes"),
    ("src/petrel/read/feeds.rs", 1, "ends with its last subscriber, and they hear of its end"),
    ("src/petrel/thread.rs", 3, "who asks for the computation waits"),
    ("src/petrel/timers/run.rs", 3, "its tracker, which `run_timers` waits for"),
    ("src/petrel/timers/soon.rs", 1, "the tracker of `run_timers`, which waits for it"),
    (
        "src/petrel/views/write_later.rs",
        3,
        "`Petrel::close`; what is not written the reconciler writes",
    ),
    ("src/process/signals.rs", 1, "a second signal is heard whatever the first one began"),
    ("src/process/tasks.rs", 1, "the tasks of the process"),
    ("src/server/connections/accept.rs", 2, "connections, which the end of `serve` waits for"),
    ("src/server/vitals.rs", 1, "the question for health, which the end of `serve` waits for"),
    ("src/server/websocket.rs", 1, "websockets, which the end of `serve` waits for"),
    ("src/storage/nats/feed.rs", 1, "deletes a consumer, which the server does as well, later"),
    (
        "src/storage/nats/presence/mod.rs",
        1,
        "the answers of a worker, which end with what announced it",
    ),
    ("src/storage/nats/seen.rs", 1, "all who need the look wait"),
    ("src/storage/nats_link/decoding.rs", 3, "who asks for the message waits"),
    ("src/storage/nats_link/group.rs", 2, "those whose appends wait are told of its end"),
    ("src/storage/nats_link/intake.rs", 1, "who asks for the message waits"),
    ("src/worker/builder.rs", 1, "its tracker, which `Worker::run` waits for"),
    ("src/worker/carry.rs", 1, "the attempt waits for its handler"),
    ("src/worker/command.rs", 1, "the attempt waits for the program, or kills it"),
    ("src/worker/queue.rs", 1, "the tracker of the worker, which `Worker::run` waits for"),
];

/// Number of times that a file begins, or imports what begins, a task, a thread or a process.
fn spawns(code: &str) -> usize {
    let names = |word: &&str| *word == "spawn" || word.starts_with("spawn_");
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(names).count()
}

/// Of a task that nobody waits for nobody knows that it has ended.
#[test]
fn what_a_serving_process_runs_beside_answering_is_supervised() {
    let sources = library();
    let serving = code(&sources["src/process/serving.rs"]);
    for (path, source) in &sources {
        for (_, after) in source.match_indices("pub async fn run_").map(|at| source.split_at(at.0))
        {
            let task = word(&after["pub async fn ".len()..]);
            let is_run = serving.contains(&format!(".{task}("));
            assert!(is_run, "{path} has {task}, which src/process/serving.rs does not run");
        }
        if path.starts_with("src/testing/") || path.ends_with("tests.rs") {
            continue;
        }
        let code = code(source);
        let found = spawns(code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
        let listed = SPAWNED.iter().find(|(listed, ..)| listed == path);
        let allowed = listed.map_or(0, |(_, count, _)| *count);
        assert_eq!(found, allowed, "{path} spawns {found} times, and {allowed} are on the list");
    }
    for (path, ..) in SPAWNED {
        assert!(sources.contains_key(*path), "{path} is gone");
    }
}

#[test]
fn a_task_is_counted_however_it_is_begun() {
    for (source, count) in [
        ("fn f() { tokio::spawn(g()); }", 1),
        ("use tokio::task::spawn_blocking;", 1),
        ("let all = tasks.map(tokio::spawn);", 1),
        ("Handle::current().spawn(g()); std::thread::spawn(h)", 2),
        ("// tokio::spawn\nlet spawned = respawn();", 0),
    ] {
        assert_eq!(spawns(&code(source)), count, "{source}");
    }
}
