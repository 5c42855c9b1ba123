//! A function that sleeps, without a worker.

use std::time::Duration;

use stormpetrel::{
    Petrel,
    durable::{Context, InvocationStatus},
    worker::{WorkError, Worker},
};

use crate::Serving;

async fn reminds(ctx: Context, seconds: u64) -> Result<i64, WorkError> {
    let begun = ctx.now().await;
    ctx.sleep(Duration::from_secs(seconds)).await;
    let slept = ctx.now().await - begun;
    ctx.step("remind", || async {
        println!("ding");
        Ok::<_, WorkError>(())
    })
    .await?;
    Ok(slept.num_seconds())
}

pub(crate) async fn run(petrel: &Petrel) -> anyhow::Result<()> {
    let worker = Worker::builder(petrel.clone()).function("reminds".parse()?, reminds);
    let serving = Serving::start(petrel, worker).await?;
    let later = petrel.invoke_async("reminds", &6).await?;
    while later.status().await? != InvocationStatus::Suspended {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("it sleeps, and no worker has it");
    let slept: i64 = later.result(Duration::from_secs(60)).await?;
    println!("slept for at least 6 s: {}", slept >= 6);
    serving.stop().await;
    Ok(())
}
