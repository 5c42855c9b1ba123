use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::{
    geometry::{Area, Point},
    scene::Scene,
    *,
};
use crate::models::{
    ArcKind,
    petri::{Arcs, Input, Place, Transition},
};

fn place(id: &str, tokens: u64) -> Place {
    Place { id: id.to_owned(), tokens, ..Place::default() }
}

fn transition(id: &str, inputs: &[(usize, u64, ArcKind)], outputs: &[(usize, u64)]) -> Transition {
    let input = |(place, weight, kind): &(usize, u64, ArcKind)| Input {
        place: *place,
        weight: *weight,
        kind: *kind,
    };
    let inputs = inputs.iter().map(input).collect();
    let arcs = Arcs { inputs, outputs: outputs.to_vec() };
    Transition { id: id.to_owned(), arcs, ..Transition::default() }
}

/// One transition with an arc of each kind.
fn every_kind() -> Net {
    let inputs = [
        (0, 2, ArcKind::Consume),
        (1, 1, ArcKind::Read),
        (2, 3, ArcKind::Inhibitor),
        (3, 1, ArcKind::Reset),
    ];
    let mut net = Net {
        name: "every kind".to_owned(),
        places: vec![place("in", 6), place("seen", 1), place("stop", 0), place("left", 2)],
        transitions: vec![transition("go", &inputs, &[(4, 1)])],
    };
    net.places.push(Place {
        capacity: Some(3),
        name: Some("Out of it".to_owned()),
        ..place("out", 0)
    });
    net
}

fn drawing(net: &Net) -> Drawing<'_> {
    Drawing { net, title: "", positions: None, marking: None }
}

fn all<'a>(document: &'a roxmltree::Document<'_>, class: &str) -> Vec<roxmltree::Node<'a, 'a>> {
    let of = |node: &roxmltree::Node<'_, '_>| {
        node.attribute("class").is_some_and(|is| is.split(' ').next() == Some(class))
    };
    document.descendants().filter(of).collect()
}

#[test]
fn every_kind_of_arc_has_its_mark_in_dot() {
    insta::assert_snapshot!(drawing(&every_kind()).dot());
}

#[test]
fn every_kind_of_arc_has_its_mark_in_mermaid() {
    let net = every_kind();
    let marking = [2, 1, 0, 0, 0];
    let text = Drawing { title: "Case \"a\"", marking: Some(&marking), ..drawing(&net) }.mermaid();
    insta::assert_snapshot!(text);
}

#[test]
fn an_svg_shows_tokens_weights_capacities_and_marks() {
    let net = every_kind();
    let text = Drawing { title: "A title", ..drawing(&net) }.svg();
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("role"), Some("img"));
    assert_eq!(root.first_element_child().unwrap().text(), Some("A title"));
    let circles = |node: &roxmltree::Node<'_, '_>| {
        node.descendants()
            .filter(|of| of.has_tag_name((root.tag_name().namespace().unwrap(), "circle")))
            .count()
    };
    // The circle of the place, and its dots; six tokens are a number.
    let places = all(&document, "place");
    assert_eq!(places.iter().map(circles).collect::<Vec<_>>(), [1, 2, 1, 3, 1]);
    let texts: Vec<_> =
        document.descendants().filter(|node| node.tag_name().name() == "text").collect();
    for expected in ["A title", "6", "2", "3", "k=3", "Out of it", "go"] {
        let found = texts.iter().any(|node| node.text() == Some(expected));
        assert!(found, "{expected:?} is not in {text}");
    }
    // The inhibitor's circle is not the place's.
    let arcs = all(&document, "arc");
    assert_eq!(arcs.iter().map(circles).collect::<Vec<_>>(), [0, 0, 1, 0, 0]);
    let dashed = |node: &roxmltree::Node<'_, '_>| {
        node.descendants().any(|of| of.attribute("stroke-dasharray").is_some())
    };
    assert_eq!(arcs.iter().map(dashed).collect::<Vec<_>>(), [false, true, false, false, false]);
    let paths = |node: &roxmltree::Node<'_, '_>| {
        node.descendants().filter(|of| of.tag_name().name() == "path").count()
    };
    // A line and as many heads.
    assert_eq!(arcs.iter().map(paths).collect::<Vec<_>>(), [2, 1, 1, 3, 2]);
}

