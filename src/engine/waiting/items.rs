//! Work items: the bindings that activities have, from one record to the next.

use std::collections::HashSet;

use super::{
    Waits,
    bindings::{Bound, is_free, modes_of, named, takes, tokens},
};
use crate::engine::{
    Mode, Net, NetTransition, binding::View, draft::Draft, incidents::Stopped, merge_patch,
    net::Watchers,
};
use crate::models::{Case, IncidentCode, Item, OutcomeId, Record, Step, Timer, Token, TokenId};
use serde_json::{Map, Value};

/// The most work items of a case that are open at once. The next open when these end.
pub const MOST_ITEMS: usize = 1_000;

impl Waits for Item {
    const MOST: usize = MOST_ITEMS;

    fn of(net: &Net) -> (&[usize], &Watchers) {
        (&net.activities, &net.activity_watchers)
    }

    fn list(record: &mut Record) -> &mut Vec<Self> {
        &mut record.items
    }

    fn before(case: &Case) -> &[Self] {
        &case.items
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn most(transition: &NetTransition) -> usize {
        transition.activity.as_ref().map_or(0, |activity| activity.max_parallel)
    }

    fn is_due(&self) -> bool {
        self.done.is_some()
    }

    fn fired(step: &Step) -> bool {
        step.item.is_some()
    }

    /// Of an item whose work has begun the input is what it was.
    fn goes_on(
        self,
        view: &View<'_>,
        draft: &Draft<'_>,
        transition: &NetTransition,
        edited: &HashSet<TokenId>,
    ) -> Result<Option<Self>, Stopped> {
        let mode = modes_of(view, transition, &self).next().filter(|mode| is_free(view, mode));
        let (Some(_), Some(tokens)) = (mode, tokens(draft, &self)) else { return Ok(None) };
        let is_edited = self.tokens.iter().any(|at| edited.contains(&at.token));
        if !is_edited && !transition.guards.ask_for_case() {
            return Ok(Some(self));
        }
        let tokens: Vec<_> = tokens.into_iter().map(AsRef::as_ref).collect();
        let holds = transition.guards.check(&view.scope(&tokens)).is_ok();
        // Where the budget is spent, nobody knows: it stays as it was.
        Ok((holds || view.budget.ran_out().is_some()).then_some(self))
    }

    fn make(
        view: &View<'_>,
        draft: &mut Draft<'_>,
        (transition, mode): (&NetTransition, &Mode),
        tokens: &[&Token],
    ) -> Result<Self, Stopped> {
        let Some(activity) = &transition.activity else {
            let reason = format!("{} is no activity", transition.id);
            return Err(Stopped::new(IncidentCode::PriorityFailed, reason));
        };
        let data = || merged(&tokens[..takes(mode).min(tokens.len())]);
        let class = activity.class(&view.scope(tokens), data).map_err(|reason| {
            let reason = format!("its class can't be reckoned: `priority` {reason}");
            Stopped::new(IncidentCode::PriorityFailed, reason)
        })?;
        let (number, since) = (draft.record.items_made + 1, draft.record.time);
        draft.record.items_made = number;
        let tokens = named(tokens);
        if let Some(deadline) = activity.deadline {
            draft.record.timers_made += 1;
            draft.record.timers.push(Timer {
                number: draft.record.timers_made,
                transition: transition.id.clone(),
                tokens: tokens.clone(),
                since,
                due: since + deadline,
                armed: None,
                elapsed: false,
                item: Some(number),
            });
        }
        Ok(Self {
            number,
            transition: transition.id.clone(),
            tokens,
            since,
            offered: None,
            class,
            claim: 0,
            attempt: 0,
            failed: 0,
            lost: 0,
            running: None,
            held: None,
            wait: None,
            done: None,
        })
    }
}

/// The data of tokens, merged in their order.
pub(in crate::engine) fn merged(tokens: &[&Token]) -> Value {
    let mut tokens = tokens.iter();
    let mut data = tokens.next().map_or_else(|| Value::Object(Map::new()), |of| of.data.clone());
    tokens.for_each(|token| merge_patch(&mut data, &token.data));
    data
}

/// The mode in which something fires with an outcome; a timer, and an activity without outcomes, with none.
pub(in crate::engine) fn mode_of<'n>(
    view: &View<'n>,
    transition: &'n NetTransition,
    what: &impl Bound,
    outcome: Option<&OutcomeId>,
) -> Option<&'n Mode> {
    let mut modes = modes_of(view, transition, what);
    modes.find(|mode| transition.outcome(mode).map(|of| &of.id) == outcome)
}
