//! Cascades and incidents as GraphQL, the command line and event logs show them.

use async_graphql::{Executor, Request};
use serde_json::{Value, json};
use stormpetrel::graphql::{Api, Caller, Limits};

use super::{
    begun,
    incidents::{go, started},
    order,
};
use crate::{
    cli::{json as json_of, text},
    support::{petrel_at, system},
};

#[tokio::test]
async fn the_command_line_shows_what_followed_a_change() {
    let (server, petrel) = system().await;
    begun(&petrel, "o-1", json!({"amount": 5})).await;
    let history = text(&server, &["case", "history", "order", "o-1"]).await;
    let line = history.lines().find(|line| line.contains("created")).unwrap();
    let order: Vec<_> = ["> accept", "> split", "@to_pack", "@to_bill"]
        .iter()
        .map(|part| line.find(part).unwrap_or_else(|| panic!("{part}: {line}")))
        .collect();
    assert!(order.is_sorted(), "{line}");
    let csv = text(&server, &["history", "export", "order", "--format", "csv"]).await;
    let activities: Vec<_> =
        csv.lines().skip(1).map(|line| line.split(',').nth(2).unwrap()).collect();
    assert_eq!(activities, ["accept", "split"]);
    let xes = text(&server, &["history", "export", "order", "--format", "xes"]).await;
    assert_eq!(xes.matches("<event>").count(), 2);
    let ocel = json_of(&server, &["history", "export", "order", "--format", "ocel2"]).await;
    let ids: Vec<_> = ocel["events"].as_array().unwrap().iter().map(|of| &of["id"]).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn an_incident_is_listed_with_its_cause_and_tried_again() {
    let (server, petrel) = system().await;
    started(&petrel, "k", json!({"left": "many"})).await;
    petrel.fire(go("k")).await.unwrap();
    let shown = text(&server, &["case", "show", "limited", "k"]).await;
    assert!(
        shown.contains("incident 1 of leave: GUARD_FAILED")
            || shown.contains("incident 1 of there: GUARD_FAILED"),
        "{shown}"
    );
    let listed = json_of(&server, &["incident", "list", "limited", "k"]).await;
    assert_eq!(listed["items"][0]["code"], "GUARD_FAILED");
    let cause = listed["items"][0]["explanation"].as_str().unwrap();
    assert!(cause.contains("token.data.left"), "{cause}");
    let retry = ["incident", "retry", "limited", "k", "1", "--firing-id", "r"];
    let retried = json_of(&server, &retry).await;
    assert_eq!(retried["kind"], "retried");
    let numbers = |of: &Value| -> Vec<u64> {
        of.as_array().unwrap().iter().map(|open| open["number"].as_u64().unwrap()).collect()
    };
    assert!(numbers(&retried["case"]["incidents"]).iter().all(|number| *number != 1));
    let again = json_of(&server, &retry).await;
    assert_eq!(again["repeated"], true);
}

#[tokio::test]
async fn graphql_shows_cascades_and_incidents_and_retries_them() {
    let (server, _petrel) = system().await;
    let petrel = petrel_at(server.url()).await;
    let executor = Api::new(petrel.clone(), Limits::default()).executor(Caller::Anybody);
    let ask = async |query: &str| -> Value {
        let answer = executor.execute(Request::new(query)).await;
        let answer = serde_json::to_value(&answer).unwrap();
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    };
    let definition = serde_json::to_value(order()).unwrap();
    assert_eq!(definition["transitions"][0]["auto"], true);
    begun(&petrel, "o-1", json!({"amount": 5})).await;
    started(&petrel, "k", json!({"left": 100})).await;
    petrel.fire(go("k")).await.unwrap();
    let asked = ask("{ case(workflowId: \"order\", id: \"o-1\") {
        workflow { maxCascade transitions { transitionId auto priority } }
        history { nodes { kind given { placeId } cascade { transitionId consumed { placeId }
            produced { placeId } } produced { placeId } } } } }")
    .await;
    let case = &asked["case"];
    assert_eq!(case["workflow"]["maxCascade"], 1_000);
    assert_eq!(
        case["workflow"]["transitions"][0],
        json!({"transitionId": "hold", "auto": true, "priority": 1})
    );
    let event = &case["history"]["nodes"][0];
    assert_eq!(event["given"], json!([{"placeId": "new"}]));
    assert_eq!(
        event["cascade"][1]["produced"],
        json!([{"placeId": "to_pack"}, {"placeId": "to_bill"}])
    );
    assert_eq!(event["produced"].as_array().unwrap().len(), 2);
    let incidents = "incidents { number transitionId code explanation sequence }";
    let asked = ask(&format!(
        "{{ case(workflowId: \"limited\", id: \"k\") {{ {incidents}
            explain {{ summary transitions {{ transitionId auto }} }} }} }}"
    ))
    .await;
    let open = &asked["case"]["incidents"][0];
    assert_eq!((&open["number"], &open["code"]), (&json!(1), &json!("CASCADE_TOO_LONG")));
    assert_eq!(open["transitionId"], Value::Null);
    assert!(open["explanation"].as_str().unwrap().contains("there (5 times)"), "{open}");
    let retried = ask(&format!(
        "mutation {{ retryIncident(input: {{ workflowId: \"limited\", caseId: \"k\", incident: 1 }})
            {{ status {incidents} }} }}"
    ))
    .await;
    assert_eq!(retried["retryIncident"]["incidents"][0]["number"], 2);
}

