//! The view in memory: registers, with indexes for the live tokens.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;

use super::subject;
use crate::{
    models::{PlaceId, Token, TokenId, ViewSequence, WorkflowId},
    storage::{
        Cursor, Filling, Outline, Page, PageOf, Register, RegisterState, ViewContent, ViewOutcome,
        ViewScope, ViewWrite,
    },
};

type Key = (WorkflowId, PlaceId, TokenId);

/// The live tokens of one workflow by place, then by the sequence of their registers.
type LivePlaces = BTreeMap<PlaceId, BTreeMap<ViewSequence, TokenId>>;

#[derive(Debug, Default)]
pub(super) struct View {
    registers: BTreeMap<Key, Register>,
    live: BTreeMap<WorkflowId, LivePlaces>,
    /// Places of each live token, with the sequences of its registers.
    places: BTreeMap<(WorkflowId, TokenId), BTreeSet<(ViewSequence, PlaceId)>>,
    last: Option<ViewSequence>,
}

impl View {
    pub(super) fn register(
        &self,
        workflow: &WorkflowId,
        place: &PlaceId,
        token: &TokenId,
    ) -> Register {
        let key = (workflow.clone(), place.clone(), token.clone());
        let found = self.registers.get(&key).cloned();
        found.unwrap_or_else(|| Register::empty(workflow, place, token))
    }

    pub(super) fn registers(&self) -> impl ExactSizeIterator<Item = &Register> {
        self.registers.values()
    }

    pub(super) fn outlines(&self) -> impl Iterator<Item = Outline> + '_ {
        self.registers.values().map(|register| Outline {
            workflow: register.workflow.clone(),
            place: register.place.clone(),
            token: register.token.clone(),
            revision: register.state.revision(),
            is_gone: matches!(register.state, RegisterState::Gone { .. }),
        })
    }

    pub(super) fn write(&mut self, write: ViewWrite) -> ViewOutcome {
        let ViewWrite { workflow, place, token, expected, content, .. } = write;
        let key = (workflow.clone(), place.clone(), token.clone());
        let before = self.registers.get(&key);
        // Markers stay, so what was seen is there or somebody wrote since.
        if before.and_then(|register| register.sequence) != expected.sequence() {
            return ViewOutcome::LostRace;
        }
        if let Some(Register { sequence: Some(at), state: RegisterState::Live(_), .. }) = before {
            let at = *at;
            self.unlist(&key, at);
        }
        let sequence = self.last.map_or(ViewSequence::FIRST, ViewSequence::next);
        self.last = Some(sequence);
        let written = content.written_at(sequence);
        let state = match content {
            ViewContent::Live(live) => {
                let places = self.live.entry(workflow.clone()).or_default();
                places.entry(place.clone()).or_default().insert(sequence, token.clone());
                let places = self.places.entry((workflow.clone(), token.clone())).or_default();
                places.insert((sequence, place.clone()));
                let mut live = Token::clone(&live);
                live.nats_timestamp = Some(Utc::now());
                live.nats_subject = Some(subject(&workflow, &place, &token));
                RegisterState::Live(Box::new(live))
            }
            ViewContent::Gone { revision, .. } => RegisterState::Gone { revision },
        };
        let sequence = Some(sequence);
        self.registers.insert(key, Register { workflow, place, token, sequence, state });
        ViewOutcome::Written(written)
    }

    /// Takes a live register out of the indexes.
    fn unlist(&mut self, (workflow, place, token): &Key, sequence: ViewSequence) {
        if let Some(places) = self.live.get_mut(workflow)
            && let Some(tokens) = places.get_mut(place)
        {
            tokens.remove(&sequence);
            if tokens.is_empty() {
                places.remove(place);
            }
        }
        let of_token = (workflow.clone(), token.clone());
        if let Some(places) = self.places.get_mut(&of_token) {
            places.remove(&(sequence, place.clone()));
            if places.is_empty() {
                self.places.remove(&of_token);
            }
        }
    }

    /// The newest of the registers in which the token is alive.
    pub(super) fn token(&self, workflow: &WorkflowId, token: &TokenId) -> Option<&Token> {
        let (_, place) = self.places.get(&(workflow.clone(), token.clone()))?.last()?;
        self.live_token(workflow, place, token)
    }

    fn live_token(
        &self,
        workflow: &WorkflowId,
        place: &PlaceId,
        token: &TokenId,
    ) -> Option<&Token> {
        let key = (workflow.clone(), place.clone(), token.clone());
        match &self.registers.get(&key)?.state {
            RegisterState::Live(token) => Some(token),
            _ => None,
        }
    }

    /// A page of these registers' live tokens.
    pub(super) fn tokens(&self, scope: &ViewScope, page: Page) -> PageOf<Token> {
        let nothing = PageOf { items: Vec::new(), has_next: false };
        let Some(from) = page.after.map_or(Some(1), |Cursor(after)| after.checked_add(1)) else {
            return nothing;
        };
        let from = ViewSequence::new(from).unwrap_or(ViewSequence::FIRST);
        let (ViewScope::Workflow(workflow)
        | ViewScope::Place(workflow, _)
        | ViewScope::Registers(workflow, _)) = scope;
        let Some(places) = self.live.get(workflow) else { return nothing };
        let live = |sequence: ViewSequence, place: &PlaceId, token: &TokenId| {
            Some((sequence, self.live_token(workflow, place, token)?))
        };
        // More than a page and one of each place can't be needed.
        let in_place = |(place, tokens): (&PlaceId, &BTreeMap<ViewSequence, TokenId>)| -> Vec<_> {
            let found = tokens.range(from..).filter_map(|(at, token)| live(*at, place, token));
            found.take(page.first + 1).collect()
        };
        let mut found: Vec<(ViewSequence, &Token)> = match scope {
            ViewScope::Workflow(_) => places.iter().flat_map(in_place).collect(),
            ViewScope::Place(_, place) => {
                places.get_key_value(place).map(in_place).unwrap_or_default()
            }
            ViewScope::Registers(_, registers) => {
                let found = registers.iter().filter_map(|(token, place)| {
                    let key = (workflow.clone(), place.clone(), token.clone());
                    live(self.registers.get(&key)?.sequence?, place, token)
                });
                found.filter(|(sequence, _)| *sequence >= from).collect()
            }
        };
        found.sort_by_key(|(sequence, _)| *sequence);
        let mut filling = Filling::new(page.first);
        for (at, token) in found {
            if !filling.add(at.into(), token.clone(), token.memory()) {
                break;
            }
        }
        filling.page()
    }
}
