//! The same reads without an engine: what the server takes for the messages alone.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

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

/// The tokens of a page in the place of many, and the one behind them, which says that there are more.
/// Where the first message is, is asked first; then for as many as are missing at once, until all
/// are there; then for the last of each of their subjects, which says that they are still there.
pub(crate) async fn page(site: &Site, page: Page) -> Result<usize, Error> {
    let from = page.after.map_or(1, |after| after.0 + 1);
    let mut from = site.view.direct_get_next_for_subject(">", Some(from)).await?.sequence;
    let mut found = BTreeMap::new();
    while found.len() <= page.first {
        let missing = (page.first + 1 - found.len()) as u64;
        let next = |from| site.view.direct_get_next_for_subject(filter(site), Some(from));
        let some = try_join_all((from..from + missing).map(next)).await?;
        found.extend(some.into_iter().map(|message| (message.sequence, message.subject)));
        from = found.last_key_value().map_or(from, |(last, _)| last + 1);
    }
    let subjects: Vec<_> = found.into_values().collect();
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
