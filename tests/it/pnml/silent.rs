//! Silent transitions and final markings on their way through files and definitions.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use serde_json::json;
use stormpetrel::{
    engine::Net,
    formats::pnml::{self, Mode, PnmlNet, Profile},
    models::{PlaceId, WorkflowDefinition, WorkflowId},
};

use super::standard;

fn read(text: &str) -> PnmlNet {
    pnml::read(text.as_bytes(), Mode::Lenient).unwrap().nets.remove(0)
}

fn imported(net: &PnmlNet) -> WorkflowDefinition {
    let definition = net.definition(WorkflowId::new("w").unwrap()).unwrap();
    Net::compile(&definition).unwrap();
    definition
}

fn with_note(note: &str) -> String {
    standard(&format!(
        "<place id='i'><initialMarking><text>1</text></initialMarking></place><place id='o'/>\
         <transition id='t'><name><text>tau</text></name>{note}</transition>\
         <arc id='a' source='i' target='t'/><arc id='b' source='t' target='o'/>"
    ))
}

#[test]
fn what_prom_calls_invisible_is_silent_and_stays_so() {
    let prom = "<toolspecific tool='ProM' version='6.4' activity='$invisible$' localNodeID='x'/>";
    let net = read(&with_note(prom));
    assert!(net.transitions[0].silent && net.petri().transitions[0].silent);
    let definition = imported(&net);
    let json = json!(definition);
    assert_eq!(
        (&json["transitions"][0]["silent"], &json["transitions"][0]["name"]),
        (&json!(true), &json!("tau"))
    );
    let petri = Net::compile(&definition).unwrap().petri();
    for profile in [Profile::Iso, Profile::Prom] {
        let text = pnml::write(&[PnmlNet::from_petri("w", &petri, |_| None)], profile).unwrap();
        let again = read(&text);
        assert!(again.transitions[0].silent, "{text}");
        assert!(again.tool_specific.is_empty(), "said once: {text}");
        let invisible = text.contains("tool=\"ProM\" version=\"6.4\" activity=\"$invisible$\"");
        assert_eq!(invisible, profile == Profile::Prom, "{text}");
    }
    assert!(pnml::read(with_note("").as_bytes(), Mode::Strict).is_ok());
    let iso = pnml::write(&[PnmlNet::from_petri("w", &petri, |_| None)], Profile::Iso).unwrap();
    assert!(pnml::read(iso.as_bytes(), Mode::Strict).unwrap().nets[0].transitions[0].silent);
}

#[test]
fn nothing_but_such_a_note_makes_a_transition_silent() {
    for (note, silent) in [
        ("", false),
        ("<toolspecific tool='ProM' version='6.4' activity='invisible ink'/>", false),
        ("<toolspecific tool='other' version='1' activity='$invisible$'/>", false),
        (
            "<toolspecific tool='StochasticPetriNet' version='0.2'><property key=\"invisible\">\
             true</property></toolspecific>",
            true,
        ),
        (
            "<toolspecific tool='StochasticPetriNet' version='0.2'><property key=\"invisible\">\
             false</property></toolspecific>",
            false,
        ),
        ("<toolspecific tool='stormpetrel' version='1'><silent/></toolspecific>", true),
    ] {
        assert_eq!(read(&with_note(note)).transitions[0].silent, silent, "{note}");
    }
    // PM4Py would take it for silent, or fail.
    for note in ["activity='invisible ink'", "mine='1'"] {
        let note = format!("<toolspecific tool='ProM' version='6.4' {note}/>");
        let text = pnml::write(&[read(&with_note(&note))], Profile::Prom).unwrap();
        assert!(!text.contains("ProM"), "{text}");
    }
}

#[test]
fn final_markings_are_kept_where_they_dont_go_without_saying() {
    let with = |finals: &str| {
        let net = with_note("")
            .replace("</page>", &format!("</page><finalmarkings>{finals}</finalmarkings>"));
        imported(&read(&net)).final_markings
    };
    let marking = |id: &str, tokens| {
        format!("<marking><place idref='{id}'><text>{tokens}</text></place></marking>")
    };
    let of = |id: &str, tokens| BTreeMap::from([(PlaceId::new(id).unwrap(), tokens)]);
    assert_eq!(with(&marking("o", 1)), []);
    assert_eq!(with(""), []);
    assert_eq!(with(&marking("i", 1)), [of("i", 1)]);
    assert_eq!(with(&marking("o", 3)), [of("o", 3)]);
    assert_eq!(with(&(marking("o", 1) + &marking("i", 1))), [of("o", 1), of("i", 1)]);
    assert_eq!(with("<marking/>"), [BTreeMap::new()]);
}

