//! A function of two steps, and a caller.

use stormpetrel::{
    Petrel,
    durable::Context,
    worker::{WorkError, Worker},
};

use crate::Serving;

async fn hello(ctx: Context, name: String) -> Result<String, WorkError> {
    let greeting = ctx.step("greet", || async { Ok::<_, WorkError>(format!("Hello, {name}")) });
    let greeting = greeting.await?;
    let loud = ctx.step("shout", || async { Ok::<_, WorkError>(format!("{greeting}!")) });
    Ok(loud.await?)
}

pub(crate) async fn run(petrel: &Petrel) -> anyhow::Result<()> {
    let worker = Worker::builder(petrel.clone()).function("hello".parse()?, hello);
    let serving = Serving::start(petrel, worker).await?;
    let answer: String = petrel.invoke("hello", &"Ann").await?;
    println!("{answer}");
    serving.stop().await;
    Ok(())
}
