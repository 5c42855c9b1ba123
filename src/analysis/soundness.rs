//! Whether a workflow net is sound, and if not, how to see it.
//!
//! A net is decided by its shape if it is no workflow net, by the rank theorem if it is
//! free-choice, else by its state space; coverability tells nets that grow for ever from those
//! that are only large. What is limited is said to be unknown, never guessed.
//!
//! A net may have several ends. A case has ended when all its tokens are in ends, one at most in
//! each (for one end this is van der Aalst's definition); parallel branches may thus end in
//! places of their own, as in Kiepuszewski, ter Hofstede and van der Aalst, *Fundamentals of
//! control flow in workflows* (2003). A transition whose work takes time is to be given as its
//! start, a busy place, and its completion.

use super::{
    coverability::{Bounded, Boundedness, Pump, boundedness},
    report::{Facts, Finding, Held, Method, Report, Verdict},
    state_space::{Graph, Limits, StateSpace, Stopped, Watch, explore_partly},
    structure::{Class, Flaw, RankVerdict, WorkflowNet, join_sinks, rank_theorem},
};
use crate::models::{
    ArcKind,
    petri::{Arcs, Input, Net, Place, Transition},
};

/// How many markings are looked at before a net is suspected to grow without end.
const FIRST_LOOK: usize = 50_000;

/// How many markings are looked at for a firing sequence that shows what the rank theorem says:
/// first few, since most reasons are near the start.
const WITNESS_LOOKS: [usize; 2] = [1_000, 5_000];

