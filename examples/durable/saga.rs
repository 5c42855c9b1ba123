//! A function that undoes what it has done, in reverse order, when a later step fails.

use stormpetrel::{
    Petrel,
    durable::{Context, InvokeError, OperationError},
    worker::{WorkError, Worker},
};

use crate::Serving;

async fn books(ctx: Context, city: String) -> Result<String, WorkError> {
    let mut undo = Vec::new();
    for what in ["flight", "hotel", "car"] {
        let book = || async {
            println!("books a {what} in {city}");
            match what {
                "car" => Err(WorkError::new("NO_CAR", "all are out").without_retry()),
                _ => Ok(format!("{what}-1")),
            }
        };
        match ctx.step(what, book).await {
            Ok(booked) => undo.push(booked),
            Err(error) => return Err(undone(&ctx, undo, error).await?.into()),
        }
    }
    Ok(undo.join(", "))
}

/// Undoes the bookings. Each is a step: after a crash it goes on with the next one.
async fn undone(
    ctx: &Context,
    undo: Vec<String>,
    error: OperationError,
) -> Result<OperationError, OperationError> {
    for booked in undo.iter().rev() {
        let cancel = || async {
            println!("cancels {booked}");
            Ok::<_, WorkError>(())
        };
        ctx.step("cancel", cancel).await?;
    }
    Ok(error)
}

pub(crate) async fn run(petrel: &Petrel) -> anyhow::Result<()> {
    let worker = Worker::builder(petrel.clone()).function("books".parse()?, books);
    let serving = Serving::start(petrel, worker).await?;
    match petrel.invoke::<String>("books", &"Oslo").id("trip-1").await {
        Err(InvokeError::Failed { failure, .. }) => println!("failed: {}", failure.code),
        other => println!("{other:?}"),
    }
    serving.stop().await;
    Ok(())
}
