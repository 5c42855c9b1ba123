//! A net in memory: an order waits for its payment and its goods.

use std::sync::Arc;

use stormpetrel::{
    petrel::{Cases, ExpectedVersion, Fire, NewCase},
    storage::MemoryStorage,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cases = Cases::new(Arc::new(MemoryStorage::new()));
    let order = serde_json::from_str(include_str!("order.json"))?;
    let order = cases.create_workflow(order, ExpectedVersion::Any).await?;
    let workflow = order.definition.id.clone();
    let case = Some("order-1".parse()?);
    let begun = cases.create_case(NewCase { case, ..NewCase::of(workflow.clone()) }).await?;
    for step in ["order", "ship", "pay", "ship"] {
        let fire = Fire::case(workflow.clone(), begun.case.id.clone(), step.parse()?);
        match cases.fire(fire).await {
            Ok(fired) => println!("{step}: the case is {}", fired.case.status.as_str()),
            Err(refused) => println!("{refused}"),
        }
    }
    Ok(())
}
