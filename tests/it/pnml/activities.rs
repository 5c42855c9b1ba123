//! Activities on their way through files: a workflow that is exported and imported again is the same.

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use stormpetrel::{
    engine::Net,
    formats::pnml::{self, Mode, PnmlNet, Profile},
    models::{WorkflowDefinition, WorkflowId},
};

const EVERY_FIELD: &str = include_str!("../../fixtures/activities/every-field.yaml");

fn exported(definition: &WorkflowDefinition, profile: Profile) -> String {
    let petri = Net::compile(definition).unwrap_or_else(|problems| panic!("{problems}")).petri();
    let mut file = PnmlNet::from_petri(definition.id.as_str(), &petri, |_| None);
    file.defaults.clone_from(&definition.defaults);
    assert_eq!(file.petri(), petri, "the net in between is the same");
    pnml::write(&[file], profile).unwrap()
}

fn read(text: &str, mode: Mode) -> PnmlNet {
    let read = pnml::read(text.as_bytes(), mode);
    read.unwrap_or_else(|error| panic!("{error} in {text}")).nets.remove(0)
}

fn imported(text: &str) -> WorkflowDefinition {
    let net = read(text, Mode::Lenient);
    let definition = net.definition(WorkflowId::new("w").unwrap());
    let definition = definition.unwrap_or_else(|problems| panic!("{problems} in {text}"));
    Net::compile(&definition).unwrap_or_else(|problems| panic!("{problems}"));
    definition
}

/// Everything of a definition that a file keeps, in the form in which it gives it back: arcs instead of
/// short forms, and no expressions.
fn kept(definition: &WorkflowDefinition) -> Value {
    let transition = |of: &stormpetrel::models::Transition| {
        let mut of = of.clone();
        of.name = of.name.filter(|name| name != of.id.as_str());
        json!(of)
    };
    let transitions: Vec<_> = definition.transitions.iter().map(transition).collect();
    json!({ "transitions": transitions, "defaults": definition.defaults })
}

#[test]
fn every_field_of_an_activity_comes_back_from_a_file() {
    let definition: WorkflowDefinition = serde_saphyr::from_str(EVERY_FIELD).unwrap();
    for profile in [Profile::Iso, Profile::Prom] {
        let text = exported(&definition, profile);
        assert_eq!(kept(&imported(&text)), kept(&definition), "{text}");
        assert!(read(&text, Mode::Lenient).tool_specific.is_empty(), "said once: {text}");
        // Again, from the definition that came back.
        let again = exported(&imported(&text), profile);
        assert_eq!(kept(&imported(&again)), kept(&definition));
    }
    let strict = read(&exported(&definition, Profile::Iso), Mode::Strict);
    let ids: Vec<_> = strict.transitions.iter().map(|of| &*of.id).collect();
    let ways = ["packed.paid", "packed.try_again", "again.paid", "again.try_again"];
    let ways: Vec<_> = ways.iter().map(|way| format!("charge.{way}")).collect();
    assert_eq!((ids[0], ids[5]), ("pack", "close"));
    assert_eq!(ids[1..5], ways);
}

/// Other tools see an ordinary net, and may write it as they like.
#[test]
fn a_foreign_reader_sees_an_ordinary_net_and_keeps_what_we_noted() {
    let definition: WorkflowDefinition = serde_saphyr::from_str(EVERY_FIELD).unwrap();
    let text = exported(&definition, Profile::Iso);
    let document = roxmltree::Document::parse(&text).unwrap();
    let noted = |node: roxmltree::Node<'_, '_>| {
        node.ancestors().any(|of| of.tag_name().name() == "toolspecific")
    };
    let elements = document.descendants().filter(|node| node.is_element() && !noted(*node));
    let names: std::collections::BTreeSet<_> =
        elements.map(|node| node.tag_name().name()).collect();
    let standard =
        ["arc", "initialMarking", "name", "net", "page", "place", "pnml", "text", "transition"];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), standard);

    // With prefixes, line breaks around texts, and the transitions in another order.
    let prefixed = text.replace("</", "</ns0:").replace('<', "<ns0:");
    let prefixed = prefixed.replace("<ns0:/ns0:", "</ns0:").replace("<ns0:?", "<?");
    let prefixed = prefixed.replace("xmlns=", "xmlns:ns0=").replace("/>", " />");
    let prefixed = prefixed.replace("</ns0:activity>", "\n</ns0:activity>\n");
    assert_eq!(kept(&imported(&prefixed)), kept(&definition), "{prefixed}");
    let at = |what: &str| text.find(what).unwrap();
    let (first, last) = (at("<transition id=\"charge"), at("<transition id=\"close"));
    let moved = format!("{}{}", &text[..first], &text[last..]);
    let moved = moved.replace("</page>", &format!("{}</page>", &text[first..last]));
    let mut transitions = definition.transitions.clone();
    transitions.swap(1, 2);
    assert_eq!(kept(&imported(&moved)), kept(&WorkflowDefinition { transitions, ..definition }));
}

