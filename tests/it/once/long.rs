//! Cases with many records, and the links of their pages.

use stormpetrel::{
    models::{LogSequence, PAGE_LENGTH},
    petrel::{Change, Petrel},
    storage::{Cursor, Page},
    testing::TestServer,
};

use serde_json::json;

use super::fixtures::{What, create, is_sound, log, loops, named, sequences};
use crate::support::{case, petrel_at, workflow};

/// The history of a case in pages of so many.
async fn history(petrel: &Petrel, name: &str, first: usize) -> Vec<LogSequence> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = Page { first, after };
        let found = petrel.history(&workflow("loops"), &case(name), page).await.unwrap();
        all.extend(found.items.iter().map(|(_, record)| record.sequence));
        after = found.items.last().map(|(cursor, _)| *cursor);
        if !found.has_next {
            return all;
        }
    }
}

#[tokio::test]
async fn the_lists_of_a_long_case_lead_to_all_of_its_records() {
    let server = TestServer::start().await;
    let (p1, p2) = (petrel_at(server.url()).await, petrel_at(server.url()).await);
    loops(&p1).await;
    create(&p1, "k", json!({})).await.unwrap();
    let (tick, length) = (What::Fire("tick", 0), 3 * PAGE_LENGTH + 7);
    for number in 1..length {
        // Now one process, now the other, which may be a page behind.
        let process = if number % 100 < 90 { &p1 } else { &p2 };
        let change = match number % 3 {
            0 => Change::default(),
            _ => named(&format!("id-{number}")),
        };
        tick.ask(process, "k", change).await.unwrap();
    }
    let log = log(p1.storage(), "k").await;
    assert_eq!(log.len(), length);
    is_sound(&log);
    let pages: Vec<_> = log
        .iter()
        .filter(|record| record.value.recent.len() == PAGE_LENGTH)
        .map(|record| record.sequence)
        .collect();
    assert_eq!(pages.len(), 3);
    for (number, record) in log.iter().filter(|r| pages.contains(&r.sequence)).enumerate() {
        assert_eq!(record.value.pages, pages[..number]);
    }
    let all = sequences(&log);
    for first in [1, 7, 64, 65, 1_000] {
        assert_eq!(history(&p2, "k", first).await, all, "in pages of {first}");
    }
    for record in &log {
        let page = Page { first: 1, after: Some(Cursor(record.sequence.get() - 1)) };
        let found = p2.history(&workflow("loops"), &case("k"), page).await.unwrap();
        assert_eq!(found.items[0].1.sequence, record.sequence);
    }
    let cold = petrel_at(server.url()).await;
    for number in (1..length).filter(|number| number % 3 != 0) {
        // Each of the three knows as much as it happens to know.
        for process in [&p1, &p2, &cold] {
            let again = tick.ask(process, "k", named(&format!("id-{number}"))).await.unwrap();
            assert!(again.repeated);
            assert_eq!(again.record.sequence, all[number]);
        }
    }
    let begun = create(&cold, "k", json!({})).await.unwrap();
    assert_eq!(begun.record.sequence, all[0]);
    let none = petrel_at(server.url()).await;
    assert!(!tick.ask(&none, "k", named("new")).await.unwrap().repeated);
}
