//! A written file gives the same net when it is read.

use std::collections::HashSet;

use proptest::{collection::vec, option, prelude::*};
use stormpetrel::{
    formats::pnml::{
        self, Arc, ArcGraphics, Direction, Mode, NodeGraphics, Place, PnmlNet, Point, Profile,
        Transition,
    },
    models::{
        ArcKind,
        petri::{self, Arcs, Input, Net},
    },
};

/// Ids as they come, from plain ones to those that XML needs spelled out.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z_][a-zA-Z0-9_.-]{0,6}",
        "_x[0-9A-F]{4}_",
        "\\PC{1,6}",
        Just("a\tb\r\nc".to_owned()),
        Just("page".to_owned()),
        Just("p_n1".to_owned()),
    ]
    .prop_filter("XML has no place for it", |id| writable(id))
}

fn name() -> impl Strategy<Value = Option<String>> {
    let text = prop_oneof!["[a-z ]{1,8}", "\\PC{1,12}", Just("<&>\"' ]]> &amp; x\ty".to_owned())];
    // A blank name is none.
    option::of(text.prop_filter("blank", |name| !name.trim().is_empty() && writable(name)))
}

fn writable(text: &str) -> bool {
    !text.contains(['\u{FFFE}', '\u{FFFF}'])
}

fn point() -> impl Strategy<Value = Point> {
    let number =
        prop_oneof![-1000.0..1000.0, any::<f64>().prop_filter("finite", |n| n.is_finite())];
    (number.clone(), number).prop_map(|(x, y)| Point { x, y })
}

fn graphics() -> impl Strategy<Value = Option<Box<NodeGraphics>>> {
    let whole = (point(), option::of(point())).prop_map(|(position, name_offset)| {
        Box::new(NodeGraphics { position: Some(position), dimension: None, name_offset })
    });
    option::of(whole)
}

prop_compose! {
    fn arc(places: usize, transitions: usize)(
        place in 0..places,
        transition in 0..transitions,
        to_place in any::<bool>(),
        kind in prop_oneof![
            4 => Just(ArcKind::Consume), 1 => Just(ArcKind::Inhibitor), 1 => Just(ArcKind::Reset)
        ],
        weight in prop_oneof![Just(1_u64), 1..10_u64, Just(u64::MAX >> 8)],
        points in vec(point(), 0..3),
        id in id(),
    ) -> Arc {
        let direction = if to_place { Direction::ToPlace } else { Direction::ToTransition };
        let kind = if to_place { ArcKind::Consume } else { kind };
        let weight = if kind == ArcKind::Consume { weight } else { 1 };
        let graphics = ArcGraphics { points, weight_offset: None };
        let graphics = (!graphics.points.is_empty()).then(|| Box::new(graphics));
        Arc { id, place, transition, direction, kind, weight, graphics, page: None }
    }
}

/// Arcs of which no two lead the same way between the same two: those become one.
fn one_of_each(arcs: &mut Vec<Arc>) {
    let mut ends = HashSet::new();
    arcs.retain(|arc| ends.insert((arc.place, arc.transition, arc.direction, arc.kind)));
}

fn net() -> impl Strategy<Value = PnmlNet> {
    let node = || (id(), name(), graphics());
    let nodes = (vec((node(), 0..5_u64), 1..6), vec(node(), 1..6));
    nodes
        .prop_flat_map(|(places, transitions)| {
            let arcs = vec(arc(places.len(), transitions.len()), 0..12);
            (Just(places), Just(transitions), arcs, name(), id())
        })
        .prop_map(|(places, transitions, arcs, name, id)| {
            let mut net = PnmlNet { id, name, arcs, ..PnmlNet::default() };
            one_of_each(&mut net.arcs);
            // Two nodes of one kind have two ids.
            for (index, ((id, name, graphics), tokens)) in places.into_iter().enumerate() {
                let id = if net.places.iter().any(|p| p.id == id) {
                    format!("{id}{index}é")
                } else {
                    id
                };
                let (capacity, page) = (None, None);
                net.places.push(Place { id, name, tokens, capacity, graphics, page });
            }
            for (index, (id, name, graphics)) in transitions.into_iter().enumerate() {
                let taken = net.transitions.iter().any(|t| t.id == id);
                let id = if taken { format!("{id}{index}é") } else { id };
                net.transitions.push(Transition {
                    id,
                    name,
                    graphics,
                    page: None,
                    silent: index % 2 == 1,
                    immediate: (index % 3 == 1).then_some(index as i32 - 2),
                    timed: (index % 3 == 2).then(|| petri::Timed::After(format!("{index}s"))),
                    work: (index % 4 == 3)
                        .then(|| pnml::Work { way: None, activity: Some(Box::default()) }),
                });
            }
            net
        })
}

