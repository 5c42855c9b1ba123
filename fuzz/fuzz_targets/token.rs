//! The reader of the view answers for any bytes at a token's subject; and a token that is read
//! comes back from the bytes that it is written as.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stormpetrel::{models::Token, storage::nats::messages::decode_token};

const SUBJECT: &str = "cb.workflows.orders.places.packing.tokens.order-1042-1c168adb00-3";

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = decode_token(SUBJECT, bytes) else { return };
    // The time is the message's own, and never in it.
    let timeless = Token { nats_timestamp: None, ..read.clone() };
    let written = serde_json::to_vec(&timeless).expect("a token is JSON");
    assert_eq!(decode_token(SUBJECT, &written).expect("it was written so"), read);
});
