//! Soundness of workflow nets, and the evidence against it.
//!
//! A net is decided by its shape if it is no workflow net, by the rank theorem if it is
//! free-choice, else by its state space; coverability tells nets that grow for ever from those
//! that are only large. A verdict that a limit prevents is unknown, never guessed.
//!
//! A net may have several ends. Nothing fires any more once all tokens are in ends; a case has
//! ended well if there is one at most in each (for one end this is van der Aalst's definition).
//! Parallel branches may thus end in places of their own, as in Kiepuszewski, ter Hofstede and van
//! der Aalst, *Fundamentals of control flow in workflows* (2003). A transition whose work takes
//! time is to be given as its start, a busy place, and its completion.

use super::{
    coverability::{Bounded, Boundedness, Pump, boundedness_after, pump_in},
    endless::endless,
    goal::{Goal, begun},
    report::{Facts, Finding, Held, Method, Report, Verdict},
    state_space::{Graph, Limits, StateSpace, Stopped, Watch, explore_partly},
    structure::{
        Class, Flaw, RankVerdict, WorkflowNet, join_ends, put_source, rank_theorem, until_ended,
    },
};
use crate::models::{
    ArcKind,
    petri::{Input, Marking, Net},
};

/// Markings that are looked at before a net is suspected to grow without end.
const FIRST_LOOK: usize = 50_000;

/// Markings that are looked at for a firing sequence that shows the rank theorem's reason: first
/// few, since most reasons are near the start.
const WITNESS_LOOKS: [usize; 2] = [1_000, 5_000];

/// Reason for which growth does not decide a net.
const CAN_VANISH: &str = "not decided: reset or inhibitor arcs may clear away what grows before a \
                          case ends, and no procedure decides all such nets; a capacity for the \
                          places that grow makes it decidable";

/// Checks a net in which a case begins with one token in its source, or in its only marked place,
/// and ends with tokens in some of `ends`. The net's own marking is not judged.
///
/// Where `finals` has markings that say something else, a case is to end in one of these: from
/// everything that can happen it can still come to one, it never holds one of them and more, and
/// every transition can fire. It begins in the net's own marking then, and need be no workflow net.
pub fn check(
    net: &Net,
    ends: &[usize],
    finals: &[Marking],
    limits: &Limits,
    watch: &mut Watch<'_>,
) -> Report {
    let class = Class::of(net);
    let facts = Facts {
        places: net.places.len(),
        transitions: net.transitions.len(),
        arcs: net.arcs(),
        free_choice: class.extended_free_choice,
        ..Facts::default()
    };
    let mut report = Report {
        verdict: Verdict::Unsound,
        decided_by: Method::Shape,
        findings: Vec::new(),
        notes: Vec::new(),
        net: facts,
    };
    let goal = Goal::of(net, ends, finals);
    if let Goal::Markings(finals) = goal {
        let Some(judged) = begun(net, ends, finals, &mut report) else { return report };
        let Some((until, origins)) = until_ended(&judged, ends) else {
            return report.beyond_ends();
        };
        let mut look = Look::at(net, (&until, &origins), goal, (limits, watch), report);
        look.decide();
        return look.finish();
    }
    let (joined, workflow_net) = match workflow_net(net, ends) {
        Ok(found) => found,
        Err(problems) => {
            let finding = |problem| Finding::NotAWorkflowNet { problem };
            report.findings = problems.into_iter().map(finding).collect();
            return report;
        }
    };
    let start = start(net, workflow_net.source);
    let mut judged = net.clone();
    for (index, place) in judged.places.iter_mut().enumerate() {
        place.tokens = u64::from(index == start);
    }
    if judged.initial() != net.initial() {
        let start = net.places[start].id.as_str();
        report
            .notes
            .push(format!("judged for one token in {start}; the net's own marking is another"));
    }
    let Some((until, origins)) = until_ended(&judged, ends) else {
        return report.beyond_ends();
    };
    let mut look = Look::at(net, (&until, &origins), goal, (limits, watch), report);
    // The theorem does not know that nothing takes a token from where a case has ended.
    let sinks = net.sinks();
    if !ends.iter().all(|end| sinks.contains(end)) {
        look.decide();
        return look.finish();
    }
    look.decide_by_theorem(rank_theorem(&joined, workflow_net));
    look.finish()
}

