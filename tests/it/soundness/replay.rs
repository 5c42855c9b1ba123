//! A firing sequence on the engine, with real tokens and records.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};
use stormpetrel::{
    analysis::Held,
    engine::{
        Act, Bounds, Budget, Firing, Limits, Net, TokenSeed, apply, create_case, explain, fire,
    },
    models::{Case, CaseStatus, Fence, FiringId, LogSequence, PlaceId, Record, Stored},
};

use crate::support::{case, transition, workflow};

/// A case after some firings.
#[derive(Clone)]
pub(super) struct Replay<'n> {
    net: &'n Net,
    case: Case,
}

impl<'n> Replay<'n> {
    /// A new case after a firing sequence.
    pub(super) fn of(net: &'n Net, path: &[String]) -> Self {
        let seed = TokenSeed {
            place: net.places[net.initial].id.clone(),
            data: json!({}),
            metadata: Map::new(),
        };
        let (at, budget) = (LogSequence::FIRST, Budget::default());
        let (of, run, bounds) = (workflow("net"), case("run"), Bounds::of(&budget));
        let first = create_case(net, at, of, run, seed, &act(1), bounds).unwrap();
        let case = apply(None, &stored(first, 2)).unwrap();
        let mut run = Self { net, case };
        run.fire(path);
        run
    }

    /// Fires more.
    pub(super) fn fire(&mut self, path: &[String]) {
        for step in path {
            let refused = self.try_to_fire(step);
            refused.unwrap_or_else(|refused| panic!("{step} of {path:?}: {refused}"));
        }
    }

    /// Every firing that the engine allows, and the case after it.
    pub(super) fn nexts(&self) -> Vec<(String, Self)> {
        let all = self.net.petri().transitions.into_iter();
        let next = |transition: stormpetrel::models::petri::Transition| {
            let mut run = self.clone();
            run.try_to_fire(&transition.id).ok()?;
            Some((transition.id, run))
        };
        all.filter_map(next).collect()
    }

    fn try_to_fire(&mut self, step: &str) -> Result<(), String> {
        let (id, from) = match step.split_once('.') {
            Some((id, from)) => (id, Some(from)),
            None => (step, None),
        };
        // An alternative is chosen by naming a token that it takes.
        let tokens: Vec<_> = match from {
            None => Vec::new(),
            Some(from) => {
                let from = PlaceId::new(from).unwrap();
                let token = self.case.marking.in_place(&from).next();
                vec![token.ok_or(format!("no token in {from}"))?.token.clone()]
            }
        };
        let (id, next) = (transition(id), self.case.sequence.get() + 1);
        let act = act(next);
        let firing = Firing {
            transition: &id,
            tokens: &tokens,
            to_place: None,
            data: None,
            outcome: None,
            act: &act,
            limits: Limits::NONE,
            budget: &Budget::default(),
        };
        let record = fire(self.net, &self.case, firing).map_err(|no| format!("{no:?}"))?;
        self.case = apply(Some(&self.case), &stored(record, next)).unwrap();
        Ok(())
    }

    pub(super) fn counts(&self) -> BTreeMap<&'n str, u64> {
        let count = |place: &'n stormpetrel::engine::NetPlace| {
            (place.id.as_str(), self.case.marking.in_place(&place.id).count() as u64)
        };
        self.net.places.iter().map(count).collect()
    }

    /// Number of tokens in each place, in the order of the definition.
    pub(super) fn tokens_by_place(&self) -> Vec<u64> {
        let counts = self.counts();
        self.net.places.iter().map(|place| counts[place.id.as_str()]).collect()
    }

    /// The places that hold tokens, in the order of the definition.
    pub(super) fn held(&self) -> Vec<Held> {
        let counts = self.counts();
        let held = self
            .net
            .places
            .iter()
            .map(|place| Held { place: place.id.to_string(), tokens: counts[place.id.as_str()] });
        held.filter(|held| held.tokens > 0).collect()
    }

    pub(super) fn tokens(&self) -> u64 {
        self.counts().values().sum()
    }

    /// Returns true if tokens are left over at a case's end: a second token in an end, or with
    /// a single end, a token elsewhere.
    pub(super) fn left_over(&self) -> bool {
        let (counts, ends) = (self.tokens_by_place(), self.net.ends());
        match ends[..] {
            [end] => counts[end] > 0 && self.tokens() > 1,
            _ => ends.iter().any(|end| counts[*end] > 1),
        }
    }

    pub(super) fn ended(&self) -> bool {
        self.case.status == CaseStatus::Completed
    }

    /// The transitions that can fire.
    pub(super) fn enabled(&self) -> Vec<String> {
        let all =
            explain(self.net, &self.case, now(), Limits::NONE, &Budget::default()).transitions;
        all.iter().filter(|t| t.enabled).map(|t| t.transition.to_string()).collect()
    }
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn act(number: u64) -> Act {
    let firing = FiringId::new(format!("f-{number}")).unwrap();
    Act { by: None, now: now(), firing, metadata: Map::new(), request: None, format: 2 }
}

fn stored(value: Record, sequence: u64) -> Stored<Record> {
    let hash = format!("{sequence:064x}");
    let sequence = LogSequence::new(sequence).unwrap();
    Stored {
        value,
        sequence,
        timestamp: now(),
        subject: String::new(),
        fence: Fence::Unchecked,
        hash,
    }
}
