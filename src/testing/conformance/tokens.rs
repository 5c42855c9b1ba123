//! One token by its id.

use serde_json::json;

use super::{
    Behaviour, behaviour,
    fixture::{
        PATHS, View, assert_same, awkward_values, case, gone, large, live, place, shift, token,
        token_id, workflow, write,
    },
};
use crate::models::{LogSequence, Token};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<View>] = &[
    behaviour!(a_token_is_found_by_its_id_wherever_it_is),
    behaviour!(a_token_that_is_gone_or_unknown_is_none),
    behaviour!(a_token_is_found_in_its_own_workflow_only),
    behaviour!(a_marker_that_comes_after_the_token_does_not_hide_it),
    behaviour!(what_a_token_carries_comes_back_as_it_was),
    behaviour!(large_tokens_come_back_whole),
];

/// The answer is its newest place and version, on every path.
pub async fn a_token_is_found_by_its_id_wherever_it_is(view: &View) {
    let (id, c) = (workflow("token-move"), case("c"));
    let places = ["p", "q", "r"].map(place);
    let mut t = token(&id, &c, 1, &places[0], json!({"n": 1}));
    let mut at = write(view, live(&t, 0)).await;
    for round in 0..30 {
        for path in PATHS {
            let read = view.token(&id, &t.id, path.into()).await.unwrap();
            assert_same(view, &read.expect("a live token is found"), &t);
        }
        (t, at) = match round % 4 {
            3 => {
                let sequence = Some(LogSequence::after(t.nats_sequence));
                let changed = Token { data: json!({"n": round}), nats_sequence: sequence, ..t };
                let at = write(view, live(&changed, at)).await;
                (changed, at)
            }
            _ => shift(view, &t, at, &places[(round + 1) % 3]).await,
        };
    }
}

/// Absence is an answer and no error.
pub async fn a_token_that_is_gone_or_unknown_is_none(view: &View) {
    let (id, c, p) = (workflow("token-gone"), case("c"), place("p"));
    let t = token(&id, &c, 1, &p, json!({}));
    let at = write(view, live(&t, 0)).await;
    write(view, gone(&t, at, None)).await;
    for path in PATHS {
        assert_eq!(view.token(&id, &t.id, path.into()).await.unwrap(), None);
        let unknown = token_id(&id, &c, 2);
        assert_eq!(view.token(&id, &unknown, path.into()).await.unwrap(), None);
        let nowhere = workflow("token-nowhere");
        assert_eq!(view.token(&nowhere, &t.id, path.into()).await.unwrap(), None);
    }
}

/// The same id in another workflow is another token.
pub async fn a_token_is_found_in_its_own_workflow_only(view: &View) {
    let (one, other, c, p) =
        (workflow("token-own"), workflow("token-own-2"), case("c"), place("p"));
    let mine = token(&one, &c, 1, &p, json!({"of": "one"}));
    write(view, live(&mine, 0)).await;
    for path in PATHS {
        assert_eq!(view.token(&other, &mine.id, path.into()).await.unwrap(), None);
    }
    let others = Token { workflow: other.clone(), data: json!({"of": "other"}), ..mine.clone() };
    write(view, live(&others, 0)).await;
    for path in PATHS {
        for expected in [&mine, &others] {
            let read = view.token(&expected.workflow, &expected.id, path.into()).await.unwrap();
            assert_same(view, &read.unwrap(), expected);
        }
    }
}

/// The last message about a token may be that it left its old place.
pub async fn a_marker_that_comes_after_the_token_does_not_hide_it(view: &View) {
    let (id, c, p, q) = (workflow("token-late"), case("c"), place("p"), place("q"));
    let t = token(&id, &c, 1, &p, json!({}));
    let at = write(view, live(&t, 0)).await;
    let moved = Token { place: q.clone(), nats_sequence: LogSequence::new(2), ..t.clone() };
    write(view, live(&moved, 0)).await;
    write(view, gone(&t, at, Some(&q))).await;
    for path in PATHS {
        let read = view.token(&id, &t.id, path.into()).await.unwrap();
        assert_same(view, &read.expect("it is in its new place"), &moved);
    }
}

/// Unicode, numbers, nulls and text that looks like protocol.
pub async fn what_a_token_carries_comes_back_as_it_was(view: &View) {
    let (id, c, p) = (workflow("token-data"), case("c"), place("p"));
    for (number, data) in (1..).zip(awkward_values()) {
        let mut t = token(&id, &c, number, &p, data.clone());
        t.metadata.insert("note".to_owned(), data);
        write(view, live(&t, 0)).await;
        for path in PATHS {
            let read = view.token(&id, &t.id, path.into()).await.unwrap().unwrap();
            assert_same(view, &read, &t);
        }
    }
}

/// About 200 kB of data in a token, which then moves.
pub async fn large_tokens_come_back_whole(view: &View) {
    let (id, c, p, q) = (workflow("token-large"), case("c"), place("p"), place("q"));
    let t = token(&id, &c, 1, &p, large());
    let at = write(view, live(&t, 0)).await;
    let (moved, _) = shift(view, &t, at, &q).await;
    for path in PATHS {
        let read = view.token(&id, &t.id, path.into()).await.unwrap().unwrap();
        assert_same(view, &read, &moved);
    }
}
