//! Roles, and the requests that they allow.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{PATIENCE, Serving};
use crate::program::{output, program};

const ANN: &str = "ann-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";
const EVE: &str = "eve-0123456789abcdef";

const FILE: &str = "# who may what
ann admin    ann-0123456789abcdef
bob operator bob-0123456789abcdef

eve reader   eve-0123456789abcdef
";

const CREATE: &str = "mutation { createWorkflow(input: { id: \"w\", name: \"W\", \
    places: [{ id: \"a\" }, { id: \"b\" }], initialPlace: \"a\", \
    transitions: [{ id: \"go\", fromPlaces: [\"a\"], toPlace: \"b\" }] }) { id } }";
const BEGIN: &str = "mutation { createWorkflowInstance(input: { workflowId: \"w\", \
    caseId: \"c\", triggeredBy: \"mallory\" }) { id } }";
const QUARANTINE: &str =
    "mutation { quarantineCase(input: { workflowId: \"w\", caseId: \"c\" }) { id } }";
const HISTORY: &str =
    "{ case(workflowId: \"w\", id: \"c\") { history(first: 9) { nodes { by } } } }";

fn write(folder: &TempDir, text: &str) -> String {
    let path = folder.path().join("tokens");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path.display().to_string()
}

fn headers(token: &str) -> String {
    match token {
        "" => "Host: localhost\r\n".to_owned(),
        token => format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n"),
    }
}

/// The status, and the code of the first error.
async fn asked(serving: &Serving, token: &str, query: &str) -> (String, Value) {
    let (status, answer) = serving.post(&headers(token), query).await;
    let status = status.split(' ').nth(1).unwrap_or_default().to_owned();
    (status, answer["errors"][0]["extensions"]["code"].clone())
}

#[tokio::test]
async fn each_role_may_do_what_is_its_own_and_is_noted_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(&["--token-file", &write(&folder, FILE)]).await;
    let unknown = json!("UNAUTHENTICATED");
    for token in ["", "nobody-0123456789abcdef", &ANN[1..]] {
        for query in ["{ __typename }", CREATE, BEGIN] {
            assert_eq!(asked(&serving, token, query).await, ("401".to_owned(), unknown.clone()));
        }
    }
    let forbidden = json!("FORBIDDEN");
    let nothing = Value::Null;
    for (token, query, status, code) in [
        (EVE, "{ __typename }", "200", &nothing),
        (EVE, CREATE, "403", &forbidden),
        (EVE, BEGIN, "403", &forbidden),
        (BOB, CREATE, "200", &forbidden),
        (ANN, CREATE, "200", &nothing),
        (BOB, BEGIN, "200", &nothing),
        (BOB, QUARANTINE, "200", &forbidden),
        (EVE, HISTORY, "200", &nothing),
    ] {
        let expected = (status.to_owned(), code.clone());
        assert_eq!(asked(&serving, token, query).await, expected, "{token} {query}");
    }
    let (_, answer) = serving.post(&headers(EVE), HISTORY).await;
    let first = &answer["data"]["case"]["history"]["nodes"][0];
    assert_eq!(first["by"], "bob", "{answer}");

    for (path, token, status) in [
        ("/livez", "", "200"),
        ("/readyz", "", "200"),
        ("/metrics", "", "401"),
        ("/metrics", EVE, "200"),
        ("/graphql?query=%7B__typename%7D", "", "401"),
        ("/graphql?query=%7B__typename%7D", EVE, "200"),
    ] {
        let head = headers(token);
        let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{head}\r\n");
        let answer = serving.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {token}: {answer}");
        assert!(status != "401" || answer.to_lowercase().contains("www-authenticate: bearer"));
    }
    serving.stop().await;
}

