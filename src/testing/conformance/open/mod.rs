//! The suite of indexes of what is open.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Behaviour, behaviour, each,
    fixture::{case, workflow},
};
use crate::{
    models::QueueId,
    storage::{Cursor, Open, OpenIndex as Trait, OpenScope, Page},
};

/// An index to be tested.
pub type OpenIndex = Arc<dyn Trait>;

/// The behaviours of all indexes.
pub fn behaviours() -> impl Iterator<Item = &'static Behaviour<OpenIndex>> {
    BEHAVIOURS.iter()
}

/// Checks every behaviour, one after the other. `make` is called before each and returns
/// an index in which that behaviour has not run: always the same one, or new ones.
///
/// # Panics
///
/// When a behaviour does not hold. Standard error names the one that was being checked.
pub async fn all(make: impl AsyncFn() -> OpenIndex) {
    each(behaviours(), make).await;
}

const BEHAVIOURS: &[Behaviour<OpenIndex>] = &[
    behaviour!(what_is_noted_is_listed_until_it_is_struck_out),
    behaviour!(items_and_incidents_and_queues_and_workflows_are_apart),
    behaviour!(every_page_size_lists_each_entry_once),
    behaviour!(ids_of_any_length_and_numbers_of_any_size_come_back),
];

fn item(queue: &str, of: &str, id: &str, item: u64) -> Open {
    let queue = QueueId::new(queue).expect("the suite's own ids are valid");
    Open::Item { queue, workflow: workflow(of), case: case(id), item }
}

fn incident(of: &str, id: &str, incident: u64) -> Open {
    Open::Incident { workflow: workflow(of), case: case(id), incident }
}

fn items_of(of: &str) -> OpenScope {
    OpenScope::Items { queue: None, workflow: Some(workflow(of)) }
}

/// All entries of a scope, in pages of a size.
async fn listed(index: &OpenIndex, scope: &OpenScope, first: usize) -> Vec<Open> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = index.open(scope, Page { first, after }).await.expect("a page");
        assert!(page.items.len() <= first, "{first} were asked for: {page:?}");
        let (Some((last, _)), true) = (page.items.last(), page.has_next) else {
            found.extend(page.items.into_iter().map(|(_, open)| open));
            return found;
        };
        after = Some(Cursor(last.0));
        found.extend(page.items.into_iter().map(|(_, open)| open));
    }
}

/// Also when it is noted twice, and again after it was struck out.
pub async fn what_is_noted_is_listed_until_it_is_struck_out(index: &OpenIndex) {
    let of = "open-noted";
    let all = [item("q", of, "c", 1), item("q", of, "c", 2), item("q", of, "d", 1)];
    index.note_open(&all).await.unwrap();
    index.note_open(&all[..2]).await.unwrap();
    assert_eq!(listed(index, &items_of(of), 10).await, all);
    assert_eq!(index.is_noted(&all).await.unwrap(), [true, true, true]);
    index.strike_open(&all[1..2]).await.unwrap();
    index.strike_open(&all[1..2]).await.unwrap();
    assert_eq!(index.is_noted(&all).await.unwrap(), [true, false, true]);
    assert_eq!(listed(index, &items_of(of), 10).await, [all[0].clone(), all[2].clone()]);
    index.note_open(&all[1..2]).await.unwrap();
    let found: BTreeSet<_> = listed(index, &items_of(of), 10).await.into_iter().collect();
    assert_eq!(found, all.into_iter().collect());
}

/// Whatever their numbers are.
pub async fn items_and_incidents_and_queues_and_workflows_are_apart(index: &OpenIndex) {
    let [one, other] = ["open-apart", "open-apart-too"];
    let all = [
        item("open-q", one, "c", 1),
        item("open-r", one, "c", 1),
        item("open-q", other, "c", 1),
        incident(one, "c", 1),
        incident(other, "c", 1),
    ];
    index.note_open(&all).await.unwrap();
    let incidents = |of: &str| OpenScope::Incidents { workflow: Some(workflow(of)) };
    let queue = |queue: &str, of: Option<&str>| {
        let queue = QueueId::new(queue).expect("the suite's own ids are valid");
        OpenScope::Items { queue: Some(queue), workflow: of.map(workflow) }
    };
    for (scope, wanted) in [
        (items_of(one), vec![0, 1]),
        (items_of(other), vec![2]),
        (incidents(one), vec![3]),
        (incidents(other), vec![4]),
        (queue("open-q", None), vec![0, 2]),
        (queue("open-q", Some(one)), vec![0]),
        (queue("open-none", None), vec![]),
    ] {
        let wanted: Vec<_> = wanted.into_iter().map(|at: usize| all[at].clone()).collect();
        assert_eq!(listed(index, &scope, 10).await, wanted, "{scope:?}");
    }
    index.strike_open(&all[..1]).await.unwrap();
    assert_eq!(index.is_noted(&all).await.unwrap(), [false, true, true, true, true]);
}

/// Also where other entries lie between.
pub async fn every_page_size_lists_each_entry_once(index: &OpenIndex) {
    let of = "open-pages";
    let all: Vec<_> = (1..=40).map(|number| item("q", of, "c", number)).collect();
    for number in 1..=40 {
        let one = [all[number - 1].clone(), incident(of, "c", number as u64)];
        index.note_open(&one).await.unwrap();
    }
    for first in [1, 7, 39, 40, 41, 1_000] {
        assert_eq!(listed(index, &items_of(of), first).await, all, "{first} a page");
    }
    index.strike_open(&all[10..30]).await.unwrap();
    let left: Vec<_> = all[..10].iter().chain(&all[30..]).cloned().collect();
    for first in [1, 7, 20, 21] {
        assert_eq!(listed(index, &items_of(of), first).await, left, "{first} a page");
    }
}

/// The longest ids that there are, and the largest numbers.
pub async fn ids_of_any_length_and_numbers_of_any_size_come_back(index: &OpenIndex) {
    let of = "o".repeat(64);
    let all = [
        item(&"q".repeat(64), &of, &"c".repeat(64), u64::MAX),
        incident(&of, &"c".repeat(64), u64::MAX),
    ];
    index.note_open(&all).await.unwrap();
    assert_eq!(listed(index, &items_of(&of), 1).await, all[..1]);
    assert_eq!(index.is_noted(&all).await.unwrap(), [true, true]);
}
