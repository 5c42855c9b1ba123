//! The changes a caller can ask for. Each is one record in the log, or nothing.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::petrel::{
    Change, Changed, Error, Fire, FireIn, NewCase, NewToken, Petrel, Result,
    cache::definitions::Compiled,
    change::decided::{Commit, Decide, Decided},
    change::repeat::Asked,
    limits::{must_be_storable, must_be_storable_map},
};
use crate::{
    engine::{self, Act, Bounds, Firing, Refusal, TokenSeed},
    models::{Case, CaseId, CaseStatus, OnResume, PlaceId, RecordKind, TokenId, WorkflowId},
};

impl Petrel {
    pub(in crate::petrel) async fn commit(&self, commit: Commit) -> Result<Changed> {
        let change = self.signed(commit.change);
        self.inner.commit(Commit { change, ..commit }).await
    }

    /// Begins a case with one token. With the caller's id it is idempotent: for a case that
    /// began with the same place, data and metadata, the answer is its beginning and its
    /// present state, with [`Changed::repeated`]. One that began with others is
    /// [`Error::IdTaken`].
    pub async fn create_case(&self, request: NewCase) -> Result<Changed> {
        let NewCase { workflow, case, place, data, metadata, by } = request;
        must_be_storable("data", &data)?;
        must_be_storable_map("metadata", &metadata)?;
        let case = case.map_or_else(|| CaseId::new(Uuid::now_v7().to_string()), Ok)?;
        let id = case.clone();
        let seed = Seed { place, data, metadata };
        let change = Change { by, ..Change::default() };
        // The token that it begins with says what was asked for.
        let asked = Asked::to("create_case", &change.metadata);
        let limits = self.inner.reader.limits();
        let decide: Decide = Arc::new(move |compiled, existing, act, budget| match existing {
            Some(_) => Ok(Decided::Begun(seed.checked(compiled).ok())),
            None => begin(compiled, &id, &seed, act, Bounds { limits, budget }),
        });
        self.commit(Commit { workflow, case, change, asked, decide, is_new: true }).await
    }

    /// Adds a token to a case; the case is created if it does not exist.
    pub async fn create_token(&self, request: NewToken) -> Result<Changed> {
        let NewToken { workflow, case, place, data, metadata, change } = request;
        must_be_storable("data", &data)?;
        must_be_storable_map("metadata", &metadata)?;
        let change = change.checked()?;
        let id = case.clone();
        let seed = Seed { place, data, metadata };
        let asked = seed.asked(&change);
        let limits = self.inner.reader.limits();
        let decide: Decide = Arc::new(move |compiled, existing, act, budget| {
            let bounds = Bounds { limits, budget };
            let Some(case) = existing else { return begin(compiled, &id, &seed, act, bounds) };
            must_be_open(case)?;
            let seed = seed.checked(compiled)?;
            must_have_room(compiled, case, &seed.place)?;
            Decided::record(engine::add_token(&compiled.net, case, seed, act, bounds))
        });
        self.commit(Commit { workflow, case, change, asked, decide, is_new: false }).await
    }

    /// Fires a transition: takes and gives tokens, all at once.
    pub async fn fire(&self, request: Fire) -> Result<Changed> {
        let Fire { target, transition, mut tokens, to_place, data, change } = request;
        data.as_ref().map_or(Ok(()), |data| must_be_storable("data", data))?;
        let change = change.checked()?;
        let (workflow, case) = match target {
            FireIn::Token { workflow, token } => {
                let found = self.inner.reader.locate(workflow.as_ref(), &token).await?;
                tokens.insert(0, token);
                found
            }
            FireIn::Case { workflow, case } => (workflow, case),
        };
        let mut named = HashSet::new();
        if let Some(twice) = tokens.iter().find(|token| !named.insert(*token)) {
            return Err(Error::argument("tokens", format!("token {twice} is named twice")));
        }
        let (id, limits) = (case.clone(), self.inner.reader.limits());
        let asked = Asked {
            transition: Some(transition.clone()),
            place: to_place.clone(),
            data: data.clone(),
            ..Asked::to("fire", &change.metadata).with_tokens(tokens.clone())
        };
        let decide: Decide = Arc::new(move |compiled, existing, act, budget| {
            let case = existing.ok_or_else(|| match tokens.first() {
                Some(token) => Error::no_token(token),
                None => Error::no_case(&id),
            })?;
            let firing = Firing {
                transition: &transition,
                tokens: &tokens,
                to_place: to_place.as_ref(),
                data: data.as_ref(),
                outcome: None,
                act,
                limits,
                budget,
            };
            decide_firing(compiled, case, firing)
        });
        self.commit(Commit { workflow, case, change, asked, decide, is_new: false }).await
    }