/// The place where a case begins, as an index of `net`: the source if it is one of its places,
/// else the marked place that the source was put before.
fn start(net: &Net, source: usize) -> usize {
    let marked = || net.places.iter().position(|place| place.tokens > 0);
    if source < net.places.len() { source } else { marked().unwrap_or_default() }
}

/// The net as one with one source and one sink, with their indexes: its ends are joined, and a
/// source is put before its only marked place if that has arcs into it.
fn workflow_net(net: &Net, ends: &[usize]) -> Result<(Net, WorkflowNet), Vec<String>> {
    let mut joined = join_ends(net, ends);
    // What gives to nothing is no way to an end, though a choice of it rules ends out.
    for (joined, transition) in joined.transitions.iter_mut().zip(&net.transitions) {
        if transition.arcs.outputs.is_empty() {
            joined.arcs.outputs.clear();
        }
    }
    put_source(&mut joined);
    match WorkflowNet::of(&joined) {
        Ok(found) => Ok((joined, found)),
        Err(reasons) => Err(reasons.iter().map(ToString::to_string).collect()),
    }
}

impl Report {
    /// Leaves the net undecided: nothing may fire once a case has ended, and too much would have
    /// to be kept from that.
    fn beyond_ends(mut self) -> Self {
        let reason = "not decided: too many transitions take from nothing but ends".to_owned();
        self.findings.push(Finding::Limit { reason });
        self.decide(Verdict::Unknown, Method::Undecided);
        self
    }

    pub(super) fn decide(&mut self, verdict: Verdict, by: Method) {
        (self.verdict, self.decided_by) = (verdict, by);
    }

    fn decide_by_findings(&mut self, by: Method) {
        let sound = self.findings.is_empty();
        self.decide(if sound { Verdict::Sound } else { Verdict::Unsound }, by);
    }
}

/// A look at the markings of a net.
struct Look<'a, 'w> {
    checked: &'a Net,
    /// The same net, which does nothing once a case has ended.
    net: &'a Net,
    /// The transition of the checked net that each of its transitions is.
    origins: &'a [usize],
    goal: Goal<'a>,
    limits: &'a Limits,
    watch: &'a mut Watch<'w>,
    report: Report,
    /// The number of markings found, and the transitions that none of them enables, where a limit
    /// ended the last look.
    seen: Option<(u64, Vec<String>)>,
}

