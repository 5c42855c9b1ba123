//! Types of an input, a result and an error.

use serde::{Deserialize, Serialize};
use stormpetrel::{
    Petrel,
    durable::{Context, InvokeError},
    worker::{WorkError, Worker},
};

use crate::Serving;

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    item: String,
    count: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Price {
    cents: u64,
    currency: String,
}

async fn price(ctx: Context, order: Order) -> Result<Price, WorkError> {
    let each: u64 = ctx
        .step("look up", || async {
            match order.item.as_str() {
                "lamp" => Ok(4_200),
                other => Err(WorkError::new("NO_SUCH_ITEM", other).without_retry()),
            }
        })
        .await?;
    Ok(Price { cents: each * u64::from(order.count), currency: "EUR".to_owned() })
}

pub(crate) async fn run(petrel: &Petrel) -> anyhow::Result<()> {
    let worker = Worker::builder(petrel.clone()).function("price".parse()?, price);
    let serving = Serving::start(petrel, worker).await?;
    let order = |item: &str| Order { item: item.to_owned(), count: 2 };
    let price: Price = petrel.invoke("price", &order("lamp")).await?;
    println!("{} {}", price.cents, price.currency);

    match petrel.invoke::<Price>("price", &order("chair")).id("chairs").await {
        Err(InvokeError::Failed { failure, .. }) => println!("failed: {}", failure.code),
        other => println!("{other:?}"),
    }
    // What is no order is refused by the handler's type, and nothing of it is carried out.
    match petrel.invoke::<Price>("price", &"a lamp").id("words").await {
        Err(InvokeError::Failed { failure, .. }) => println!("failed: {}", failure.code),
        other => println!("{other:?}"),
    }
    serving.stop().await;
    Ok(())
}
