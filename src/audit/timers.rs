//! The timers of a record, judged by the arcs of the net and by the record before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{FindingKind, marking::Fault};
use crate::{
    engine::{MOST_TIMERS, Mode, Net, NetTransition},
    models::{
        ArcKind, Case, CaseStatus, IncidentAbout, OnResume, PlaceId, Record, RecordKind, Stored,
        Timer, TokenAt, TokenId,
    },
};

/// Faults of the timers that a record leaves, after those of the case before it.
pub(super) fn faults(net: &Net, before: Option<&Case>, stored: &Stored<Record>) -> Vec<Fault> {
    let record = &stored.value;
    let before = before.map_or((&[][..], 0), |case| (&case.timers[..], case.timers_made));
    let lists = [before.0, &record.timers, &record.elapsed];
    if net.timed.is_empty() && lists.iter().all(|timers| timers.is_empty()) {
        return Vec::new();
    }
    let judged = Judged::new(net, before.0, record);
    let mut faults = judged.counted(before.1);
    if matches!(record.status, CaseStatus::Completed | CaseStatus::Cancelled) {
        let left = record.timers.first().map(|timer| fault(timer, "runs in a case that has ended"));
        faults.extend(left);
        return faults;
    }
    faults.extend(record.timers.iter().filter_map(|timer| judged.runs(timer)));
    faults.extend(before.0.iter().filter_map(|timer| judged.is_over(timer)));
    faults.extend(judged.elapsed());
    faults.extend(judged.shared());
    faults.extend(judged.lacks());
    faults
}

struct Judged<'a> {
    net: &'a Net,
    before: HashMap<u64, &'a Timer>,
    record: &'a Record,
    /// The places of the live tokens.
    places: HashMap<&'a TokenId, &'a PlaceId>,
    counts: BTreeMap<usize, u64>,
    /// The tokens that were taken, also those that came back.
    taken: HashSet<&'a TokenId>,
    /// Numbers of the timers that fired.
    fired: HashSet<u64>,
}

impl<'a> Judged<'a> {
    fn new(net: &'a Net, before: &'a [Timer], record: &'a Record) -> Self {
        let steps = record.cascade.iter();
        let taken = steps.clone().flat_map(|step| step.consumed.iter().chain(&step.removed));
        let taken = record.consumed.iter().chain(&record.removed).chain(taken);
        let mut counts = BTreeMap::new();
        for entry in &record.marking.0 {
            if let Some(place) = net.place(&entry.place) {
                *counts.entry(place).or_default() += 1;
            }
        }
        Self {
            net,
            before: before.iter().map(|timer| (timer.number, timer)).collect(),
            record,
            places: record.marking.0.iter().map(|entry| (&entry.token, &entry.place)).collect(),
            counts,
            taken: taken.map(|at| &at.token).collect(),
            fired: steps.filter_map(|step| step.timer).collect(),
        }
    }

    /// Faults of the numbers.
    fn counted(&self, made: u64) -> Vec<Fault> {
        let mut numbers = BTreeSet::new();
        let twice = self.record.timers.iter().find(|timer| !numbers.insert(timer.number));
        // The wait of a failed work item is armed under a number of its own.
        let waits = self.record.items.iter().filter_map(|item| item.wait.as_ref()?.timer);
        numbers.extend(waits);
        let new = numbers.range(made + 1..).count() as u64;
        let ended = matches!(self.record.status, CaseStatus::Completed | CaseStatus::Cancelled);
        let (said, right) = (self.record.timers_made, made + new);
        let wrong = said < right || (!ended && said != right);
        let message = format!("it says that the case has had {said} timers; it has had {right}");
        let counted = wrong.then(|| Fault::of(FindingKind::RecordInconsistent, message));
        let twice = twice.map(|timer| fault(timer, "is there twice"));
        twice.into_iter().chain(counted).collect()
    }

    /// Fault of a timer that runs.
    fn runs(&self, timer: &Timer) -> Option<Fault> {
        let own = match timer.item {
            Some(item) => self.is_no_deadline(timer, item),
            None => self.is_unbound(timer),
        };
        own.or_else(|| self.does_not_follow(timer))
    }

    /// Fault of a deadline: it runs as long as its item is open, and has its tokens.
    fn is_no_deadline(&self, timer: &Timer, item: u64) -> Option<Fault> {
        let Some(item) = self.record.items.iter().find(|open| open.number == item) else {
            return Some(fault(timer, "is the deadline of a work item that is not open"));
        };
        let is_its = (&item.transition, &item.tokens) == (&timer.transition, &timer.tokens);
        (!is_its).then(|| fault(timer, "has other tokens than the work item whose deadline it is"))
    }

