//! `petrel doctor` and `petrel serve` on a server with something wrong: the user learns the
//! fault and its remedy within ten seconds.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use async_nats::ConnectOptions;
use serde_json::json;
use stormpetrel::{
    local_server::{SearchEnvironment, ServerBinary},
    models::LogSequence,
    petrel::{ExpectedVersion, Petrel},
    storage::{
        Arming, Page, Storage, TokenScope,
        nats::{Auth, NatsStorage, NatsStorageConfig},
    },
};

use super::{
    fixtures::eventually,
    looking::{doctor, failures, run, warnings},
};
use crate::support::{begin, case, config, orders};

/// A server with a configuration of the test's own, killed when dropped.
pub(super) struct Configured {
    child: Child,
    pub url: String,
    _folder: tempfile::TempDir,
}

impl Configured {
    pub(super) async fn start(configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let binary = ServerBinary::find(&SearchEnvironment::from_process()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let store = folder.path().join("store");
        let text = configuration.replace("STORE", &store.to_string_lossy());
        let child = launch(&binary.path, folder.path(), &format!("port: {port}\n{text}"));
        let url = format!("nats://127.0.0.1:{port}");
        eventually("it listens", Duration::from_secs(10), async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map(drop)
        })
        .await;
        Self { child, url, _folder: folder }
    }
}

fn launch(binary: &Path, folder: &Path, text: &str) -> Child {
    let file = folder.join("server.conf");
    fs::write(&file, format!("host: \"127.0.0.1\"\n{text}")).unwrap();
    let mut command = Command::new(binary);
    command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Drop for Configured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const USERS: &str = r#"
jetstream { store_dir: "STORE" }
authorization { users: [
  { user: all, password: s }
  { user: reader, password: s, permissions: {
      publish: { allow: ["$JS.API.>"] }, subscribe: { allow: ["_INBOX.>"] } } }
  { user: half, password: s, permissions: {
      publish: { allow: ["$JS.API.>", "cb.workflows.*.definition", "cb.workflows.*.events.>"] },
      subscribe: { allow: ["_INBOX.>"] } } }
  { user: deaf, password: s, permissions: { publish: ">", subscribe: { deny: [">"] } } }
  { user: mute, password: s, permissions: {
      publish: { deny: [">"] }, subscribe: { allow: ["_INBOX.>"] } } }
] }
"#;

pub(super) fn as_user(url: &str, user: &str) -> NatsStorageConfig {
    let auth = Auth::UserPassword { user: user.to_owned(), password: "s".to_owned() };
    NatsStorageConfig { auth, ..config(url) }
}

#[tokio::test]
async fn a_user_who_may_not_publish_is_told_at_once_which_permission_is_missing() {
    let server = Configured::start(USERS).await;
    let url = &server.url;
    let login = |user| ["--nats-user", user, "--nats-password", "s"];
    assert!(run(url, &[&["init"], &login("all")[..]].concat()).await.status.success());
    let all = NatsStorage::connect(as_user(url, "all")).await.unwrap();
    all.check_permissions().await.unwrap();
    let petrel = Petrel::new(std::sync::Arc::new(all));
    begin(&petrel, json!({})).await;
    let before = petrel.storage().last_sequence().await.unwrap();

    let reader = NatsStorage::connect(as_user(url, "reader")).await.unwrap();
    let reader = Petrel::new(std::sync::Arc::new(reader));
    let begun = Instant::now();
    let error = reader.create_workflow(orders(), ExpectedVersion::Any).await;
    // The same definition is there; another one has to be written.
    drop(error);
    let mut other = orders();
    other.name = "Other".to_owned();
    let error = reader.create_workflow(other, ExpectedVersion::Any).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!((error.code(), error.retryable()), ("PERMISSION_DENIED", false), "{error}");
    assert!(error.to_string().contains("cb.workflows.orders.definition"), "{error}");
    assert!(reader.health().await.problem.is_some_and(|problem| problem.contains("publish")));

    for user in ["reader", "half", "deaf", "mute"] {
        let found = doctor(url, &login(user)).await;
        let failed = failures(&found);
        assert!(failed.contains("grant this user") || failed.contains("_INBOX"), "{user}: {found}");
        assert!(failed.contains("permissions"), "{user}: {found}");
        let serve = [&["serve", "--listen", "127.0.0.1:0"], &login(user)[..]].concat();
        let begun = Instant::now();
        let output = run(url, &serve).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("may not"), "{user}: {said}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{user}: {:?}", begun.elapsed());
    }
    assert_eq!(petrel.storage().last_sequence().await.unwrap(), before);
}