impl<'a, 'w> Look<'a, 'w> {
    /// A look at a net that does nothing once a case has ended, with the origins of its
    /// transitions.
    fn at(
        checked: &'a Net,
        (net, origins): (&'a Net, &'a [usize]),
        goal: Goal<'a>,
        (limits, watch): (&'a Limits, &'a mut Watch<'w>),
        report: Report,
    ) -> Self {
        Self { checked, net, origins, goal, limits, watch, report, seen: None }
    }

    /// The report, and in it if immediate transitions can go on for ever.
    fn finish(mut self) -> Report {
        let few = Limits { states: FIRST_LOOK.min(self.limits.states), ..*self.limits };
        let id = |origin: &usize| &*self.checked.transitions[*origin].id;
        let ids: Vec<_> = self.origins.iter().map(id).collect();
        self.report.net.endless = endless(self.net, &ids, &few, &mut *self.watch);
        self.report
    }

    /// Decides by the rank theorem where that is applicable, and by the state space elsewhere.
    fn decide_by_theorem(&mut self, verdict: RankVerdict) {
        match verdict {
            RankVerdict::Sound => self.report.decide(Verdict::Sound, Method::RankTheorem),
            RankVerdict::NotSound(flaws) => {
                self.witness();
                self.report.decide(Verdict::Unsound, Method::RankTheorem);
                if self.report.findings.is_empty() {
                    let finding = |flaw: &Flaw| Finding::Structure { reason: flaw.to_string() };
                    self.report.findings = flaws.iter().map(finding).collect();
                }
            }
            RankVerdict::NotApplicable(_) => self.decide(),
        }
    }

    /// Decides by the state space if it can be seen whole, or by the part of it that was seen.
    fn decide(&mut self) {
        let space = self.explore(FIRST_LOOK);
        let seen = self.judge(&space);
        if seen.is_none() {
            return self.report.decide_by_findings(Method::StateSpace);
        }
        if !self.report.findings.is_empty() {
            self.look_for_growth(&space);
            return self.report.decide_by_findings(Method::StateSpace);
        }
        if let Some(stopped @ Stopped::Interrupted { .. }) = seen {
            return self.undecided(&stopped);
        }
        let stopped = match boundedness_after(space, self.limits, &mut *self.watch) {
            Boundedness::Unbounded(pump) => {
                self.report.findings.push(self.grows(&pump));
                if self.may_vanish(&pump) {
                    self.report.notes.push(CAN_VANISH.to_owned());
                    return self.report.decide(Verdict::Unknown, Method::Undecided);
                }
                return self.report.decide_by_findings(Method::Coverability);
            }
            Boundedness::Bounded(Bounded::States(space)) | Boundedness::Unknown(space) => {
                self.judge(&space)
            }
            Boundedness::Bounded(Bounded::Weights) => {
                let space = self.explore(self.limits.states);
                self.judge(&space)
            }
        };
        match stopped {
            Some(stopped) if self.report.findings.is_empty() => self.undecided(&stopped),
            _ => self.report.decide_by_findings(Method::StateSpace),
        }
    }

    fn undecided(&mut self, stopped: &Stopped) {
        let reason = format!("not decided: {stopped}; {}", stopped.advice());
        if let Some((seen, not_enabled)) = self.seen.take() {
            self.report.net.seen = Some(seen);
            let mut note = format!("nothing was wrong in the {seen} markings that were found");
            if !not_enabled.is_empty() {
                note.push_str(&format!("; not enabled so far: {}", not_enabled.join(", ")));
            }
            self.report.notes.push(note);
        }
        self.report.decide(Verdict::Unknown, Method::Undecided);
        self.report.findings.push(Finding::Limit { reason });
    }

    /// Looks for firing sequences that show that a net is not sound.
    fn witness(&mut self) {
        for states in WITNESS_LOOKS {
            let space = self.explore(states);
            if self.judge(&space).is_none() || !self.report.findings.is_empty() {
                return;
            }
            if Some(&states) == WITNESS_LOOKS.last() {
                self.look_for_growth(&space);
            }
        }
    }

    fn look_for_growth(&mut self, space: &StateSpace<'_>) {
        if let Some(pump) = pump_in(space, &mut *self.watch) {
            self.report.findings.push(self.grows(&pump));
        }
    }

    /// The first markings.
    fn explore(&mut self, states: usize) -> StateSpace<'a> {
        let few = Limits { states: states.min(self.limits.states), ..*self.limits };
        explore_partly(self.net, &few, &mut *self.watch)
    }

