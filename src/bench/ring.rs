//! The workflow under load, and the messages of its firings.

use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::json;

use super::peer::{FirstToken, PeerFiring};
use crate::{
    models::{HISTORY_WHOLE_EVERY, PlaceId, Token, TransitionId, WorkflowDefinition, WorkflowId},
    petrel::{self, Changed, Fire, Petrel},
    storage::{LogRange, LogScope, ReadPath, nats::Moved},
};

/// The workflow under load: two places and a transition each way.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) workflow: WorkflowId,
    places: [PlaceId; 2],
    transitions: [TransitionId; 2],
}

/// Bodies of the messages that a firing stores by now. A token that has moved more carries a
/// longer history, and records have more or less of it, by turns.
#[derive(Debug, Clone, Default)]
pub(super) struct Bodies {
    records: Vec<Bytes>,
    token: Bytes,
}

impl Bodies {
    /// The record of the firing after so many.
    pub(super) fn record(&self, steps: usize) -> Bytes {
        let turn = steps % self.records.len().max(1);
        self.records.get(turn).cloned().unwrap_or_default()
    }
}

impl Ring {
    pub(super) fn new() -> petrel::Result<Self> {
        Ok(Self {
            workflow: WorkflowId::new("ring")?,
            places: [PlaceId::new("here")?, PlaceId::new("there")?],
            transitions: [TransitionId::new("go")?, TransitionId::new("return")?],
        })
    }

    pub(super) fn definition(&self) -> WorkflowDefinition {
        let ([here, there], [go, back]) = (&self.places, &self.transitions);
        let definition = json!({
            "id": self.workflow,
            "name": "Ring",
            "initial_place": here,
            "places": [{"id": here}, {"id": there}],
            "transitions": [
                {"id": go, "from_places": [here], "to_place": there},
                {"id": back, "from_places": [there], "to_place": here}
            ]
        });
        serde_json::from_value(definition)
            .unwrap_or_else(|error| unreachable!("a constant: {error}"))
    }

    /// The token of a case that has just begun.
    pub(super) fn first(&self, begun: &Changed) -> FirstToken {
        let (case, token) = (begun.case.id.clone(), begun.tokens[0].id.clone());
        FirstToken { case, token, place: self.places[0].clone() }
    }

    /// The firing of a case that has made so many steps, with the engine.
    pub(super) fn fire(&self, first: &FirstToken, steps: usize) -> Fire {
        let transition = self.transitions[steps % 2].clone();
        Fire::case(self.workflow.clone(), first.case.clone(), transition)
    }

    /// The same at a peer.
    pub(super) fn firing(&self, first: &FirstToken, steps: usize, bodies: &Bodies) -> PeerFiring {
        PeerFiring {
            case: first.case.clone(),
            transition: self.transitions[steps % 2].clone(),
            moved: self.moved(first, steps, bodies),
            record: bodies.record(steps),
        }
    }

    /// The move of a case's token in the step after so many.
    pub(super) fn moved(&self, first: &FirstToken, steps: usize, bodies: &Bodies) -> Moved {
        let [from, to] = [steps % 2, (steps + 1) % 2].map(|place| self.places[place].clone());
        let (token, arrived) = (first.token.clone(), first.token.clone());
        Moved { token, arrived, from, to, body: bodies.token.clone() }
    }

    /// Reads the bodies of a case's last firings, as the engine has stored them.
    pub(super) async fn bodies(
        &self,
        petrel: &Petrel,
        first: &FirstToken,
    ) -> petrel::Result<Bodies> {
        let json = |written: serde_json::Result<Vec<u8>>| Bytes::from(written.unwrap_or_default());
        let (storage, mut bodies) = (petrel.storage(), Bodies::default());
        let scope = LogScope::Case(self.workflow.clone(), first.case.clone());
        let mut log = storage.history(scope, LogRange::ALL).await?;
        while let Some(stored) = log.try_next().await? {
            bodies.records.push(json(serde_json::to_vec(&stored.value)));
        }
        let earlier = bodies.records.len().saturating_sub(HISTORY_WHOLE_EVERY);
        bodies.records.drain(..earlier);
        let path = ReadPath::Direct.into();
        if let Some(token) = storage.token(&self.workflow, &first.token, path).await? {
            // The time is the message's own.
            let token = Token { nats_timestamp: None, ..token };
            bodies.token = json(serde_json::to_vec(&token));
        }
        Ok(bodies)
    }
}