    /// Fault of a timer by the arcs of its transition.
    fn is_unbound(&self, timer: &Timer) -> Option<Fault> {
        let Some((_, mode)) = self.mode(timer) else {
            return Some(fault(timer, "has other tokens than the arcs of a timed transition say"));
        };
        let lacks = timer.tokens.iter().find(|at| self.places.get(&at.token) != Some(&&at.place));
        if let Some(at) = lacks {
            let message = format!("has a token in {}: it is not there", at.place);
            return Some(fault(timer, &message).at(&at.token, &at.place));
        }
        self.is_inhibited(mode)
            .then(|| fault(timer, "runs although an inhibitor arc forbids its transition"))
    }

    /// Fault of a timer by the record before.
    fn does_not_follow(&self, timer: &Timer) -> Option<Fault> {
        match self.before.get(&timer.number) {
            Some(old) => {
                let kept = self.record.on_resume == OnResume::KeepRemaining
                    && timer.due - timer.since == old.due - old.since;
                let since = if kept { timer.since } else { old.since };
                let same = (&old.tokens, &old.transition, old.item, since);
                let moved =
                    timer.armed.is_some() && (timer.armed, timer.due) != (old.armed, old.due);
                let now = (&timer.tokens, &timer.transition, timer.item, timer.since);
                if same != now || moved {
                    return Some(fault(timer, "is another one than the record before has"));
                }
                let gone = timer.tokens.iter().any(|at| self.taken.contains(&at.token));
                gone.then(|| fault(timer, "goes on although one of its tokens was taken"))
            }
            None => {
                let is_new = timer.armed.is_none() && timer.since == self.record.time;
                (!is_new)
                    .then(|| fault(timer, "began before, and the record before does not have it"))
            }
        }
    }

    /// Fault of a timer that ran before the record and does not after it.
    fn is_over(&self, old: &Timer) -> Option<Fault> {
        let goes_on = self.record.timers.iter().any(|timer| timer.number == old.number);
        if goes_on || self.fired.contains(&old.number) {
            return None;
        }
        if let Some(item) = old.item {
            let has_passed = self.record.elapsed.iter().any(|timer| timer.number == old.number);
            let is_open = self.record.items.iter().any(|open| open.number == item);
            let lacks = is_open && !has_passed;
            return lacks.then(|| fault(old, "is over, and its work item is open"));
        }
        let taken = old.tokens.iter().any(|at| self.taken.contains(&at.token));
        let has_cause = self.mode(old).is_none_or(|(transition, mode)| {
            !transition.guards.is_empty() || self.is_inhibited(mode) || self.fails(transition)
        });
        (!taken && !has_cause).then(|| fault(old, "is over, and nothing ended it"))
    }

    /// Faults of the timers that came due or fired.
    fn elapsed(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let is_elapsed = self.record.kind == RecordKind::Elapsed;
        if is_elapsed == self.record.elapsed.is_empty() {
            let message = "timers came due in a record of another kind, or none in one of theirs";
            faults.push(Fault::of(FindingKind::RecordInconsistent, message));
        }
        for timer in &self.record.elapsed {
            let old = self.before.get(&timer.number);
            if old.is_none_or(|old| old.elapsed || **old != *timer) {
                faults.push(fault(timer, "came due, and did not run before"));
            }
        }
        let due = |number: u64| {
            let now = self.record.elapsed.iter().any(|timer| timer.number == number);
            self.before.get(&number).copied().filter(|timer| now || timer.elapsed)
        };
        for step in &self.record.cascade {
            let Some(number) = step.timer else { continue };
            let tokens: Vec<_> = step.consumed.iter().chain(&step.read).cloned().collect();
            let name = step.transition.as_str();
            let message = match due(number) {
                None => format!("{name} fired by timer {number}, which had not come due"),
                Some(timer) if timer.tokens != tokens || timer.transition != step.transition => {
                    format!("{name} fired with other tokens than its timer {number} has")
                }
                Some(_) => continue,
            };
            faults.push(Fault::of(FindingKind::FiringImpossible, message));
        }
        faults
    }

    /// Fault of two timers of a transition that are to take the same token.
    fn shared(&self) -> Option<Fault> {
        let mut takes = HashSet::new();
        self.record.timers.iter().find_map(|timer| {
            let at = self
                .takes(timer)
                .iter()
                .find(|at| !takes.insert((&timer.transition, &at.token)))?;
            let message = "is to take a token that another one of its transition has";
            Some(fault(timer, message).at(&at.token, &at.place))
        })
    }

