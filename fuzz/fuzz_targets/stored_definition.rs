//! The reader of a definition's versions answers for any bytes at its subject; and a version
//! that is read comes back from the bytes that it is written as.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stormpetrel::storage::nats::messages::{decode_definition, encode_definition};

const SUBJECT: &str = "cb.workflows.orders.definition";

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = decode_definition(SUBJECT, bytes) else { return };
    let written = encode_definition(&read, SUBJECT).expect("a definition is JSON");
    assert_eq!(decode_definition(SUBJECT, &written).expect("it was written so"), read);
});