/// Checks a net in which a case begins with one token in its source, or in its only marked
/// place, and ends with tokens in some of `ends`. The net's own marking is not what is judged.
pub fn check(net: &Net, ends: &[usize], limits: &Limits, watch: &mut Watch<'_>) -> Report {
    let class = Class::of(net);
    let arcs = |arcs: &Arcs| arcs.inputs.len() + arcs.outputs.len();
    let facts = Facts {
        places: net.places.len(),
        transitions: net.transitions.len(),
        arcs: net.transitions.iter().map(|transition| arcs(&transition.arcs)).sum(),
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
    let (joined, workflow_net) = match workflow_net(net) {
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
    let mut look = Look { net: &judged, ends, limits, watch, report };
    match rank_theorem(&joined, workflow_net) {
        RankVerdict::Sound => look.report.decide(Verdict::Sound, Method::RankTheorem),
        RankVerdict::NotSound(flaws) => {
            look.witness();
            let report = &mut look.report;
            report.decide(Verdict::Unsound, Method::RankTheorem);
            if report.findings.is_empty() {
                let finding = |flaw: &Flaw| Finding::Structure { reason: flaw.to_string() };
                report.findings = flaws.iter().map(finding).collect();
            }
        }
        RankVerdict::NotApplicable(_) => look.decide(),
    }
    look.report
}

/// The place where a case begins, as an index of `net`: the source if it is one of its places,
/// else what was put before.
fn start(net: &Net, source: usize) -> usize {
    let marked = || net.places.iter().position(|place| place.tokens > 0);
    if source < net.places.len() { source } else { marked().unwrap_or_default() }
}

/// The net as one with one source and one sink, and where they are: its ends are joined, and a
/// source is put before its only marked place if that has arcs into it.
fn workflow_net(net: &Net) -> Result<(Net, WorkflowNet), Vec<String>> {
    let mut joined = join_sinks(net);
    let given = |place: usize| net.transitions.iter().any(|t| t.arcs.gives(place) > 0);
    let marked: Vec<_> = (0..net.places.len()).filter(|at| net.places[*at].tokens > 0).collect();
    if let [marked] = marked[..]
        && given(marked)
        && (0..net.places.len()).all(given)
    {
        let source = joined.places.len();
        joined.places.push(Place { id: "(start)".to_owned(), ..Place::default() });
        let inputs = vec![Input { place: source, weight: 1, kind: ArcKind::Consume }];
        let arcs = Arcs { inputs, outputs: vec![(marked, 1)] };
        joined.transitions.push(Transition { id: "(begin)".to_owned(), name: None, arcs });
    }
    match WorkflowNet::of(&joined) {
        Ok(found) => Ok((joined, found)),
        Err(reasons) => Err(reasons.iter().map(ToString::to_string).collect()),
    }
}

impl Report {
    fn decide(&mut self, verdict: Verdict, by: Method) {
        (self.verdict, self.decided_by) = (verdict, by);
    }

    fn decide_by_findings(&mut self, by: Method) {
        let sound = self.findings.is_empty();
        self.decide(if sound { Verdict::Sound } else { Verdict::Unsound }, by);
    }
}

/// A look at the markings of a net.
struct Look<'a, 'w> {
    net: &'a Net,
    ends: &'a [usize],
    limits: &'a Limits,
    watch: &'a mut Watch<'w>,
    report: Report,
}

impl Look<'_, '_> {
    /// Decides by the state space if it can be seen whole, or by what of it was seen.
    fn decide(&mut self) {
        let first = Limits { states: FIRST_LOOK.min(self.limits.states), ..*self.limits };
        if self.explore(&first).is_none() {
            return self.report.decide_by_findings(Method::StateSpace);
        }
        if !self.report.findings.is_empty() {
            self.look_for_growth(&first);
            return self.report.decide_by_findings(Method::StateSpace);
        }
        let stopped = match boundedness(self.net, None, self.limits, &mut *self.watch) {
            Boundedness::Unbounded(pump) => {
                self.report.findings.push(self.grows(&pump));
                return self.report.decide_by_findings(Method::Coverability);
            }
            Boundedness::Bounded(Bounded::States(space)) => self.judge(&space),
            Boundedness::Bounded(Bounded::Weights) => self.explore(self.limits),
            Boundedness::Unknown(stopped) => Some(stopped),
        };
        match stopped {
            Some(stopped) if self.report.findings.is_empty() => {
                self.report.decide(Verdict::Unknown, Method::Undecided);
                let reason = format!("not decided: {stopped}");
                self.report.findings.push(Finding::Limit { reason });
            }
            _ => self.report.decide_by_findings(Method::StateSpace),
        }
    }

    /// Looks for firing sequences that show why a net is not sound.
    fn witness(&mut self) {
        for states in WITNESS_LOOKS {
            let few = Limits { states: states.min(self.limits.states), ..*self.limits };
            if self.explore(&few).is_none() || !self.report.findings.is_empty() {
                return;
            }
        }
        let [.., states] = WITNESS_LOOKS;
        self.look_for_growth(&Limits { states: states.min(self.limits.states), ..*self.limits });
    }

    fn look_for_growth(&mut self, limits: &Limits) {
        let found = boundedness(self.net, None, limits, &mut *self.watch);
        if let Boundedness::Unbounded(pump) = found {
            self.report.findings.push(self.grows(&pump));
        }
    }

    /// Explores, and notes what is found. `None`: that was all.
    fn explore(&mut self, limits: &Limits) -> Option<Stopped> {
        let space = explore_partly(self.net, limits, &mut *self.watch);
        self.judge(&space)
    }

    /// Notes what is found in a state space. `None`: all that there is to find.
    fn judge(&mut self, space: &StateSpace<'_>) -> Option<Stopped> {
        self.report.findings.clear();
        if let Some(state) = space.position(|marking| left_over(self.ends, marking)) {
            let (marking, path) = self.witness_of(space, state);
            self.report.findings.push(Finding::LeftOver { marking, path });
        }
        let graph = match space.graph(self.limits, &mut *self.watch) {
            Ok(graph) => graph,
            Err(stopped) => {
                let dead = self.dead_among_the_first(space);
                self.report.findings.extend(dead);
                return Some(stopped);
            }
        };
        let stuck = self.stuck(&graph);
        self.report.findings.extend(stuck);
        let dead = space.dead_transitions().map(|transition| Finding::DeadTransition {
            transition: self.net.transitions[transition].id.clone(),
        });
        self.report.findings.extend(dead);
        self.report.net.states = Some(space.states() as u64);
        self.report.net.bound = Some(space.k_bound());
        None
    }

    /// A marking in which nothing can fire and no case has ended, among those that were found
    /// first of a space that was not seen whole.
    fn dead_among_the_first(&self, space: &StateSpace<'_>) -> Option<Finding> {
        let transitions = 0..self.net.transitions.len();
        let mut marking = vec![0; self.net.places.len()];
        let state = (0..space.states().min(FIRST_LOOK)).find(|state| {
            space.read(*state, &mut marking);
            let mut all = transitions.clone();
            !ended(self.ends, &marking)
                && !left_over(self.ends, &marking)
                && !all.any(|transition| self.net.is_enabled(transition, &mut marking))
        })?;
        let (marking, path) = self.witness_of(space, state);
        Some(Finding::Deadlock { marking, path })
    }

    /// A marking in which nothing can fire and no case has ended, and one from which neither
    /// that nor an end can be reached.
    fn stuck(&self, graph: &Graph<'_, '_>) -> Vec<Finding> {
        let (space, ends) = (graph.space(), self.ends);
        let fine = |marking: &[u64]| ended(ends, marking) || left_over(ends, marking);
        let stops = |state: usize| graph.successors(state).is_empty();
        let mut findings = Vec::new();
        let mut states = 0..space.states();
        if let Some(state) = states.find(|at| stops(*at) && !fine(&space.marking(*at))) {
            let (marking, path) = self.witness_of(space, state);
            findings.push(Finding::Deadlock { marking, path });
        }
        if let Some(state) = graph.cannot_reach(|state, marking| stops(state) || fine(marking)) {
            let (marking, path) = self.witness_of(space, state);
            findings.push(Finding::NoWayToEnd { marking, path });
        }
        findings
    }

    fn grows(&self, found: &Pump) -> Finding {
        let ids = |of: &[usize]| of.iter().map(|t| self.net.transitions[*t].id.clone()).collect();
        let places = found.places.iter().map(|place| self.net.places[*place].id.clone());
        let (path, pump) = (ids(&found.prefix), ids(&found.pump));
        Finding::Unbounded { places: places.collect(), path, pump }
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

/// Whether a case with this marking has ended: all tokens are in ends, no two in one.
fn ended(ends: &[usize], marking: &[u64]) -> bool {
    let mut marked = marking.iter().enumerate().filter(|(_, held)| **held > 0).peekable();
    marked.peek().is_some() && marked.all(|(place, held)| *held == 1 && ends.contains(&place))
}

/// Whether a case with this marking has come to its end and something is left over: a second
/// token in an end, or with a single end, a token elsewhere.
fn left_over(ends: &[usize], marking: &[u64]) -> bool {
    let others = |end: usize| marking.iter().enumerate().any(|(at, held)| at != end && *held > 0);
    match ends {
        [end] => marking[*end] > 1 || marking[*end] == 1 && others(*end),
        ends => ends.iter().any(|end| marking[*end] > 1),
    }
}
