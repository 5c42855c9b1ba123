//! The search for the next firing of a cascade.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::{
    Act, Blocker, Budget, Limits, Mode, Net, NetTransition,
    binding::{Binding, View},
    budget::STEPS_A_SEARCH,
    draft::Draft,
    fire::{Ask, Given, NotProduced, produce},
    fit::fits_alone,
    incidents::{Failures, Judged, Stopped, stopped_by},
    waiting::{Bound, bound, mode_of},
};
use crate::models::{Answer, IncidentCode, TransitionId};

/// A firing that is to follow.
pub(super) struct Found {
    /// Index of the transition.
    pub transition: usize,
    pub given: Given,
    /// Number of the timer that it fires by.
    pub timer: Option<u64>,
    /// Number of the item whose answer it fires with.
    pub item: Option<u64>,
}

/// The search for the next firing, which goes on where nothing has changed.
pub(super) struct Search<'b> {
    /// Those that may be enabled, by their numbers: of the others nothing has changed since they were not.
    to_try: BTreeSet<usize>,
    /// Those whose search ended at its limit: it is not made again before the case changes once more.
    stopped: HashSet<usize>,
    failures: Failures,
    /// The transitions of timers that have come due.
    elapsed: HashSet<TransitionId>,
    /// The activities of items that have an answer.
    answered: HashSet<TransitionId>,
    limits: Limits,
    budget: &'b Budget,
}

impl<'b> Search<'b> {
    pub(super) fn new(net: &Net, limits: Limits, budget: &'b Budget) -> Self {
        let to_try = (0..net.immediate.len()).collect();
        let (stopped, failures, elapsed, answered) = Default::default();
        Self { to_try, stopped, failures, elapsed, answered, limits, budget }
    }

    /// The next immediate transition that is enabled.
    pub(super) fn immediate(
        &mut self,
        view: &mut View<'_>,
        draft: &Draft<'_>,
        act: &Act,
        fired: &[u32],
    ) -> Result<Option<Found>, Stopped> {
        let net = view.net;
        while let Some(&number) = self.to_try.first() {
            let transition = &net.transitions[net.immediate[number]];
            self.failures.remove(&transition.id);
            view.budget = self.budget.part(STEPS_A_SEARCH);
            match attempt(view, transition, draft.record.tokens_made, (act, self.limits)) {
                Ok(given) => {
                    let transition = net.immediate[number];
                    return Ok(Some(Found { transition, given, timer: None, item: None }));
                }
                Err(failure) => {
                    self.to_try.remove(&number);
                    if let Some(failure) = failure {
                        if failure.is_of(IncidentCode::SearchStopped) {
                            self.stopped.insert(number);
                        }
                        self.failures.insert(transition.id.clone(), failure);
                    }
                }
            }
            if self.budget.ran_out().is_some() {
                return Err(Stopped::too_long_to_find(net, &draft.record, fired));
            }
        }
        Ok(None)
    }

    /// The timer that came due first, of those that can fire.
    pub(super) fn elapsed(
        &mut self,
        view: &mut View<'_>,
        draft: &Draft<'_>,
        act: &Act,
        fired: &[u32],
    ) -> Result<Option<Found>, Stopped> {
        // All that wait are asked again, up to the first that fires.
        self.elapsed.iter().for_each(|of| drop(self.failures.remove(of)));
        let mut due: Vec<_> = draft.record.timers.iter().filter(|of| of.elapsed).collect();
        due.sort_by_key(|timer| (timer.due, timer.number));
        for timer in due {
            self.elapsed.insert(timer.transition.clone());
            if let Some((transition, given)) = self.fires(view, (draft, act, fired), timer, None)? {
                let timer = Some(timer.number);
                return Ok(Some(Found { transition, given, timer, item: None }));
            }
        }
        Ok(None)
    }

    /// The first of the items that have an answer which can fire.
    pub(super) fn answered(
        &mut self,
        view: &mut View<'_>,
        draft: &Draft<'_>,
        act: &Act,
        fired: &[u32],
    ) -> Result<Option<Found>, Stopped> {
        // All are asked again, up to the first that fires.
        self.answered.iter().for_each(|of| drop(self.failures.remove(of)));
        for item in &draft.record.items {
            let Some(answer) = &item.done else { continue };
            self.answered.insert(item.transition.clone());
            let now = (draft, act, fired);
            if let Some((transition, given)) = self.fires(view, now, item, Some(answer))? {
                let item = Some(item.number);
                return Ok(Some(Found { transition, given, timer: None, item }));
            }
        }
        Ok(None)
    }