    /// Merges `patch` (JSON merge patch, RFC 7396) into a live token's data.
    pub async fn update_token_data(
        &self,
        workflow: Option<&WorkflowId>,
        token: &TokenId,
        patch: Value,
        change: Change,
    ) -> Result<Changed> {
        must_be_storable("patch", &patch)?;
        let change = change.checked()?;
        let (workflow, case) = self.inner.reader.locate(workflow, token).await?;
        let token = token.clone();
        let asked = Asked {
            data: Some(patch.clone()),
            ..Asked::to("update_token", &change.metadata).with_tokens(vec![token.clone()])
        };
        let limits = self.inner.reader.limits();
        let decide: Decide = Arc::new(move |compiled, existing, act, budget| {
            let case = existing.ok_or_else(|| Error::no_token(&token))?;
            must_be_open(case)?;
            let bounds = Bounds { limits, budget };
            let record = engine::update_data(&compiled.net, case, &token, &patch, act, bounds);
            Decided::record(record.ok_or_else(|| Error::no_token(&token))?)
        });
        self.commit(Commit { workflow, case, change, asked, decide, is_new: false }).await
    }

    /// Pauses a case: nothing fires in it until it is resumed. A paused case stays so.
    pub async fn pause(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        change: Change,
    ) -> Result<Changed> {
        self.change_status(workflow, case, change, RecordKind::Paused).await
    }

    /// Resumes a paused case. A running case stays so. What should have come due in the pause happens
    /// then.
    pub async fn resume(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        change: Change,
    ) -> Result<Changed> {
        self.resume_with(workflow, case, OnResume::CatchUp, change).await
    }

    /// The same; its timers go on as `timers` says.
    pub async fn resume_with(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        timers: OnResume,
        change: Change,
    ) -> Result<Changed> {
        self.changed_status(workflow, case, change, (RecordKind::Resumed, timers)).await
    }

    /// Ends a case by hand; its tokens are gone. A cancelled case stays so.
    pub async fn cancel(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        change: Change,
    ) -> Result<Changed> {
        self.change_status(workflow, case, change, RecordKind::Cancelled).await
    }

    async fn change_status(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        change: Change,
        kind: RecordKind,
    ) -> Result<Changed> {
        self.changed_status(workflow, case, change, (kind, OnResume::CatchUp)).await
    }

    async fn changed_status(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        change: Change,
        (kind, timers): (RecordKind, OnResume),
    ) -> Result<Changed> {
        let change = change.checked()?;
        let (workflow, case) = (workflow.clone(), case.clone());
        let id = case.clone();
        let (name, there) = match kind {
            RecordKind::Paused => ("pause", CaseStatus::Paused),
            RecordKind::Cancelled => ("cancel", CaseStatus::Cancelled),
            _ => ("resume", CaseStatus::Running),
        };
        let mut asked = Asked::to(name, &change.metadata);
        if timers != OnResume::CatchUp {
            asked.data = Some(serde_json::json!(timers));
        }
        let named = change.firing.is_some();
        let limits = self.inner.reader.limits();
        let decide: Decide = Arc::new(move |compiled, existing, act, budget| {
            let case = existing.ok_or_else(|| Error::no_case(&id))?;
            // With an id it is noted all the same: repeated later, when the case has changed, it
            // must do nothing. A cancelled case changes no more.
            if case.status == there && !(named && there != CaseStatus::Cancelled) {
                return Ok(Decided::AsItIs);
            }
            must_be_open(case)?;
            let bounds = Bounds { limits, budget };
            Decided::record(match kind {
                RecordKind::Resumed => engine::resume(&compiled.net, case, timers, act, bounds),
                kind => engine::change_status(&compiled.net, case, kind, act, bounds),
            })
        });
        self.commit(Commit { workflow, case, change, asked, decide, is_new: false }).await
    }
}

/// A change of a case that is there, on its way into the log.
pub(in crate::petrel) fn record_of(
    workflow: &WorkflowId,
    case: &CaseId,
    change: Change,
    asked: Asked,
    decide: Decide,
) -> Commit {
    let (workflow, case) = (workflow.clone(), case.clone());
    Commit { workflow, case, change, asked, decide, is_new: false }
}

