//! Digests of tokens: by them a record vouches for the view's tokens of its case.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{CaseId, Marking, Passed, PlaceId, Token, TokenId, WorkflowId, hex, marking::is_zero};

/// The number of live tokens from which on a record vouches for them. Fewer are in so few
/// records that these can be read.
pub const VOUCHED_FROM: usize = 33;

/// SHA-256 over all of a token except the facts that are known only once its record is stored:
/// that record's sequence, and the place and time at which the view keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

/// The part of a token that is digested, as JSON. A change here makes every stored digest worthless.
/// A new field of tokens must be in it, so that the view's tokens, which are read without it by a
/// version that does not know it, are not taken for the record's.
#[derive(Serialize)]
struct Said<'a> {
    id: &'a TokenId,
    workflow: &'a WorkflowId,
    case: &'a CaseId,
    place: &'a PlaceId,
    data: &'a Value,
    metadata: &'a Map<String, Value>,
    #[serde(serialize_with = "super::json::time::serialize")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "super::json::time::serialize")]
    updated_at: DateTime<Utc>,
    history: Arc<Vec<Passed>>,
    #[serde(skip_serializing_if = "is_zero")]
    history_total: u64,
}

impl TokenDigest {
    /// Digest of a token: the same for a token read from the log and one read from the view.
    pub fn of(token: &Token) -> Self {
        let mut history = token.history.clone();
        // The last transitions may be of this version's own record.
        let is_own = |event: &&Passed| event.sequence == token.nats_sequence;
        let own = history.iter().rev().take_while(is_own).count();
        if own > 0 && token.nats_sequence.is_some() {
            let at = history.len() - own;
            Arc::make_mut(&mut history)[at..].iter_mut().for_each(|event| event.set_sequence(None));
        }
        let said = Said {
            id: &token.id,
            workflow: &token.workflow,
            case: &token.case,
            place: &token.place,
            data: &token.data,
            metadata: &token.metadata,
            created_at: token.created_at,
            updated_at: token.updated_at,
            history,
            history_total: token.history_total,
        };
        // Can't fail: every key is a text. If it did, the digest would be of nothing, and the
        // log be read.
        let json = serde_json::to_vec(&said).unwrap_or_default();
        Self(Sha256::digest(json).into())
    }
}

/// The digests of a case's live tokens, as far as somebody needed them. They follow from the
/// tokens, so they make no difference to the equality of two cases.
#[derive(Debug, Clone, Default)]
pub struct Digests(HashMap<TokenId, TokenDigest>);

impl PartialEq for Digests {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Digests {
    /// Digests of `tokens`; none if they are too few. Takes the digests in `known`, and
    /// computes those in `changed` and those that are missing.
    pub fn after<'a>(
        known: Option<&Self>,
        tokens: &HashMap<TokenId, Arc<Token>>,
        changed: impl Iterator<Item = &'a TokenId>,
    ) -> Self {
        if tokens.len() < VOUCHED_FROM {
            return Self::default();
        }
        let mut digests = known.map(|known| known.0.clone()).unwrap_or_default();
        let changed = changed.filter_map(|id| tokens.get_key_value(id));
        digests.extend(changed.map(|(id, token)| (id.clone(), TokenDigest::of(token))));
        digests.retain(|token, _| tokens.contains_key(token));
        if digests.len() < tokens.len() {
            for (id, token) in tokens {
                digests.entry(id.clone()).or_insert_with(|| TokenDigest::of(token));
            }
        }
        Self(digests)
    }

    /// SHA-256 over those of a marking's tokens in their order, in hexadecimal; `None` if they
    /// are too few, or not all known.
    pub fn of_all(&self, marking: &Marking) -> Option<String> {
        if marking.0.len() < VOUCHED_FROM {
            return None;
        }
        let mut hasher = Sha256::new();
        for entry in &marking.0 {
            hasher.update(self.0.get(&entry.token)?.0);
        }
        Some(hex(&hasher.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::LogSequence;

    fn token() -> Token {
        let passed = json!({"from": "a", "to": "b", "transition": "t",
                            "time": "2026-01-01T00:00:00.123456789Z"});
        let token = json!({
            "id": "k-t-1", "workflow": "w", "case": "k", "place": "b",
            "data": {"z": 0.1, "a": [1e300, -0.0, "ü", null], "n": 12345678901234567890_u64},
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:03:00Z",
            "history": [passed, passed], "history_total": 70
        });
        serde_json::from_value(token).unwrap()
    }

    #[test]
    fn a_digest_is_the_same_before_the_append_after_it_and_from_the_view() {
        let before = token();
        let digest = TokenDigest::of(&before);
        let mut after = before.clone();
        after.nats_sequence = LogSequence::new(12);
        after.set_passed(LogSequence::new(12).unwrap());
        assert!(after.history.iter().all(|event| event.sequence == LogSequence::new(12)));
        after.nats_subject = Some("somewhere".to_owned());
        after.nats_timestamp = Some(Utc::now());
        assert_eq!(TokenDigest::of(&after), digest);
        let stored = serde_json::to_string(&after).unwrap();
        let read: Token = serde_json::from_str(&stored).unwrap();
        assert_eq!(TokenDigest::of(&read), digest);
    }

    #[test]
    fn whatever_a_token_says_changes_its_digest() {
        let right = TokenDigest::of(&token());
        let changes: [fn(&mut Token); 8] = [
            |token| token.place = PlaceId::new("c").unwrap(),
            |token| token.data["a"][0] = json!(1e299),
            |token| token.data["more"] = json!(null),
            |token| drop(token.metadata.insert("more".to_owned(), json!(1))),
            |token| token.history_total += 1,
            |token| drop(Arc::make_mut(&mut token.history).remove(0)),
            |token| Arc::make_mut(&mut token.history)[0].set_sequence(LogSequence::new(7)),
            |token| token.updated_at += chrono::TimeDelta::nanoseconds(1),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut token = token();
            change(&mut token);
            assert_ne!(TokenDigest::of(&token), right, "change {number}");
        }
    }
}
