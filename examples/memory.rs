//! A net in memory: an order waits for its payment and its goods.

use std::sync::Arc;

use stormpetrel::{ExpectedVersion, Fire, MemoryStorage, NewCase, Petrel};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let petrel = Petrel::new(Arc::new(MemoryStorage::new()));
    let order = serde_json::from_str(include_str!("order.json"))?;
    let order = petrel.create_workflow(order, ExpectedVersion::Any).await?;
    let workflow = order.definition.id.clone();
    let case = Some("order-1".parse()?);
    let begun = petrel.create_case(NewCase { case, ..NewCase::of(workflow.clone()) }).await?;
    for step in ["order", "ship", "pay", "ship"] {
        let fire = Fire::case(workflow.clone(), begun.case.id.clone(), step.parse()?);
        match petrel.fire(fire).await {
            Ok(fired) => println!("{step}: the case is {}", fired.case.status.as_str()),
            Err(refused) => println!("{refused}"),
        }
    }
    Ok(())
}
