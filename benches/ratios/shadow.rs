//! The messages of a case of the engine, without the engine.

use bytes::Bytes;
use stormpetrel::{
    models::{CaseId, PlaceId, Token, TokenId},
    petrel::Petrel,
    storage::{
        Consistency,
        nats::{Moved, Sequences},
    },
};
use uuid::Uuid;

use crate::definition;

/// A case that has the messages of one of the engine's, and no engine.
pub(crate) struct Shadow {
    pub case: CaseId,
    pub record: Bytes,
    /// Bodies of its tokens. One alone moves; several are taken, and new ones are given.
    pub tokens: Vec<Bytes>,
    places: &'static [&'static str],
    steps: usize,
    pub last: Sequences,
}

impl Shadow {
    pub(crate) fn new(places: &'static [&'static str]) -> Self {
        let case = CaseId::new(format!("shadow-{}", Uuid::now_v7())).unwrap();
        let (record, tokens, last) = (Bytes::new(), Vec::new(), Sequences::default());
        Self { case, record, tokens, places, steps: 0, last }
    }

    /// Takes over what the engine's case stores by now.
    pub(crate) async fn take_sizes(&mut self, petrel: &Petrel, case: &Began) {
        let storage = petrel.storage();
        let json = |written: serde_json::Result<Vec<u8>>| Bytes::from(written.unwrap());
        let workflow = definition().id;
        let head = storage.head(&workflow, &case.case, Consistency::Strong).await.unwrap();
        self.record = json(serde_json::to_vec(&head.unwrap().value));
        self.tokens.clear();
        for token in &case.tokens {
            // With replicas, the view may not have it yet: then it comes from the log.
            let there = petrel.token(Some(&workflow), token, Consistency::Eventual).await.unwrap();
            // The time is the message's own.
            let there = Token { nats_timestamp: None, ..there };
            self.tokens.push(json(serde_json::to_vec(&there)));
        }
    }

    /// Its messages of the next firing.
    pub(crate) fn moves(&mut self) -> Vec<Moved> {
        let place = |at: usize| PlaceId::new(self.places[at % self.places.len()]).unwrap();
        let moves_on = self.tokens.len() == 1;
        let id = |number: usize, steps: usize| {
            let steps = if moves_on { 0 } else { steps };
            TokenId::new(format!("{}-{number}-{steps}", self.case)).unwrap()
        };
        let moved = self.tokens.iter().enumerate().map(|(number, body)| Moved {
            token: id(number, self.steps),
            arrived: id(number, self.steps + 1),
            from: place(number + self.steps),
            to: place(number + self.steps + 1),
            body: body.clone(),
        });
        let moved = moved.collect();
        self.steps += 1;
        moved
    }
}

/// A case of the engine, and its tokens.
#[derive(Clone)]
pub(crate) struct Began {
    pub case: CaseId,
    pub tokens: Vec<TokenId>,
}
