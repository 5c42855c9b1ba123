//! Activities in drawings.

use std::sync::Arc;

use serde_json::json;

use super::{Drawing, Positions, label, scene::Scene};
use crate::models::{
    KindId, OutcomeId, QueueId, TransitionId,
    petri::{Net, Transition, Way, Work},
};

fn transition(outcome: Option<&str>) -> Transition {
    let way = outcome.map(|outcome| Way {
        of: TransitionId::new("charge").unwrap(),
        from: None,
        outcome: Some(OutcomeId::new(outcome).unwrap()),
    });
    let id = outcome.map_or_else(|| "charge".to_owned(), |outcome| format!("charge.{outcome}"));
    let work = Work {
        queue: QueueId::new("payments").unwrap(),
        kind: KindId::new("charge-card").unwrap(),
        way,
        activity: Arc::default(),
    };
    Transition { id, name: Some("Charge".to_owned()), work: Some(work), ..Transition::default() }
}

fn drawing(net: &Net) -> Drawing<'_> {
    Drawing { net, title: "", positions: None, marking: None }
}

#[test]
fn an_activity_has_a_gear_and_its_queue_and_kind_in_the_tooltip() {
    let net = Net { transitions: vec![transition(None)], ..Net::default() };
    let (svg, dot, mermaid) = (drawing(&net).svg(), drawing(&net).dot(), drawing(&net).mermaid());
    let document = roxmltree::Document::parse(&svg).unwrap();
    let gear = document.descendants().find(|of| of.attribute("class") == Some("gear")).unwrap();
    let path = gear.first_element_child().unwrap().attribute("d").unwrap();
    assert_eq!(path.matches('L').count(), 4 * 8 - 1, "eight teeth: {path}");
    let about = "done by a worker: queue payments, kind charge-card";
    assert!(svg.contains(&format!("<title>Charge (charge), {about}</title>")), "{svg}");
    assert!(dot.contains("shape=component") && dot.contains(about), "{dot}");
    assert!(mermaid.contains("t0[[\"Charge\"]]"), "{mermaid}");

    let plain = Net { transitions: vec![Transition::default()], ..Net::default() };
    let (svg, dot) = (drawing(&plain).svg(), drawing(&plain).dot());
    assert!(!svg.contains("gear") && !svg.contains("worker"), "{svg}");
    assert!(dot.contains("shape=box") && !drawing(&plain).mermaid().contains("[["), "{dot}");
}

#[test]
fn each_outcome_is_named_in_the_box_of_its_mode() {
    let long = "x".repeat(64);
    let outcomes = ["paid", &long];
    let transitions = outcomes.map(|outcome| transition(Some(outcome))).to_vec();
    let net = Net { transitions, ..Net::default() };
    for (number, node) in Scene::of(&drawing(&net)).nodes.iter().enumerate() {
        let lines = &node.shape.label;
        assert_eq!(lines[0], "Charge");
        assert!(lines[1].starts_with(&format!("→ {}", &outcomes[number][..4])), "{lines:?}");
        assert!(label::widest(lines) < node.body.width, "{lines:?}");
    }
    for text in [drawing(&net).svg(), drawing(&net).dot(), drawing(&net).mermaid()] {
        assert!(text.contains("→ paid") && text.contains("→ xxxx"), "{text}");
    }
}

/// Also where it has alternatives, and the ids two dots.
#[test]
fn the_ways_of_an_activity_stand_below_one_another_where_it_has_a_position() {
    let way = |id: &str| Transition { id: id.to_owned(), ..Transition::default() };
    let ids = ["charge.a.paid", "charge.a.declined", "charge.b.paid", "other"];
    let net = Net { transitions: ids.map(way).to_vec(), ..Net::default() };
    let layout = json!({ "layout": { "transitions": { "charge": [10, 20], "charge.a": [7, 7] } } });
    let positions = Positions::from_metadata(&net, layout.as_object().unwrap());
    let at = |number| positions.transition(number).map(|at| (at.x, at.y));
    let below = [20.0, 80.0, 140.0].map(|y| Some((10.0, y)));
    assert_eq!([at(0), at(1), at(2)], below);
    assert_eq!(at(3), None);
}
