//! The suite of journals.

use std::sync::Arc;

use chrono::DateTime;
use futures::future::join_all;
use serde_json::json;

use super::{
    Behaviour, behaviour, each,
    fixture::{case, workflow},
};
use crate::{
    models::{
        EntryKind, Failure, JOURNAL_FORMAT, JournalEntry, JournalId, LogSequence, Operation,
        OperationEnd, OperationKind, Times,
    },
    storage::{Journals as Trait, StorageError},
};

/// Journals to be tested.
pub type Journals = Arc<dyn Trait>;

/// The behaviours of journals.
pub fn behaviours() -> impl Iterator<Item = &'static Behaviour<Journals>> {
    BEHAVIOURS.iter()
}

/// Checks every behaviour, one after the other. `make` is called before each and returns
/// journals among which that behaviour has not run: always the same ones, or new ones.
///
/// # Panics
///
/// When a behaviour does not hold. Standard error names the one that was being checked.
pub async fn all(make: impl AsyncFn() -> Journals) {
    each(behaviours(), make).await;
}

const BEHAVIOURS: &[Behaviour<Journals>] = &[
    behaviour!(entries_of_every_kind_come_back_as_they_were_written),
    behaviour!(an_entry_upon_another_one_than_the_last_is_refused_and_not_stored),
    behaviour!(of_eight_who_write_upon_the_same_entry_one_does),
    behaviour!(journals_side_by_side_never_race),
    behaviour!(entries_are_read_by_their_sequences_in_the_order_that_was_asked_for),
    behaviour!(an_entry_that_is_too_large_is_refused_with_its_size_and_not_stored),
    behaviour!(ids_of_any_length_and_items_of_any_number_have_journals_of_their_own),
];

fn journal(of: &str, item: u64) -> JournalId {
    JournalId { workflow: workflow(of), case: case("c"), item }
}

fn entry(number: u64, what: EntryKind) -> JournalEntry {
    JournalEntry {
        format: JOURNAL_FORMAT,
        number,
        claim: 3,
        time: DateTime::UNIX_EPOCH,
        recent: Vec::new(),
        pages: Vec::new(),
        what,
    }
}

fn begun(number: u64) -> JournalEntry {
    entry(
        number,
        EntryKind::Begun {
            worker: "Grüße > * $JS \"of\" 世界".to_owned(),
            seed: None,
            input: None,
        },
    )
}

fn step(name: &str) -> Operation {
    let hash = "00ff".repeat(16);
    Operation {
        scope: "1:a/2:b c".to_owned(),
        number: u64::MAX,
        kind: OperationKind::Step,
        name: name.to_owned(),
        input_hash: Some(hash),
    }
}

fn times() -> Times {
    Times { attempt: 2, lost: 1, since: DateTime::UNIX_EPOCH, place: "a b:1".to_owned() }
}

/// Writes entries one after the other, and returns their sequences.
async fn written(
    journals: &Journals,
    of: &JournalId,
    entries: &[JournalEntry],
) -> Vec<LogSequence> {
    let mut at = Vec::new();
    for entry in entries {
        at.push(journals.write_entry(of, entry, at.last().copied()).await.expect("written"));
    }
    at
}

/// With values that are easily taken for others, times, and the lists of the entries before.
pub async fn entries_of_every_kind_come_back_as_they_were_written(journals: &Journals) {
    let of = journal("journals-kinds", 1);
    assert_eq!(journals.last_entry(&of).await.expect("an answer"), None);
    let mut whats = vec![EntryKind::Begun {
        worker: String::new(),
        seed: Some("0f".repeat(16)),
        input: Some(json!(null)),
    }];
    let values = [
        json!(null),
        json!(""),
        json!([]),
        json!({}),
        json!(0),
        json!(-0.0),
        json!(1e-320),
        json!(9_223_372_036_854_775_809u64),
        json!({"z": [1, {"\u{2028}": "🦀"}], "a": i64::MIN}),
    ];
    whats.extend(values.map(|value| EntryKind::Ended {
        of: step("s"),
        end: OperationEnd::Result(value),
        times: times(),
        beside: Vec::new(),
    }));
    let failure = Failure { code: "NO".to_owned(), is_final: true, ..Failure::default() };
    let (end, of_step) = (OperationEnd::Error(failure.clone()), step("Ü"));
    whats.push(EntryKind::Ended { of: of_step.clone(), end, times: times(), beside: Vec::new() });
    let next = DateTime::UNIX_EPOCH;
    whats.push(EntryKind::Tried { of: of_step.clone(), failure, times: times(), next });
    whats.push(EntryKind::Started { of: of_step, attempt: 7 });
    let mut entries = Vec::new();
    for (number, what) in (1..).zip(whats) {
        let mut entry = entry(number, what);
        let sequences = [3, 4, 4_000_000, u64::MAX].map(LogSequence::new);
        entry.recent = sequences.into_iter().flatten().collect();
        entry.pages.clone_from(&entry.recent);
        entries.push(entry);
    }
    let at = written(journals, &of, &entries).await;
    assert!(at.is_sorted());
    let found = journals.entries_at(&of, &at).await.expect("entries");
    let plain: Vec<_> = found.iter().map(|stored| stored.entry.clone()).collect();
    assert_eq!(plain, entries);
    assert_eq!(found.iter().map(|stored| stored.sequence).collect::<Vec<_>>(), at);
    assert_eq!(journals.last_entry(&of).await.expect("an answer"), found.last().cloned());
}

