//! The same reads without an engine: what the server takes for the messages alone.

use std::time::{Duration, Instant};

use futures::{StreamExt, future::try_join_all};
use serde_json::json;
use stormpetrel::{
    models::{PlaceId, TokenId},
    storage::{Page, nats::NatsStorageConfig},
};

use super::{Error, cases::Site, rows::Row};

/// Direct gets of a case that has ended, each row's of others: the server has to look for their
/// messages in its files. Of a history, the last record was read just before.
pub(crate) async fn of_a_case(row: Row, site: &Site, number: usize) -> Result<Duration, Error> {
    let case = site.case(number);
    let begun = match row {
        Row::RawToken => {
            let token = TokenId::of_case(&site.workflow.tag(), &case, 1);
            let place = PlaceId::new("done")?;
            let subject = site.petrel.storage().token_subject(&site.workflow, &place, &token);
            let begun = Instant::now();
            site.view.direct_get_last_for_subject(subject).await?;
            begun
        }
        Row::RawRecord => {
            let prefix = NatsStorageConfig::development().prefix;
            let subject = format!("{prefix}.workflows.{}.events.*.{case}", site.workflow);
            let begun = Instant::now();
            site.log.direct_get_last_for_subject(subject).await?;
            begun
        }
        _ => {
            let head = site.petrel.case(&site.workflow, &case).await?;
            let recent = head.chain.recent.iter().map(|link| link.sequence.get());
            let begun = Instant::now();
            try_join_all(recent.map(|sequence| site.log.direct_get(sequence))).await?;
            begun
        }
    };
    Ok(begun.elapsed())
}

/// The next token in the place of many, from the middle.
pub(crate) async fn next(site: &Site) -> Result<(), Error> {
    let from = site.middle_of_the_view().after.map_or(1, |after| after.0 + 1);
    site.view.direct_get_next_for_subject(filter(site), Some(from)).await?;
    Ok(())
}

/// The tokens of a page in the place of many: each of its messages with those behind them,
/// which say if there are more, and then the last of each of their subjects, which say that they
/// are still there. Where the first message is, is asked first.
pub(crate) async fn page(site: &Site, page: Page) -> Result<usize, Error> {
    let from = page.after.map_or(1, |after| after.0 + 1);
    let first = site.view.direct_get_next_for_subject(">", Some(from)).await?.sequence;
    let next = |from| site.view.direct_get_next_for_subject(filter(site), Some(from));
    let found = try_join_all((first..=first + page.first as u64).map(next)).await?;
    let subjects: Vec<_> = found.iter().map(|message| message.subject.as_str()).collect();
    let asked = json!({ "multi_last": subjects, "seq": 1, "batch": subjects.len() });
    let inbox = site.client.new_inbox();
    let mut answers = site.client.subscribe(inbox.clone()).await?;
    let subject = format!("$JS.API.DIRECT.GET.{}", site.view.cached_info().config.name);
    site.client.publish_with_reply(subject, inbox, asked.to_string().into()).await?;
    let mut last = 0;
    // The message behind them has no payload but a status.
    while answers.next().await.is_some_and(|answer| answer.status.is_none()) {
        last += 1;
    }
    Ok(last.min(page.first))
}

fn filter(site: &Site) -> String {
    let prefix = NatsStorageConfig::development().prefix;
    format!("{prefix}.workflows.{}.places.a.tokens.*", site.workflow)
}