    /// Fault of a transition without conditions that has tokens for one more timer.
    fn lacks(&self) -> Option<Fault> {
        if self.record.timers.len() >= MOST_TIMERS {
            return None;
        }
        let timed = self.net.timed.iter().map(|index| &self.net.transitions[*index]);
        let mut plain = timed.filter(|of| of.guards.is_empty() && !self.fails(of));
        let transition = plain.find(|transition| {
            let of = self.record.timers.iter().filter(|timer| timer.transition == transition.id);
            let kept: HashSet<_> = of.flat_map(|timer| &timer.tokens).map(|at| &at.token).collect();
            transition.modes.iter().any(|mode| self.is_free(mode, &kept))
        })?;
        let message = format!("{} is enabled with tokens of no timer, and has none", transition.id);
        Some(Fault::of(FindingKind::RecordInconsistent, message))
    }

    /// Returns true if a mode that only takes is enabled with tokens that are not kept.
    fn is_free(&self, mode: &Mode, kept: &HashSet<&TokenId>) -> bool {
        let free = |place: usize| {
            let id = &self.net.places[place].id;
            let there = self.record.marking.0.iter().filter(|entry| entry.place == *id);
            there.filter(|entry| !kept.contains(&entry.token)).count() as u64
        };
        let mut inputs = mode.arcs.inputs.iter();
        let takes_alone = inputs.all(|arc| arc.kind == ArcKind::Consume);
        let has = || {
            let inputs = mode.arcs.inputs.iter();
            let places: BTreeSet<_> = inputs.map(|arc| arc.place).collect();
            places.iter().all(|of| free(*of) >= mode.arcs.weight(*of, ArcKind::Consume))
        };
        let has_room = |(to, _): &(usize, u64)| {
            let left = self.count(*to).saturating_sub(mode.arcs.weight(*to, ArcKind::Consume));
            let capacity = self.net.places[*to].capacity;
            capacity.is_none_or(|capacity| left + mode.arcs.gives(*to) <= capacity)
        };
        takes_alone && has() && mode.arcs.outputs.iter().all(has_room)
    }

    /// Returns true if an incident says that a transition has no timer.
    fn fails(&self, transition: &NetTransition) -> bool {
        let mut open = self.record.incidents.iter();
        open.any(|open| open.about == IncidentAbout::Transition(transition.id.clone()))
    }

    /// The transition of a timer, and the mode that its tokens are of.
    fn mode(&self, timer: &Timer) -> Option<(&'a NetTransition, &'a Mode)> {
        let net = self.net;
        let timed = net.timed.iter().map(|index| &net.transitions[*index]);
        let transition = timed.into_iter().find(|of| of.id == timer.transition)?;
        let places = || timer.tokens.iter().map(|at| net.place(&at.place));
        let mode = transition.modes.iter().find(|mode| {
            let kinds = [ArcKind::Consume, ArcKind::Read];
            kinds.into_iter().flat_map(|kind| wanted(mode, kind)).eq(places())
        })?;
        Some((transition, mode))
    }

    /// The tokens that a timer is to take.
    fn takes<'t>(&self, timer: &'t Timer) -> &'t [TokenAt] {
        let mode = self.mode(timer);
        let count = mode.map_or(0, |(_, mode)| wanted(mode, ArcKind::Consume).count());
        &timer.tokens[..count]
    }

    fn is_inhibited(&self, mode: &Mode) -> bool {
        let mut arcs = mode.arcs.inputs.iter();
        arcs.any(|arc| arc.kind == ArcKind::Inhibitor && self.count(arc.place) >= arc.weight)
    }

    fn count(&self, place: usize) -> u64 {
        self.counts.get(&place).copied().unwrap_or_default()
    }
}

/// The places of the tokens that a mode's arcs of a kind ask for.
fn wanted(mode: &Mode, kind: ArcKind) -> impl Iterator<Item = Option<usize>> {
    let arcs = mode.arcs.inputs.iter().filter(move |arc| arc.kind == kind);
    arcs.flat_map(|arc| (0..arc.weight).map(|_| Some(arc.place)))
}

fn fault(timer: &Timer, reason: &str) -> Fault {
    let message = format!("timer {} of {} {reason}", timer.number, timer.transition);
    Fault::of(FindingKind::RecordInconsistent, message)
}