/// Also upon none where there is one, and upon one where there is none.
pub async fn an_entry_upon_another_one_than_the_last_is_refused_and_not_stored(
    journals: &Journals,
) {
    let of = journal("journals-refused", 1);
    let refused = async |expected: Option<LogSequence>| {
        let written = journals.write_entry(&of, &begun(9), expected).await;
        assert!(matches!(written, Err(StorageError::LostRace { .. })), "{written:?}");
    };
    refused(LogSequence::new(1)).await;
    let at = written(journals, &of, &[begun(1), begun(2)]).await;
    refused(None).await;
    refused(Some(at[0])).await;
    refused(Some(at[1].next())).await;
    let last = journals.last_entry(&of).await.expect("an answer").expect("an entry");
    assert_eq!((last.sequence, last.entry), (at[1], begun(2)));
}

/// Each of them, however many try.
pub async fn of_eight_who_write_upon_the_same_entry_one_does(journals: &Journals) {
    let (of, mut expected) = (journal("journals-race", 1), None);
    for _ in 0..5 {
        let entries: Vec<_> = (1..=8).map(begun).collect();
        let writes = entries.iter().map(|entry| journals.write_entry(&of, entry, expected));
        let (mut stored, mut lost) = (Vec::new(), 0);
        for (entry, answer) in entries.iter().zip(join_all(writes).await) {
            match answer {
                Ok(at) => stored.push((at, entry)),
                Err(StorageError::LostRace { .. }) => lost += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((stored.len(), lost), (1, 7));
        let last = journals.last_entry(&of).await.expect("an answer").expect("an entry");
        assert_eq!((last.sequence, &last.entry), stored[0]);
        expected = Some(last.sequence);
    }
}

/// Of one case, at the same time.
pub async fn journals_side_by_side_never_race(journals: &Journals) {
    let all = (1..=20).map(|item| async move {
        let of = journal("journals-beside", item);
        let entries: Vec<_> = (1..=10).map(begun).collect();
        let at = written(journals, &of, &entries).await;
        let found = journals.entries_at(&of, &at).await.expect("entries");
        assert_eq!(found.into_iter().map(|of| of.entry).collect::<Vec<_>>(), entries);
    });
    join_all(all).await;
}

/// Those of other journals, and those that are not there, are left out.
pub async fn entries_are_read_by_their_sequences_in_the_order_that_was_asked_for(
    journals: &Journals,
) {
    let (of, other) = (journal("journals-read", 1), journal("journals-read", 2));
    let at = written(journals, &of, &(1..=200).map(begun).collect::<Vec<_>>()).await;
    let others = written(journals, &other, &[begun(1)]).await;
    assert_eq!(journals.entries_at(&of, &[]).await.expect("none"), []);
    let backwards: Vec<_> = at.iter().rev().copied().collect();
    let asked: Vec<_> = backwards.iter().chain(&others).copied().collect();
    let asked: Vec<_> = asked.into_iter().chain(LogSequence::new(u64::MAX / 2)).collect();
    let found = journals.entries_at(&of, &asked).await.expect("entries");
    assert_eq!(found.iter().map(|stored| stored.sequence).collect::<Vec<_>>(), backwards);
    let numbers: Vec<_> = found.iter().map(|stored| stored.entry.number).collect();
    assert_eq!(numbers, (1..=200).rev().collect::<Vec<_>>());
}

/// And one that fits is not.
pub async fn an_entry_that_is_too_large_is_refused_with_its_size_and_not_stored(
    journals: &Journals,
) {
    let of = journal("journals-large", 1);
    let with = |length: usize| {
        let end = OperationEnd::Result(json!("x".repeat(length)));
        entry(1, EntryKind::Ended { of: step("s"), end, times: times(), beside: Vec::new() })
    };
    match journals.write_entry(&of, &with(64 * 1024 * 1024), None).await {
        Err(StorageError::TooLarge { size, limit, .. }) => assert!(size > limit),
        other => panic!("{:?}", other.map_err(|error| error.to_string())),
    }
    assert_eq!(journals.last_entry(&of).await.expect("an answer"), None);
    let fits = with(500_000);
    written(journals, &of, std::slice::from_ref(&fits)).await;
    let last = journals.last_entry(&of).await.expect("an answer").expect("an entry");
    assert_eq!(last.entry, fits);
}

/// The longest id of a workflow and of a case, and items that differ in one digit.
pub async fn ids_of_any_length_and_items_of_any_number_have_journals_of_their_own(
    journals: &Journals,
) {
    let long = case(&"c".repeat(64));
    let ids = [1, 11, u64::MAX].into_iter().flat_map(|item| {
        let of = |case| JournalId { workflow: workflow("journals-ids"), case, item };
        [of(case("c")), of(case("c-1")), of(long.clone())]
    });
    let ids: Vec<_> = ids.collect();
    for (number, of) in (1..).zip(&ids) {
        written(journals, of, &[begun(number)]).await;
    }
    for (number, of) in (1..).zip(&ids) {
        let last = journals.last_entry(of).await.expect("an answer").expect("an entry");
        assert_eq!(last.entry, begun(number), "{of:?}");
    }
}