/// A websocket, and the answer to `connection_init` with this payload: a message's type, or
/// the code of a close frame.
async fn greeted(serving: &Serving, header: Option<&str>, payload: Value) -> (Socket, Value) {
    let mut request = format!("ws://{}/graphql", serving.address).into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("Sec-WebSocket-Protocol", "graphql-transport-ws".parse().unwrap());
    if let Some(token) = header {
        headers.insert("Authorization", format!("Bearer {token}").parse().unwrap());
    }
    let (mut socket, _) = connect_async(request).await.unwrap();
    let init = json!({ "type": "connection_init", "payload": payload });
    socket.send(Message::text(init.to_string())).await.unwrap();
    let answer = heard(&mut socket).await;
    (socket, answer)
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn heard(socket: &mut Socket) -> Value {
    match timeout(PATIENCE, socket.next()).await.expect("in time").unwrap().unwrap() {
        Message::Text(text) => serde_json::from_str::<Value>(&text).unwrap(),
        Message::Close(Some(frame)) => json!(u16::from(frame.code)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_websocket_shows_its_token_first_and_ends_when_that_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, FILE);
    let serving = Serving::start(&["--token-file", &path]).await;
    for payload in [Value::Null, json!({}), json!({ "token": "x" })] {
        assert_eq!(greeted(&serving, None, payload).await.1, 4403);
    }
    let bearer = |token: &str| json!({ "Authorization": format!("Bearer {token}") });
    for (header, payload) in [
        (None, bearer(EVE)),
        (None, json!({ "authorization": format!("bearer {EVE}") })),
        (None, json!({ "token": EVE })),
        (Some(EVE), Value::Null),
    ] {
        let (_, answer) = greeted(&serving, header, payload).await;
        assert_eq!(answer["type"], "connection_ack", "{answer}");
    }
    let (mut socket, _) = greeted(&serving, None, bearer(EVE)).await;
    let ask = |query: &str| {
        let payload = json!({ "query": query });
        Message::text(json!({ "id": "1", "type": "subscribe", "payload": payload }).to_string())
    };
    socket.send(ask(BEGIN)).await.unwrap();
    let refused = heard(&mut socket).await;
    assert_eq!(refused["payload"][0]["extensions"]["code"], "FORBIDDEN", "{refused}");

    // Whoever is taken out of the file is out at once.
    write(&folder, &FILE.replace("eve reader   eve-", "zoe reader   zoe-"));
    assert_eq!(heard(&mut socket).await, 4403);
    assert_eq!(asked(&serving, EVE, "{ __typename }").await.0, "401");
    assert_eq!(asked(&serving, "zoe-0123456789abcdef", "{ __typename }").await.0, "200");

    // What is wrong changes nothing, and is said.
    let mut serving = serving;
    write(&folder, "ann boss 0123456789abcdefgh");
    serving.program.logs("tokens:1: the role must be").await;
    assert_eq!(asked(&serving, ANN, "{ __typename }").await.0, "200");
    serving.stop().await;
}

#[tokio::test]
async fn a_listener_for_others_wants_tokens_or_a_word_that_it_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, FILE);
    for listen in ["0.0.0.0:0", "[::]:0"] {
        for command in ["serve", "dev"] {
            let mut command = {
                let mut petrel = program();
                petrel.args([command, "--nats-url", "nats://127.0.0.1:1", "--listen", listen]);
                petrel
            };
            command.env("PETREL_CONNECT_ATTEMPTS", "1");
            let refused = output(command).await;
            let errors = String::from_utf8(refused.stderr).unwrap();
            assert_eq!(refused.status.code(), Some(2), "{errors}");
            for part in ["--token-file", "--insecure", listen] {
                assert!(errors.contains(part), "{part} in {errors}");
            }
        }
    }
    for more in [vec!["--insecure"], vec!["--token-file", &path]] {
        let serving = Serving::start(&[&["--listen", "0.0.0.0:0"], &more[..]].concat()).await;
        assert!(serving.lives().await);
        serving.stop().await;
    }
}

#[tokio::test]
async fn a_token_file_that_is_wrong_is_refused_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |path: &Path| {
        let mut command = program();
        command.args(["serve", "--nats-url", "nats://127.0.0.1:1", "--token-file"]).arg(path);
        let refused = output(command).await;
        assert_eq!(refused.status.code(), Some(2));
        String::from_utf8(refused.stderr).unwrap()
    };
    let path = write(&folder, "ann admin ann-0123456789abcdef\nbob king bob-0123456789abcdef\n");
    let path = Path::new(&path);
    let errors = run(path).await;
    assert!(errors.contains("tokens:2: the role must be reader, operator or admin"), "{errors}");
    assert!(!errors.contains("0123456789"), "{errors}");
    write(&folder, FILE);
    fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(run(path).await.contains("chmod 600"));
    assert!(run(&folder.path().join("absent")).await.contains("can't read the token file"));
}
