//! The names that requests are sent to, and the pages that they come from.

use reqwest::StatusCode;
use serde_json::json;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, client::IntoClientRequest},
};

use super::Serving;

pub(super) const MUTATION: &str = "mutation { createWorkflow(input: { id: \"w\", name: \"W\", \
    places: [{ id: \"a\" }, { id: \"b\" }], initialPlace: \"a\", \
    transitions: [{ id: \"go\", fromPlaces: [\"a\"], toPlace: \"b\" }] }) { workflowId } }";

#[tokio::test]
async fn a_page_under_another_name_changes_nothing_and_reads_nothing() {
    let serving = Serving::start(&[]).await;
    let own = serving.address.to_string();
    for (host, origin) in [
        ("evil.example", "http://evil.example"),
        (&own, "http://evil.example"),
        (&own, "null"),
        ("evil.example", ""),
        ("localhost.evil.example", ""),
    ] {
        let origin_line = match origin {
            "" => String::new(),
            origin => format!("Origin: {origin}\r\n"),
        };
        let (status, answer) =
            serving.post(&format!("Host: {host}\r\n{origin_line}"), MUTATION).await;
        assert!(status.contains("403"), "{host} {origin}: {status}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{answer}");
        for path in ["/", "/metrics", "/readyz", "/livez", "/graphql?query=%7B__typename%7D"] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\n{origin_line}Connection: close\r\n\r\n"
            );
            let answer = serving.raw(&request).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{path} {host} {origin}: {answer}");
            assert!(!answer.to_lowercase().contains("access-control-allow-origin"), "{answer}");
        }
        assert_eq!(refusal(&serving, host, origin).await, Some(StatusCode::FORBIDDEN));
    }
    let (status, answer) =
        serving.post(&format!("Host: {own}\r\n"), "{ workflows { nodes { id } } }").await;
    assert!(status.contains("200"), "{status}");
    assert_eq!(answer["data"]["workflows"]["nodes"], json!([]));
    serving.stop().await;
}

/// The status with which a websocket is refused.
async fn refusal(serving: &Serving, host: &str, origin: &str) -> Option<StatusCode> {
    let mut request = format!("ws://{}/graphql", serving.address).into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("Sec-WebSocket-Protocol", "graphql-transport-ws".parse().unwrap());
    headers.insert("Host", host.parse().unwrap());
    if !origin.is_empty() {
        headers.insert("Origin", origin.parse().unwrap());
    }
    match connect_async(request).await {
        Ok(_) => None,
        Err(Error::Http(answer)) => Some(answer.status()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn pages_and_names_that_the_operator_lists_are_let_in() {
    let arguments =
        ["--cors-origin", "https://app.example", "--allow-host", "petrel.example,other.example"];
    let serving = Serving::start(&arguments).await;
    let preflight = "OPTIONS /graphql HTTP/1.1\r\nHost: petrel.example\r\nConnection: close\r\n\
         Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: content-type,authorization\r\n\r\n";
    let answer = serving.raw(preflight).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: https://app.example\r\n"), "{answer}");
    assert!(answer.contains("access-control-allow-headers: content-type,authorization"));
    let page = "Host: other.example\r\nOrigin: https://app.example\r\n";
    let (status, answer) = serving.post(page, MUTATION).await;
    assert!(status.contains("200"), "{status}");
    assert_eq!(answer["data"]["createWorkflow"]["workflowId"], "w");
    assert_eq!(refusal(&serving, "localhost", "https://app.example").await, None);

    let other = preflight.replace("app.example", "evil.example");
    let answer = serving.raw(&other).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    serving.stop().await;
}