    /// The firing of a timer, or of an item with its answer, if it can fire; its failure is noted otherwise.
    fn fires(
        &mut self,
        view: &mut View<'_>,
        (draft, act, fired): (&Draft<'_>, &Act, &[u32]),
        what: &impl Bound,
        answer: Option<&Answer>,
    ) -> Result<Option<(usize, Given)>, Stopped> {
        let net = view.net;
        let Some(index) = net.transition_index(what.transition()) else { return Ok(None) };
        let transition = &net.transitions[index];
        view.budget = self.budget.part(STEPS_A_SEARCH);
        let outcome = answer.and_then(|answer| answer.outcome.as_ref());
        let Some(mode) = mode_of(view, transition, what, outcome) else { return Ok(None) };
        let Some(bound) = bound(view, draft, transition, mode, what) else { return Ok(None) };
        let given = bound.and_then(|binding| {
            let (made, result) = (draft.record.tokens_made, answer.map(|answer| &answer.result));
            gives(view, transition, mode, (binding, made), (act, self.limits), result)
        });
        match given {
            Ok(given) => {
                self.failures.remove(&transition.id);
                Ok(Some((index, given)))
            }
            Err(_) if self.budget.ran_out().is_some() => {
                Err(Stopped::too_long_to_find(net, &draft.record, fired))
            }
            Err(blockers) => {
                if let Some(failure) = stopped_by(&blockers) {
                    self.failures.insert(transition.id.clone(), failure);
                }
                Ok(None)
            }
        }
    }

    /// Notes the places that tokens left or came to.
    pub(super) fn moved(&mut self, net: &Net, places: BTreeSet<usize>) {
        for place in places {
            let concerned = net.watchers.of(place);
            self.to_try.extend(concerned.filter(|number| !self.stopped.contains(number)));
        }
    }

    /// The failures, and the transitions that were looked at.
    pub(super) fn judged(self, net: &Net, fires: bool) -> Judged {
        let immediate = net.immediate.iter().map(|index| net.transitions[*index].id.clone());
        let due = self.elapsed.into_iter().chain(self.answered);
        let looked = immediate.filter(|_| fires).chain(due).collect();
        Judged { failures: self.failures, looked }
    }
}

/// The firing of a transition if it is enabled; otherwise the reason for which nobody knows, if it is one.
fn attempt(
    view: &View<'_>,
    transition: &NetTransition,
    made: u64,
    within: (&Act, Limits),
) -> Result<Given, Option<Stopped>> {
    let mut failure = None;
    for mode in &transition.modes {
        // A look at the arcs counts as well; what it runs out of, the search below says.
        let _ = view.budget.charge(1);
        let bound = view.bind(transition, mode, &[]);
        match bound.and_then(|binding| gives(view, transition, mode, (binding, made), within, None))
        {
            Ok(given) => return Ok(given),
            Err(blockers) => failure = failure.or(stopped_by(&blockers)),
        }
    }
    Err(failure)
}

/// The firing with a binding.
fn gives(
    view: &View<'_>,
    transition: &NetTransition,
    mode: &Mode,
    (binding, made): (Binding, u64),
    (act, limits): (&Act, Limits),
    result: Option<&Value>,
) -> Result<Given, Vec<Blocker>> {
    let ask = Ask { transition, mode, act, data: None, result, limits, marked: 0, alone: None };
    let given = produce(view, &ask, binding, made).and_then(|given| {
        let was: Vec<_> = given.binding.consumed.iter().map(AsRef::as_ref).collect();
        // All carry the same.
        let fits = given.tokens.first().map(|token| fits_alone(token, &was, limits));
        fits.unwrap_or(Ok(())).map(|()| given).map_err(NotProduced::Excess)
    });
    given.map_err(|not| match not {
        NotProduced::Output(blocker) => vec![blocker],
        NotProduced::Excess(excess) => vec![Blocker::TooLarge { explanation: excess.to_string() }],
    })
}
