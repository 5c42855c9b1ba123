//! A workflow inside a program: its own nats-server, a definition, a case, two firings.

use std::sync::Arc;

use serde_json::json;
use stormpetrel::{
    CaseId, Change, Error, ExpectedVersion, Fire, FiringId, LocalServer, LocalServerOptions,
    NatsStorage, NatsStorageConfig, NewCase, Page, Petrel, TransitionId, WorkflowDefinition,
    WorkflowId,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // With a server of your own, put its address in `urls` and leave this out.
    let server = LocalServer::start(LocalServerOptions::default()).await?;
    let config = NatsStorageConfig { urls: vec![server.url()], ..NatsStorageConfig::development() };
    let petrel = Petrel::new(Arc::new(NatsStorage::connect(config).await?));

    let definition: WorkflowDefinition = serde_json::from_value(json!({
        "id": "leave", "name": "Leave", "initial_place": "asked",
        "places": [{"id": "asked"}, {"id": "granted"}, {"id": "taken", "kind": "terminal"}],
        "transitions": [
            {"id": "grant", "from_places": ["asked"], "to_place": "granted",
             "conditions": ["token.data.days <= 20"]},
            {"id": "take", "from_places": ["granted"], "to_place": "taken"}
        ]
    }))?;
    petrel.create_workflow(definition, ExpectedVersion::Any).await?;

    let leave = WorkflowId::new("leave")?;
    let begun = petrel
        .create_case(NewCase {
            case: Some(CaseId::new("ann-1")?),
            data: json!({"days": 5}),
            ..NewCase::of(leave.clone())
        })
        .await?;
    let (case, token) = (begun.case.id.clone(), begun.tokens[0].id.clone());

    // Not yet: the error says why.
    match petrel.fire(Fire::token(token.clone(), TransitionId::new("take")?)).await {
        Err(error @ Error::NotEnabled(_)) => println!("{error}"),
        other => anyhow::bail!("take should wait for grant: {other:?}"),
    }

    // With a firing id, the call can be repeated until it answers; it happens once.
    let grant = Fire {
        change: Change {
            by: Some("ann".to_owned()),
            firing: Some(FiringId::new("grant-1")?),
            ..Change::default()
        },
        ..Fire::token(token.clone(), TransitionId::new("grant")?)
    };
    let granted = petrel.fire(grant.clone()).await?;
    println!("{} is in {}", granted.tokens[0].data, granted.tokens[0].place);
    println!("the same again: repeated = {}", petrel.fire(grant).await?.repeated);

    let taken = petrel.fire(Fire::token(token, TransitionId::new("take")?)).await?;
    println!("the case is {}", taken.case.status.as_str());

    for (_, record) in petrel.history(&leave, &case, Page::default()).await?.items {
        let transition = record.value.transition.as_ref();
        let what = transition.map_or(record.value.kind.as_str(), TransitionId::as_str);
        println!("{} {what}", record.sequence);
    }
    petrel.close().await;
    Ok(server.stop().await?)
}