#[test]
fn a_marking_colours_marked_places_and_enabled_transitions() {
    let net = every_kind();
    let enabled = |marking: &[u64]| {
        Drawing { marking: Some(marking), ..drawing(&net) }.svg().contains("go: enabled")
    };
    assert!(enabled(&[2, 1, 0, 0, 0]));
    assert!(!enabled(&[2, 1, 3, 0, 0]), "the inhibitor arc forbids it");
    assert!(!enabled(&[2, 1, 0, 0, 3]), "the place is full");
    assert!(!drawing(&net).svg().contains("enabled"), "a net alone has no state");
}

#[test]
fn names_can_neither_leave_their_place_nor_break_the_document() {
    let hostile = "</text><script>alert(1)</script>\" onload='x' \u{0}\u{b}&amp; ]]> -->\n\\";
    let mut net = every_kind();
    net.places[0].name = Some(hostile.to_owned());
    net.transitions[0].id = hostile.to_owned();
    let drawing = Drawing { title: hostile, ..drawing(&net) };
    let text = drawing.svg();
    let document = roxmltree::Document::parse(&text).unwrap();
    assert!(!document.descendants().any(|node| node.tag_name().name() == "script"));
    let attributes: BTreeSet<_> = document
        .descendants()
        .flat_map(|node| node.attributes())
        .map(|attribute| attribute.name().to_owned())
        .collect();
    assert!(!attributes.contains("onload"));
    let mermaid = drawing.mermaid();
    assert!(!mermaid.contains("<script"), "{mermaid}");
    assert!(mermaid.contains("#60;script#62;"), "{mermaid}");
    net.places[0].id = "a\tb\nc\r\"<".to_owned();
    let text = self::drawing(&net).svg();
    let document = roxmltree::Document::parse(&text).unwrap();
    let id = all(&document, "place")[0].attribute("data-id").map(str::to_owned);
    assert_eq!(id.as_deref(), Some("a\tb\nc\r\"<"), "a page finds it by its id");
    let drawing = Drawing { title: hostile, ..self::drawing(&net) };
    let dot = drawing.dot();
    let quotes = dot.replace("\\\\", "").replace("\\\"", "").matches('"').count();
    assert_eq!(quotes % 2, 0, "{dot}");
}

#[test]
fn graphviz_shows_names_as_they_are() {
    let mut net = every_kind();
    net.places[0].id = "a\"b\\N&copy;<b>".to_owned();
    let dot = drawing(&net).dot();
    // As `dot -Tsvg` was seen to read it.
    assert!(dot.contains("tooltip=\"a\\\"b\\\\N&amp;copy;<b>\""), "{dot}");
    assert!(dot.contains("xlabel=\"a\\\"b\\\\N&amp;"), "{dot}");
}

#[test]
fn an_empty_net_is_an_empty_picture() {
    let net = Net::default();
    assert!(roxmltree::Document::parse(&drawing(&net).svg()).is_ok());
    assert!(drawing(&net).mermaid().starts_with("flowchart LR\n"));
}

#[test]
fn positions_of_the_metadata_are_kept_and_two_nodes_at_one_point_are_laid_out_anew() {
    let net = every_kind();
    let mut layout = json!({
        "places": {"in": [0, 0], "seen": [0, 100], "stop": [0, 200], "left": [0, 300], "out": [300, 150]},
        "transitions": {"go": [150, 150]},
    });
    let scene = |layout: &serde_json::Value| {
        let metadata = json!({ "layout": layout }).as_object().unwrap().clone();
        let positions = Positions::from_metadata(&net, &metadata);
        Scene::of(&Drawing { positions: Some(&positions), ..drawing(&net) })
    };
    let at = |scene: &Scene, node: usize| scene.nodes[node].body.middle;
    let given = scene(&layout);
    assert_eq!(at(&given, 4).x - at(&given, 0).x, 300.0);
    assert_eq!(at(&given, 3).y - at(&given, 0).y, 300.0);
    layout["places"]["seen"] = json!([0, 0]);
    assert_eq!(scene(&layout), Scene::of(&drawing(&net)));
    layout["places"].as_object_mut().unwrap().remove("seen");
    assert_eq!(scene(&layout), Scene::of(&drawing(&net)));
    for nowhere in [json!(["a", 1]), json!([1e300, 0]), json!([0, -1.1e7]), json!([0, 1, 2])] {
        layout["places"]["seen"] = nowhere;
        assert_eq!(scene(&layout), Scene::of(&drawing(&net)));
    }
    let far = Positions::new([Some(Point { x: 0.0, y: 1e300 })], [Some(Point { x: 1e7, y: 0.0 })]);
    assert_eq!((far.place(0), far.transition(0)), (None, Some(Point { x: 1e7, y: 0.0 })));
}

