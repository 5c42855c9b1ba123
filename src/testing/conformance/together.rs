//! Behaviours of a log and a view that are one store.

use futures::TryStreamExt;
use serde_json::json;

use super::{
    Behaviour, behaviour,
    fixture::{
        Log, PATHS, Store, View, Writer, assert_same, attempt, case, gone, live, page, place,
        record, shift, token, workflow, write, written,
    },
};
use crate::{
    models::{MarkingEntry, RecordKind, Token, TokenId},
    storage::{Consistency, ReadPath, StorageExt, TokenScope},
};

/// The behaviours of this module.
const BEHAVIOURS: &[Behaviour<Store>] = &[
    behaviour!(a_case_lists_the_tokens_of_its_marking),
    behaviour!(outlines_since_a_record_have_all_that_was_written_since),
    behaviour!(a_case_whose_id_looks_like_a_tokens_is_a_case_like_any_other),
    behaviour!(a_store_in_use_is_healthy),
];

/// The behaviours of both together.
pub fn behaviours() -> impl Iterator<Item = &'static Behaviour<Store>> {
    BEHAVIOURS.iter()
}

fn halves(storage: &Store) -> (Log, View) {
    (storage.clone(), storage.clone())
}

/// The ids of a whole listing.
async fn listed(storage: &Store, scope: &TokenScope, first: usize, path: ReadPath) -> Vec<TokenId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = storage.tokens_in(scope, page(first, after, path)).await.expect("a page");
        after = page.end();
        let has_next = page.has_next;
        ids.extend(page.into_items().into_iter().map(|token| token.id));
        if !has_next {
            return ids;
        }
    }
}

/// The live tokens of a case, of one place or of all, and nothing of a case with a similar
/// name.
pub async fn a_case_lists_the_tokens_of_its_marking(storage: &Store) {
    let (log, view) = halves(storage);
    let id = workflow("list-case");
    let (p, q) = (place("p"), place("q"));
    let mut expected = Vec::new();
    for name in ["a", "a-1", "b"] {
        let c = case(name);
        let mut created = record(&id, &c, RecordKind::Created, "f-1");
        for number in 1..=6 {
            let at = if number > 4 { &q } else { &p };
            let t = token(&id, &c, number, at, json!({"of": name}));
            created.marking.0.push(MarkingEntry {
                token: t.id.clone(),
                place: at.clone(),
                sequence: None,
            });
            created.produced.push(t);
        }
        let tokens = created.produced.clone();
        let mut writer = Writer::new(&id, &c);
        let (sequence, created) = writer.append(&log, created).await;
        let writes = tokens.iter().map(|t| live(t, 0)).collect();
        let mut at = Vec::new();
        for outcome in attempt(&view, writes).await {
            at.push(written(&outcome).unwrap_or_else(|| panic!("{outcome:?}")));
        }
        // The first is taken again, by a record and in the view.
        let mut fired = record(&id, &c, RecordKind::Fired, "f-2");
        fired.marking = created.marking.clone();
        let first = fired.marking.0.remove(0);
        assert_eq!(first.token, tokens[0].id);
        fired.marking.0.iter_mut().for_each(|entry| entry.sequence = Some(sequence));
        writer.append(&log, fired).await;
        write(&view, gone(&tokens[0], at[0], None)).await;
        let mut left: Vec<_> = tokens[1..].iter().zip(&at[1..]).collect();
        left.sort_by_key(|(_, at)| **at);
        let left: Vec<_> = left.into_iter().map(|(t, _)| t.clone()).collect();
        expected.push((c, left));
    }
    for path in PATHS {
        for (c, tokens) in &expected {
            for first in [1, 3, 5, 100] {
                let all = tokens.iter().map(|t| t.id.clone()).collect::<Vec<_>>();
                let of_case =
                    TokenScope { workflow: id.clone(), place: None, case: Some(c.clone()) };
                assert_eq!(listed(storage, &of_case, first, path).await, all, "{c}");
                let here = tokens.iter().filter(|t| t.place == q).map(|t| t.id.clone());
                let scope = TokenScope { place: Some(q.clone()), ..of_case };
                assert_eq!(listed(storage, &scope, first, path).await, here.collect::<Vec<_>>());
            }
        }
        let none = TokenScope { workflow: id.clone(), place: None, case: Some(case("none")) };
        assert_eq!(listed(storage, &none, 10, path).await, [], "of a case that is unknown");
    }
}

