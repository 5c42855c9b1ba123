//! An invocation that fails, and goes on at the step that failed when it is tried again.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use stormpetrel::{
    Change, Petrel,
    durable::{Context, InvokeError},
    worker::{WorkError, Worker},
};

use crate::Serving;

/// The bank, which is away at first.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

async fn order(ctx: Context, item: String) -> Result<String, WorkError> {
    let reserved: String = ctx
        .step("reserve", || async {
            println!("reserves a {item}");
            Ok::<_, WorkError>(format!("{item}-1"))
        })
        .await?;
    let receipt: String = ctx
        .step("charge", || async {
            println!("charges");
            match IS_OPEN.load(Ordering::Relaxed) {
                true => Ok("receipt-7".to_owned()),
                false => Err(WorkError::new("BANK_AWAY", "nobody answers").without_retry()),
            }
        })
        .await?;
    Ok(format!("{reserved}, {receipt}"))
}

pub(crate) async fn run(petrel: &Petrel) -> anyhow::Result<()> {
    let worker = Worker::builder(petrel.clone()).function("order".parse()?, order);
    let serving = Serving::start(petrel, worker).await?;
    match petrel.invoke::<String>("order", &"lamp").id("order-1").await {
        Err(InvokeError::Failed { failure, .. }) => println!("failed: {}", failure.code),
        other => println!("{other:?}"),
    }
    IS_OPEN.store(true, Ordering::Relaxed);
    println!("tried again");
    let failed = petrel.invocation("order", "order-1")?;
    failed.retry(Change::default()).await?;
    println!("{}", failed.result::<String>(Duration::from_secs(30)).await?);
    serving.stop().await;
    Ok(())
}