#[test]
fn a_net_of_thousands_of_nodes_is_drawn_without_the_library() {
    let count = 3000;
    let step = |at: usize| {
        let jump = (at * 7919) % count;
        transition(
            &format!("t{at}"),
            &[(at, 1, ArcKind::Consume)],
            &[((at + 1) % count, 1), (jump, 1)],
        )
    };
    let net = Net {
        name: String::new(),
        places: (0..count).map(|at| place(&format!("p{at}"), u64::from(at == 0))).collect(),
        transitions: (0..count).map(step).collect(),
    };
    let scene = Scene::of(&drawing(&net));
    assert_eq!(scene.nodes.len(), 2 * count);
    overlap_free(&scene).unwrap();
}

/// Checks that nothing covers anything else, and everything is on the canvas.
fn overlap_free(scene: &Scene) -> Result<(), TestCaseError> {
    let mut areas: Vec<(String, Area)> = Vec::new();
    for (number, node) in scene.nodes.iter().enumerate() {
        areas.push((format!("node {number}"), node.body));
        areas.extend(node.label.map(|area| (format!("label {number}"), area)));
    }
    for arc in &scene.arcs {
        areas.extend(arc.weight.iter().map(|(text, area)| (format!("weight {text}"), *area)));
    }
    areas.sort_by(|a, b| a.1.middle.x.total_cmp(&b.1.middle.x));
    for (at, (name, area)) in areas.iter().enumerate() {
        let (left, top) = (area.middle.x - area.width / 2.0, area.middle.y - area.height / 2.0);
        prop_assert!(left >= 0.0 && top >= 0.0, "{} is off the canvas", name);
        prop_assert!(left + area.width <= scene.width, "{} is off the canvas", name);
        prop_assert!(top + area.height <= scene.height, "{} is off the canvas", name);
        for (other, there) in &areas[at + 1..] {
            if there.middle.x - area.middle.x > 400.0 {
                break;
            }
            prop_assert!(!area.overlaps(there), "{} covers {}", name, other);
        }
    }
    Ok(())
}

fn any_net() -> impl Strategy<Value = Net> {
    let kind = prop_oneof![
        4 => Just(ArcKind::Consume),
        1 => Just(ArcKind::Read),
        1 => Just(ArcKind::Inhibitor),
        1 => Just(ArcKind::Reset),
    ];
    let weight =
        prop_oneof![4 => Just(1_u64), 2 => 2_u64..20, 1 => any::<u64>().prop_map(|w| w.max(1))];
    let tokens = prop_oneof![3 => Just(0_u64), 3 => 1_u64..8, 1 => any::<u64>()];
    let name = proptest::option::of(prop_oneof!["[ -~]{0,40}", "\\PC{0,30}", any::<String>()]);
    let place = (name.clone(), tokens, proptest::option::weighted(0.2, 1_u64..9));
    (1_usize..9, 0_usize..9).prop_flat_map(move |(places, transitions)| {
        let inputs = proptest::collection::vec((0..places, weight.clone(), kind.clone()), 0..4);
        let outputs = proptest::collection::vec((0..places, weight.clone()), 0..4);
        (
            proptest::collection::vec(place.clone(), places),
            proptest::collection::vec((name.clone(), inputs, outputs), transitions),
        )
            .prop_map(|(places, transitions)| Net {
                name: "any".to_owned(),
                places: places
                    .into_iter()
                    .enumerate()
                    .map(|(at, (name, tokens, capacity))| Place {
                        id: format!("p{at}"),
                        name,
                        tokens,
                        capacity,
                    })
                    .collect(),
                transitions: transitions
                    .into_iter()
                    .enumerate()
                    .map(|(at, (name, inputs, outputs))| Transition {
                        name,
                        ..transition(&format!("t{at}"), &inputs, &outputs)
                    })
                    .collect(),
            })
    })
}

