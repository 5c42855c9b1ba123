//! Transitions of a file that are ways of one activity, and so one transition of a definition.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{PnmlNet, definition::id_of, position::excerpt};
use crate::models::{
    Activity, ArcKind, KindId, OutcomeId, PlaceId, Problems, QueueId, TransitionId,
    petri::{Way, Work},
};

/// Place, kind and weight of each input, in the order of the file.
pub(super) type Inputs = Vec<(usize, ArcKind, u64)>;

/// Transitions of a file that are one of a definition.
#[derive(Debug)]
pub(super) struct Joint<'a> {
    /// Their indexes, at least one, in the order of the file.
    pub(super) members: Vec<usize>,
    /// The transition that our notes say they are ways of.
    pub(super) of: Option<&'a TransitionId>,
}

/// Everything that leads to each transition of a file, and from it.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) takes: Vec<Inputs>,
    pub(super) gives: Vec<BTreeMap<usize, u64>>,
}

/// The parts of a definition's transition that its ways make together.
#[derive(Debug)]
pub(super) struct Joined {
    /// The activity; its outcomes have no arcs yet.
    pub(super) activity: Activity,
    /// The inputs that all ways have.
    pub(super) inputs: Inputs,
    /// The places of which it takes from any one.
    pub(super) from_places: Vec<usize>,
    /// The index of a transition with the outputs of each outcome.
    pub(super) outcomes: BTreeMap<OutcomeId, usize>,
}

impl PnmlNet {
    /// The work of each transition, with its queue and kind.
    pub(super) fn works(&self) -> Vec<Option<Work>> {
        let mut known: HashMap<&TransitionId, Arc<Activity>> = HashMap::new();
        let noted = self.transitions.iter().filter_map(|of| of.work.as_ref());
        for work in noted {
            if let (Some(way), Some(activity)) = (&work.way, &work.activity) {
                known.entry(&way.of).or_insert_with(|| Arc::new((**activity).clone()));
            }
        }
        let default = self.defaults.as_ref().and_then(|of| of.queue.clone());
        let default = default.unwrap_or_else(|| QueueId::new(Activity::QUEUE).expect("an id"));
        let transitions = self.transitions.iter().map(|transition| {
            let work = transition.work.as_ref()?;
            let activity = match (&work.way, &work.activity) {
                (Some(way), _) => known.get(&way.of).cloned(),
                (None, activity) => activity.as_ref().map(|of| Arc::new((**of).clone())),
            };
            let activity = activity.unwrap_or_default();
            let id = work.way.as_ref().map_or(&*transition.id, |way| way.of.as_str());
            let kind = activity.kind.clone().or_else(|| KindId::new(id).ok());
            let kind = kind.or_else(|| KindId::new(id_of(id)).ok());
            Some(Work {
                queue: activity.queue.clone().unwrap_or_else(|| default.clone()),
                kind: kind.unwrap_or_else(|| KindId::new("transition").expect("an id")),
                way: work.way.clone(),
                activity,
            })
        });
        transitions.collect()
    }

    /// The transitions that a definition has, in the order of the file.
    pub(super) fn joints(&self) -> Vec<Joint<'_>> {
        let mut joints: Vec<Joint<'_>> = Vec::with_capacity(self.transitions.len());
        let mut known: HashMap<&TransitionId, usize> = HashMap::new();
        for (index, transition) in self.transitions.iter().enumerate() {
            let way = transition.work.as_ref().and_then(|work| work.way.as_ref());
            let Some(way) = way else {
                joints.push(Joint { members: vec![index], of: None });
                continue;
            };
            let joint = *known.entry(&way.of).or_insert_with(|| {
                joints.push(Joint { members: Vec::new(), of: Some(&way.of) });
                joints.len() - 1
            });
            joints[joint].members.push(index);
        }
        joints
    }

    /// The id that a definition's transition has, if it can.
    pub(super) fn original<'a>(&'a self, joint: &Joint<'a>) -> &'a str {
        match joint.of {
            Some(of) => of.as_str(),
            None => &self.transitions[joint.members[0]].id,
        }
    }

    /// The ways of one activity, put together. Another tool may have changed them so that they are none
    /// any more, which is a problem.
    pub(super) fn join(
        &self,
        joint: &Joint<'_>,
        ends: &Ends,
        problems: &mut Problems,
    ) -> Option<Joined> {
        let advice = "; mend it, or remove our notes, and the transitions are apart";
        let path = |member: usize| format!("transition {}", excerpt(&self.transitions[member].id));
        let works = |member: &usize| self.transitions[*member].work.as_ref();
        let head = joint.members[0];
        let of = joint.of?;
        let activity =
            joint.members.iter().filter_map(works).find_map(|work| work.activity.clone());
        let Some(activity) = activity else {
            let reason = format!("is a way of the activity {of}, which no note has{advice}");
            problems.add(path(head), reason);
            return None;
        };
        let mut joined = Joined {
            activity: *activity,
            inputs: Vec::new(),
            from_places: Vec::new(),
            outcomes: BTreeMap::new(),
        };
        let before = problems.0.len();
        let (mut ways, mut froms) = (HashSet::new(), HashSet::new());
        let mut common: Option<Inputs> = None;
        for member in &joint.members {
            let Some(way) = works(member).and_then(|work| work.way.as_ref()) else { continue };
            let mut problem = |reason: &str| {
                problems.add(path(*member), format!("{reason}{advice}"));
            };
            let Some((from, mut rest)) = self.apart(way, &ends.takes[*member]) else {
                problem("does not take one token from the place that our note says");
                continue;
            };
            if joined.inputs.is_empty() {
                joined.inputs.clone_from(&rest);
            }
            rest.sort_unstable_by_key(|(place, kind, weight)| (*place, *kind as u8, *weight));
            if *common.get_or_insert_with(|| rest.clone()) != rest {
                problem("takes other tokens than the other ways of the same activity");
            }
            if !ways.insert((&way.from, &way.outcome)) {
                problem("is a way of an activity that another transition is already");
            }
            if froms.insert(from) {
                joined.from_places.extend(from);
            }
            let first = match &way.outcome {
                Some(outcome) if !joined.activity.outcomes.contains_key(outcome) => {
                    problem("ends by an outcome that its activity does not have");
                    continue;
                }
                Some(outcome) => *joined.outcomes.entry(outcome.clone()).or_insert(*member),
                None => head,
            };
            if ends.gives[first] != ends.gives[*member] {
                problem("gives other tokens than the other ways with the same outcome");
            }
        }
        let all = froms.len() * joined.activity.outcomes.len().max(1);
        if problems.0.len() == before && ways.len() != all {
            let reason = format!(
                "the activity {of} has {all} ways, and {} of them are transitions{advice}",
                ways.len()
            );
            problems.add(path(head), reason);
        }
        (problems.0.len() == before).then_some(joined)
    }

    /// The place that is the way's own, and the other inputs.
    fn apart(&self, way: &Way, takes: &Inputs) -> Option<(Option<usize>, Inputs)> {
        let Some(from) = &way.from else { return Some((None, takes.clone())) };
        let is_from = |(place, kind, weight): &(usize, ArcKind, u64)| {
            *kind == ArcKind::Consume && *weight == 1 && self.is_place(*place, from)
        };
        let at = takes.iter().position(is_from)?;
        let mut rest = takes.clone();
        let (place, _, _) = rest.remove(at);
        Some((Some(place), rest))
    }

    fn is_place(&self, index: usize, id: &PlaceId) -> bool {
        self.places[index].id == id.as_str()
    }
}
