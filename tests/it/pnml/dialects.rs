use stormpetrel::{
    formats::pnml::{self, Direction, Mode, Node, Part, Point},
    models::{
        ArcKind,
        petri::{Input, Net},
    },
};

use super::{fixture, read, standard};

fn tokens(net: &Net) -> Vec<(&str, u64)> {
    net.places.iter().map(|place| (place.label(), place.tokens)).collect()
}

#[test]
fn pages_are_flattened_and_references_followed() {
    let document = pnml::read(&fixture("read/iso.pnml"), Mode::Strict).unwrap();
    let net = &document.nets[0];
    let petri = net.petri();
    assert_eq!(tokens(&petri), [("start", 2), ("a<b & Ende ✓", 0)]);
    let arcs = &petri.transitions[0].arcs;
    assert_eq!(arcs.inputs, [Input { place: 0, weight: 2, kind: ArcKind::Consume }]);
    assert_eq!(arcs.outputs, [(1, 1)]);
    let pages: Vec<_> = net.pages.iter().map(|page| (page.id.as_str(), page.parent)).collect();
    assert_eq!(pages, [("g", None), ("g2", Some(0)), ("g3", Some(1))]);
    assert_eq!(net.pages[0].name.as_deref(), Some("main"));
    assert_eq!((net.places[1].page, net.transitions[0].page), (Some(2), Some(0)));
    let targets: Vec<_> = net.references.iter().map(|r| (r.id.as_str(), r.target)).collect();
    assert_eq!(
        targets,
        [("r1", Node::Place(0)), ("rt", Node::Transition(0)), ("r2", Node::Place(0))]
    );
}

#[test]
fn what_is_drawn_is_kept() {
    let document = read("read/iso.pnml");
    let net = &document.nets[0];
    let place = net.places[0].graphics.as_ref().unwrap();
    assert_eq!(place.position, Some(Point { x: 100.0, y: 50.0 }));
    assert_eq!(place.dimension, Some(Point { x: 20.0, y: 20.0 }));
    assert_eq!(place.name_offset, Some(Point { x: -4.0, y: 22.5 }));
    let transition = net.transitions[0].graphics.as_ref().unwrap();
    assert_eq!(transition.position, Some(Point { x: 150.25, y: -50.0 }));
    let arc = net.arcs[0].graphics.as_ref().unwrap();
    assert_eq!(arc.points, [Point { x: 110.0, y: 60.0 }, Point { x: 120.0, y: 70.0 }]);
    assert_eq!(arc.weight_offset, Some(Point { x: 1.0, y: 2.0 }));
}

#[test]
fn what_tools_noted_is_kept_and_never_read_as_net() {
    let document = read("read/iso.pnml");
    let net = &document.nets[0];
    let noted: Vec<_> = net
        .tool_specific
        .iter()
        .map(|note| (note.part, note.tool.as_str(), &*note.content))
        .collect();
    assert_eq!(
        noted,
        [
            (Part::Place(0), "t", "<tokengraphics/>"),
            (
                Part::Page(0),
                "x",
                "<place id=\"p1\"><initialMarking><text>9</text></initialMarking></place>"
            ),
        ]
    );
}

#[test]
fn a_file_can_have_several_nets() {
    let document = read("read/several-nets.pnml");
    let ids: Vec<_> = document.nets.iter().map(|net| net.id.as_str()).collect();
    assert_eq!(ids, ["one", "two"]);
    assert_eq!(document.nets[0].petri().name, "one");
    assert_eq!(document.nets[1].petri().name, "The second");
}

#[test]
fn woped_names_no_namespace_and_has_no_page() {
    let document = read("read/woped.pnml");
    let petri = document.nets[0].petri();
    assert_eq!(tokens(&petri), [("begin", 1), ("end", 0)]);
    assert_eq!(petri.transitions[0].label(), "work");
    assert_eq!(document.notes.len(), 1, "{:?}", document.notes);
    assert_eq!((document.notes[0].line, document.notes[0].count), (17, 1));
}

