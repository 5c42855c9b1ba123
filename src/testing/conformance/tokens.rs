//! One token by its id.

use serde_json::{Value, json};

use super::{
    Behaviour, behaviour,
    fixture::{
        PATHS, Store, Writer, assert_same, case, definition, gone, live, place, put, record, shift,
        token, token_id, workflow, write,
    },
};
use crate::{
    models::{RecordKind, Token},
    storage::{Consistency, DefinitionVersion, LogScope, ViewOutcome},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour] = &[
    behaviour!(a_token_is_found_by_its_id_wherever_it_is),
    behaviour!(a_token_that_is_gone_or_unknown_is_none),
    behaviour!(a_token_is_found_in_its_own_workflow_only),
    behaviour!(a_marker_that_comes_after_the_token_does_not_hide_it),
    behaviour!(what_a_token_and_a_record_carry_comes_back_as_it_was),
    behaviour!(large_tokens_and_records_come_back_whole),
];

/// The answer is its newest place and version, on every path.
pub async fn a_token_is_found_by_its_id_wherever_it_is(storage: &Store) {
    let (id, c) = (workflow("token-move"), case("c"));
    let places = ["p", "q", "r"].map(place);
    let mut t = token(&id, &c, 1, &places[0], json!({"n": 1}));
    let mut at = write(storage, live(&t, 0)).await;
    for round in 0..30 {
        for path in PATHS {
            let read = storage.token(&id, &t.id, path).await.unwrap();
            assert_same(storage, &read.expect("a live token is found"), &t);
        }
        (t, at) = match round % 4 {
            3 => {
                let sequence = t.nats_sequence + 1;
                let changed = Token { data: json!({"n": round}), nats_sequence: sequence, ..t };
                let at = write(storage, live(&changed, at)).await;
                (changed, at)
            }
            _ => shift(storage, &t, at, &places[(round + 1) % 3]).await,
        };
    }
}

/// Absence is an answer and no error.
pub async fn a_token_that_is_gone_or_unknown_is_none(storage: &Store) {
    let (id, c, p) = (workflow("token-gone"), case("c"), place("p"));
    let t = token(&id, &c, 1, &p, json!({}));
    let at = write(storage, live(&t, 0)).await;
    write(storage, gone(&t, at, None)).await;
    for path in PATHS {
        assert_eq!(storage.token(&id, &t.id, path).await.unwrap(), None);
        let unknown = token_id(&id, &c, 2);
        assert_eq!(storage.token(&id, &unknown, path).await.unwrap(), None);
        let nowhere = workflow("token-nowhere");
        assert_eq!(storage.token(&nowhere, &t.id, path).await.unwrap(), None);
    }
}

/// The same id in another workflow is another token.
pub async fn a_token_is_found_in_its_own_workflow_only(storage: &Store) {
    let (one, other, c, p) =
        (workflow("token-own"), workflow("token-own-2"), case("c"), place("p"));
    let mine = token(&one, &c, 1, &p, json!({"of": "one"}));
    write(storage, live(&mine, 0)).await;
    for path in PATHS {
        assert_eq!(storage.token(&other, &mine.id, path).await.unwrap(), None);
    }
    let others = Token { workflow: other.clone(), data: json!({"of": "other"}), ..mine.clone() };
    write(storage, live(&others, 0)).await;
    for path in PATHS {
        for expected in [&mine, &others] {
            let read = storage.token(&expected.workflow, &expected.id, path).await.unwrap();
            assert_same(storage, &read.unwrap(), expected);
        }
    }
}

/// The last message about a token may be that it left its old place.
pub async fn a_marker_that_comes_after_the_token_does_not_hide_it(storage: &Store) {
    let (id, c, p, q) = (workflow("token-late"), case("c"), place("p"), place("q"));
    let t = token(&id, &c, 1, &p, json!({}));
    let at = write(storage, live(&t, 0)).await;
    let moved = Token { place: q.clone(), nats_sequence: 2, ..t.clone() };
    write(storage, live(&moved, 0)).await;
    write(storage, gone(&t, at, Some(&q))).await;
    for path in PATHS {
        let read = storage.token(&id, &t.id, path).await.unwrap();
        assert_same(storage, &read.expect("it is in its new place"), &moved);
    }
}