/// The arcs that the net has: their kinds and their ends.
fn arcs(net: &Net) -> BTreeSet<(String, String, String)> {
    let mut arcs = BTreeSet::new();
    for transition in &net.transitions {
        let id = &transition.id;
        for arc in &transition.arcs.inputs {
            let kind = format!("arc {:?}", arc.kind).to_lowercase();
            arcs.insert((kind, net.places[arc.place].id.clone(), id.clone()));
        }
        for (place, _) in &transition.arcs.outputs {
            arcs.insert(("arc produce".to_owned(), id.clone(), net.places[*place].id.clone()));
        }
    }
    arcs
}

#[test]
fn a_timed_transition_has_a_clock_and_says_when() {
    use crate::models::petri::{self, Timed};
    let timed = |timed| petri::Transition { id: "t".to_owned(), timed, ..Default::default() };
    let net = |of| petri::Net { transitions: vec![timed(of)], ..Default::default() };
    for (of, said) in [
        (Timed::After("30s".to_owned()), "after 30s"),
        (Timed::At("timestamp(token.data.x)".to_owned()), "at timestamp(token.data.x)"),
    ] {
        let net = net(Some(of));
        let (svg, dot, mermaid) =
            (drawing(&net).svg(), drawing(&net).dot(), drawing(&net).mermaid());
        assert!(svg.contains("<circle") && svg.contains(said), "{svg}");
        roxmltree::Document::parse(&svg).unwrap();
        assert!(dot.contains(&said[..8]), "{dot}");
        assert!(mermaid.contains(&said[..8]), "{mermaid}");
    }
    assert!(!drawing(&net(None)).svg().contains("<circle"));
}

proptest! {
    #[test]
    fn in_a_laid_out_net_nothing_covers_anything_and_no_arc_goes_through_a_node(net in any_net()) {
        let scene = Scene::of(&drawing(&net));
        overlap_free(&scene)?;
        for arc in &scene.arcs {
            let ends = [arc.link.place, net.places.len() + arc.link.transition];
            for (number, node) in scene.nodes.iter().enumerate() {
                if !ends.contains(&number) {
                    let hit = arc.path.points().iter().any(|point| node.body.contains(*point));
                    prop_assert!(!hit, "{:?} goes through {}", arc.link, number);
                }
            }
        }
    }

    #[test]
    fn at_given_positions_nothing_covers_anything(
        net in any_net(),
        at in proptest::collection::vec((0_u32..600, 0_u32..400), 18),
    ) {
        let point = |number: usize| {
            Some(Point { x: f64::from(at[number].0), y: f64::from(at[number].1) })
        };
        let places = net.places.len();
        let transitions = places..places + net.transitions.len();
        let positions = Positions::new((0..places).map(point), transitions.map(point));
        overlap_free(&Scene::of(&Drawing { positions: Some(&positions), ..drawing(&net) }))?;
    }

    #[test]
    fn an_svg_is_well_formed_has_everything_once_and_is_the_same_each_time(net in any_net()) {
        let marking = net.initial();
        let drawing = Drawing { title: "any", marking: Some(&marking), ..drawing(&net) };
        let text = drawing.svg();
        prop_assert_eq!(&text, &drawing.svg());
        let document = roxmltree::Document::parse(&text);
        let document = document.map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        let ids = |class: &str| -> Vec<String> {
            let ids = all(&document, class).into_iter();
            ids.map(|node| node.attribute("data-id").unwrap_or_default().to_owned()).collect()
        };
        prop_assert_eq!(ids("place"), net.places.iter().map(|of| of.id.clone()).collect::<Vec<_>>());
        let transitions = net.transitions.iter().map(|of| of.id.clone()).collect::<Vec<_>>();
        prop_assert_eq!(ids("transition"), transitions);
        let drawn: Vec<_> = all(&document, "arc")
            .into_iter()
            .map(|node| {
                let of = |name| node.attribute(name).unwrap_or_default().to_owned();
                (of("class"), of("data-from"), of("data-to"))
            })
            .collect();
        prop_assert_eq!(drawn.len(), arcs(&net).len());
        prop_assert_eq!(drawn.into_iter().collect::<BTreeSet<_>>(), arcs(&net));
    }

    #[test]
    fn dot_and_mermaid_have_a_line_for_everything(net in any_net()) {
        let (dot, mermaid) = (drawing(&net).dot(), drawing(&net).mermaid());
        let nodes = net.places.len() + net.transitions.len();
        let arcs = arcs(&net).len();
        prop_assert_eq!(dot.matches("\n  p").count() + dot.matches("\n  t").count(), nodes + arcs);
        prop_assert_eq!(mermaid.lines().count(), 1 + nodes + arcs);
    }
}
