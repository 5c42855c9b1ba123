//! Judgement of what waits, where a cascade comes to rest.

use std::collections::{BTreeSet, HashSet};

use super::{
    bindings::{Begin, Bound, STEPS_A_SCAN},
    timers::take_deadlines,
};
use crate::engine::{
    Budget, Mode, Net, NetTransition,
    binding::{Kept, View},
    budget::STEPS_A_SEARCH,
    draft::Draft,
    incidents::{Judged, Stopped},
    net::Watchers,
};
use crate::models::{Case, Item, Record, RecordKind, Step, Timer, Token, TokenId, TransitionId};

/// Timer or item, which waits with a binding of its own.
pub(super) trait Waits: Bound + Sized + Clone {
    /// The most of a case at once.
    const MOST: usize;

    /// The indexes of the transitions that have such bindings, and which of these a token concerns.
    fn of(net: &Net) -> (&[usize], &Watchers);

    /// Those of a record.
    fn list(record: &mut Record) -> &mut Vec<Self>;

    /// Those of a case.
    fn before(case: &Case) -> &[Self];

    /// Its number in the case.
    fn number(&self) -> u64;

    /// The most of a transition at once.
    fn most(transition: &NetTransition) -> usize;

    /// Returns true if it fires as soon as it can.
    fn is_due(&self) -> bool;

    /// Returns true if a firing was one of such a binding.
    fn fired(step: &Step) -> bool;

    /// It, if its binding is still there.
    fn goes_on(
        self,
        view: &View<'_>,
        draft: &Draft<'_>,
        transition: &NetTransition,
        edited: &HashSet<TokenId>,
    ) -> Result<Option<Self>, Stopped>;

    /// One more, with these tokens; or the reason that there can be none.
    fn make(
        view: &View<'_>,
        draft: &mut Draft<'_>,
        of: (&NetTransition, &Mode),
        tokens: &[&Token],
    ) -> Result<Self, Stopped>;
}

/// Ends the items and timers whose binding is gone, and begins one for each binding that is new.
///
/// One goes on as long as its tokens stay and are not taken, its guard is true and no inhibitor arc
/// forbids it. What may have become enabled is what a token concerns that came, left or was
/// changed; of the others nothing is new.
pub(in crate::engine) fn judge(
    view: &mut View<'_>,
    draft: &mut Draft<'_>,
    budget: &Budget,
    mut judged: Judged,
) -> Judged {
    each::<Item>(view, draft, budget, &mut judged);
    let deadlines = take_deadlines(draft);
    each::<Timer>(view, draft, budget, &mut judged);
    if !deadlines.is_empty() {
        draft.record.timers.extend(deadlines);
        draft.record.timers.sort_by_key(|timer| timer.number);
    }
    judged
}

fn each<T: Waits>(
    view: &mut View<'_>,
    draft: &mut Draft<'_>,
    budget: &Budget,
    judged: &mut Judged,
) {
    let (net, (indexes, _)) = (view.net, T::of(view.net));
    if indexes.is_empty() {
        return;
    }
    let mut to_search = to_search::<T>(net, draft);
    let edited: HashSet<_> = draft.edited().map(|token| token.id.clone()).collect();
    let mut waiting = Vec::with_capacity(T::list(&mut draft.record).len());
    for one in std::mem::take(T::list(&mut draft.record)) {
        view.budget = budget.part(STEPS_A_SEARCH);
        let number = indexes.iter().position(|of| net.transitions[*of].id == *one.transition());
        // A definition never changes under a case.
        let Some(number) = number else { continue };
        let transition = &net.transitions[indexes[number]];
        match one.goes_on(view, draft, transition, &edited) {
            Ok(Some(one)) => waiting.push(one),
            Ok(None) => drop(to_search.insert(number)),
            Err(failure) => {
                judged.fails(transition, failure);
                to_search.insert(number);
            }
        }
    }
    for number in to_search {
        let transition = &net.transitions[indexes[number]];
        view.budget = budget.part(STEPS_A_SCAN);
        let (there, others): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|of| *of.transition() == transition.id);
        let most = T::most(transition).min(T::MOST.saturating_sub(others.len()));
        let (there, failed) = Begin::new(transition, there, most).all(view, draft);
        // Of one that is due and waits, the cascade knows; and of what had no room nothing is known.
        let waits = there.iter().any(T::is_due);
        if failed.is_some() || !(waits || there.len() >= most) {
            judged.looked.insert(transition.id.clone());
        }
        if let Some(failure) = failed {
            judged.fails(transition, failure);
        }
        waiting = others;
        waiting.extend(there);
        view.kept = Kept::default();
    }
    waiting.sort_by_key(T::number);
    *T::list(&mut draft.record) = waiting;
}

/// The transitions, by their numbers, that may be enabled with other tokens than before.
fn to_search<T: Waits>(net: &Net, draft: &Draft<'_>) -> BTreeSet<usize> {
    let (indexes, watchers) = T::of(net);
    let before = draft.before.map(T::before).unwrap_or_default();
    if before.len() >= T::MOST || draft.record.kind == RecordKind::Retried {
        return (0..indexes.len()).collect();
    }
    let places = draft.places();
    let places = places.into_iter().filter_map(|place| net.place(place));
    let mut found: BTreeSet<_> = places.flat_map(|place| watchers.of(place)).collect();
    let number = |id: &TransitionId| indexes.iter().position(|of| net.transitions[*of].id == *id);
    // One that only reads has taken nothing, and its binding is made anew.
    let fired = draft.record.cascade.iter().filter(|step| T::fired(step));
    found.extend(fired.filter_map(|step| number(&step.transition)));
    let full = (0..indexes.len()).filter(|of| {
        let transition = &net.transitions[indexes[*of]];
        let most = T::most(transition);
        most < T::MOST
            && before.iter().filter(|one| *one.transition() == transition.id).count() >= most
    });
    found.extend(full);
    found
}