fn two_outcomes() -> String {
    let definition = json!({ "id": "w", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
        "transitions": [{"id": "t", "from_places": ["a"], "activity": {
            "outcomes": {"no": {"to_place": "b"}, "yes": {"to_place": "c"}} }}] });
    exported(&serde_json::from_value(definition).unwrap(), Profile::Iso)
}

#[test]
fn ways_that_fit_no_longer_are_refused_with_their_names() {
    let text = two_outcomes();
    let arc = |from: &str, to: &str| {
        let at = text.find(&format!("source=\"{from}\" target=\"{to}\"")).unwrap();
        let start = text[..at].rfind("<arc").unwrap();
        text[start..].split_inclusive('>').next().unwrap().to_owned()
    };
    let taken = arc("a", "t.no");
    let other = taken.replace("source=\"a\"", "source=\"b\"");
    let yes = "<activity of=\"t\" outcome=\"yes\"/>";
    assert!(text.contains(yes), "{text}");
    let start = text.find("<activity of=\"t\" outcome=\"no\">").unwrap();
    let end = start + text[start..].find("</activity>").unwrap() + "</activity>".len();
    let no = &text[start..end];
    for (changed, wanted) in [
        (text.replace(&taken, &other), "takes other tokens than the other ways"),
        (text.replace(yes, "<activity of=\"t\" outcome=\"no\"/>"), "another transition is already"),
        (text.replace(yes, "<activity of=\"t\" outcome=\"maybe\"/>"), "does not have"),
        (text.replace(no, "<activity of=\"t\" outcome=\"no\"/>"), "which no note has"),
        (text.replace(yes, "<other/>"), "has 2 ways, and 1 of them"),
        (text.replace(yes, "<activity of=\"t\" from=\"b\" outcome=\"yes\"/>"), "one token from"),
    ] {
        let refused = read(&changed, Mode::Lenient).definition(WorkflowId::new("w").unwrap());
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(wanted) && refused.contains("transition \"t."), "{refused}");
    }
    // Without our notes they are transitions like others.
    let apart = imported(&text.replace(yes, "<other/>").replace(no, "<other/>"));
    assert_eq!(apart.transitions.len(), 2);
    // An outcome's arcs are the net's, whoever has drawn them.
    let more = text.replace(&arc("t.no", "b"), &arc("t.no", "b").replace("\"b\"", "\"c\""));
    let moved = read(&more, Mode::Lenient).definition(WorkflowId::new("w").unwrap()).unwrap();
    let outcomes = &moved.transitions[0].activity.as_ref().unwrap().outcomes;
    let ends: Vec<_> = outcomes.values().map(|outcome| outcome.outputs[0].place.as_str()).collect();
    assert_eq!(ends, ["c", "c"]);
}

