//! Listings of tokens, in pages.

use serde_json::json;

use super::{
    Behaviour, behaviour,
    fixture::{
        PATHS, Store, Writer, all_pages, assert_same, case, gone, ids, in_case, in_place,
        in_workflow, live, place, record, shift, token, workflow, write,
    },
};
use crate::{
    models::{MarkingEntry, RecordKind, Token},
    storage::{Cursor, MAX_PAGE, Page, StorageExt, TokenScope, ViewOutcome},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour] = &[
    behaviour!(a_listing_has_every_live_token_of_its_scope_in_order),
    behaviour!(every_page_size_gives_the_same_listing),
    behaviour!(a_page_after_the_last_token_is_empty),
    behaviour!(a_listing_goes_on_where_it_was_while_tokens_move),
    behaviour!(a_case_lists_the_tokens_of_its_marking),
    behaviour!(more_tokens_than_a_server_answers_for_at_once_are_all_listed),
    behaviour!(a_listing_of_large_tokens_comes_whole),
    behaviour!(the_tokens_of_what_is_unknown_are_none),
];

/// Tokens that left are not in it; a change moves a token to the end.
pub async fn a_listing_has_every_live_token_of_its_scope_in_order(storage: &Store) {
    let (id, other, c) = (workflow("list-all"), workflow("list-all-2"), case("c"));
    let (p, q) = (place("p"), place("p-1"));
    let mut tokens: Vec<_> = Vec::new();
    for number in 1..=9 {
        let at = if number % 3 == 0 { &q } else { &p };
        let t = token(&id, &c, number, at, json!({"n": number}));
        let sequence = write(storage, live(&t, 0)).await;
        let elsewhere = Token { workflow: other.clone(), ..t.clone() };
        write(storage, live(&elsewhere, 0)).await;
        tokens.push((t, sequence));
    }
    // 2 goes for good, 4 moves to the other place, 1 is changed.
    let (t, at) = tokens.remove(1);
    write(storage, gone(&t, at, None)).await;
    let (t, at) = tokens.remove(2);
    tokens.push(shift(storage, &t, at, &q).await);
    let (t, at) = tokens.remove(0);
    let changed = Token { data: json!({"n": "changed"}), nats_sequence: 100, ..t };
    let at = write(storage, live(&changed, at)).await;
    tokens.push((changed, at));
    for path in PATHS {
        for (scope, only) in
            [(in_workflow(&id), None), (in_place(&id, &p), Some(&p)), (in_place(&id, &q), Some(&q))]
        {
            let expected = tokens.iter().filter(|(t, _)| only.is_none_or(|at| t.place == *at));
            let listed = all_pages(storage, &scope, 100, path).await;
            assert_eq!(listed.len(), expected.clone().count(), "{scope:?} by {path:?}");
            for ((cursor, read), (written, at)) in listed.iter().zip(expected) {
                assert_same(storage, read, written);
                assert_eq!(*cursor, Cursor(*at), "a position is the register's sequence");
            }
        }
    }
}

async fn crowd(storage: &Store, id: &str, count: u64) -> (TokenScope, Vec<(Token, u64)>) {
    let (id, c, p) = (workflow(id), case("c"), place("p"));
    let tokens: Vec<_> = (1..=count).map(|n| token(&id, &c, n, &p, json!({"n": n}))).collect();
    let mut written = Vec::new();
    for part in tokens.chunks(250) {
        let writes = part.iter().map(|t| live(t, 0)).collect();
        for (t, outcome) in part.iter().zip(storage.write_views(writes).await) {
            let Ok(ViewOutcome::Written(sequence)) = outcome else { panic!("{outcome:?}") };
            written.push((t.clone(), sequence));
        }
    }
    written.sort_by_key(|(_, sequence)| *sequence);
    (in_place(&id, &p), written)
}

fn ids_of(tokens: &[(Token, u64)]) -> Vec<crate::models::TokenId> {
    tokens.iter().map(|(t, _)| t.id.clone()).collect()
}