/// A net without the parts that a file of ours doesn't keep: ids of arcs, pages, the net's own
/// id, and the position of a name that there isn't.
fn essence(net: &PnmlNet) -> PnmlNet {
    let mut net = net.clone();
    net.id = String::new();
    net.net_type = String::new();
    net.pages.clear();
    net.arcs.iter_mut().for_each(|arc| (arc.id, arc.page) = (String::new(), None));
    let nameless = |graphics: &mut Option<Box<NodeGraphics>>| {
        graphics.iter_mut().for_each(|graphics| graphics.name_offset = None);
    };
    for place in &mut net.places {
        place.page = None;
        place.name.is_none().then(|| nameless(&mut place.graphics));
    }
    for transition in &mut net.transitions {
        transition.page = None;
        transition.name.is_none().then(|| nameless(&mut transition.graphics));
    }
    net
}

proptest! {
    #[test]
    fn a_net_comes_back_from_a_file_of_the_standard(net in net()) {
        let mut net = net;
        net.arcs.iter_mut().for_each(|arc| arc.kind = ArcKind::Consume);
        one_of_each(&mut net.arcs);
        let text = pnml::write(std::slice::from_ref(&net), Profile::Iso).unwrap();
        let read = pnml::read(text.as_bytes(), Mode::Strict);
        let read = read.unwrap_or_else(|error| panic!("{error} in {text}"));
        prop_assert_eq!(essence(&read.nets[0]), essence(&net), "{}", text);
        prop_assert!(read.notes.is_empty());
    }

    #[test]
    fn a_net_comes_back_from_a_file_for_prom(net in net(), ends in vec(0..4_u64, 6)) {
        let mut net = net;
        net.arcs.retain(|arc| arc.kind != ArcKind::Reset);
        net.arcs.iter_mut().for_each(|arc| arc.weight = arc.weight.min(i32::MAX as u64));
        let ends = ends.into_iter().enumerate().take(net.places.len());
        net.final_marking_entries = vec![ends.filter(|(_, tokens)| *tokens > 0).collect()];
        let text = pnml::write(std::slice::from_ref(&net), Profile::Prom).unwrap();
        let read = pnml::read(text.as_bytes(), Mode::Lenient).unwrap();
        let read = essence(&read.nets[0]);
        let net = essence(&net);
        let petri = (read.petri(), net.petri());
        prop_assert_eq!(petri.0.initial(), petri.1.initial());
        for (read, net) in petri.0.transitions.iter().zip(&petri.1.transitions) {
            prop_assert_eq!((&read.id, read.label()), (&net.id, net.label()));
            prop_assert_eq!(&read.arcs, &net.arcs);
        }
        for (read, net) in read.places.iter().zip(&net.places) {
            let position = |place: &Place| place.graphics.as_ref().and_then(|g| g.position);
            prop_assert_eq!((&read.id, position(read)), (&net.id, position(net)));
        }
        prop_assert_eq!(read.final_marking_entries, net.final_marking_entries);
    }

    #[test]
    fn several_nets_of_one_file_keep_their_ids_where_they_are_the_same(net in net()) {
        let mut net = net;
        net.arcs.iter_mut().for_each(|arc| arc.kind = ArcKind::Consume);
        one_of_each(&mut net.arcs);
        let text = pnml::write(&[net.clone(), net.clone()], Profile::Iso).unwrap();
        let read = pnml::read(text.as_bytes(), Mode::Strict).unwrap();
        for read in &read.nets {
            prop_assert_eq!(essence(read), essence(&net), "{}", text);
        }
    }
}

/// Nets with every kind of arc between two places and a transition, and a marking.
fn arcs_and_marking() -> impl Strategy<Value = (Net, Vec<u64>)> {
    let kind = prop_oneof![
        3 => Just(ArcKind::Consume),
        3 => Just(ArcKind::Read),
        1 => Just(ArcKind::Inhibitor),
        1 => Just(ArcKind::Reset),
    ];
    let input = (0..2_usize, 1..4_u64, kind).prop_map(|(place, weight, kind)| {
        let weight = if kind == ArcKind::Inhibitor { 1 } else { weight };
        Input { place, weight, kind }
    });
    let tokens = prop_oneof![9 => 0..9_u64, 1 => Just(u64::MAX)];
    let outputs = vec((0..2_usize, 1..4_u64), 0..3);
    (vec(input, 0..6), outputs, vec(tokens, 2)).prop_map(|(inputs, outputs, marking)| {
        let place = |id: &str| petri::Place { id: id.to_owned(), ..petri::Place::default() };
        let arcs = Arcs { inputs, outputs };
        let transition = petri::Transition { id: "t".to_owned(), arcs, ..Default::default() };
        let places = vec![place("p"), place("q")];
        (Net { name: String::new(), places, transitions: vec![transition] }, marking)
    })
}

