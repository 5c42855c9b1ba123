//! The reader of records answers for any bytes at a case's subject. A record that is read
//! comes back from the bytes that it is written as, and can be applied or is refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stormpetrel::{engine, storage::nats::messages::decode_record};

const SUBJECT: &str = "cb.workflows.orders.events.transitions.order-1042";

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = decode_record(SUBJECT, bytes) else { return };
    let written = serde_json::to_vec(&read.value).expect("a record is JSON");
    let mut again = decode_record(SUBJECT, &written).expect("it was written so").value;
    // Names of what is unknown are not written.
    again.unknown.clone_from(&read.value.unknown);
    assert_eq!(again, read.value);
    let _ = engine::apply(None, &read);
});