/// A token as the caller asked for it.
struct Seed {
    place: Option<PlaceId>,
    data: Value,
    metadata: Map<String, Value>,
}

impl Seed {
    fn asked(&self, change: &Change) -> Asked {
        let data = serde_json::json!({ "data": self.data, "metadata": self.metadata });
        let place = self.place.clone();
        Asked { place, data: Some(data), ..Asked::to("create_token", &change.metadata) }
    }

    fn checked(&self, compiled: &Compiled) -> Result<TokenSeed> {
        let net = &compiled.net;
        let place = match &self.place {
            Some(place) if net.place(place).is_none() => {
                let workflow = &compiled.stored.definition.id;
                let reason = format!("workflow {workflow} has no place {place}");
                return Err(Error::argument("place", reason));
            }
            Some(place) => place.clone(),
            None => net.places[net.initial].id.clone(),
        };
        Ok(TokenSeed { place, data: self.data.clone(), metadata: self.metadata.clone() })
    }
}

fn begin(
    compiled: &Compiled,
    id: &CaseId,
    seed: &Seed,
    act: &Act,
    bounds: Bounds<'_>,
) -> Result<Decided> {
    let seed = seed.checked(compiled)?;
    let (definition, workflow) = (compiled.stored.sequence, compiled.stored.definition.id.clone());
    let (net, id) = (&compiled.net, id.clone());
    Decided::record(engine::create_case(net, definition, workflow, id, seed, act, bounds))
}

/// A place with a capacity never has more tokens, from any source.
fn must_have_room(compiled: &Compiled, case: &Case, place: &PlaceId) -> Result<()> {
    let net = &compiled.net;
    let capacity = net.place(place).and_then(|place| net.places[place].capacity);
    let tokens = case.marking.0.iter().filter(|entry| entry.place == *place).count() as u64;
    match capacity {
        Some(capacity) if tokens >= capacity => {
            let reason = format!("place {place} takes at most {capacity} tokens, and is full");
            Err(Error::argument("place", reason))
        }
        _ => Ok(()),
    }
}

/// Completed and cancelled cases don't change any more.
pub(super) fn must_be_open(case: &Case) -> Result<()> {
    match case.status {
        CaseStatus::Running | CaseStatus::Paused => Ok(()),
        status => Err(Error::WrongStatus {
            case: case.id.clone(),
            status,
            reason: "it does not change any more; begin a new case",
        }),
    }
}

fn decide_firing(compiled: &Compiled, case: &Case, firing: Firing<'_>) -> Result<Decided> {
    let never = |token: &&TokenId| token.number().is_none_or(|n| n > case.tokens_made);
    if let Some(token) = firing.tokens.iter().find(never) {
        return Err(Error::no_token(token));
    }
    match engine::fire(&compiled.net, case, firing) {
        Ok(record) => Ok(Decided::Append(Box::new(record))),
        Err(Refusal::Excess(excess)) => Err(excess.into()),
        Err(Refusal::NotEnabled(reasons)) => Err(Error::not_enabled(reasons)),
        Err(Refusal::UnknownTransition) => Err(Error::NoTransition {
            workflow: case.workflow.clone(),
            transition: firing.transition.clone(),
            known: compiled.net.transitions.iter().map(|known| known.id.clone()).collect(),
        }),
        Err(Refusal::FiresByItself) => {
            let transition = firing.transition;
            let reason = format!(
                "transition {transition} fires by itself as soon as it is enabled; fire what comes \
                 before it"
            );
            Err(Error::argument("transition", reason))
        }
        Err(Refusal::IsWork) => {
            let transition = firing.transition;
            let reason = format!(
                "transition {transition} is an activity, which the answer of its worker fires; complete \
                 its work item"
            );
            Err(Error::argument("transition", reason))
        }
        Err(Refusal::LeadsElsewhere { places }) => {
            let (transition, asked) = (firing.transition, firing.to_place);
            let places = places.iter().map(PlaceId::as_str).collect::<Vec<_>>().join(", ");
            let asked = asked.map_or("there", PlaceId::as_str);
            let reason = format!("transition {transition} leads to {places}, not to {asked}");
            Err(Error::argument("place", reason))
        }
    }
}
