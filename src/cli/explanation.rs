//! `petrel case explain`: the present abilities of each transition, with the reasons.

use std::fmt::Write;

use serde_json::json;

use super::{
    answer::Answer,
    presentation::{item_line, timer_line},
};
use crate::{
    engine::{Explanation, ModeExplanation, TransitionExplanation},
    models::{WorkflowId, visible},
};

/// The explanation as an answer.
pub(super) fn answer(workflow: &WorkflowId, explanation: &Explanation) -> Answer {
    let Explanation { case, summary, timers, items, incidents, transitions, .. } = explanation;
    let mut text = format!("case {case} of {workflow}: {summary}\n");
    let ids = transitions.iter().map(|of| of.transition.as_str().len());
    let width = ids.max().unwrap_or_default();
    for transition in transitions {
        explain(&mut text, transition, width);
    }
    for item in items {
        let of = transitions.iter().find(|of| of.transition == item.transition);
        let of = of.and_then(|of| Some((of.queue.as_ref()?, of.kind.as_ref()?)));
        let of = of.map(|(queue, kind)| format!(" (queue {queue}, kind {kind})"));
        let of = of.unwrap_or_default();
        let _ = writeln!(text, "  {}{of}", item_line(item, incidents));
    }
    for timer in timers {
        let _ = writeln!(text, "  {}", timer_line(timer));
    }
    Answer::new(json!(explanation), text)
}

fn explain(text: &mut String, of: &TransitionExplanation, width: usize) {
    let state = if of.enabled { "enabled" } else { "blocked" };
    let mut head = format!("  {state}  {:width$}", of.transition.as_str());
    // The lines after the first stand under it.
    let indent = " ".repeat(head.len());
    let mut said: Vec<String> = Vec::new();
    for line in of.modes.iter().flat_map(|mode| lines(mode, of.modes.len() > 1)) {
        // Outcomes lack the same.
        if said.contains(&line) {
            continue;
        }
        said.push(line.clone());
        let _ = writeln!(text, "{head}  {}", visible(&line));
        head.clone_from(&indent);
    }
    if of.modes.is_empty() {
        let _ = writeln!(text, "{}", head.trim_end());
    }
}

fn lines(mode: &ModeExplanation, one_of_several: bool) -> Vec<String> {
    let from = match &mode.from {
        Some(place) if one_of_several => format!("from {place}: "),
        _ => String::new(),
    };
    let to = match &mode.outcome {
        Some(outcome) if one_of_several => format!(" for {outcome}"),
        _ => String::new(),
    };
    if !mode.enabled {
        return mode.blockers.iter().map(|blocker| format!("{from}{blocker}")).collect();
    }
    let takes: Vec<_> = mode.would_take.iter().map(ToString::to_string).collect();
    let takes = if takes.is_empty() { "nothing".to_owned() } else { takes.join(", ") };
    vec![format!("{from}would take {takes}{to}")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Blocker,
        models::{ArcKind, CaseId, CaseStatus, PlaceId, TokenId, TransitionId},
    };

    fn mode(from: Option<&str>, take: &[&str], blockers: Vec<Blocker>) -> ModeExplanation {
        ModeExplanation {
            from: from.map(|place| PlaceId::new(place).unwrap()),
            outcome: None,
            enabled: blockers.is_empty(),
            would_take: take.iter().map(|id| TokenId::new(id).unwrap()).collect(),
            blockers,
        }
    }

    fn lacks(place: &str) -> Blocker {
        let place = PlaceId::new(place).unwrap();
        Blocker::TooFewTokens { place, kind: ArcKind::Consume, needed: 1, present: 0 }
    }

    fn transition(id: &str, modes: Vec<ModeExplanation>) -> TransitionExplanation {
        let enabled = modes.iter().any(|mode| mode.enabled);
        TransitionExplanation {
            transition: TransitionId::new(id).unwrap(),
            auto: false,
            timed: false,
            activity: false,
            queue: None,
            kind: None,
            enabled,
            modes,
        }
    }

    #[test]
    fn every_transition_says_what_it_would_take_or_what_it_waits_for() {
        let guard = Blocker::Guard {
            condition: "amount < 10".to_owned(),
            explanation: "is false".to_owned(),
            bindings_tried: 1,
        };
        let explanation = Explanation {
            case: CaseId::new("order-1").unwrap(),
            status: CaseStatus::Running,
            summary: "running; can fire: submit, approve".to_owned(),
            incidents: Vec::new(),
            timers: Vec::new(),
            items: Vec::new(),
            transitions: vec![
                transition("submit", vec![mode(None, &["order-1-a-1"], vec![])]),
                transition("ship", vec![mode(None, &[], vec![lacks("approved"), guard])]),
                transition(
                    "approve",
                    vec![
                        mode(Some("pending"), &[], vec![lacks("pending")]),
                        mode(Some("on_hold"), &["order-1-a-1"], vec![]),
                    ],
                ),
            ],
        };
        let answer = answer(&WorkflowId::new("orders").unwrap(), &explanation);
        insta::assert_snapshot!(answer.text, @r"
        case order-1 of orders: running; can fire: submit, approve
          enabled  submit   would take order-1-a-1
          blocked  ship     the arc that takes 1 from place approved finds 0: 1 missing
                            the guard amount < 10 is false
          enabled  approve  from pending: the arc that takes 1 from place pending finds 0: 1 missing
                            from on_hold: would take order-1-a-1
        ");
        assert_eq!(answer.json["transitions"][1]["enabled"], false);
    }
}