/// The marking after a firing; `None` if it can't fire.
fn fired(net: &Net, marking: &[u64]) -> Option<Vec<u64>> {
    let mut marking = marking.to_vec();
    net.fire(0, &mut marking).is_ok().then_some(marking)
}

proptest! {
    #[test]
    fn a_net_from_a_file_fires_as_the_net_that_was_written((net, marking) in arcs_and_marking()) {
        let file = PnmlNet::from_petri("net", &net, |_| None);
        prop_assert_eq!(fired(&file.petri(), &marking), fired(&net, &marking), "{:?}", file);
        let arcs = &net.transitions[0].arcs;
        let also_reset =
            |arc: &Input| arc.kind != ArcKind::Reset && arcs.resets(arc.place);
        match pnml::write(std::slice::from_ref(&file), Profile::Prom) {
            Err(refused) => prop_assert!(arcs.inputs.iter().any(also_reset), "{}", refused),
            Ok(text) => {
                let read = pnml::read(text.as_bytes(), Mode::Lenient).unwrap().nets[0].petri();
                prop_assert_eq!(fired(&read, &marking), fired(&net, &marking), "{}", text);
            }
        }
    }

    #[test]
    fn a_read_arc_of_a_file_looks_at_every_token(
        (net, marking) in arcs_and_marking().prop_map(|(mut net, marking)| {
            net.transitions[0].arcs.inputs.retain(|arc| arc.kind != ArcKind::Reset);
            net.transitions[0].arcs.outputs.clear();
            (net, marking)
        })
    ) {
        let arcs = &net.transitions[0].arcs;
        let mut file = PnmlNet::from_petri("net", &net, |_| None);
        let arc = |input: &Input| Arc {
            place: input.place,
            weight: input.weight,
            ..one_arc(input.kind, 1).arcs.remove(0)
        };
        file.arcs = arcs.inputs.iter().map(arc).collect();
        let enabled = arcs.inputs.iter().all(|arc| match arc.kind {
            ArcKind::Inhibitor => marking[arc.place] < arc.weight,
            ArcKind::Consume => marking[arc.place] >= arcs.weight(arc.place, ArcKind::Consume),
            _ => marking[arc.place] >= arc.weight,
        });
        prop_assert_eq!(fired(&file.petri(), &marking).is_some(), enabled);
    }
}

fn one_arc(kind: ArcKind, weight: u64) -> PnmlNet {
    let mut net = PnmlNet::default();
    net.places.push(Place { id: "p".into(), ..Place::default() });
    net.transitions.push(Transition { id: "t".into(), ..Transition::default() });
    net.arcs.push(Arc {
        id: String::new(),
        place: 0,
        transition: 0,
        direction: Direction::ToTransition,
        kind,
        weight,
        graphics: None,
        page: None,
    });
    net
}

#[test]
fn a_file_that_would_mean_something_else_is_never_written() {
    let problems = |net: &PnmlNet, profile| {
        pnml::write(std::slice::from_ref(net), profile).map(|_| ()).unwrap_err().0
    };
    for kind in [ArcKind::Read, ArcKind::Inhibitor, ArcKind::Reset] {
        let problems = problems(&one_arc(kind, 1), Profile::Iso);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("from place \"p\" to transition \"t\""), "{problems:?}");
        assert!(pnml::write(&[one_arc(kind, 1)], Profile::Prom).is_ok());
    }
    assert!(problems(&one_arc(ArcKind::Inhibitor, 2), Profile::Prom)[0].contains("weight 2"));
    let mut net = one_arc(ArcKind::Consume, 0);
    net.places[0].capacity = Some(3);
    net.places[0].name = Some("bell \u{7}".to_owned());
    net.final_marking_entries = vec![vec![(0, 1)], vec![(0, 2)]];
    assert_eq!(problems(&net, Profile::Iso).len(), 3);
    assert_eq!(problems(&net, Profile::Prom).len(), 4);
    assert!(pnml::write(&[PnmlNet::default(), PnmlNet::default()], Profile::Prom).is_err());
}

#[test]
fn a_name_for_prom_has_nothing_beside_its_text() {
    let net = super::read("read/iso.pnml").nets.remove(0);
    assert!(net.places[0].graphics.as_ref().unwrap().name_offset.is_some());
    let text = pnml::write(&[net], Profile::Prom).unwrap();
    assert!(!text.contains("<offset x=\"-4\""), "{text}");
}

