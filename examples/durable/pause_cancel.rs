//! Invocations that are paused, resumed and cancelled.

use std::time::Duration;

use stormpetrel::{
    Change, Petrel,
    durable::{Context, Invocation, InvocationStatus},
    worker::{WorkError, Worker},
};
use tokio::sync::Semaphore;

use crate::Serving;

/// Tells that a step has begun, and lets it end.
static BEGUN: Semaphore = Semaphore::const_new(0);
static MAY_END: Semaphore = Semaphore::const_new(0);

async fn packs(ctx: Context, boxes: u32) -> Result<String, WorkError> {
    for number in 1..=boxes {
        let packs = || async {
            println!("packs box {number}");
            BEGUN.add_permits(1);
            MAY_END.acquire().await?.forget();
            Ok::<_, WorkError>(())
        };
        ctx.step("pack", packs).await?;
    }
    Ok(format!("{boxes} boxes"))
}

async fn until(invocation: &Invocation, status: InvocationStatus) -> anyhow::Result<()> {
    while invocation.status().await? != status {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{} is {status:?}", invocation.id());
    Ok(())
}

pub(crate) async fn run(petrel: &Petrel) -> anyhow::Result<()> {
    let worker = Worker::builder(petrel.clone()).function("packs".parse()?, packs);
    let serving = Serving::start(petrel, worker).await?;

    let one = petrel.invoke_async("packs", &2).id("one").await?;
    BEGUN.acquire().await?.forget();
    one.pause(Change::default()).await?;
    // The worker hears of it within milliseconds. The step that runs comes to its end, and the next one does not begin.
    tokio::time::sleep(Duration::from_secs(1)).await;
    MAY_END.add_permits(1);
    until(&one, InvocationStatus::Paused).await?;
    one.resume(Change::default()).await?;
    BEGUN.acquire().await?.forget();
    MAY_END.add_permits(1);
    println!("packed {}", one.result::<String>(Duration::from_secs(30)).await?);

    let two = petrel.invoke_async("packs", &2).id("two").await?;
    BEGUN.acquire().await?.forget();
    two.cancel(Change::default()).await?;
    until(&two, InvocationStatus::Cancelled).await?;
    if let Err(error) = two.result::<String>(Duration::from_secs(30)).await {
        println!("{error}");
    }
    serving.stop().await;
    Ok(())
}
