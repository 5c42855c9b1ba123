//! A function that waits for a person's answer, without a worker.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use stormpetrel::{
    Change, Petrel,
    durable::Context,
    worker::{WorkError, Worker},
};
use tokio::sync::mpsc::UnboundedSender;

use crate::Serving;

#[derive(Debug, Serialize, Deserialize)]
struct Approval {
    granted: bool,
    by: String,
}

/// Asks by mail, and waits for a day at most.
async fn leave(
    ctx: Context,
    days: u32,
    mail: UnboundedSender<String>,
) -> Result<String, WorkError> {
    let approval = ctx.awakeable::<Approval>().timeout(Duration::from_secs(24 * 3_600));
    let (id, mail) = (approval.id().to_owned(), &mail);
    let ask = || {
        let id = id.clone();
        async move { mail.send(id).map_err(WorkError::from) }
    };
    ctx.step("ask", ask).await?;
    let Approval { granted, by } = approval.await?;
    Ok(format!("{days} days {} by {by}", if granted { "granted" } else { "refused" }))
}

pub(crate) async fn run(petrel: &Petrel) -> anyhow::Result<()> {
    let (mail, mut box_of_ann) = tokio::sync::mpsc::unbounded_channel();
    let worker = Worker::builder(petrel.clone())
        .function("leave".parse()?, move |ctx: Context, days: u32| leave(ctx, days, mail.clone()));
    let serving = Serving::start(petrel, worker).await?;
    let asked = petrel.invoke_async("leave", &5).id("leave-1").await?;
    let id = box_of_ann.recv().await.unwrap_or_default();
    println!("Ann has a mail");
    // As `petrel awakeable resolve <id> --result <json>` does.
    let answer = json!({ "granted": true, "by": "Ann" });
    let by = || Change { by: Some("ann".to_owned()), ..Change::default() };
    petrel.resolve_awakeable(&id, answer.clone(), by()).await?;
    println!("{}", asked.result::<String>(Duration::from_secs(30)).await?);
    // The same again is known, and another answer is refused.
    println!("again: {:?}", petrel.resolve_awakeable(&id, answer, by()).await?.repeated);
    if let Err(error) = petrel.resolve_awakeable(&id, json!({ "granted": false }), by()).await {
        println!("another: {}", error.code());
    }
    serving.stop().await;
    Ok(())
}
