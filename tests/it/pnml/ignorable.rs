//! Elements that can't change a net: read with a note, at any place and with any contents.

use proptest::{collection::vec, prelude::*};
use stormpetrel::formats::pnml::{self, Document, Mode};

use super::{fixture, standard};

fn lenient(text: &str) -> Document {
    pnml::read(text.as_bytes(), Mode::Lenient).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// A net with something at each place where tools put their own elements.
fn with(net: &str, place: &str, transition: &str, arc: &str, name: &str) -> String {
    standard(&format!(
        "{net}<place id='p'><name>{name}<text>p</text></name>\
         <initialMarking><text>2</text></initialMarking>{place}</place>\
         <place id='q'/><transition id='t'>{transition}</transition>\
         <arc id='a' source='p' target='t'><inscription><text>2</text></inscription>{arc}</arc>\
         <arc id='b' source='t' target='q'/>"
    ))
}

#[test]
fn an_offset_without_x_is_noted_and_the_net_is_read() {
    let name = "<graphics><offset y='-10'/></graphics>";
    let document = lenient(&with("", "", "", "", name));
    assert_eq!(document.nets[0].petri(), lenient(&with("", "", "", "", "")).nets[0].petri());
    let notes: Vec<_> = document.notes.iter().map(|note| note.message.as_str()).collect();
    assert!(
        matches!(notes[..], [note] if note.contains("<offset> lacks the attribute x")),
        "{notes:?}"
    );
}

#[test]
fn what_pipe_asks_of_states_is_noted() {
    let group = "<stategroup id='SG0'><name><value>SG0</value></name>\
                 <statecondition condition='P0 &gt; 1'/></stategroup>";
    let document = lenient(&with(group, "", "", "", ""));
    assert_eq!(document.nets[0].petri(), lenient(&with("", "", "", "", "")).nets[0].petri());
    assert!(document.notes[0].message.contains("stategroup"), "{:?}", document.notes);
}

#[test]
fn a_time_interval_that_allows_any_time_is_none() {
    let delay = |least, most| {
        format!(
            "<delay><interval xmlns='http://www.w3.org/1998/Math/MathML' closure='closed-open'>\
             <cn>{least}</cn>{most}</interval><graphics><offset x='-10' y='0'/></graphics></delay>"
        )
    };
    let endless = "<ci>infty</ci>";
    lenient(&with("", "", &delay(0, endless), "", ""));
    for (least, most) in [(4, endless), (0, "<cn>9</cn>")] {
        let text = with("", "", &delay(least, most), "", "");
        let error = pnml::read(text.as_bytes(), Mode::Lenient).unwrap_err();
        assert_eq!(error.kind.code(), "timing", "{error}");
    }
}

/// Names of elements that no tool gives a meaning, of the place where they stand.
fn element(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let content = prop_oneof![
        Just(String::new()),
        Just("7".to_owned()),
        Just("<value>x</value>".to_owned()),
        Just("<text>-1</text><place id='p'/><arc source='t' target='p'/>".to_owned()),
    ];
    let element = (prop::sample::select(names), "[a-zA-Z0-9 ,.&-]{0,6}", content);
    element.prop_map(|(name, attribute, content)| {
        let attribute = attribute.replace('&', "&amp;");
        format!("<{name} id='p' weight='{attribute}'>{content}</{name}>")
    })
}

/// Graphics as they should not be.
fn graphics() -> impl Strategy<Value = String> {
    let number =
        prop_oneof![Just(""), Just("12,5"), Just("NaN"), Just("1e999"), Just("x"), Just("4")];
    let name = prop_oneof![Just("position"), Just("dimension"), Just("offset"), Just("other")];
    let one = (name, prop::option::of(number.clone()), prop::option::of(number));
    let one = one.prop_map(|(name, x, y)| {
        let attribute = |name, value: Option<&str>| {
            value.map_or(String::new(), |value| format!(" {name}='{value}'"))
        };
        format!("<{name}{}{}/>", attribute("x", x), attribute("y", y))
    });
    vec(one, 0..4).prop_map(|all| format!("<graphics>{}</graphics>", all.concat()))
}

const WORDS: &[&str] = &["description", "documentation", "comment", "note", "annotation", "labels"];
const OF_NETS: &[&str] = &["stategroup", "token", "definition", "rateParameter", "variables"];
const OF_TRANSITIONS: &[&str] = &["rate", "weight", "orientation", "infiniteServer", "role"];

fn some(of: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    vec(of, 0..3).prop_map(|all| all.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_cant_change_a_net_never_refuses_it(
        net in some(prop_oneof![element(OF_NETS), element(WORDS)]),
        place in some(prop_oneof![graphics(), element(WORDS)]),
        transition in some(prop_oneof![graphics(), element(WORDS), element(OF_TRANSITIONS)]),
        arc in some(prop_oneof![graphics(), element(WORDS)]),
        name in some(prop_oneof![graphics(), element(WORDS), element(&["colour", "anything"])]),
        second in prop::option::of(Just("<name><text>second</text></name>")),
    ) {
        let transition = transition + second.unwrap_or_default();
        let document = lenient(&with(&net, &place, &transition, &arc, &name));
        let read = document.nets[0].petri();
        let plain = lenient(&with("", "", "", "", "")).nets[0].petri();
        prop_assert_eq!(&read.places, &plain.places);
        prop_assert_eq!(&read.transitions[0].arcs, &plain.transitions[0].arcs);
    }
}

#[test]
fn what_can_change_a_net_is_refused_as_before() {
    for (net, place, transition, arc) in [
        ("<automaton id='x'/>", "", "", ""),
        ("", "<colour>red</colour>", "", ""),
        ("", "<initialMarking><text>3</text></initialMarking>", "", ""),
        ("", "", "<guard>x</guard>", ""),
        ("", "", "", "<transportWeight>2</transportWeight>"),
        ("<priority><text>1</text></priority>", "", "", ""),
    ] {
        let text = with(net, place, transition, arc, "");
        assert!(pnml::read(text.as_bytes(), Mode::Lenient).is_err(), "{text}");
    }
    assert!(pnml::read(&fixture("strict/graphics--position.pnml"), Mode::Strict).is_err());
}