#[test]
fn a_final_marking_names_places_of_the_definition() {
    let mut definition = imported(&read(&with_note("")));
    definition.final_markings = vec![BTreeMap::from([(PlaceId::new("nowhere").unwrap(), 1)])];
    let problems = Net::compile(&definition).unwrap_err();
    assert_eq!(problems.0[0].path, "final_markings[0].nowhere");
}

proptest! {
    #[test]
    fn what_is_silent_and_where_cases_end_comes_back_from_every_file(
        silent in vec(any::<bool>(), 1..5),
        last in vec(0..3_u64, 1..5),
        yaml in any::<bool>(),
    ) {
        let count = silent.len();
        let place = |at: usize| json!({ "id": format!("p{at}") });
        let transition = |(at, silent): (usize, &bool)| json!({
            "id": format!("t{at}"), "silent": silent,
            "inputs": [{ "place": format!("p{at}") }],
            "outputs": [{ "place": format!("p{}", at + 1) }],
        });
        let last: BTreeMap<_, _> =
            last.iter().enumerate().take(count).map(|(at, n)| (format!("p{at}"), *n)).collect();
        let definition: WorkflowDefinition = serde_json::from_value(json!({
            "id": "w", "initial_place": "p0", "final_markings": [last],
            "places": (0..=count).map(place).collect::<Vec<_>>(),
            "transitions": silent.iter().enumerate().map(transition).collect::<Vec<_>>(),
        })).unwrap();
        let read_back: WorkflowDefinition = match yaml {
            true => serde_saphyr::from_str(&serde_saphyr::to_string(&definition).unwrap()).unwrap(),
            false => serde_json::from_str(&json!(definition).to_string()).unwrap(),
        };
        prop_assert_eq!(&read_back, &definition);
        let compiled = Net::compile(&definition).unwrap();
        let petri = compiled.petri();
        let found: Vec<bool> = petri.transitions.iter().map(|of| of.silent).collect();
        prop_assert_eq!(&found, &silent);
        let mut file = PnmlNet::from_petri("w", &petri, |_| None);
        let held = |marking: &Vec<u64>| marking.iter().copied().enumerate().filter(|of| of.1 > 0).collect();
        file.final_marking_entries = compiled.final_markings.iter().map(held).collect();
        let read = read(&pnml::write(&[file], Profile::Prom).unwrap());
        prop_assert_eq!(read.final_markings().collect::<Vec<_>>(), compiled.final_markings);
        let found: Vec<bool> = read.transitions.iter().map(|of| of.silent).collect();
        prop_assert_eq!(&found, &silent);
    }
}

/// A workflow that is exported and imported again runs by itself as before.
#[test]
fn what_fires_by_itself_does_so_after_export_and_import() {
    let definition: WorkflowDefinition = serde_json::from_value(json!({
        "id": "w", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
        "transitions": [
            {"id": "first", "from_places": ["a"], "to_place": "b", "auto": true, "priority": -3},
            {"id": "then", "from_places": ["b"], "to_place": "c", "auto": true, "silent": true},
            {"id": "asked", "from_places": ["b"], "to_place": "c"}
        ]
    }))
    .unwrap();
    let petri = Net::compile(&definition).unwrap().petri();
    for profile in [Profile::Iso, Profile::Prom] {
        let text = pnml::write(&[PnmlNet::from_petri("w", &petri, |_| None)], profile).unwrap();
        let again = imported(&read(&text));
        let said: Vec<_> =
            again.transitions.iter().map(|of| (of.auto, of.priority, of.silent)).collect();
        assert_eq!(
            said,
            [(true, Some(-3), false), (true, None, true), (false, None, false)],
            "{text}"
        );
        assert!(read(&text).tool_specific.is_empty(), "said once: {text}");
    }
}
