use serde_json::json;
use stormpetrel::{
    engine::Net,
    formats::pnml::{self, Mode, PnmlNet},
    models::{ArcKind, WorkflowDefinition, WorkflowId},
};

use super::standard;

fn net(page: &str) -> PnmlNet {
    pnml::read(standard(page).as_bytes(), Mode::Lenient).unwrap().nets.remove(0)
}

fn id() -> WorkflowId {
    WorkflowId::new("w").unwrap()
}

fn definition(page: &str) -> WorkflowDefinition {
    let definition = net(page).definition(id()).unwrap();
    Net::compile(&definition).unwrap();
    definition
}

const ONE: &str = "<initialMarking><text>1</text></initialMarking>";

#[test]
fn the_marked_place_is_where_cases_start_and_else_the_one_source() {
    let arcs = "<transition id='t'/><arc id='a' source='p' target='t'/>\
                <arc id='b' source='t' target='q'/>";
    let marked = format!("<place id='q'/><place id='p'>{ONE}</place>{arcs}");
    assert_eq!(definition(&marked).initial_place.as_str(), "p");
    let unmarked = format!("<place id='q'/><place id='p'/>{arcs}");
    assert_eq!(definition(&unmarked).initial_place.as_str(), "p");
}

#[test]
fn ids_that_a_definition_cant_have_are_changed_in_the_same_way_each_time() {
    let long = "x".repeat(70);
    let page = format!(
        "<place id='a b'>{ONE}</place><place id='a.b'><name><text>Second</text></name></place>\
         <place id='a_b'/><place id='ü'/><place id='{long}'/><place id='{long}y'/>\
         <transition id='a-b'/><arc id='1' source='a b' target='a-b'/>\
         <arc id='2' source='a-b' target='a.b'/><arc id='3' source='a-b' target='a_b'/>\
         <arc id='4' source='a-b' target='ü'/><arc id='5' source='a-b' target='{long}'/>\
         <arc id='6' source='a-b' target='{long}y'/>"
    );
    let definition = definition(&page);
    let ids: Vec<_> = definition.places.iter().map(|place| place.id.as_str()).collect();
    let (cut, second) = ("x".repeat(64), format!("{}-2", "x".repeat(62)));
    assert_eq!(ids, ["a_b-2", "a_b-3", "a_b", "place", &cut, &second]);
    let names: Vec<_> = definition.places.iter().map(|place| place.name.as_deref()).collect();
    assert_eq!(names[..4], [Some("a b"), Some("Second"), None, Some("ü")]);
    assert_eq!(definition.metadata["pnml"]["ids"]["a_b-3"], "a.b");
    assert_eq!(definition, self::definition(&page));
}

#[test]
fn weights_kinds_capacities_and_positions_are_kept() {
    let page = format!(
        "<place id='p'>{ONE}<graphics><position x='10' y='20.5'/></graphics></place>\
         <place id='q'><capacity><text>3</text></capacity></place>\
         <transition id='t'><graphics><position x='-1' y='0'/></graphics></transition>\
         <arc id='a' source='p' target='t'/><arc id='b' source='p' target='t'/>\
         <arc id='c' source='q' target='t'><type value='inhibitor'/>\
         <inscription><text>2</text></inscription></arc>\
         <arc id='d' source='t' target='q'><inscription><text>3</text></inscription></arc>"
    );
    let definition = definition(&page);
    let inputs: Vec<_> =
        definition.transitions[0].inputs.iter().map(|arc| (arc.kind, arc.weight)).collect();
    assert_eq!(inputs, [(ArcKind::Consume, 2), (ArcKind::Inhibitor, 2)]);
    assert_eq!(definition.transitions[0].outputs[0].weight, 3);
    assert_eq!(definition.places[1].capacity, Some(3));
    let layout = json!({"places": {"p": [10.0, 20.5]}, "transitions": {"t": [-1.0, 0.0]}});
    assert_eq!(definition.metadata["layout"], layout);
}

#[test]
fn everything_that_a_definition_cant_hold_is_said_at_once() {
    let page = format!(
        "<place id='p'>{ONE}</place><place id='q'>{ONE}</place><transition id='source'/>\
         <transition id='sink'/><arc id='a' source='source' target='p'>\
         <inscription><text>10001</text></inscription></arc>\
         <arc id='b' source='q' target='sink'/>"
    );
    let problems = net(&page).definition(id()).unwrap_err().to_string();
    for part in [
        "4 problems",
        "2 places have tokens (\"p\", \"q\")",
        "transition \"source\": takes from no place",
        "10001 tokens to place \"p\"",
        "transition \"sink\": gives to no place",
    ] {
        assert!(problems.contains(part), "{part} in {problems}");
    }
    let several = "<initialMarking><text>2</text></initialMarking>";
    let problems = net(&format!("<place id='p'>{several}</place>")).definition(id()).unwrap_err();
    assert!(problems.to_string().contains("has 2 tokens"), "{problems}");
    assert!(net("").definition(id()).is_err());
}

#[test]
fn positions_of_several_pages_are_not_mixed() {
    let place =
        |id: &str| format!("<place id='{id}'><graphics><position x='1' y='1'/></graphics></place>");
    let page = format!(
        "{}<page id='g2'>{}<transition id='t'/><arc id='a' source='p' target='t'/>\
         <arc id='b' source='t' target='q'/></page>",
        place("p"),
        place("q")
    );
    assert!(!definition(&page).metadata.contains_key("layout"));
}

#[test]
fn a_workflow_comes_back_from_its_own_export() {
    let page = format!(
        "<place id='p'><name><text>Start</text></name>{ONE}\
         <graphics><position x='1' y='2'/></graphics></place><place id='q'/>\
         <transition id='t'><name><text>Work</text></name></transition>\
         <arc id='a' source='p' target='t'/><arc id='b' source='t' target='q'/>"
    );
    let net = net(&page);
    let definition = net.definition(id()).unwrap();
    let petri = Net::compile(&definition).unwrap().petri();
    let file = PnmlNet::from_petri("w", &petri, |node| match node {
        pnml::Node::Place(0) => Some(pnml::Point { x: 1.0, y: 2.0 }),
        _ => None,
    });
    let text = pnml::write(&[file], pnml::Profile::Iso).unwrap();
    let again = pnml::read(text.as_bytes(), Mode::Strict).unwrap().nets.remove(0);
    assert_eq!(again.definition(id()).unwrap(), definition);
}
