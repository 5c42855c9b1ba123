//! Branches side by side in a function, and invocations side by side.

use futures::future::try_join_all;
use stormpetrel::{
    Petrel,
    durable::{Context, OperationError},
    worker::{WorkError, Worker},
};

use crate::Serving;

/// Squares numbers side by side. Each branch has a scope, so its steps have numbers of their own.
async fn squares(ctx: Context, upto: u64) -> Result<u64, WorkError> {
    let branches = (1..=upto).map(|number| {
        let ctx = ctx.scope("square");
        async move { ctx.step("square", || async { Ok::<_, WorkError>(number * number) }).await }
    });
    // All are awaited to their ends: another run gets the same results, in whatever order they came.
    let all: Result<Vec<u64>, OperationError> =
        futures::future::join_all(branches).await.into_iter().collect();
    Ok(all?.into_iter().sum())
}

pub(crate) async fn run(petrel: &Petrel) -> anyhow::Result<()> {
    let worker = Worker::builder(petrel.clone()).function("squares".parse()?, squares);
    let serving = Serving::start(petrel, worker).await?;
    let sums = (1..=20_u64).map(|upto| async move { petrel.invoke::<u64>("squares", &upto).await });
    let sums = try_join_all(sums).await?;
    println!("{} invocations: {sums:?}", sums.len());
    serving.stop().await;
    Ok(())
}