/// Subjects that the documentation lists as those which serving publishes to.
pub(super) fn documented() -> Vec<&'static str> {
    let security = include_str!("../../../docs/security.md");
    let (_, list) = security.split_once("A user who serves needs").expect("the list");
    let rows = list.lines().skip_while(|line| !line.starts_with("| `")).map_while(|line| {
        let (subject, _) = line.strip_prefix("| `")?.split_once('`')?;
        Some(subject)
    });
    rows.collect()
}

#[tokio::test]
async fn a_user_with_the_permissions_of_the_documentation_may_serve() {
    let allowed = documented();
    assert!(allowed.len() >= 5, "{allowed:?}");
    let server = Configured::start(&format!(
        "jetstream {{ store_dir: \"STORE\" }}\nauthorization {{ users: [\n{{ user: serves, password: s, \
         permissions: {{ publish: {{ allow: {allowed:?} }}, subscribe: \"_INBOX.>\" }} }}\n] }}\n"
    ))
    .await;
    let storage = NatsStorage::connect(as_user(&server.url, "serves")).await.unwrap();
    storage.check_permissions().await.unwrap();
    let petrel = Petrel::new(std::sync::Arc::new(storage));
    begin(&petrel, json!({})).await;
    timers(&petrel).arm(&[timer()]).await.unwrap();
    let due = timers(&petrel).take_due(1, Duration::from_secs(10)).await.unwrap();
    timers(&petrel).give_back(&due[0], Duration::ZERO).await.unwrap();
    let due = timers(&petrel).take_due(1, Duration::from_secs(10)).await.unwrap();
    timers(&petrel).settle(&due[0]).await.unwrap();
    petrel.rebuild(&|_, _| ()).await.unwrap();
    let found = doctor(&server.url, &["--nats-user", "serves", "--nats-password", "s"]).await;
    assert_eq!(found["healthy"], true, "{found}");
    let mut said = String::new();
    for (number, missing) in allowed.iter().enumerate() {
        let mut less = allowed.clone();
        less.remove(number);
        let server = Configured::start(&format!(
            "jetstream {{ store_dir: \"STORE\" }}\nauthorization {{ users: [{{ user: all, password: s }}\n\
             {{ user: less, password: s, permissions: {{ publish: {{ allow: {less:?} }}, subscribe: \
             \"_INBOX.>\" }} }}] }}\n"
        ))
        .await;
        drop(NatsStorage::connect(as_user(&server.url, "all")).await.unwrap());
        let found = doctor(&server.url, &["--nats-user", "less", "--nats-password", "s"]).await;
        said = failures(&found);
        assert!(said.contains(missing.trim_end_matches('>')), "{missing}: {found}");
    }
    let named = allowed.iter().filter(|subject| said.contains(&format!("{subject}\\\"")));
    assert_eq!(named.count(), allowed.len(), "doctor asks for all of them: {said}");
}

/// A server with a user for each subject, who may publish to all others, and one who may do everything.
async fn with_users(denied: &[&str]) -> Configured {
    let users = denied.iter().enumerate().map(|(number, subject)| {
        format!(
            "{{ user: u{number}, password: s, permissions: {{ publish: {{ allow: \">\", deny: \
             [\"{subject}\"] }}, subscribe: \"_INBOX.>\" }} }}\n"
        )
    });
    let users: String = users.collect();
    Configured::start(&format!(
        "jetstream {{ store_dir: \"STORE\" }}\nauthorization {{ users: [\n{{ user: all, password: s \
         }}\n{users}] }}\n"
    ))
    .await
}

fn timers(petrel: &Petrel) -> &dyn Storage {
    petrel.storage().as_ref()
}

/// A timer that is due.
fn timer() -> Arming {
    let (workflow, case, due) = (orders().id, case("c"), chrono::DateTime::UNIX_EPOCH);
    Arming { workflow, case, timer: 1, armed: LogSequence::FIRST, due }
}