#[test]
fn a_note_that_is_no_activity_is_refused_with_its_place() {
    let text = two_outcomes();
    let yes = "<activity of=\"t\" outcome=\"yes\"/>";
    for (note, wanted) in [
        ("<activity/>", "is empty"),
        ("<activity outcome=\"yes\"/>", "lacks the attribute of"),
        ("<activity of=\"a b\"/>", "of of our note <activity>"),
        ("<activity>{\"colour\": 1}</activity>", "colour"),
        ("<activity>{\"queue\": \"a.b\"}</activity>", "queue id"),
        ("<activity>{</activity>", "our note <activity>"),
    ] {
        let error = pnml::read(text.replace(yes, note).as_bytes(), Mode::Lenient).unwrap_err();
        assert!(error.to_string().contains(wanted) && error.line > 1, "{error}");
    }
    let cdata = "<activity><![CDATA[{\"queue\": \"a\"}]]></activity>";
    let net = read(&text.replace(yes, cdata), Mode::Lenient);
    assert!(net.transitions[1].work.as_ref().unwrap().way.is_none());
}

fn outcomes() -> impl Strategy<Value = Vec<(String, usize, u64, Option<&'static str>)>> {
    let output = prop_oneof![Just(None), Just(Some("{'a': \"<&>\" + '\u{fffe}'}"))];
    vec(("[A-Za-z0-9_-]{1,4}", 0..3_usize, 1..4_u64, output), 0..4)
}

proptest! {
    #[test]
    fn a_definition_with_activities_comes_back_from_every_file(
        transitions in vec((outcomes(), vec(0..3_usize, 1..4), any::<bool>(), 0..99_u64), 1..4),
        iso in any::<bool>(),
        with_defaults in any::<bool>(),
    ) {
        let place = |at: usize| json!({ "id": format!("p{at}") });
        let arc = |to: &usize, weight: &u64| json!([{ "place": format!("q{to}"), "weight": weight }]);
        let transition = |(at, (outcomes, from, is_silent, wait)): (usize, &(Vec<_>, Vec<usize>, bool, u64))| {
            let outcomes: serde_json::Map<_, _> = outcomes
                .iter()
                .map(|(id, to, weight, output): &(String, usize, u64, Option<&str>)| {
                    let mut outcome = json!({ "outputs": arc(to, weight) });
                    output.iter().for_each(|output| outcome["output"] = json!(output));
                    (id.clone(), outcome)
                })
                .collect();
            let mut activity = json!({ "timeout": format!("{}s", wait + 1), "max_parallel": wait + 1 });
            let mut of = json!({ "id": format!("t{at}"), "silent": is_silent });
            match outcomes.is_empty() {
                true => of["outputs"] = arc(&0, &1),
                false => activity["outcomes"] = Value::Object(outcomes),
            }
            let mut from = from.clone();
            let mut seen = Vec::new();
            from.retain(|place| !seen.contains(place) && { seen.push(*place); true });
            match &from[..] {
                [one] => of["inputs"] = json!([{ "place": format!("p{one}"), "weight": 2 }]),
                several => {
                    of["from_places"] = several.iter().map(|p| json!(format!("p{p}"))).collect();
                    of["inputs"] = json!([{ "place": "extra" }]);
                }
            }
            of["activity"] = activity;
            of
        };
        // Every place is reached, and everything else follows.
        let start = json!({ "id": "start", "inputs": [{ "place": "i" }], "outputs": [
            { "place": "p0" }, { "place": "p1" }, { "place": "p2" }, { "place": "extra" }
        ] });
        let mut places: Vec<_> = (0..3).map(place).collect();
        places.extend((0..3).map(|at| json!({ "id": format!("q{at}"), "kind": "terminal" })));
        places.extend(["i", "extra"].map(|id| json!({ "id": id })));
        let mut all: Vec<_> = transitions.iter().enumerate().map(transition).collect();
        all.push(start);
        let mut definition = json!({ "id": "w", "initial_place": "i", "places": places, "transitions": all });
        if with_defaults {
            definition["defaults"] = json!({ "queue": "q", "retry": { "except": ["<&\u{ffff}"] } });
        }
        let definition: WorkflowDefinition = serde_json::from_value(definition).unwrap();
        prop_assume!(Net::compile(&definition).is_ok());
        let text = exported(&definition, if iso { Profile::Iso } else { Profile::Prom });
        prop_assert_eq!(kept(&imported(&text)), kept(&definition), "{}", text);
    }
}
