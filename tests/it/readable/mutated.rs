//! Stored messages with something wrong in them: each reader answers, and a message that is
//! read comes back from its written form. The targets in `fuzz/` look for more of it.

use std::path::Path;

use proptest::{prelude::*, sample::Index};
use stormpetrel::{
    engine,
    models::{Record, Stored, Token},
    storage::nats::messages::{decode_definition, decode_record, decode_token, encode_definition},
};

const RECORD: &str = "cb.workflows.orders.events.transitions.order-1042";
const DEFINITION: &str = "cb.workflows.orders.definition";
const TOKEN: &str = "cb.workflows.orders.places.packing.tokens.order-1042-1c168adb00-3";

fn sample(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    std::fs::read(folder.join(name)).unwrap()
}

/// A change of some bytes.
#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Set(Index, u8),
    Double(Index, Index),
    Swap(Index, Index),
    Insert(Index, &'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "null",
        "-0.0",
        "1e400",
        "18446744073709551616",
        "\\ud800",
        ",",
        ":",
        "[[[[[[[[[[",
        "\u{feff}",
        "\"kind\":\"quarantined\",",
        "\"format\":2,",
    ]);
    prop_oneof![
        index().prop_map(Damage::Cut),
        (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (index(), index()).prop_map(|(from, to)| Damage::Double(from, to)),
        (index(), index()).prop_map(|(one, other)| Damage::Swap(one, other)),
        (index(), token).prop_map(|(at, text)| Damage::Insert(at, text)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        match damage {
            Damage::Cut(at) => bytes.truncate(at.index(length)),
            Damage::Set(at, byte) => bytes[at.index(length)] = *byte,
            Damage::Double(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(from..from, part);
            }
            Damage::Swap(one, other) => bytes.swap(one.index(length), other.index(length)),
            Damage::Insert(at, text) => {
                let at = at.index(length);
                bytes.splice(at..at, text.bytes());
            }
        }
    }
    bytes
}

fn check(bytes: &[u8]) {
    if let Ok(read) = decode_record(RECORD, bytes) {
        let written = serde_json::to_vec(&read.value).unwrap();
        // Names of what is unknown are not written: its case is not changed.
        let known = |read: Stored<Record>| Record { unknown: Vec::new(), ..read.value };
        assert_eq!(known(decode_record(RECORD, &written).unwrap()), known(read.clone()));
        drop(engine::apply(None, &read));
    }
    if let Ok(read) = decode_definition(DEFINITION, bytes) {
        let written = encode_definition(&read, DEFINITION).unwrap();
        assert_eq!(decode_definition(DEFINITION, &written).unwrap(), read);
    }
    if let Ok(read) = decode_token(TOKEN, bytes) {
        let timeless = Token { nats_timestamp: None, ..read.clone() };
        let written = serde_json::to_vec(&timeless).unwrap();
        assert_eq!(decode_token(TOKEN, &written).unwrap(), read);
    }
}

#[test]
fn the_samples_are_read() {
    decode_record(RECORD, &sample("fired.json")).unwrap();
    decode_definition(DEFINITION, &sample("definition.json")).unwrap();
    decode_token(TOKEN, &sample("token.json")).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_damaged_message_is_an_error_or_what_it_says(
        name in prop::sample::select(vec!["fired.json", "definition.json", "token.json"]),
        damages in prop::collection::vec(damage(), 0..4),
    ) {
        check(&damaged(sample(name), &damages));
    }

    #[test]
    fn any_bytes_are_an_error_or_what_they_say(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes);
    }
}