/// Names and data in any script, numbers at their edges, and nested or empty values.
fn awkward() -> Value {
    json!({
        "": "an empty key",
        "scripts": "Grüße, 世界, שלום, مرحبا, ελληνικά, 👩‍👩‍👧‍👦, e\u{301}, \u{200b}\u{feff}",
        "controls": "\0\u{1}\t\r\n\u{7f}\u{2028}\\\"/",
        "subject.like > * $JS.API": ["NATS/1.0\r\nX: y\r\n\r\n", "PUB a 1\r\n"],
        "numbers": [0, -1, i64::MIN, i64::MAX, u64::MAX, 0.1, -0.0, 1e300, 5e-324, f64::MAX],
        "floats": [
            0.1 + 0.2, 1.0 / 3.0, 2.0_f64.sqrt(), 123_456_789.123_456_79, 4.35, 2.675,
            0.000_123_456_789_012_345_67, 1.797_693_134_862_315_7e308, 9.007_199_254_740_993e15,
            3.0e-20 / 7.0, 1e23, 8.41e21, 9.5e-7 / 3.0, 51.249_998_569_488_525
        ],
        "nested": {"a": {"b": {"c": [[], [[]], {}, {"d": null}]}}},
        "nothing": null,
        "truths": [true, false],
    })
}

/// Unicode, numbers, nulls and text that looks like protocol.
pub async fn what_a_token_and_a_record_carry_comes_back_as_it_was(storage: &Store) {
    let (id, c, p) = (workflow("token-data"), case("c"), place("p"));
    let values = [awkward(), Value::Null, json!([]), json!("text"), json!(7), json!(false)];
    let mut writer = Writer::new(&id, &c);
    for (number, data) in (1..).zip(values) {
        let mut t = token(&id, &c, number, &p, data.clone());
        t.metadata.insert("note".to_owned(), data);
        write(storage, live(&t, 0)).await;
        for path in PATHS {
            let read = storage.token(&id, &t.id, path).await.unwrap().unwrap();
            assert_same(storage, &read, &t);
        }
        let mut with_it = record(&id, &c, RecordKind::Edited, &format!("f-{number}"));
        with_it.by = Some("Žofie 🦜 \"quoted\"\r\n".to_owned());
        with_it.metadata.clone_from(&t.metadata);
        with_it.produced.push(t);
        let (sequence, written) = writer.append(storage, with_it).await;
        let read = storage.record(&id, &c, sequence).await.unwrap().unwrap();
        assert_eq!(read.value, written);
    }
    let mut described = definition(&id, &["p"]);
    described.description = Some("Ünïcödé 🪺 \u{0}".to_owned());
    described.metadata.insert("awkward".to_owned(), awkward());
    let stored = put(storage, &described, 1, 0).await;
    assert_eq!(stored.definition, described);
    let latest = storage.definition(&id, DefinitionVersion::Latest).await.unwrap();
    assert_eq!(latest, Some(stored));
}

/// About 200 kB of data in a token, in the view and in the log.
pub async fn large_tokens_and_records_come_back_whole(storage: &Store) {
    let (id, c, p, q) = (workflow("token-large"), case("c"), place("p"), place("q"));
    let data = json!({"text": "á🦜x\n".repeat(22_000), "list": (0..5_000).collect::<Vec<_>>()});
    let t = token(&id, &c, 1, &p, data);
    let mut large = record(&id, &c, RecordKind::Created, "large");
    large.produced.push(t.clone());
    let (sequence, written) = Writer::new(&id, &c).append(storage, large).await;
    let head = storage.head(&id, &c, Consistency::Strong).await.unwrap().unwrap();
    assert_eq!((head.sequence, &head.value), (sequence, &written));
    let mut watch = storage.watch(LogScope::Case(id.clone(), c.clone()), 1).await.unwrap();
    assert_eq!(super::fixture::next(&mut watch).await.value, written);
    let outcomes = storage.write_views(vec![live(&t, 0)]).await;
    let [Ok(ViewOutcome::Written(at))] = outcomes[..] else { panic!("{outcomes:?}") };
    let (moved, _) = shift(storage, &t, at, &q).await;
    for path in PATHS {
        let read = storage.token(&id, &t.id, path).await.unwrap().unwrap();
        assert_same(storage, &read, &moved);
    }
}
