use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};
use stormpetrel::graphql::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Served;

const JSON: &str = "application/json";
const RESPONSE: &str = "application/graphql-response+json";

async fn post(served: &Served, accept: Option<&str>, content: &str, body: &str) -> Response {
    let mut request = served.http.post(served.url("/graphql")).body(body.to_owned());
    request = request.header(header::CONTENT_TYPE, content);
    if let Some(accept) = accept {
        request = request.header(header::ACCEPT, accept);
    }
    request.send().await.unwrap()
}

async fn get(served: &Served, parameters: &[(&str, &str)]) -> Response {
    let uri = reqwest::Url::parse_with_params(&served.url("/graphql"), parameters).unwrap();
    served.http.get(uri).send().await.unwrap()
}

fn content_type(response: &Response) -> String {
    response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned()
}

const VERSION: &str = r#"{"query": "{ health { version } }"}"#;

#[tokio::test]
async fn the_media_type_is_what_the_client_accepts() {
    let served = Served::start().await;
    for (accept, given) in [
        (None, Some(JSON)),
        (Some("*/*"), Some(JSON)),
        (Some(RESPONSE), Some(RESPONSE)),
        (Some("application/graphql-response+json, application/json;q=0.9"), Some(RESPONSE)),
        (Some("text/html"), None),
    ] {
        let response = post(&served, accept, JSON, VERSION).await;
        match given {
            Some(given) => {
                assert_eq!(response.status(), StatusCode::OK, "{accept:?}");
                assert_eq!(content_type(&response), format!("{given}; charset=utf-8"));
                let answer: Value = response.json().await.unwrap();
                assert_eq!(answer["data"]["health"]["version"], env!("CARGO_PKG_VERSION"));
            }
            None => assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE, "{accept:?}"),
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn a_body_must_be_json_and_within_the_limit() {
    let served = Served::with(Limits { body_bytes: 1_000, ..Limits::default() }).await;
    assert_eq!(post(&served, None, "text/plain", VERSION).await.status(), 415);
    assert_eq!(post(&served, None, "application/json; charset=utf-8", VERSION).await.status(), 200);
    let large =
        json!({ "query": "{ health { version } }", "extensions": { "x": "x".repeat(2_000) } });
    let response = post(&served, None, JSON, &large.to_string()).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "TOO_LARGE");
    served.stop().await;
}

#[tokio::test]
async fn queries_may_be_sent_by_get_and_mutations_never() {
    let served = Served::start().await.with_orders().await;
    let query =
        "query A($id: ID!) { workflow(id: $id) { workflowId } } query B { health { version } }";
    let parameters =
        [("query", query), ("variables", r#"{"id": "orders"}"#), ("operationName", "A")];
    let answer: Value = get(&served, &parameters).await.json().await.unwrap();
    assert_eq!(answer["data"]["workflow"]["workflowId"], "orders");

    let mutation =
        "mutation { pauseCase(input: { workflowId: \"orders\", caseId: \"c\" }) { id } }";
    let response = get(&served, &[("query", mutation)]).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[header::ALLOW], "POST");

    for parameters in [
        &[][..],
        &[("query", "{ a }"), ("variables", "{")],
        &[("query", "{ a }"), ("variables", "7")],
    ] {
        assert_eq!(get(&served, parameters).await.status(), StatusCode::BAD_REQUEST);
    }
    let response = served.http.put(served.url("/graphql")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    served.stop().await;
}

#[tokio::test]
async fn what_operators_ask_for_is_answered() {
    let served = Served::start().await.with_orders().await;
    served.order("a").await;
    let read = async |path: &str| {
        let response = served.http.get(served.url(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    };
    assert!(read("/livez").await.contains("live"));
    assert!(read("/readyz").await.contains("ready"));
    let metrics = read("/metrics").await;
    assert!(metrics.contains("commit") && metrics.trim_end().ends_with("# EOF"), "{metrics}");
    assert!(read("/").await.contains("graphiql"));
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_is_broken_on_its_way_is_no_large_one() {
    let served = Served::start().await;
    let mut client = TcpStream::connect(served.address).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(format!("{head}5\r\n{{\"que\r\nno number\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    served.stop().await;
}
