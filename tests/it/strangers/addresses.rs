//! Logins in addresses, and contexts of the `nats` command.

use std::{fs, net::TcpListener, process::Stdio, time::Duration};

use serde_json::{Value, json};
use stormpetrel::local_server::{SearchEnvironment, ServerBinary};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::PATIENCE;
use crate::program::{output, program};

/// A server that wants a login.
struct Guarded {
    _server: Child,
    folder: TempDir,
    host: String,
}

const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const KEY: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

/// Parts of a login that are never shown, as they are typed and as they are meant.
const SECRETS: [&str; 4] = ["hush:/@x", "hush%3A", "hush", SEED];

impl Guarded {
    async fn start(authorization: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let store = folder.path().join("store").display().to_string();
        let text = format!(
            "listen: \"{host}\"\njetstream {{ store_dir: \"{store}\" }}\n\
             authorization {{ {authorization} }}\n"
        );
        let file = folder.path().join("server.conf");
        fs::write(&file, text).unwrap();
        let binary = ServerBinary::find(&SearchEnvironment::from_process()).expect("a nats-server");
        let server = Command::new(binary.path)
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let greeted = async {
            loop {
                if let Ok(mut stream) = TcpStream::connect(&host).await {
                    let mut greeting = [0; 4];
                    if stream.read_exact(&mut greeting).await.is_ok() && &greeting == b"INFO" {
                        return;
                    }
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, greeted).await.expect("the server starts");
        Self { _server: server, folder, host }
    }

    /// Users with a password, an nkey, and permissions for another inbox than the usual.
    async fn users() -> Self {
        let inbox = "permissions: { subscribe: { allow: [\"_IN.ann.>\"] } }";
        Self::start(&format!(
            "users: [ {{ user: \"ann\", password: \"hush:/@x\" }}, {{ nkey: {KEY} }},\n\
             {{ user: \"inbox\", password: \"hush:/@x\", {inbox} }} ]"
        ))
        .await
    }

    fn context(&self, name: &str, context: &Value) {
        let folder = self.folder.path().join("nats/context");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.json")), context.to_string()).unwrap();
    }

    /// The exit code and the output of a run, after a check that no secret is in it.
    async fn run(&self, variables: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = program();
        command.args(["--connect-attempts", "1"]).args(arguments);
        command.env("XDG_CONFIG_HOME", self.folder.path()).env("RUST_LOG", "trace");
        command.envs(variables.iter().copied());
        let output = output(command).await;
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        for secret in SECRETS {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
        (output.status.code(), said.into_owned())
    }
}

#[tokio::test]
async fn a_login_in_an_address_works_and_is_shown_nowhere() {
    let server = Guarded::users().await;
    let host = &server.host;
    let url = format!("nats://ann:hush%3A%2F%40x@{host}");
    let list = ["workflow", "list"];
    assert_eq!(server.run(&[("NATS_URL", &url)], &["init"]).await.0, Some(0));
    assert_eq!(server.run(&[("NATS_URL", &url)], &list).await.0, Some(0));
    let plain = format!("nats://ann:hush:/@x@{host}");
    assert_eq!(server.run(&[], &["--nats-url", &plain, "workflow", "list"]).await.0, Some(0));
    for wrong in ["nats://ann:hush@", "nats://hush@", "nats://bob:hush@x@", "nats://:hush@"] {
        let wrong = format!("{wrong}{host}");
        for command in [&["doctor"][..], &["doctor", "--json"], &list, &["serve"], &["--help"]] {
            let (code, said) = server.run(&[("NATS_URL", &wrong)], command).await;
            assert_eq!(code == Some(0), command == ["--help"], "{command:?}: {said}");
        }
    }
    // What is typed wrongly is an address, too.
    for arguments in [&[&*url][..], &["workflow", "list", &plain], &["case", "show", &url, "a"]] {
        assert_eq!(server.run(&[], arguments).await.0, Some(2));
        assert_eq!(server.run(&[], &[arguments, &["--json"]].concat()).await.0, Some(2));
    }
    let (_, said) = server.run(&[("NATS_URL", &url)], &["doctor"]).await;
    assert!(said.contains(host), "{said}");
}

#[tokio::test]
async fn a_token_in_an_address_works() {
    let server = Guarded::start("token: \"hush:/@x\"").await;
    let url = format!("nats://hush%3A%2F%40x@{}", server.host);
    let (code, said) = server.run(&[("NATS_URL", &url)], &["init"]).await;
    assert_eq!(code, Some(0), "{said}");
    server.context("c", &json!({ "url": server.host, "token": "hush:/@x" }));
    let (code, said) = server.run(&[], &["--context", "c", "workflow", "list"]).await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn contexts_of_the_nats_command_say_how_to_connect() {
    let server = Guarded::users().await;
    let url = format!("nats://{}", server.host);
    let seed = server.folder.path().join("ann.nk");
    fs::write(&seed, SEED).unwrap();
    let with = |more: Value| {
        let mut context = json!({ "description": "", "url": url, "color_scheme": "" });
        context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        context
    };
    let password = json!({ "user": "ann", "password": "hush:/@x" });
    server.context("password", &with(password));
    server.context("nkey", &with(json!({ "nkey": seed.display().to_string() })));
    server.context(
        "address",
        &json!({ "url": format!("nats://ann:hush%3A%2F%40x@{}", server.host) }),
    );
    let inbox = json!({ "user": "inbox", "password": "hush:/@x", "inbox_prefix": "_IN.ann" });
    server.context("inbox", &with(inbox));
    assert_eq!(server.run(&[], &["--context", "password", "init"]).await.0, Some(0));
    for name in ["password", "nkey", "address", "inbox"] {
        let (code, said) = server.run(&[("NATS_CONTEXT", name)], &["workflow", "list"]).await;
        assert_eq!(code, Some(0), "{name}: {said}");
        let (code, said) = server.run(&[], &["doctor", "--context", name]).await;
        assert_eq!(code, Some(0), "{name}: {said}");
    }
    // What is given beside a context wins.
    server.context(
        "elsewhere",
        &json!({ "url": "nats://127.0.0.1:1", "user": "x", "password": "y" }),
    );
    let mine = [("NATS_URL", url.as_str()), ("NATS_USER", "ann"), ("NATS_PASSWORD", "hush:/@x")];
    let (code, said) = server.run(&mine, &["--context", "elsewhere", "workflow", "list"]).await;
    assert_eq!(code, Some(0), "{said}");

    let (code, said) = server.run(&[("NATS_CONTEXT", "paswort")], &["workflow", "list"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there are: address, elsewhere, inbox, nkey, password"), "{said}");
}

#[tokio::test]
async fn a_user_who_may_not_read_its_answers_is_told_at_once_whatever_its_inbox_is() {
    let server = Guarded::users().await;
    let url = format!("nats://{}", server.host);
    for inbox in ["_IN.bob", "_INBOX", ""] {
        let name = format!("inbox{inbox}");
        let login = json!({ "url": url, "user": "inbox", "password": "hush:/@x",
                            "inbox_prefix": inbox });
        server.context(&name, &login);
        let begun = std::time::Instant::now();
        let (code, said) = server.run(&[("NATS_CONTEXT", &name)], &["workflow", "list"]).await;
        let inbox = if inbox.is_empty() { "_INBOX" } else { inbox };
        let names = format!("where answers come ({inbox}.>)");
        assert!(code != Some(0) && said.contains(&names), "{name}: {said}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{name}: {:?}", begun.elapsed());
        let (_, said) = server.run(&[("NATS_CONTEXT", &name)], &["doctor"]).await;
        assert!(said.contains(&names), "{name}: {said}");
    }
    let wrong = json!({ "url": url, "user": "ann", "password": "hush:/@x",
                        "inbox_prefix": "a b.>" });
    server.context("wrong", &wrong);
    let (code, said) = server.run(&[("NATS_CONTEXT", "wrong")], &["workflow", "list"]).await;
    assert!(code == Some(2) && said.contains("inbox_prefix"), "{code:?}: {said}");
}