    /// Notes the findings of a state space. `None` means that these are all.
    fn judge(&mut self, space: &StateSpace<'_>) -> Option<Stopped> {
        self.report.findings.clear();
        let left = |state: &usize| self.goal.is_left_over(space, *state);
        if let Some(state) = (0..space.states()).find(left) {
            let (marking, path) = self.witness_of(space, state);
            self.report.findings.push(Finding::LeftOver { marking, path });
        }
        self.seen = space.stopped().map(|_| {
            let not_enabled = self.dead_in(space);
            (space.states() as u64, not_enabled)
        });
        let graph = space.graph(self.limits, &mut *self.watch);
        match &graph {
            Ok(graph) => self.stuck(graph),
            // What is stuck is so, whatever else there is.
            Err(_) => self.dead(space),
        }
        if space.stopped().is_none() {
            self.dead_transitions(space);
            self.report.net.states = Some(space.states() as u64);
            self.report.net.bound = Some(space.k_bound());
        }
        graph.err()
    }

    /// Notes the transitions that nothing enables.
    fn dead_transitions(&mut self, space: &StateSpace<'_>) {
        let finding = |transition| Finding::DeadTransition { transition };
        self.report.findings.extend(self.dead_in(space).into_iter().map(finding));
    }

    /// The transitions that no marking of a state space enables.
    fn dead_in(&self, space: &StateSpace<'_>) -> Vec<String> {
        let mut fires = vec![false; self.checked.transitions.len()];
        for (transition, origin) in self.origins.iter().enumerate() {
            fires[*origin] |= space.first_enabling(transition).is_some();
        }
        let dead = self.checked.transitions.iter().zip(fires).filter(|(_, fires)| !fires);
        dead.map(|(transition, _)| transition.id.clone()).collect()
    }

    /// Notes a marking in which nothing can fire and no case has ended, and one from which neither
    /// that nor an end can be reached.
    fn stuck(&mut self, graph: &Graph<'_, '_>) {
        let space = graph.space();
        self.dead(space);
        let stops = |state: usize| graph.successors(state).is_empty();
        if let Some(state) = graph.cannot_reach(|at| stops(*at) || self.goal.is_fine(space, *at)) {
            let (marking, path) = self.witness_of(space, state);
            self.report.findings.push(Finding::NoWayToEnd { marking, path });
        }
    }

    /// Notes a marking in which nothing can fire and no case has ended.
    fn dead(&mut self, space: &StateSpace<'_>) {
        let mut dead = space.dead().iter().map(|state| *state as usize);
        if let Some(state) = dead.find(|state| !self.goal.is_fine(space, *state)) {
            let (marking, path) = self.witness_of(space, state);
            self.report.findings.push(Finding::Deadlock { marking, path });
        }
    }

    /// Returns true if tokens that pile up may vanish before a case ends. A case that can end from
    /// a marking ends in the same way with more tokens, and has them left over; but not where
    /// reset or inhibitor arcs see the tokens added.
    fn may_vanish(&self, pump: &Pump) -> bool {
        let sees = |arc: &&Input| matches!(arc.kind, ArcKind::Inhibitor | ArcKind::Reset);
        let mut arcs = self.net.transitions.iter().flat_map(|of| &of.arcs.inputs).filter(sees);
        match self.goal {
            Goal::Ends([_]) => arcs.any(|arc| pump.places.contains(&arc.place)),
            Goal::Ends(_) => arcs.next().is_some(),
            // What is to end with nothing may take all that grew.
            Goal::Markings(finals) => {
                arcs.next().is_some() || finals.iter().any(|of| of.iter().all(|held| *held == 0))
            }
        }
    }

    fn grows(&self, found: &Pump) -> Finding {
        let (places, path, pump) = found.named(self.net);
        Finding::Unbounded { places, path, pump }
    }

    fn witness_of(&self, space: &StateSpace<'_>, state: usize) -> (Vec<Held>, Vec<String>) {
        let marking = space.marking(state);
        let held = self.net.places.iter().zip(marking).filter(|(_, tokens)| *tokens > 0);
        let held = held.map(|(place, tokens)| Held { place: place.id.clone(), tokens });
        let path = space.path(state);
        let path = path.iter().map(|transition| self.net.transitions[*transition].id.clone());
        (held.collect(), path.collect())
    }
}
