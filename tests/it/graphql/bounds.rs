//! The bounds of the work that any request can cause on the server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::SinkExt;
use serde_json::{Value, json};
use stormpetrel::{graphql::Limits, storage::MemoryStorage, testing::FaultyStorage};
use tokio::task::yield_now;
use tokio_tungstenite::tungstenite::Message;

use super::Served;

/// A chain of `links` fragments, each spread at the end of `deep` inline fragments.
fn chain(links: usize, deep: usize, used: bool) -> String {
    let (open, close) = ("...{".repeat(deep), "}".repeat(deep));
    let mut document = String::from(if used { "{...f0}" } else { "{health{version}}" });
    for link in 0..links {
        let next = link + 1;
        document += &format!(" fragment f{link} on Query{{{open}...f{next}{close}}}");
    }
    document + &format!(" fragment f{links} on Query{{health{{version}}}}")
}

/// Documents and variables that nest deeper than anything should follow on the stack.
fn too_deep() -> Vec<Value> {
    let query = |text: String| json!({ "query": text });
    let field = |open: &str, close: &str, times| {
        query(format!("{{ {} a {} }}", open.repeat(times), close.repeat(times)))
    };
    let value = |open: &str, close: &str, times: usize| {
        let (open, close) = (open.repeat(times), close.repeat(times));
        query(format!("mutation {{ createToken(input: {{data: {open}1{close}}}) {{ id }} }}"))
    };
    let nested = |times: usize| (0..times).fold(json!(1), |inner, _| json!([{ "a": inner }]));
    let data = "query($v: JSON) { __typename @include(if: $v) }";
    let merged = |times: usize| {
        let one = format!("{}status{}", "case{tokens{".repeat(times), "}}".repeat(times));
        query(format!(
            "{{ token(id: \"x\") {{ {one} {one} ...f }} }} fragment f on Token {{ {one} }}"
        ))
    };
    let mut all = vec![
        // The input that ended the process.
        query(chain(140, 60, true)),
        query(chain(140, 60, false)),
        query(chain(3_000, 1, true)),
        query(chain(3_000, 1, false)),
        json!({ "query": format!("{} query Other {{ a }}", chain(2_000, 3, true)
            .replacen('{', "query Mine {", 1)), "operationName": "Mine" }),
        query("{...a} fragment a on Query {...b} fragment b on Query {...a}".into()),
        json!({ "query": data, "variables": { "v": nested(60) } }),
        json!({ "query": "query($v: [[[[Int]]]]) { __typename }",
            "variables": { "v": nested(30) } }),
    ];
    for times in [90, 3_000, 30_000] {
        all.push(field("...{", "}", times));
        all.push(field("... on Query {", "}", times.min(5_000)));
        all.push(field("a{", "}", times));
        all.push(value("[", "]", times));
        all.push(value("{a:", "}", times));
        all.push(value("[{a:", "}]", times.min(20_000)));
        all.push(query(format!(
            "query($v: {}Int{}) {{ a }}",
            "[".repeat(times),
            "]".repeat(times)
        )));
        all.push(query(format!("query($v: JSON = {}) {{ a }}", "[".repeat(times))));
    }
    all.extend([merged(15), merged(40)]);
    all
}

#[tokio::test]
async fn what_nests_too_deep_is_refused_by_post_by_get_and_over_a_websocket() {
    let served = Served::start().await;
    let mut client = served.ready_socket().await;
    for request in too_deep() {
        let shown = request["query"].as_str().unwrap().chars().take(60).collect::<String>();
        let posted = served.http.post(served.url("/graphql")).json(&request);
        let answer: Value = posted.send().await.unwrap().json().await.unwrap();
        assert!(answer["errors"][0]["message"].is_string(), "{shown}: {answer}");
        client.send(json!({ "id": "1", "type": "subscribe", "payload": request })).await;
        let message = client.message().await;
        assert_eq!(message["type"], "error", "{shown}: {message}");
        // What a URL can't hold, hyper says itself.
        let query = request["query"].as_str().unwrap();
        if query.len() < 20_000 {
            let url = reqwest::Url::parse_with_params(&served.url("/graphql"), [("query", query)]);
            served.http.get(url.unwrap()).send().await.unwrap();
        }
    }
    // Deeper than a JSON reader goes.
    let deep = format!("{{\"query\":\"{{a}}\",\"variables\":{{\"v\":{}", "[".repeat(200_000));
    let posted = served.http.post(served.url("/graphql")).body(deep.clone());
    let posted = posted.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(posted.status(), 400);
    let framed = format!("{{\"id\":\"2\",\"type\":\"subscribe\",\"payload\":{deep}");
    client.socket.send(Message::text(framed)).await.unwrap();
    assert_eq!(client.close_code().await, 4400);
    assert!(served.data("{ health { version } }", json!({})).await["health"].is_object());
    served.stop().await;
}