/// Of a repeated request the answer is the token that the first answer had, though it is gone since and
/// another one of the same record is there.
#[tokio::test]
async fn a_repeated_request_answers_its_own_token_though_it_is_gone() {
    let (server, petrel) = system().await;
    let net = crate::support::definition(json!({
        "id": "twins", "initial_place": "p0",
        "places": [{"id": "p0"}, {"id": "p2"}, {"id": "p4"}, {"id": "z"}, {"id": "y"}],
        "transitions": [
            {"id": "go", "from_places": ["p0"], "to_place": "p4"},
            {"id": "see", "auto": true, "outputs": [{"place": "p2"}],
             "inputs": [{"place": "p0"}, {"place": "p4", "kind": "read"}]},
            {"id": "use", "inputs": [{"place": "p4"}],
             "outputs": [{"place": "z"}, {"place": "y"}]},
            {"id": "use2", "inputs": [{"place": "p2"}],
             "outputs": [{"place": "z"}, {"place": "y"}]},
            {"id": "split", "inputs": [{"place": "z"}],
             "outputs": [{"place": "p4"}, {"place": "p2"}]}
        ]
    }));
    petrel.create_workflow(net, Default::default()).await.unwrap();
    let other = petrel_at(server.url()).await;
    let of = async |petrel: &stormpetrel::petrel::Petrel, query: &str| -> Value {
        let executor = Api::new(petrel.clone(), Limits::default()).executor(Caller::Anybody);
        let answer = serde_json::to_value(executor.execute(Request::new(query)).await).unwrap();
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    };
    let fire = |transition: &str, id: &str| {
        format!(
            r#"mutation {{ fireCase(input: {{ workflowId: "twins", caseId: "k",
            transitionId: "{transition}", firingId: "{id}" }}) {{ repeated token {{ tokenId }} }} }}"#
        )
    };
    of(
        &petrel,
        r#"mutation { createToken(input: { workflowId: "twins", caseId: "k" }) { tokenId } }"#,
    )
    .await;
    let create = r#"mutation { createToken(input: { workflowId: "twins", caseId: "k",
        initialPlace: "p4", data: {}, firingId: "c" }) { tokenId placeId live repeated } }"#;
    let first = of(&petrel, create).await["createToken"].clone();
    assert_eq!((&first["placeId"], &first["live"]), (&json!("p4"), &json!(true)));
    of(&petrel, &fire("use", "u")).await;
    for petrel in [&petrel, &other, &petrel_at(server.url()).await] {
        let again = of(petrel, create).await["createToken"].clone();
        let wanted = json!({ "tokenId": first["tokenId"], "placeId": "p4", "live": false, "repeated": true });
        assert_eq!(again, wanted, "{first}");
    }
    // The same of a firing with two outputs, and of a move to one of them.
    let split = of(&petrel, &fire("split", "s")).await["fireCase"].clone();
    assert!(split["token"]["tokenId"].is_string());
    of(&petrel, &fire("use", "u-2")).await;
    let again = of(&other, &fire("split", "s")).await["fireCase"].clone();
    assert_eq!(again, json!({ "repeated": true, "token": null }));
    let page = r#"{ case(workflowId: "twins", id: "k") { tokens { tokenId placeId } } }"#;
    let tokens = of(&petrel, page).await["case"]["tokens"].clone();
    let at = |place: &str| {
        let found = tokens.as_array().unwrap().iter().find(|of| of["placeId"] == place).unwrap();
        found["tokenId"].as_str().unwrap().to_owned()
    };
    let z = at("z");
    let moved = format!(
        r#"mutation {{ transitionTokenWithNats(input: {{ tokenId: "{z}",
        transitionId: "split", newPlace: "p2", firingId: "m" }}) {{ tokenId placeId }} }}"#
    );
    let first = of(&petrel, &moved).await["transitionTokenWithNats"].clone();
    assert_eq!(first["placeId"], "p2");
    let p2 = first["tokenId"].as_str().unwrap();
    let leave = format!(
        r#"mutation {{ fireTransition(input: {{ tokenId: "{p2}", transitionId: "use2" }}) {{ repeated }} }}"#
    );
    of(&petrel, &leave).await;
    let again = of(&other, &moved).await["transitionTokenWithNats"].clone();
    assert_eq!(again, first);
}
