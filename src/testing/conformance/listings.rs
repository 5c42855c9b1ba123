//! Listings of tokens, in pages.

use serde_json::json;

use super::{
    Behaviour, behaviour,
    fixture::{
        PATHS, View, all_pages, assert_same, attempt, case, gone, ids, in_place, in_workflow, live,
        page, place, shift, these, token, workflow, write, written,
    },
};
use crate::{
    models::{LogSequence, Token, TokenId, ViewSequence},
    storage::{Cursor, ListOptions, MAX_PAGE, ViewScope},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<View>] = &[
    behaviour!(a_listing_has_every_live_token_of_its_scope_in_order),
    behaviour!(every_page_size_gives_the_same_listing),
    behaviour!(a_page_after_the_last_token_is_empty),
    behaviour!(a_listing_goes_on_where_it_was_while_tokens_move),
    behaviour!(a_listing_of_named_registers_has_those_that_are_live),
    behaviour!(more_tokens_than_a_server_answers_for_at_once_are_all_listed),
    behaviour!(a_listing_of_large_tokens_comes_whole),
    behaviour!(the_tokens_of_what_is_unknown_are_none),
];

/// Tokens that left are not in it; a change moves a token to the end.
pub async fn a_listing_has_every_live_token_of_its_scope_in_order(view: &View) {
    let (id, other, c) = (workflow("list-all"), workflow("list-all-2"), case("c"));
    let (p, q) = (place("p"), place("p-1"));
    let mut tokens: Vec<_> = Vec::new();
    for number in 1..=9 {
        let at = if number % 3 == 0 { &q } else { &p };
        let t = token(&id, &c, number, at, json!({"n": number}));
        let sequence = write(view, live(&t, 0)).await;
        let elsewhere = Token { workflow: other.clone(), ..t.clone() };
        write(view, live(&elsewhere, 0)).await;
        tokens.push((t, sequence));
    }
    // 2 goes for good, 4 moves to the other place, 1 is changed.
    let (t, at) = tokens.remove(1);
    write(view, gone(&t, at, None)).await;
    let (t, at) = tokens.remove(2);
    tokens.push(shift(view, &t, at, &q).await);
    let (t, at) = tokens.remove(0);
    let changed =
        Token { data: json!({"n": "changed"}), nats_sequence: LogSequence::new(100), ..t };
    let at = write(view, live(&changed, at)).await;
    tokens.push((changed, at));
    for path in PATHS {
        for (scope, only) in
            [(in_workflow(&id), None), (in_place(&id, &p), Some(&p)), (in_place(&id, &q), Some(&q))]
        {
            let expected = tokens.iter().filter(|(t, _)| only.is_none_or(|at| t.place == *at));
            let listed = all_pages(view, &scope, 100, path).await;
            assert_eq!(listed.len(), expected.clone().count(), "{scope:?} by {path:?}");
            for ((cursor, read), (written, at)) in listed.iter().zip(expected) {
                assert_same(view, read, written);
                assert_eq!(*cursor, Cursor(at.get()), "a position is the register's sequence");
            }
        }
    }
}

async fn crowd(view: &View, id: &str, count: u64) -> (ViewScope, Vec<(Token, ViewSequence)>) {
    let (id, c, p) = (workflow(id), case("c"), place("p"));
    let tokens: Vec<_> = (1..=count).map(|n| token(&id, &c, n, &p, json!({"n": n}))).collect();
    let mut all = Vec::new();
    for part in tokens.chunks(250) {
        let writes = part.iter().map(|t| live(t, 0)).collect();
        for (t, outcome) in part.iter().zip(attempt(view, writes).await) {
            let sequence = written(&outcome).unwrap_or_else(|| panic!("{outcome:?}"));
            all.push((t.clone(), sequence));
        }
    }
    all.sort_by_key(|(_, sequence)| *sequence);
    (in_place(&id, &p), all)
}

fn ids_of(tokens: &[(Token, ViewSequence)]) -> Vec<TokenId> {
    tokens.iter().map(|(t, _)| t.id.clone()).collect()
}

/// Pages of one, exact divisors, one more, one less, and the largest.
pub async fn every_page_size_gives_the_same_listing(view: &View) {
    let (scope, tokens) = crowd(view, "list-sizes", 24).await;
    // Markers take positions too, and must never count.
    write(view, gone(&tokens[7].0, tokens[7].1, None)).await;
    write(view, gone(&tokens[23].0, tokens[23].1, None)).await;
    let mut expected = ids_of(&tokens);
    expected.remove(23);
    expected.remove(7);
    for path in PATHS {
        for first in [1, 2, 7, 11, 21, 22, 23, MAX_PAGE] {
            let listed = ids(view, &scope, first, path).await;
            assert_eq!(listed, expected, "pages of {first} by {path:?}");
        }
        let page = view.tokens(&scope, page(22, None, path)).await.unwrap();
        assert!(!page.has_next, "a page that ends exactly at the end is the last");
    }
}

/// The position may be that of the last token, beyond it, or one that nothing can have.
pub async fn a_page_after_the_last_token_is_empty(view: &View) {
    let (scope, tokens) = crowd(view, "list-after", 5).await;
    let last = tokens[4].1.get();
    for path in PATHS {
        for after in [last, last + 1, last + 1_000_000, u64::MAX - 1, u64::MAX] {
            let found = view.tokens(&scope, page(10, Some(Cursor(after)), path)).await.unwrap();
            assert_eq!((found.items.len(), found.has_next), (0, false), "after {after}");
        }
        let found = view.tokens(&scope, page(10, Some(Cursor(0)), path)).await.unwrap();
        assert_eq!(found.items.len(), 5, "0 is before everything");
        // A position between two tokens, or of one that left, is as good as any.
        let found = view.tokens(&scope, page(10, Some(Cursor(last - 1)), path)).await.unwrap();
        assert_eq!(found.items.len(), 1);
    }
}

