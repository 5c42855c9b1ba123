//! The goal of a case: places to end in, or markings that somebody has named.

use super::{
    report::{Finding, Held, Method, Report, Verdict, held},
    state_space::StateSpace,
};
use crate::models::petri::{Marking, Net};

/// Final markings that a net may name to be judged by them.
const MOST_FINALS: usize = 100;

/// The end that a case is to come to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal<'a> {
    /// All tokens in these places, one at most in each.
    Ends(&'a [usize]),
    /// One of these markings, wherever their tokens are.
    Markings(&'a [Marking]),
}

impl<'a> Goal<'a> {
    /// The goal of a net whose cases end in `ends`, or in `finals` if there are any. Where both say
    /// the same, more theory is known of the ends.
    pub(super) fn of(net: &Net, ends: &'a [usize], finals: &'a [Marking]) -> Self {
        let says = |end: usize, marking: &Marking| {
            marking.iter().enumerate().all(|(at, held)| *held == u64::from(at == end))
        };
        match (ends, finals) {
            (_, []) => Self::Ends(ends),
            ([end], [marking]) if says(*end, marking) && net.sinks() == ends => Self::Ends(ends),
            _ => Self::Markings(finals),
        }
    }

    /// Returns true if in a state a case has come to its end and something is left over.
    pub(super) fn is_left_over(self, space: &StateSpace<'_>, state: usize) -> bool {
        match self {
            Self::Ends(ends) => {
                space.is_marked(state, ends) && left_over(ends, &space.marking(state))
            }
            Self::Markings(finals) => {
                let marking = space.marking(state);
                !finals.contains(&marking) && finals.iter().any(|of| is_beyond(&marking, of))
            }
        }
    }

    /// Returns true if a state is an end, even with something left over, which is another finding.
    pub(super) fn is_fine(self, space: &StateSpace<'_>, state: usize) -> bool {
        match self {
            Self::Ends(ends) => {
                let fine = |marking: &[u64]| ended(ends, marking) || left_over(ends, marking);
                space.is_marked(state, ends) && fine(&space.marking(state))
            }
            Self::Markings(finals) => {
                let marking = space.marking(state);
                finals.iter().any(|of| *of == marking || is_beyond(&marking, of))
            }
        }
    }
}

/// The net as it is when a case begins, to be judged by final markings; `None` if that can't be,
/// with the reason in the report.
pub(super) fn begun(
    net: &Net,
    ends: &[usize],
    finals: &[Marking],
    report: &mut Report,
) -> Option<Net> {
    if finals.len() > MOST_FINALS {
        let reason = format!(
            "not decided: {} final markings are named, and each marking would be compared with \
             all; the most is {MOST_FINALS}",
            finals.len()
        );
        report.findings.push(Finding::Limit { reason });
        report.decide(Verdict::Unknown, Method::Undecided);
        return None;
    }
    let mut judged = net.clone();
    if judged.places.iter().all(|place| place.tokens == 0) {
        let mut fed = vec![false; net.places.len()];
        let outputs = net.transitions.iter().flat_map(|of| &of.arcs.outputs);
        outputs.for_each(|(place, _)| fed[*place] = true);
        let sources = (0..fed.len()).filter(|place| !fed[*place]);
        let [source] = sources.collect::<Vec<_>>()[..] else {
            let problem = "no place has a token, and not exactly one is without arcs to it; mark \
                           the place where a case begins";
            report.findings.push(Finding::NotAWorkflowNet { problem: problem.to_owned() });
            return None;
        };
        judged.places[source].tokens = 1;
    }
    let names: Vec<_> = finals.iter().map(|of| named(net, of)).collect();
    report
        .notes
        .push(format!("judged for the final markings that are named: {}", names.join("; ")));
    let outside =
        |of: &&Marking| of.iter().enumerate().any(|(at, n)| *n > 0 && !ends.contains(&at));
    if let Some(outside) = finals.iter().find(outside) {
        report.notes.push(format!(
            "a case completes where nothing takes tokens from, or in terminal places; in {} it \
             rests, and does not complete",
            named(net, outside)
        ));
    }
    Some(judged)
}

/// A marking for people.
fn named(net: &Net, marking: &[u64]) -> String {
    let marked = net.places.iter().zip(marking).filter(|(_, tokens)| **tokens > 0);
    let marked = marked.map(|(place, tokens)| Held { place: place.id.clone(), tokens: *tokens });
    held(&marked.collect::<Vec<_>>())
}

/// Returns true if a marking has all that a final one has, and more. A case that is to end with
/// nothing has nothing left over: it has just not ended.
fn is_beyond(marking: &[u64], end: &[u64]) -> bool {
    let covers = marking.iter().zip(end).all(|(held, wanted)| held >= wanted);
    covers && marking != end && end.iter().any(|wanted| *wanted > 0)
}

/// Returns true if a case with this marking has ended: all tokens are in ends, no two in one.
fn ended(ends: &[usize], marking: &[u64]) -> bool {
    let mut marked = marking.iter().enumerate().filter(|(_, held)| **held > 0).peekable();
    marked.peek().is_some() && marked.all(|(place, held)| *held == 1 && ends.contains(&place))
}

/// Returns true if a case with this marking has come to its end and something is left over: a
/// second token in an end, or with a single end, a token elsewhere.
fn left_over(ends: &[usize], marking: &[u64]) -> bool {
    let others = |end: usize| marking.iter().enumerate().any(|(at, held)| at != end && *held > 0);
    match ends {
        [end] => marking[*end] > 1 || marking[*end] == 1 && others(*end),
        ends => ends.iter().any(|end| marking[*end] > 1),
    }
}
