//! GraphQL over HTTP as its specification has it, and as the audit of the reference
//! implementation asks servers (<https://github.com/graphql/graphql-http>): every MUST and
//! SHOULD of it, and the MAYs that are followed here.

use reqwest::{Method, Response, header};
use serde_json::{Value, json};

use super::Served;

const JSON: &str = "application/json";
const RESPONSE: &str = "application/graphql-response+json";

/// An answer: status, media type, body.
struct Answered {
    status: u16,
    content_type: String,
    body: Vec<u8>,
}

impl Answered {
    async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let content_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        Self { status, content_type, body: response.bytes().await.unwrap().into() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(std::str::from_utf8(&self.body).unwrap()).unwrap()
    }

    fn has_errors(&self) -> bool {
        self.json().get("errors").is_some()
    }
}

async fn post(served: &Served, accept: Option<&str>, body: impl Into<String>) -> Answered {
    let mut request = served.http.post(served.url("/graphql")).body(body.into());
    request = request.header(header::CONTENT_TYPE, JSON);
    if let Some(accept) = accept {
        request = request.header(header::ACCEPT, accept);
    }
    Answered::of(request.send().await.unwrap()).await
}

async fn get(served: &Served, accept: Option<&str>, parameters: &[(&str, &str)]) -> Answered {
    let uri = reqwest::Url::parse_with_params(&served.url("/graphql"), parameters).unwrap();
    let mut request = served.http.get(uri);
    if let Some(accept) = accept {
        request = request.header(header::ACCEPT, accept);
    }
    Answered::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn the_answer_has_the_media_type_that_the_client_accepts_in_utf_8() {
    let served = Served::start().await;
    let query = json!({ "query": "{ __typename }" }).to_string();
    for (accept, given) in
        [(Some(RESPONSE), RESPONSE), (Some(JSON), JSON), (Some("*/*"), JSON), (None, JSON)]
    {
        let answer = post(&served, accept, query.clone()).await;
        assert_eq!(answer.status, 200, "{accept:?}");
        assert!(answer.content_type.starts_with(given), "{accept:?}: {}", answer.content_type);
        assert!(answer.content_type.contains("charset=utf-8"));
        assert_eq!(answer.json(), json!({ "data": { "__typename": "Query" } }));
    }
    served.stop().await;
}

#[tokio::test]
async fn a_request_is_utf_8_whether_it_says_so_or_not() {
    let served = Served::start().await;
    let query = json!({ "query": "{ __type(name: \"Run🏃Swim🏊\") { name } }" }).to_string();
    for content in [JSON, "application/json; charset=utf-8", "application/json;charset=\"UTF-8\""] {
        let request =
            served.http.post(served.url("/graphql")).header(header::CONTENT_TYPE, content);
        let answer = Answered::of(request.body(query.clone()).send().await.unwrap()).await;
        assert_eq!((answer.status, answer.has_errors()), (200, false), "{content}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_get_may_carry_a_query_with_variables_and_never_a_mutation() {
    let served = Served::start().await;
    let typed = "query Type($name: String!) { __type(name: $name) { name } }";
    for accept in [JSON, RESPONSE] {
        let answer = get(&served, Some(accept), &[("query", "{ __typename }")]).await;
        assert_eq!(answer.status, 200);
        let parameters = [("query", typed), ("variables", r#"{"name": "Token"}"#)];
        let answer = get(&served, Some(accept), &parameters).await;
        assert_eq!(
            (answer.status, &answer.json()["data"]["__type"]["name"]),
            (200, &json!("Token"))
        );
        let answer = get(&served, Some(accept), &[("query", "mutation { __typename }")]).await;
        assert_eq!((answer.status, answer.json().get("data")), (405, None), "{accept}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_post_needs_a_body_and_says_that_it_is_json() {
    let served = Served::start().await;
    let bare = served.http.request(Method::POST, served.url("/graphql")).send().await.unwrap();
    assert_eq!(bare.status(), 415);
    let answer = post(&served, None, "").await;
    assert_eq!((answer.status, answer.has_errors()), (400, true));
    served.stop().await;
}

#[tokio::test]
async fn what_is_no_well_formed_request_is_400_whatever_is_accepted() {
    let served = Served::start().await;
    let mut bodies = vec![r#"{ "not a JSON"#.to_owned(), json!({ "qeury": "{ a }" }).to_string()];
    for (name, mut invalid) in [
        ("query", vec![json!({ "obj": "ect" })]),
        ("operationName", vec![json!({ "obj": "ect" })]),
        ("variables", vec![json!("string")]),
        ("extensions", vec![json!("string")]),
    ] {
        invalid.extend([json!(0), json!(false), json!(["array"])]);
        for value in invalid {
            let mut request = json!({ "query": "{ __typename }" });
            request[name] = value;
            bodies.push(request.to_string());
        }
    }
    for accept in [None, Some(JSON), Some(RESPONSE)] {
        for body in &bodies {
            let answer = post(&served, accept, body.clone()).await;
            assert_eq!(answer.status, 400, "{accept:?} {body}");
            assert!(answer.has_errors() && answer.json().get("data").is_none(), "{body}");
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn every_parameter_may_have_its_type_or_be_null() {
    let served = Served::start().await;
    let typed = "query Type($name: String!) { __type(name: $name) { name } }";
    for accept in [JSON, RESPONSE] {
        for request in [
            json!({ "query": "query Query { __typename }", "operationName": "Query" }),
            json!({ "query": "{ __typename }", "operationName": null }),
            json!({ "query": "{ __typename }", "variables": null }),
            json!({ "query": "{ __typename }", "extensions": null }),
            json!({ "query": "{ __typename }", "extensions": { "some": "value" } }),
            json!({ "query": typed, "variables": { "name": "sometype" } }),
        ] {
            let answer = post(&served, Some(accept), request.to_string()).await;
            assert_eq!((answer.status, answer.has_errors()), (200, false), "{request}");
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn a_request_that_is_not_executed_is_400_in_the_new_media_type_and_200_in_json() {
    let served = Served::start().await;
    for request in [
        json!({ "query": "{" }),
        json!({ "query": "{ 8f31403dfe404bccbb0e835f2629c6a7 }" }),
        json!({ "query": "{ nothing }" }),
        json!({ "query": "query CoerceFailure($id: ID!){ __typename }", "variables": { "id": null } }),
        json!({ "query": "query($id: ID!) { token(id: $id) { id } }" }),
        json!({ "query": "query($id: ID!) { token(id: $id) { id } }", "variables": { "id": null } }),
        json!({ "query": "query($n: Int) { workflows(first: $n) { nodes { id } } }",
                "variables": { "n": "many" } }),
        json!({ "query": "query A { __typename } query B { __typename }" }),
        json!({ "query": "query A { __typename }", "operationName": "B" }),
    ] {
        for (accept, status) in [(RESPONSE, 400), (JSON, 200)] {
            let answer = post(&served, Some(accept), request.to_string()).await;
            assert_eq!(answer.status, status, "{accept} {request}");
            assert!(answer.content_type.starts_with(accept), "{}", answer.content_type);
            assert!(answer.has_errors() && answer.json().get("data").is_none(), "{request}");
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn errors_in_executing_leave_the_status_at_200_and_keep_the_data() {
    let served = Served::start().await;
    let query = "{ __typename token(id: \"a.b\") { id } }";
    for accept in [RESPONSE, JSON] {
        let answer = post(&served, Some(accept), json!({ "query": query }).to_string()).await;
        assert_eq!(answer.status, 200, "{accept}");
        assert_eq!(answer.json()["data"], json!({ "__typename": "Query", "token": null }));
        assert!(answer.has_errors());
    }
    served.stop().await;
}

#[tokio::test]
async fn an_optional_variable_may_be_absent() {
    let served = Served::start().await.with_orders().await;
    let query = "query($first: Int, $after: String, $strong: Boolean) {
        tokens(workflowId: \"orders\", first: $first, after: $after) { nodes { id } }
        token(id: \"x\", strong: $strong) { id } }";
    let answer = served.data(query, json!({})).await;
    assert_eq!(answer, json!({ "tokens": { "nodes": [] }, "token": null }));
    served.stop().await;
}

#[tokio::test]
async fn the_fields_of_an_answer_come_in_the_order_in_which_they_were_asked_for() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let query = format!(
        "{{ z: token(id: \"{token}\") {{ workflow {{ workflowId }} tokenId case {{ status id }} caseId }}
            __typename a: token(id: \"x.y\") {{ id }} workflow(id: \"orders\") {{ version workflowId }} }}"
    );
    let answer = post(&served, None, json!({ "query": query }).to_string()).await;
    let text = String::from_utf8(answer.body).unwrap();
    let data = text.split_once("\"data\":").unwrap().1;
    let expected = format!(
        "{{\"z\":{{\"workflow\":{{\"workflowId\":\"orders\"}},\"tokenId\":\"{token}\",\
         \"case\":{{\"status\":\"RUNNING\",\"id\":\"Case.orders.a\"}},\"caseId\":\"a\"}},\
         \"__typename\":\"Query\",\"a\":null,\"workflow\":{{\"version\":1,\"workflowId\":\"orders\"}}}}}}"
    );
    assert_eq!(data, expected);
    served.stop().await;
}