/// Subjects that a user may not use, each of another user.
const DENIED: [&str; 22] = [
    "$JS.API.DIRECT.GET.>",
    "$JS.API.DIRECT.GET.CB_MARKING",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.CONSUMER.MSG.NEXT.>",
    "$JS.API.CONSUMER.DELETE.>",
    "$JS.API.STREAM.CREATE.*",
    "$JS.API.STREAM.UPDATE.CB_MARKING",
    "$JS.API.STREAM.UPDATE.CB_TIMERS",
    "$JS.API.STREAM.NAMES",
    "cb.views.>",
    "cb.timers.>",
    "cb.queues.>",
    "cb.work.>",
    "cb.open.>",
    "cb.beats.>",
    "$JS.API.CONSUMER.PAUSE.>",
    "$JS.API.CONSUMER.LIST.CB_WORK",
    "$JS.API.STREAM.PURGE.*",
    "$JS.API.STREAM.MSG.DELETE.CB_TIMERS",
    "$JS.API.CONSUMER.INFO.CB_TIMERS.*",
    "$JS.ACK.>",
];

#[tokio::test]
async fn a_user_who_may_not_read_by_one_way_is_told_which_by_doctor_and_by_every_read_of_that_way()
{
    let server = with_users(&DENIED).await;
    let url = &server.url;
    let all = NatsStorage::connect(as_user(url, "all")).await.unwrap();
    begin(&Petrel::new(std::sync::Arc::new(all)), json!({})).await;
    let api = async_nats::ConnectOptions::new().user_and_password("all".into(), "s".into());
    let api = async_nats::jetstream::new(api.connect(url).await.unwrap());
    let settings = async || {
        let mut found = Vec::new();
        for stream in ["CB_LOG", "CB_MARKING", "CB_TIMERS", "CB_WORK", "CB_BEATS"] {
            let info = api.get_stream(stream).await.unwrap().cached_info().clone();
            found.push((info.config, info.created));
        }
        found
    };
    let before = settings().await;

    for (number, subject) in DENIED.iter().enumerate() {
        let user = format!("u{number}");
        let login = ["--nats-user", &user, "--nats-password", "s"];
        let found = match subject.contains("STREAM.CREATE") || subject.contains("STREAM.UPDATE") {
            // Serving needs none of these where the streams are there.
            true => warnings(&doctor(url, &login).await),
            false => failures(&doctor(url, &login).await),
        };
        let named = subject.trim_end_matches(['>', '*']);
        assert!(found.contains(named) && found.contains("grant this user"), "{subject}: {found}");

        let petrel = NatsStorage::connect(as_user(url, &user)).await.unwrap();
        let petrel = Petrel::new(std::sync::Arc::new(petrel));
        let begun = Instant::now();
        let error = match *subject {
            // With one replica nothing is read by it: only a log with several has a leader that is
            // asked. The others are for the care of the streams, and not of reads.
            "$JS.API.STREAM.MSG.GET.*"
            | "$JS.API.CONSUMER.DELETE.>"
            | "$JS.API.STREAM.CREATE.*"
            | "$JS.API.STREAM.UPDATE.CB_MARKING"
            | "$JS.API.STREAM.UPDATE.CB_TIMERS"
            | "$JS.API.STREAM.NAMES"
            | "cb.views.>"
            | "cb.queues.>"
            | "cb.work.>"
            | "cb.open.>"
            | "cb.beats.>"
            | "$JS.API.CONSUMER.PAUSE.>"
            | "$JS.API.CONSUMER.LIST.CB_WORK"
            | "$JS.API.CONSUMER.INFO.CB_TIMERS.*"
            | "$JS.ACK.>" => continue,
            "cb.timers.>" => timers(&petrel).arm(&[timer()]).await.unwrap_err().into(),
            "$JS.API.STREAM.PURGE.*" => {
                timers(&petrel).disarm(&[timer()]).await.unwrap_err().into()
            }
            "$JS.API.STREAM.MSG.DELETE.CB_TIMERS" => {
                timers(&petrel).arm(&[timer()]).await.unwrap();
                let due = timers(&petrel).take_due(1, Duration::from_secs(10)).await.unwrap();
                timers(&petrel).settle(&due[0]).await.unwrap_err().into()
            }
            "$JS.API.DIRECT.GET.>" | "$JS.API.DIRECT.GET.CB_MARKING" => {
                let scope = TokenScope { workflow: orders().id, place: None, case: None };
                petrel.tokens(&scope, Page::default()).await.unwrap_err()
            }
            _ => petrel.rebuild(&|_, _| ()).await.unwrap_err(),
        };
        assert!(begun.elapsed() < Duration::from_secs(2), "{subject}: {:?}", begun.elapsed());
        assert_eq!((error.code(), error.retryable()), ("PERMISSION_DENIED", false), "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    assert_eq!(settings().await, before, "nothing was made or changed");
}

#[tokio::test]
async fn a_login_that_is_refused_and_an_account_without_jetstream_are_told_with_what_to_do() {
    let server = Configured::start(USERS).await;
    let wrong = doctor(&server.url, &["--nats-user", "all", "--nats-password", "no"]).await;
    assert!(failures(&wrong).contains("--nats-creds"), "{wrong}");
    let none = doctor(&server.url, &[]).await;
    assert!(failures(&none).contains("--nats-creds"), "{none}");
    let plain = Configured::start("").await;
    let off = doctor(&plain.url, &[]).await;
    assert!(failures(&off).contains("turn JetStream on"), "{off}");
    let accounts =
        "jetstream { store_dir: \"STORE\" }\naccounts { A: { users: [{user: a, password: s}] } }";
    let account = Configured::start(accounts).await;
    let off = doctor(&account.url, &["--nats-user", "a", "--nats-password", "s"]).await;
    assert!(failures(&off).contains("turn JetStream on"), "{off}");
}

#[tokio::test]
async fn an_address_where_nothing_greets_is_told_with_what_to_do() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("nats://{}", silent.local_addr().unwrap());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [silent_url, format!("nats://{closed}"), "nats://no-such-host.invalid:4222".into()] {
        let found = doctor(&url, &[]).await;
        assert!(failures(&found).contains("--nats-url"), "{url}: {found}");
    }
    // Others need not say so much, but as soon: one attempt of the whole time is enough.
    let begun = Instant::now();
    let silent = format!("nats://{}", silent.local_addr().unwrap());
    let listed = run(&silent, &["workflow", "list", "--connect-timeout", "2s"]).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(String::from_utf8_lossy(&listed.stderr).contains(&silent), "{listed:?}");
}

#[tokio::test]
async fn an_old_server_is_told_with_the_version_that_is_needed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut writer = stream.try_clone().unwrap();
            let info = json!({
                "server_id": "OLD", "server_name": "old", "version": "2.10.29", "proto": 1,
                "host": "127.0.0.1", "port": 4222, "headers": true, "max_payload": 1_048_576,
                "go": "", "client_id": 1,
            });
            let _ = write!(writer, "INFO {info}\r\n");
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if line.starts_with("PING") {
                    let _ = writer.write_all(b"PONG\r\n");
                }
            }
        }
    });
    let found = doctor(&url, &[]).await;
    let failed = failures(&found);
    assert!(failed.contains("2.10.29") && failed.contains("2.12"), "{found}");
}