#[test]
fn prom_names_final_markings_and_what_data_petri_nets_add_is_noted() {
    let document = read("read/prom.pnml");
    let net = &document.nets[0];
    assert_eq!(net.final_markings().collect::<Vec<_>>(), [[0, 1]]);
    assert_eq!(net.petri().transitions[0].label(), "register");
    assert_eq!(net.pages[0].name, None);
    let notes: Vec<_> = document.notes.iter().map(|note| note.message.as_str()).collect();
    assert!(notes[0].contains("guard") && notes[1].contains("readVariable"), "{notes:?}");
}

#[test]
fn pipe_writes_the_class_of_tokens_beside_the_number() {
    let document = read("read/pipe.pnml");
    let net = &document.nets[0];
    let petri = net.petri();
    assert_eq!(tokens(&petri), [("P0", 3), ("P1", 0)]);
    assert_eq!((petri.places[0].capacity, petri.places[1].capacity), (None, Some(5)));
    let arcs = &petri.transitions[0].arcs;
    let consume = Input { place: 0, weight: 2, kind: ArcKind::Consume };
    let inhibitor = Input { place: 1, weight: 1, kind: ArcKind::Inhibitor };
    assert_eq!(arcs.inputs, [consume, inhibitor]);
    assert_eq!(net.arcs[0].graphics.as_ref().unwrap().points.len(), 2);
}

#[test]
fn tapaal_writes_everything_as_attributes() {
    let document = read("read/tapaal.pnml");
    let net = &document.nets[0];
    let petri = net.petri();
    assert_eq!(tokens(&petri), [("Start", 2), ("P1", 0)]);
    let arcs = &petri.transitions[0].arcs;
    let consume = Input { place: 0, weight: 2, kind: ArcKind::Consume };
    let inhibitor = Input { place: 1, weight: 4, kind: ArcKind::Inhibitor };
    assert_eq!((&arcs.inputs[..], &arcs.outputs[..]), (&[consume, inhibitor][..], &[(1, 3)][..]));
    let position = net.places[1].graphics.as_ref().unwrap().position;
    assert_eq!(position, Some(Point { x: 300.0, y: 90.0 }));
}

#[test]
fn pnapi_puts_the_net_into_a_module_and_the_final_marking_after_it() {
    let document = read("read/pnapi.pnml");
    let net = &document.nets[0];
    assert_eq!(net.petri().name, "lib/a.lola");
    assert_eq!(tokens(&net.petri()), [("alpha", 1), ("process.s1##s2.omega", 0)]);
    assert_eq!(net.final_markings().collect::<Vec<_>>(), [[0, 1]]);
}

#[test]
fn the_kinds_of_arcs_have_many_spellings() {
    let net = &read("read/extended-arcs.pnml").nets[0];
    let inputs = net.arcs.iter().filter(|arc| arc.direction == Direction::ToTransition);
    let arcs: Vec<_> = inputs.map(|arc| (arc.kind, arc.weight)).collect();
    assert_eq!(
        arcs,
        [
            (ArcKind::Inhibitor, 1),
            (ArcKind::Inhibitor, 2),
            (ArcKind::Inhibitor, 1),
            (ArcKind::Read, 3),
            (ArcKind::Read, 1),
            (ArcKind::Reset, 1),
            (ArcKind::Reset, 1),
            (ArcKind::Consume, 1),
        ]
    );
    // In the file, what reads three looks at the one that is taken; ours needs two more.
    let inputs = &net.petri().transitions[0].arcs.inputs;
    let read: Vec<_> = inputs.iter().filter(|arc| arc.kind == ArcKind::Read).collect();
    assert_eq!(read.iter().map(|arc| arc.weight).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn a_name_keeps_its_spaces_but_not_the_indentation_around_it() {
    let names = ["<text>  two  spaces </text>", "<text>\n    on a line\n  </text>", "<text/>"];
    let places: String = names
        .iter()
        .enumerate()
        .map(|(index, name)| format!("<place id=\"p{index}\"><name>{name}</name></place>"))
        .collect();
    let document = pnml::read(standard(&places).as_bytes(), Mode::Strict).unwrap();
    let names: Vec<_> = document.nets[0].places.iter().map(|p| p.name.as_deref()).collect();
    assert_eq!(names, [Some("  two  spaces "), Some("on a line"), None]);
}