/// Pages of one, exact divisors, one more, one less, and the largest.
pub async fn every_page_size_gives_the_same_listing(storage: &Store) {
    let (scope, tokens) = crowd(storage, "list-sizes", 24).await;
    // Markers take positions too, and must never count.
    write(storage, gone(&tokens[7].0, tokens[7].1, None)).await;
    write(storage, gone(&tokens[23].0, tokens[23].1, None)).await;
    let mut expected = ids_of(&tokens);
    expected.remove(23);
    expected.remove(7);
    for path in PATHS {
        for first in [1, 2, 7, 11, 21, 22, 23, MAX_PAGE] {
            let listed = ids(storage, &scope, first, path).await;
            assert_eq!(listed, expected, "pages of {first} by {path:?}");
        }
        let page = Page { first: 22, after: None };
        let page = storage.tokens_in(&scope, page, path).await.unwrap();
        assert!(!page.has_next, "a page that ends exactly at the end is the last");
    }
}

/// The position may be that of the last token, beyond it, or one that nothing can have.
pub async fn a_page_after_the_last_token_is_empty(storage: &Store) {
    let (scope, tokens) = crowd(storage, "list-after", 5).await;
    let last = tokens[4].1;
    for path in PATHS {
        for after in [last, last + 1, last + 1_000_000, u64::MAX - 1, u64::MAX] {
            let page = Page { first: 10, after: Some(Cursor(after)) };
            let page = storage.tokens_in(&scope, page, path).await.unwrap();
            assert_eq!((page.items.len(), page.has_next), (0, false), "after {after}");
        }
        let page = Page { first: 10, after: Some(Cursor(0)) };
        let page = storage.tokens_in(&scope, page, path).await.unwrap();
        assert_eq!(page.items.len(), 5, "0 is before everything");
        // A position between two tokens, or of one that left, is as good as any.
        let page = Page { first: 10, after: Some(Cursor(last - 1)) };
        let page = storage.tokens_in(&scope, page, path).await.unwrap();
        assert_eq!(page.items.len(), 1);
    }
}

/// A token that stays is listed exactly once; one that moved on is not missed in its new
/// place.
pub async fn a_listing_goes_on_where_it_was_while_tokens_move(storage: &Store) {
    for (path, name) in PATHS.into_iter().zip(["list-moving-d", "list-moving-c"]) {
        let (scope, tokens) = crowd(storage, name, 10).await;
        let q = place("q");
        let page = Page { first: 4, after: None };
        let page = storage.tokens_in(&scope, page, path).await.unwrap();
        assert!(page.has_next);
        let mut seen: Vec<_> = page.items.iter().map(|(_, t)| t.id.clone()).collect();
        // Seen: 0 to 3. 1 leaves, as does the one the page ended with, and 5 before its page.
        for (t, at) in [&tokens[1], &tokens[3], &tokens[5]] {
            shift(storage, t, *at, &q).await;
        }
        // 7 is changed, which takes it to the end, and 10 is new.
        let (t, at) = &tokens[7];
        let changed = Token { nats_sequence: 100, ..t.clone() };
        write(storage, live(&changed, *at)).await;
        let new = token(&t.workflow, &t.case, 11, &t.place, json!({}));
        write(storage, live(&new, 0)).await;
        let mut after = page.end();
        loop {
            let page = storage.tokens_in(&scope, Page { first: 2, after }, path).await.unwrap();
            seen.extend(page.items.iter().map(|(_, t)| t.id.clone()));
            after = page.end().or(after);
            if !page.has_next {
                break;
            }
        }
        let mut expected: Vec<_> =
            [0, 1, 2, 3, 4, 6, 8, 9, 7].map(|n: usize| tokens[n].0.id.clone()).to_vec();
        expected.push(new.id);
        assert_eq!(seen, expected, "by {path:?}");
    }
}