/// Some older ones may be among them.
pub async fn outlines_since_a_record_have_all_that_was_written_since(storage: &Store) {
    let (log, view) = halves(storage);
    let (id, c, p, q) = (workflow("outline-since"), case("c"), place("p"), place("q"));
    let mut writer = Writer::new(&id, &c);
    let mut expected = Vec::new();
    for number in 1..=12 {
        let (at, _) = writer.write(&log, RecordKind::Paused).await;
        let t = Token { nats_sequence: Some(at), ..token(&id, &c, number, &p, json!({})) };
        let seen = write(&view, live(&t, 0)).await;
        expected.push((t.id.clone(), p.clone(), Some(at), number % 3 == 0));
        if number % 3 == 0 {
            let (moved, _) = shift(&view, &t, seen, &q).await;
            expected.last_mut().unwrap().2 = moved.nats_sequence;
            expected.push((moved.id, q.clone(), moved.nats_sequence, false));
        }
    }
    expected.sort();
    for since in [None, expected[4].2] {
        let outlines = storage.outlines(since).await.unwrap();
        let outlines: Vec<_> = outlines.try_collect().await.unwrap();
        let ours = outlines.into_iter().filter(|outline| outline.workflow == id);
        let mut ours: Vec<_> = ours.map(|o| (o.token, o.place, o.revision, o.is_gone)).collect();
        ours.sort();
        assert!(ours.iter().all(|outline| expected.contains(outline)), "{ours:?}");
        let newer: Vec<_> = expected.iter().filter(|(.., at, _)| *at >= since).collect();
        assert!(newer.iter().all(|outline| ours.contains(outline)), "{newer:?} of {ours:?}");
    }
}

/// The tokens of such a case and of the case that it seems to be a token of are kept apart.
pub async fn a_case_whose_id_looks_like_a_tokens_is_a_case_like_any_other(storage: &Store) {
    let (log, view) = halves(storage);
    let (workflow, short, p) = (workflow("odd-token-like"), case("a"), place("p"));
    let first = token(&workflow, &short, 1, &p, json!({"of": "the short one"}));
    let long = case(first.id.as_str());
    let second = token(&workflow, &long, 1, &p, json!({"of": "the long one"}));
    let mut writers = Vec::new();
    for t in [&first, &second] {
        let mut created = record(&workflow, &t.case, RecordKind::Created, "f-1");
        created.produced.push(t.clone());
        let mut writer = Writer::new(&workflow, &t.case);
        let written = writer.append(&log, created).await;
        write(&view, live(t, 0)).await;
        writers.push(written);
    }
    for (t, (sequence, written)) in [&first, &second].into_iter().zip(writers) {
        let head = log.head(&workflow, &t.case, Consistency::Strong).await.unwrap().unwrap();
        assert_eq!((head.sequence, head.value), (sequence, written));
        for path in PATHS {
            let read = view.token(&workflow, &t.id, path.into()).await.unwrap().unwrap();
            assert_same(&view, &read, t);
        }
    }
}

/// Nothing is wrong with a store that answers.
pub async fn a_store_in_use_is_healthy(storage: &Store) {
    let before = storage.reconnects();
    let health = storage.health().await;
    assert!(health.connected, "{health:?}");
    assert_eq!(health.problem, None);
    assert!(storage.reconnects() >= before);
}
