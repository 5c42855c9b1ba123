//! An invocation that is begun, and looked at later by its id.

use std::time::Duration;

use stormpetrel::{
    Petrel,
    durable::Context,
    worker::{WorkError, Worker},
};

use crate::Serving;

async fn adds(ctx: Context, numbers: Vec<i64>) -> Result<i64, WorkError> {
    let mut sum = 0;
    for number in numbers {
        sum = ctx.step("add", || async { Ok::<_, WorkError>(sum + number) }).await?;
    }
    Ok(sum)
}

pub(crate) async fn run(petrel: &Petrel) -> anyhow::Result<()> {
    let worker = Worker::builder(petrel.clone()).function("adds".parse()?, adds);
    let serving = Serving::start(petrel, worker).await?;
    let begun = petrel.invoke_async("adds", &[1, 2, 3]).id("sum-1").by("ann").await?;
    println!("begun {} {}", begun.function(), begun.id());

    // In any process, from the id alone.
    let found = petrel.invocation("adds", "sum-1")?;
    let sum: i64 = found.result(Duration::from_secs(30)).await?;
    println!("the sum is {sum}, status {:?}", found.status().await?);
    println!("its last step had {:?}", found.step::<i64>("add").await?);

    // The answer was lost, so the same is asked again: nothing is done twice.
    let again = petrel.invoke_async("adds", &[1, 2, 3]).id("sum-1").await?;
    println!("again: repeated = {}", again.is_repeated());
    if let Err(error) = petrel.invoke_async("adds", &[4]).id("sum-1").await {
        println!("another input: {}", error.code());
    }
    serving.stop().await;
    Ok(())
}