#[tokio::test]
async fn what_the_server_says_of_a_publication_names_its_subject() {
    let server = Configured::start(USERS).await;
    let (said, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let options = ConnectOptions::new().user_and_password("reader".into(), "s".into());
    let options = options.event_callback(move |event| {
        let _ = said.send(event.to_string());
        std::future::ready(())
    });
    let client = options.connect(&server.url).await.unwrap();
    client.publish("cb.x", "".into()).await.unwrap();
    let violation = async {
        loop {
            let event = hears.recv().await.unwrap();
            if event.contains("Violation") {
                return event;
            }
        }
    };
    let event = tokio::time::timeout(Duration::from_secs(5), violation).await.unwrap();
    assert!(event.contains("Permissions Violation for Publish to \"cb.x\""), "{event}");
}

#[tokio::test]
async fn replicas_that_a_server_alone_can_t_keep_are_told_before_they_are_served() {
    let server = Configured::start("jetstream { store_dir: \"STORE\" }\n").await;
    assert!(run(&server.url, &["init"]).await.status.success());
    let found = doctor(&server.url, &["--replicas", "3"]).await;
    assert!(failures(&found).contains("in no cluster"), "{found}");
    assert_eq!(doctor(&server.url, &["--replicas", "1"]).await["healthy"], true);
}