/// The live tokens of a case, of one place or of all, and nothing of a case with a similar
/// name.
pub async fn a_case_lists_the_tokens_of_its_marking(storage: &Store) {
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
                sequence: 0,
            });
            created.produced.push(t);
        }
        let tokens = created.produced.clone();
        let mut writer = Writer::new(&id, &c);
        let (sequence, created) = writer.append(storage, created).await;
        let writes = tokens.iter().map(|t| live(t, 0)).collect();
        let mut at = Vec::new();
        for outcome in storage.write_views(writes).await {
            let Ok(ViewOutcome::Written(sequence)) = outcome else { panic!("{outcome:?}") };
            at.push(sequence);
        }
        // The first is taken again, by a record and in the view.
        let mut fired = record(&id, &c, RecordKind::Fired, "f-2");
        fired.marking = created.marking.clone();
        let first = fired.marking.0.remove(0);
        assert_eq!(first.token, tokens[0].id);
        fired.marking.0.iter_mut().for_each(|entry| entry.sequence = sequence);
        writer.append(storage, fired).await;
        write(storage, gone(&tokens[0], at[0], None)).await;
        let mut left: Vec<_> = tokens[1..].iter().zip(&at[1..]).collect();
        left.sort_by_key(|(_, at)| **at);
        let left: Vec<_> = left.into_iter().map(|(t, _)| t.clone()).collect();
        expected.push((c, left));
    }
    for path in PATHS {
        for (c, tokens) in &expected {
            for first in [1, 3, 5, 100] {
                let all: Vec<_> = tokens.iter().map(|t| t.id.clone()).collect();
                assert_eq!(ids(storage, &in_case(&id, c), first, path).await, all, "{c}");
                let here: Vec<_> =
                    tokens.iter().filter(|t| t.place == q).map(|t| t.id.clone()).collect();
                let scope = TokenScope { place: Some(q.clone()), ..in_case(&id, c) };
                assert_eq!(ids(storage, &scope, first, path).await, here, "{c}");
            }
        }
    }
}

/// A server's limit (1,024 subjects in NATS) is no limit of a listing.
pub async fn more_tokens_than_a_server_answers_for_at_once_are_all_listed(storage: &Store) {
    let (scope, tokens) = crowd(storage, "list-many", 1_300).await;
    let expected = ids_of(&tokens);
    for path in PATHS {
        for first in [MAX_PAGE, 650, 333] {
            let listed = ids(storage, &scope, first, path).await;
            assert!(listed == expected, "{} tokens in pages of {first}, {path:?}", listed.len());
        }
    }
}

/// More bytes than a server likes to send at once.
pub async fn a_listing_of_large_tokens_comes_whole(storage: &Store) {
    let (id, c, p) = (workflow("list-large"), case("c"), place("p"));
    let mut created = record(&id, &c, RecordKind::Created, "f-1");
    let mut expected = Vec::new();
    for number in 1..=120 {
        let t = token(&id, &c, number, &p, json!({"padding": "x".repeat(700_000)}));
        write(storage, live(&t, 0)).await;
        let (token, place) = (t.id.clone(), p.clone());
        created.marking.0.push(MarkingEntry { token, place, sequence: 0 });
        expected.push(t.id);
    }
    // The record itself need not carry them for a listing.
    Writer::new(&id, &c).append(storage, created).await;
    for path in PATHS {
        for scope in [in_place(&id, &p), in_case(&id, &c)] {
            assert_eq!(ids(storage, &scope, MAX_PAGE, path).await, expected, "{scope:?} {path:?}");
        }
    }
}

/// Absence is an answer and no error.
pub async fn the_tokens_of_what_is_unknown_are_none(storage: &Store) {
    let (id, c, p) = (workflow("list-unknown"), case("c"), place("p"));
    for path in PATHS {
        for scope in [
            in_workflow(&id),
            in_place(&id, &p),
            in_case(&id, &c),
            TokenScope { place: Some(p.clone()), ..in_case(&id, &c) },
        ] {
            let page = storage.tokens_in(&scope, Page::default(), path).await.unwrap();
            assert_eq!((page.items.len(), page.has_next, page.end()), (0, false, None));
        }
    }
}