#[test]
fn a_read_arc_for_prom_takes_and_gives_back() {
    let text = pnml::write(&[one_arc(ArcKind::Read, 3)], Profile::Prom).unwrap();
    let net = pnml::read(text.as_bytes(), Mode::Lenient).unwrap().nets[0].petri();
    let arcs = &net.transitions[0].arcs;
    assert_eq!((arcs.inputs[0].weight, &arcs.outputs[..]), (3, &[(0, 3)][..]));
    let mut both = one_arc(ArcKind::Read, 3);
    both.arcs.push(Arc { kind: ArcKind::Reset, weight: 1, ..both.arcs[0].clone() });
    assert!(pnml::write(&[both], Profile::Prom).is_err());
}

#[test]
fn weights_that_no_reader_could_add_up_are_not_written() {
    // Taken and given back, it would be counted twice.
    let large = 1 << 63;
    let refused = pnml::write(&[one_arc(ArcKind::Read, large)], Profile::Prom).unwrap_err();
    assert!(refused.0[0].contains("64 bits"), "{refused}");
    let mut two = one_arc(ArcKind::Consume, large);
    two.arcs.push(Arc { direction: Direction::ToPlace, ..two.arcs[0].clone() });
    assert!(pnml::write(&[two], Profile::Iso).is_err());
    let most_of_prom = i32::MAX as u64;
    for (most, profile) in [
        (one_arc(ArcKind::Read, most_of_prom), Profile::Prom),
        (one_arc(ArcKind::Consume, u64::MAX), Profile::Iso),
    ] {
        let text = pnml::write(std::slice::from_ref(&most), profile).unwrap();
        let read = pnml::read(text.as_bytes(), Mode::Lenient).unwrap().nets[0].petri();
        assert_eq!(read.transitions[0].arcs.inputs[0].weight, most.arcs[0].weight);
    }
}

#[test]
fn what_tools_noted_comes_back_with_the_namespaces_it_needs() {
    let page = "<place id=\"p\"><toolspecific tool=\"t\" version=\"1\" xmlns:x=\"urn:x\" \
                xmlns:y=\"urn:y\" xmlns:unused=\"urn:z\"><x:a y:b=\"&lt;\"/></toolspecific></place>";
    let read = pnml::read(super::standard(page).as_bytes(), Mode::Strict).unwrap();
    let of = |prefix: &str| (format!("xmlns:{prefix}"), format!("urn:{prefix}"));
    assert_eq!(read.nets[0].tool_specific[0].attributes, [of("x"), of("y")]);
    let text = pnml::write(&read.nets, Profile::Iso).unwrap();
    roxmltree::Document::parse(&text).unwrap();
    let again = pnml::read(text.as_bytes(), Mode::Strict).unwrap();
    assert_eq!(again.nets[0].tool_specific, read.nets[0].tool_specific);

    // Of an attribute of its own, and of what is around it, which means something else there.
    let page = "<place id=\"p\" xmlns:x=\"urn:outer\" xmlns:y=\"urn:outer\"><toolspecific \
                xmlns:x=\"urn:x\" x:mine=\"1\"><y:a/></toolspecific></place>";
    let read = pnml::read(super::standard(page).as_bytes(), Mode::Lenient).unwrap();
    let text = pnml::write(&read.nets, Profile::Prom).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let note = document.descendants().find(|node| node.has_tag_name("toolspecific")).unwrap();
    assert_eq!(note.attribute(("urn:x", "mine")), Some("1"));
    assert!(note.has_children() && note.descendants().any(|n| n.has_tag_name(("urn:outer", "a"))));
}

#[test]
fn notes_that_the_standard_has_no_place_for_are_left_out_of_its_files() {
    for content in ["text", "<a/>text", "<a/>&amp;", "<![CDATA[a]]>", "<!-- a -- b -->"] {
        let page = format!("<toolspecific tool=\"t\" version=\"1\">{content}</toolspecific>");
        let read = pnml::read(super::standard(&page).as_bytes(), Mode::Lenient).unwrap();
        assert_eq!(read.nets[0].tool_specific.len(), 1);
        let text = pnml::write(&read.nets, Profile::Iso).unwrap();
        let again = pnml::read(text.as_bytes(), Mode::Strict).unwrap();
        assert!(again.nets[0].tool_specific.is_empty(), "{content}");
    }
}

#[test]
fn what_dialects_are_read_is_written_for_the_standard_too() {
    for file in ["iso", "woped", "prom", "tapaal", "pnapi"] {
        let mut net = super::read(&format!("read/{file}.pnml")).nets.remove(0);
        net.arcs.retain(|arc| arc.kind == ArcKind::Consume);
        let text = pnml::write(std::slice::from_ref(&net), Profile::Iso).unwrap();
        let read = pnml::read(text.as_bytes(), Mode::Strict);
        let read = read.unwrap_or_else(|error| panic!("{file}: {error} in {text}"));
        assert_eq!(
            read.nets[0].petri(),
            stormpetrel::models::petri::Net { name: read.nets[0].petri().name, ..net.petri() },
            "{file}"
        );
    }
}