#[tokio::test]
async fn a_variable_that_is_used_again_and_again_costs_each_time() {
    let served = Served::start().await.with_orders().await;
    let many = "$v ".repeat(20_000);
    let query = format!(
        "mutation($v: JSON!) {{ createToken(input: {{workflowId: \"orders\",
            data: [{many}]}}) {{ id }} }}"
    );
    let error = served.error(&query, json!({ "v": "x".repeat(1_000_000) })).await;
    assert_eq!(error["extensions"]["code"], "INVALID_REQUEST", "{error}");
    assert!(error["message"].as_str().unwrap().contains("costs"), "{error}");
    served.stop().await;
}

#[tokio::test]
async fn of_a_great_many_problems_some_are_told_and_how_many_more_there_are() {
    let served = Served::start().await;
    let fields: String = (0..1_500).map(|at| format!("nothing{at} ")).collect();
    let answer = served.ask(&format!("{{ {fields} }}"), json!({})).await;
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 101);
    assert_eq!(errors[100]["message"], "there are 1400 more problems");
    served.stop().await;
}

/// A token of `orders` with `bytes` of data.
async fn heavy(served: &Served, case: &str, bytes: usize) -> String {
    let create = "mutation($case: ID!, $data: JSON!) { createToken(input: {
        workflowId: \"orders\", caseId: $case, data: $data}) { tokenId } }";
    let data = json!({ "text": "x".repeat(bytes) });
    let made = served.data(create, json!({ "case": case, "data": data })).await;
    made["createToken"]["tokenId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_answer_has_a_budget_of_bytes_which_aliases_use_too() {
    let served = Served::start().await.with_orders().await;
    let token = heavy(&served, "a", 400_000).await;
    let times = |times: usize| {
        let fields: String = (0..times).map(|at| format!("a{at}: data ")).collect();
        format!("{{ token(id: \"{token}\") {{ {fields} }} }}")
    };
    let small = served.data(&times(50), json!({})).await;
    assert_eq!(small["token"].as_object().unwrap().len(), 50);
    let large = served.ask(&times(400), json!({})).await;
    let error = &large["errors"][0];
    assert_eq!(large["errors"].as_array().unwrap().len(), 1, "{error}");
    assert_eq!(error["extensions"]["code"], "TOO_LARGE", "{error}");
    assert_eq!(error["extensions"]["limit"], 64 << 20);
    assert!(error["message"].as_str().unwrap().contains("67108864 bytes"), "{error}");
    assert_eq!((&error["path"], &large["data"]["token"]), (&json!(["token"]), &Value::Null));
    // What was used is free again.
    for _ in 0..10 {
        served.data(&times(50), json!({})).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn answers_that_nobody_reads_count_until_they_are_gone() {
    let limits = Limits { answers_bytes: 50_000_000, ..Limits::default() };
    let served = Served::with(limits).await.with_orders().await;
    let token = heavy(&served, "a", 500_000).await;
    let fields: String = (0..30).map(|at| format!("a{at}: data ")).collect();
    let query = json!({ "query": format!("{{ token(id: \"{token}\") {{ {fields} }} }}") });
    let ask = || served.http.post(served.url("/graphql")).json(&query).send();
    // Its headers have come, and its body has not been read.
    let unread = ask().await.unwrap();
    assert!(unread.content_length().is_some_and(|bytes| bytes > 15_000_000));
    let (second, third) = (ask().await.unwrap(), ask().await.unwrap());
    let third: Value = third.json().await.unwrap();
    assert_eq!(third["errors"][0]["extensions"]["code"], "OVERLOADED", "{third}");
    assert_eq!(third["errors"][0]["extensions"]["retryable"], true);
    for answer in [unread, second] {
        let answer: Value = answer.json().await.unwrap();
        assert!(answer.get("errors").is_none());
    }
    let again: Value = ask().await.unwrap().json().await.unwrap();
    assert!(again.get("errors").is_none());
    served.stop().await;
}

#[tokio::test]
async fn a_change_that_is_stored_is_never_told_to_come_again() {
    let limits = Limits { answers_bytes: 36_000_000, ..Limits::default() };
    let served = Served::with(limits).await.with_orders().await;
    let token = heavy(&served, "c", 500_000).await;
    let fields: String = (0..30).map(|at| format!("a{at}: data ")).collect();
    let query = json!({ "query": format!("{{ token(id: \"{token}\") {{ {fields} }} }}") });
    let ask = || served.http.post(served.url("/graphql")).json(&query).send();
    let unread = ask().await.unwrap();
    let refused: Value = ask().await.unwrap().json().await.unwrap();
    assert_eq!(refused["errors"][0]["extensions"]["code"], "OVERLOADED", "{refused}");
    // As much as that, and the change is done.
    let change = format!(
        "mutation {{ updateTokenData(input: {{ tokenId: \"{token}\", patch: {{ b: 1 }} }}) \
            {{ {fields} }} }}"
    );
    let answer = served.ask(&change, json!({})).await;
    assert!(answer.get("errors").is_none(), "{}", answer["errors"]);
    drop(unread);
    let now = served.data(&format!("{{ token(id: \"{token}\") {{ data }} }}"), json!({})).await;
    assert_eq!(now["token"]["data"]["b"], 1);
    served.stop().await;
}

#[tokio::test]
async fn many_small_values_of_an_answer_count_as_well_as_few_large_ones() {
    let limits = Limits { answer_bytes: 400_000, ..Limits::default() };
    let served = Served::with(limits).await.with_orders().await;
    for case in 0..40 {
        served.order(&format!("c{case}")).await;
    }
    let fields: String = (0..60).map(|at| format!("a{at}: status ")).collect();
    let query = format!("{{ cases(workflowId: \"orders\") {{ nodes {{ {fields} }} }} }}");
    let error = served.error(&query, json!({})).await;
    assert_eq!(error["extensions"]["code"], "TOO_LARGE", "{error}");
    // A change is made, and says so, though it can't show all that it was asked to show.
    let fields: String = (0..1_900).map(|at| format!("a{at}: status ")).collect();
    let change = format!(
        "mutation {{ a: pauseCase(input: {{workflowId: \"orders\", caseId: \"c0\"}}) {{ {fields} }}
            b: pauseCase(input: {{workflowId: \"orders\", caseId: \"c1\"}}) {{ status }} }}"
    );
    let answer = served.ask(&change, json!({})).await;
    assert_eq!(answer["data"], json!({ "a": null, "b": null }), "{answer}");
    let status = "{ a: case(workflowId: \"orders\", id: \"c0\") { status }
        b: case(workflowId: \"orders\", id: \"c1\") { status } }";
    let now = served.data(status, json!({})).await;
    // The second was not begun.
    assert_eq!((&now["a"]["status"], &now["b"]["status"]), (&json!("PAUSED"), &json!("RUNNING")));
    served.stop().await;
}

#[tokio::test]
async fn an_event_that_is_too_large_is_an_error_and_the_next_one_comes() {
    let limits = Limits { answer_bytes: 200_000, ..Limits::default() };
    let served = Served::with(limits).await.with_orders().await;
    let mut client = served.ready_socket().await;
    let follow = "subscription { workflowEvents(workflowId: \"orders\", fromSequence: 0) {
        caseId produced { data } } }";
    heavy(&served, "large", 200_000).await;
    client.subscribe("1", follow).await;
    let message = client.message().await;
    let error = &message["payload"]["errors"][0];
    assert_eq!(error["extensions"]["code"], "TOO_LARGE", "{message}");
    heavy(&served, "small", 10).await;
    assert_eq!(client.next("1").await["workflowEvents"]["caseId"], "small");
    served.stop().await;
}

#[tokio::test]
async fn look_ups_of_a_query_are_made_once_for_all_who_ask() {
    let storage = FaultyStorage::new(Arc::new(MemoryStorage::new()));
    let served = Served::over(Arc::new(storage.clone()), Limits::default()).await.with_orders();
    let served = served.await;
    for case in 0..100 {
        served.order(&format!("c{case}")).await;
    }
    let fields: String = (0..18).map(|at| format!("t{at}: natsTimestamp ")).collect();
    let query = format!(
        "{{ cases(workflowId: \"orders\", first: 100) {{ nodes {{ tokens {{ {fields} }} }} }} }}"
    );
    let before = storage.register_reads();
    let found = served.data(&query, json!({})).await;
    let nodes = found["cases"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 100);
    for node in nodes {
        let times = node["tokens"][0].as_object().unwrap();
        assert!(times.values().all(|time| time.is_string() && *time == times["t0"]), "{node}");
    }
    let asked = storage.register_reads() - before;
    assert!(asked <= 200, "{asked} registers were asked for, for 100 tokens");

    let one = |at| format!("a{at}: case(workflowId: \"orders\", id: \"c1\") {{ status }} ");
    let same: String = (0..300).map(one).collect();
    let before = storage.log_reads();
    let found = served.data(&format!("{{ {same} }}"), json!({})).await;
    assert_eq!(found.as_object().unwrap().len(), 300);
    let asked = storage.log_reads() - before;
    assert!(asked <= 3, "{asked} records were asked for, for one case");
    served.stop().await;
}

#[tokio::test]
async fn each_change_of_a_request_sees_what_those_before_it_did() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let query = format!(
        "mutation {{ a: fireCase(input: {{workflowId: \"orders\", caseId: \"a\",
            transitionId: \"submit\"}}) {{ token {{ placeId case {{ revision }} }} sequence }}
         b: fireTransition(input: {{tokenId: \"{token}\", transitionId: \"approve\"}}) {{
            token {{ placeId case {{ revision }} }} sequence }} }}"
    );
    let done = served.data(&query, json!({})).await;
    for (change, place) in [(&done["a"], "review"), (&done["b"], "done")] {
        assert_eq!(change["token"]["placeId"], place);
        assert_eq!(change["token"]["case"]["revision"], change["sequence"], "{done}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_request_that_needs_too_many_look_ups_is_told_so_with_the_number() {
    let served = Served::with(Limits { look_ups: 20, ..Limits::default() }).await.with_orders();
    let served = served.await;
    for case in 0..30 {
        served.order(&format!("c{case}")).await;
    }
    let query = "query($first: Int) { tokens(workflowId: \"orders\", first: $first) {
        nodes { case { status } } } }";
    let few = served.data(query, json!({ "first": 15 })).await;
    assert_eq!(few["tokens"]["nodes"].as_array().unwrap().len(), 15);
    let answer = served.ask(query, json!({ "first": 30 })).await;
    let errors = answer["errors"].as_array().unwrap();
    for error in errors {
        assert_eq!(error["extensions"]["code"], "TOO_MANY_LOOK_UPS", "{error}");
        assert_eq!(error["extensions"]["limit"], 20, "{error}");
        assert!(error["message"].as_str().unwrap().contains("more than 20 look-ups"), "{error}");
    }
    served.stop().await;
}

/// On the only thread there is, all else has its turns while an answer of many values is made.
#[tokio::test(flavor = "current_thread")]
async fn a_large_answer_does_not_hold_others_up_while_it_is_made() {
    let served = Served::start().await.with_orders().await;
    for case in 0..50 {
        served.order(&format!("c{case}")).await;
    }
    let fields: String = (0..150).map(|n| format!("a{n}: id b{n}: createdAt ")).collect();
    let query =
        format!("{{ tokens(workflowId: \"orders\", first: 50) {{ nodes {{ {fields} }} }} }}");
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    let others = async {
        loop {
            let begun = Instant::now();
            yield_now().await;
            longest = longest.max(begun.elapsed());
        }
    };
    tokio::select! {
        answer = served.data(&query, json!({})) => {
            assert_eq!(answer["tokens"]["nodes"].as_array().unwrap().len(), 50);
        }
        () = others => {}
    }
    let all = begun.elapsed();
    assert!(longest * 3 < all, "{longest:?} of {all:?} without a turn");
    served.stop().await;
}
