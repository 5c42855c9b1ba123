//! Changes that the log has already: recognised by their id, told from other requests under
//! the same id, and answered from the log.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::petrel::{
    Changed, Error, Inner, Result, cache::slot::Slot, change::decided::Commit,
    change::whole::Whole, error::FirstUse, views::unseen::touched,
};
use crate::{
    engine::{Act, TokenSeed},
    models::{Case, CaseId, PlaceId, Record, RecordKind, Stored, TokenId, TransitionId, hex},
};

/// Number of bytes of a request's digest that are kept.
const DIGEST_BYTES: usize = 16;

/// A request, without its caller and the revision that he expects. With one id, it is the same
/// request if all of this is the same.
#[derive(Debug, Clone, Serialize)]
pub(in crate::petrel) struct Asked {
    /// The operation.
    pub kind: &'static str,
    pub transition: Option<TransitionId>,
    pub tokens: Vec<TokenId>,
    pub place: Option<PlaceId>,
    pub data: Option<Value>,
    pub metadata: Map<String, Value>,
}

impl Asked {
    pub(crate) fn to(kind: &'static str, metadata: &Map<String, Value>) -> Self {
        let (transition, tokens, place, data) = (None, Vec::new(), None, None);
        Self { kind, transition, tokens, place, data, metadata: metadata.clone() }
    }

    /// The tokens that are named, in any order.
    #[must_use]
    pub(crate) fn with_tokens(mut self, mut tokens: Vec<TokenId>) -> Self {
        tokens.sort();
        self.tokens = tokens;
        self
    }

    /// The digest that a record keeps of it. The fields of objects count in any order.
    pub(crate) fn digest(&self) -> String {
        // The fields of an object are in the order of their names. Every key is a text, so this
        // can't fail; if it did, all requests would be one.
        let text = serde_json::to_vec(self).unwrap_or_default();
        hex(&Sha256::digest(text)[..DIGEST_BYTES])
    }

    /// Refuses to be taken for another request than the one that a record has under the same id.
    pub(crate) fn must_be(&self, act: &Act, case: &CaseId, record: &Stored<Record>) -> Result<()> {
        let digest = act.request.as_deref().unwrap_or_default();
        match self.differs_from(digest, &record.value) {
            None => Ok(()),
            Some(what) => Err(Error::IdTaken {
                kind: "firing",
                id: act.firing.to_string(),
                case: case.clone(),
                what,
                first: Box::new(FirstUse::of(record)),
            }),
        }
    }

    /// The part in which it differs from the request of the record under the same id; `None`
    /// if it was the same request. `digest` is this one's.
    fn differs_from(&self, digest: &str, record: &Record) -> Option<&'static str> {
        let kind = match record.kind {
            // An answer fires, and so does a failure that is mapped to an outcome.
            RecordKind::Fired | RecordKind::Completed => {
                &["fire", "complete", "complete_incident", "fail"][..]
            }
            RecordKind::Begun => &["begin"],
            RecordKind::Failed => &["fail", "begin"],
            RecordKind::Released => &["release"],
            // A token that is put into a case which is not there begins it.
            RecordKind::Created => &["create_case", "create_token"],
            RecordKind::Edited => &["create_token", "update_token"],
            RecordKind::Paused => &["pause"],
            RecordKind::Resumed => &["resume"],
            RecordKind::Cancelled => &["cancel"],
            RecordKind::Retried => &["retry"],
            RecordKind::Elapsed => &["elapse"],
            RecordKind::Quarantined => &["quarantine"],
            RecordKind::Unknown => &[],
        };
        let taken = |token: &TokenId| {
            let at = record.consumed.iter().chain(&record.read).map(|at| &at.token);
            at.chain(record.gave().into_iter().map(|(id, _)| id)).any(|at| at == token)
        };
        if record.request.as_deref() == Some(digest) {
            None
        } else if !kind.contains(&self.kind) {
            Some("kind")
        } else if self.transition != record.transition {
            Some("transition")
        } else if !self.tokens.iter().all(taken) {
            Some("tokens")
        } else if self.metadata != record.metadata {
            Some("metadata")
        } else if record.request.as_ref().is_some_and(|first| *first != digest) {
            Some("arguments")
        } else {
            None
        }
    }
}

impl Inner {
    /// The log's answer to a change that it already has under the same id. It may be one of this very
    /// call if that `was_tried`, and its answer was lost.
    pub(in crate::petrel) async fn repeated(
        self: &Arc<Self>,
        commit: &Commit,
        (act, was_tried): (&Act, bool),
        slot: &mut Slot,
        case: &Arc<Case>,
    ) -> Result<Option<Changed>> {
        let found = self.reader.find_id(case, &mut slot.earlier, &act.firing).await?;
        let Some(record) = found else { return Ok(None) };
        commit.asked.must_be(act, &case.id, &record)?;
        let own = was_tried && act.made(&record.value);
        let changed = self.changed_before(case, record).await?;
        Ok(Some(Changed { repeated: !own, ..changed }))
    }