/// A token that stays is listed exactly once; one that moved on is not missed in its new
/// place.
pub async fn a_listing_goes_on_where_it_was_while_tokens_move(view: &View) {
    for (path, name) in PATHS.into_iter().zip(["list-moving-d", "list-moving-c"]) {
        let (scope, tokens) = crowd(view, name, 10).await;
        let q = place("q");
        let begun = view.tokens(&scope, page(4, None, path)).await.unwrap();
        assert!(begun.has_next);
        let mut seen: Vec<_> = begun.items.iter().map(|(_, t)| t.id.clone()).collect();
        // RegisterVersion: 0 to 3. 1 leaves, as does the one the page ended with, and 5 before its page.
        for (t, at) in [&tokens[1], &tokens[3], &tokens[5]] {
            shift(view, t, *at, &q).await;
        }
        // 7 is changed, which takes it to the end, and 10 is new.
        let (t, at) = &tokens[7];
        let changed = Token { nats_sequence: LogSequence::new(100), ..t.clone() };
        write(view, live(&changed, *at)).await;
        let new = token(&t.workflow, &t.case, 11, &t.place, json!({}));
        write(view, live(&new, 0)).await;
        let mut after = begun.end();
        loop {
            let page = view.tokens(&scope, page(2, after, path)).await.unwrap();
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

/// Tokens that are named by their places: those that are there, in the order of their last
/// change, of one place or several.
pub async fn a_listing_of_named_registers_has_those_that_are_live(view: &View) {
    let (p, q) = (place("p"), place("q"));
    let (scope, mut tokens) = crowd(view, "list-named", 12).await;
    let ViewScope::Place(id, _) = scope else { panic!("{scope:?}") };
    let (moved, gone_there, stayed) = (tokens.remove(6), tokens.remove(3), tokens.remove(1));
    let (moved, moved_at) = shift(view, &moved.0, moved.1, &q).await;
    write(view, gone(&gone_there.0, gone_there.1, None)).await;
    let unknown = token(&id, &case("c"), 99, &p, json!({}));
    let elsewhere = Token { place: q.clone(), ..stayed.0.clone() };
    let wanted = [&unknown, &moved, &gone_there.0, &elsewhere];
    let wanted = these(wanted.into_iter().chain(tokens.iter().rev().map(|(t, _)| t)));
    let mut expected = tokens.clone();
    expected.push((moved, moved_at));
    for path in PATHS {
        for first in [1, 4, 9, 10, 11] {
            let listed = ids(view, &wanted, first, path).await;
            assert_eq!(listed, ids_of(&expected), "pages of {first} by {path:?}");
        }
    }
}

/// A server's limit (1,024 subjects in NATS) is no limit of a listing.
pub async fn more_tokens_than_a_server_answers_for_at_once_are_all_listed(view: &View) {
    let (scope, tokens) = crowd(view, "list-many", 1_300).await;
    let expected = ids_of(&tokens);
    for path in PATHS {
        for first in [MAX_PAGE, 650, 333] {
            let listed = ids(view, &scope, first, path).await;
            assert!(listed == expected, "{} tokens in pages of {first}, {path:?}", listed.len());
        }
    }
}

/// More bytes than a server likes to send at once.
pub async fn a_listing_of_large_tokens_comes_whole(view: &View) {
    let (id, c, p) = (workflow("list-large"), case("c"), place("p"));
    let mut tokens = Vec::new();
    for number in 1..=120 {
        let t = token(&id, &c, number, &p, json!({"padding": "x".repeat(700_000)}));
        write(view, live(&t, 0)).await;
        tokens.push(Token { data: json!(null), ..t });
    }
    // One that takes more than a page may have, and of which a message has little, before others.
    for (number, data) in [(121, json!(vec![1; 100_000])), (122, json!({})), (123, json!({}))] {
        let t = token(&id, &c, number, &p, json!({ "data": data }));
        write(view, live(&t, 0)).await;
        tokens.push(Token { data: json!(null), ..t });
    }
    let expected: Vec<_> = tokens.iter().map(|t| t.id.clone()).collect();
    for path in PATHS {
        for scope in [in_place(&id, &p), these(&tokens)] {
            let listed = ids(view, &scope, MAX_PAGE, path).await;
            assert!(listed == expected, "{} tokens by {path:?}", listed.len());
        }
    }
}

/// Absence is an answer and no error.
pub async fn the_tokens_of_what_is_unknown_are_none(view: &View) {
    let (id, c, p) = (workflow("list-unknown"), case("c"), place("p"));
    let unknown = token(&id, &c, 1, &p, json!({}));
    let nothing = ViewScope::Registers(id.clone(), Vec::new());
    for path in PATHS {
        for scope in [in_workflow(&id), in_place(&id, &p), these([&unknown]), nothing.clone()] {
            let page = view
                .tokens(&scope, ListOptions { path: Some(path), ..Default::default() })
                .await
                .unwrap();
            assert_eq!((page.items.len(), page.has_next, page.end()), (0, false, None));
        }
    }
}
