//! Stored messages outside of a server, for tests that give the readers any contents.

use async_nats::HeaderMap;
use chrono::DateTime;

use super::{codec, direct::RawMessage};
use crate::{
    models::{Record, Stored, StoredDefinition, Token},
    storage::Result,
};

fn message(subject: &str, payload: &[u8]) -> RawMessage {
    RawMessage {
        subject: subject.to_owned(),
        sequence: 1,
        timestamp: DateTime::UNIX_EPOCH,
        headers: HeaderMap::new(),
        payload: payload.to_vec().into(),
    }
}

/// A record from its message.
pub fn decode_record(subject: &str, payload: &[u8]) -> Result<Stored<Record>> {
    codec::decode_record(&message(subject, payload))
}

/// A version of a definition from its message.
pub fn decode_definition(subject: &str, payload: &[u8]) -> Result<StoredDefinition> {
    codec::decode_definition(&message(subject, payload))
}

/// The message of a version of a definition.
pub fn encode_definition(stored: &StoredDefinition, subject: &str) -> Result<Vec<u8>> {
    Ok(codec::encode_definition(&stored.definition, stored.version, subject)?.into())
}

/// A token from its view message.
pub fn decode_token(subject: &str, payload: &[u8]) -> Result<Token> {
    codec::decode_token(&message(subject, payload))
}