    /// Looks at the views of a change that is in the log already, and of the case's last one. Their
    /// appenders may have died, or never have heard of it; and when a change is answered, readers
    /// see it.
    pub(in crate::petrel) async fn show_again(&self, slot: &mut Slot, changed: &Changed) {
        let of_change = touched(&changed.record.value).collect();
        if let Err(error) = self.views.show(slot, of_change).await {
            slot.registers.clear();
            self.metrics.view_failed();
            let (case, sequence) = (&changed.case, changed.record.sequence);
            tracing::warn!(
                workflow = %case.workflow, case = %case.id, %sequence, %error,
                "a repeated change is in the log, but its views can't be looked at"
            );
        }
    }

    /// A record, and those of its tokens that are still alive, as they are now.
    async fn changed_before(
        self: &Arc<Self>,
        case: &Arc<Case>,
        record: Stored<Record>,
    ) -> Result<Changed> {
        let record = Whole::new(Arc::clone(self)).record(record).await?;
        let made = record.value.produced.iter();
        let tokens = made.filter_map(|token| case.tokens.get(&token.id).cloned()).collect();
        let (record, case) = (Arc::new(record), Arc::clone(case));
        Ok(Changed { record, case, tokens, repeated: true })
    }

    /// The answer to a change that has nothing to change: the case's last record.
    pub(in crate::petrel) async fn unchanged(
        self: &Arc<Self>,
        case: &Arc<Case>,
    ) -> Result<Changed> {
        let head =
            self.reader.named(&case.workflow, &case.id, case.sequence, case.sequence).await?;
        self.changed_before(case, head).await
    }

    /// The answer to a creation of a case that exists: its beginning, if it began with this.
    pub(in crate::petrel) async fn begun(
        self: &Arc<Self>,
        case: &Arc<Case>,
        seed: Option<&TokenSeed>,
    ) -> Result<Changed> {
        let first =
            self.reader.first_record(case).await?.ok_or_else(|| Error::no_case(&case.id))?;
        if let Some(what) = begins_otherwise(&first.value, seed) {
            return Err(Error::IdTaken {
                kind: "case",
                id: case.id.to_string(),
                case: case.id.clone(),
                what,
                first: Box::new(FirstUse::of(&first)),
            });
        }
        self.changed_before(case, first).await
    }
}

/// The part of a case's beginning that was not asked for. Without a seed, the place that was
/// asked for is none of the case's.
fn begins_otherwise(first: &Record, seed: Option<&TokenSeed>) -> Option<&'static str> {
    if let (Some(seed), Some(digest)) = (seed, &first.seed) {
        return (seed.digest() != *digest).then_some("place, data or metadata");
    }
    let (Some(seed), Some(token)) = (seed, first.produced.first()) else { return Some("place") };
    if token.place != seed.place {
        Some("place")
    } else if token.data != seed.data {
        Some("data")
    } else {
        (token.metadata != seed.metadata).then_some("metadata")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_fields_makes_no_other_request() {
        let asked = |text: &str| {
            let data = Some(serde_json::from_str(text).unwrap());
            Asked { data, ..Asked::to("fire", &Map::new()) }.digest()
        };
        assert_eq!(asked(r#"{"a":1,"b":{"c":2,"d":3}}"#), asked(r#"{"b":{"d":3,"c":2},"a":1}"#));
        assert_ne!(asked(r#"{"a":1}"#), asked(r#"{"a":2}"#));
        assert_eq!(asked("{}").len(), 2 * DIGEST_BYTES);
    }

    #[test]
    fn each_part_of_a_request_counts() {
        let metadata = Map::new();
        let plain = Asked::to("fire", &metadata);
        let others = [
            Asked { kind: "pause", ..plain.clone() },
            Asked { transition: Some(TransitionId::new("t").unwrap()), ..plain.clone() },
            Asked { tokens: vec![TokenId::new("k-t-1").unwrap()], ..plain.clone() },
            Asked { place: Some(PlaceId::new("p").unwrap()), ..plain.clone() },
            Asked { data: Some(json!(1)), ..plain.clone() },
            Asked { metadata: Map::from_iter([("m".into(), json!(1))]), ..plain.clone() },
        ];
        for other in others {
            assert_ne!(other.digest(), plain.digest(), "{other:?}");
        }
    }
}
