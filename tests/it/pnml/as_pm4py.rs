//! Files as PM4Py understands them: it asks each arc for its own weight, then takes and empties in
//! any order, then gives. `.ci/interop` asks PM4Py itself.

use proptest::{collection::vec, prelude::*};
use stormpetrel::{
    formats::pnml::{self, PnmlNet, Profile},
    models::{
        ArcKind,
        petri::{self, Arcs, Input, Net},
    },
};

/// An arc as it stands in the file.
struct Arc {
    place: usize,
    gives: bool,
    weight: i128,
    kind: Option<String>,
}

/// The arcs of the one transition of a file, and the number in its places' ids.
fn arcs(text: &str) -> Vec<Arc> {
    let document = roxmltree::Document::parse(text).unwrap();
    let text_in = |node: roxmltree::Node<'_, '_>, name| {
        let label = node.children().find(|child| child.has_tag_name(name))?;
        let text = label.children().find(|child| child.has_tag_name("text"))?;
        text.text().map(str::to_owned)
    };
    let arc = |node: roxmltree::Node<'_, '_>| {
        let (source, target) =
            (node.attribute("source").unwrap(), node.attribute("target").unwrap());
        let gives = source == "t";
        let place = if gives { target } else { source };
        let weight = text_in(node, "inscription").map_or(1, |weight| weight.parse().unwrap());
        let place = place.trim_start_matches('p').parse().unwrap();
        Arc { place, gives, weight, kind: text_in(node, "arctype") }
    };
    document.descendants().filter(|node| node.has_tag_name("arc")).map(arc).collect()
}

/// The marking that PM4Py makes of one: `objects/petri_net/inhibitor_reset/semantics.py`.
fn fired<'a>(arcs: impl Iterator<Item = &'a Arc> + Clone, marking: &[u64]) -> Option<Vec<i128>> {
    let mut after: Vec<i128> = marking.iter().map(|tokens| (*tokens).into()).collect();
    let enabled = arcs.clone().filter(|arc| !arc.gives).all(|arc| match arc.kind.as_deref() {
        Some("inhibitor") => after[arc.place] == 0,
        Some("reset") => true,
        _ => after[arc.place] >= arc.weight,
    });
    if !enabled {
        return None;
    }
    for arc in arcs.clone().filter(|arc| !arc.gives) {
        match arc.kind.as_deref() {
            Some("inhibitor") => {}
            Some("reset") => after[arc.place] = 0,
            _ => after[arc.place] -= arc.weight,
        }
    }
    arcs.filter(|arc| arc.gives).for_each(|arc| after[arc.place] += arc.weight);
    Some(after)
}

fn net(inputs: Vec<Input>, outputs: Vec<(usize, u64)>) -> Net {
    let place = |at: usize| petri::Place { id: format!("p{at}"), ..petri::Place::default() };
    let arcs = Arcs { inputs, outputs };
    let transition = petri::Transition { id: "t".to_owned(), arcs, ..Default::default() };
    Net { name: String::new(), places: (0..3).map(place).collect(), transitions: vec![transition] }
}

fn nets() -> impl Strategy<Value = (Net, Vec<Vec<u64>>)> {
    let kind = prop_oneof![
        3 => Just(ArcKind::Consume),
        3 => Just(ArcKind::Read),
        1 => Just(ArcKind::Inhibitor),
        1 => Just(ArcKind::Reset),
    ];
    let input = (0..3_usize, 1..3_u64, kind).prop_map(|(place, weight, kind)| Input {
        place,
        weight,
        kind,
    });
    let outputs = vec((0..3_usize, 1..3_u64), 0..4);
    let markings = vec(vec(0..7_u64, 3), 12);
    (vec(input, 0..5), outputs, markings)
        .prop_map(|(inputs, outputs, markings)| (net(inputs, outputs), markings))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_file_for_prom_fires_in_pm4py_as_the_net_does((net, markings) in nets()) {
        let file = PnmlNet::from_petri("net", &net, |_| None);
        let Ok(text) = pnml::write(&[file], Profile::Prom) else { return Ok(()) };
        let arcs = arcs(&text);
        for marking in markings {
            let mut ours = marking.clone();
            let ours = net.fire(0, &mut ours).is_ok().then(|| {
                ours.iter().map(|tokens| i128::from(*tokens)).collect::<Vec<_>>()
            });
            prop_assert_eq!(&fired(arcs.iter(), &marking), &ours, "{:?} {}", marking, text);
            prop_assert_eq!(&fired(arcs.iter().rev(), &marking), &ours, "{:?} {}", marking, text);
        }
    }
}

#[test]
fn what_a_transition_takes_and_reads_in_one_place_is_one_arc() {
    let input = |kind| Input { place: 0, weight: 1, kind };
    let net = net(vec![input(ArcKind::Consume), input(ArcKind::Read)], vec![(1, 1)]);
    let file = PnmlNet::from_petri("net", &net, |_| None);
    let text = pnml::write(&[file], Profile::Prom).unwrap();
    let found: Vec<_> = arcs(&text).iter().map(|arc| (arc.place, arc.gives, arc.weight)).collect();
    assert_eq!(found, [(0, false, 2), (0, true, 1), (1, true, 1)]);
}

#[test]
fn what_pm4py_and_prom_would_take_for_something_else_is_refused_by_name() {
    let refused = |inputs: &[(ArcKind, u64)]| {
        let input = |&(kind, weight): &(ArcKind, u64)| Input { place: 0, weight, kind };
        let net = net(inputs.iter().map(input).collect(), vec![(1, 1)]);
        let file = PnmlNet::from_petri("net", &net, |_| None);
        pnml::write(&[file], Profile::Prom).map(|_| ()).map_err(|refused| refused.to_string())
    };
    use ArcKind::{Consume, Read, Reset};
    let both = refused(&[(Consume, 2), (Reset, 1)]).unwrap_err();
    assert!(both.contains("from place \"p0\" to transition \"t\""), "{both}");
    let most = i32::MAX as u64;
    assert_eq!(refused(&[(Consume, most)]), Ok(()));
    for inputs in [&[(Consume, most + 1)][..], &[(Consume, most), (Read, 1)]] {
        let large = refused(inputs).unwrap_err();
        assert!(large.contains("2147483648") && large.contains("ProM"), "{large}");
    }
}
