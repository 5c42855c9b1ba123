//! Our own notes in files that other tools have written again.

use stormpetrel::formats::pnml::{self, Kind, Mode, PnmlNet, Profile};

use super::standard;

fn with_note(note: &str) -> String {
    standard(&format!(
        "<place id='i'><initialMarking><text>1</text></initialMarking></place><place id='o'/>\
         <transition id='t'><toolspecific tool='stormpetrel' version='1'>{note}</toolspecific>\
         </transition><arc id='a' source='i' target='t'/><arc id='b' source='t' target='o'/>"
    ))
}

#[test]
fn a_note_says_the_same_however_it_is_written() {
    for note in [
        "<immediate priority=\"3\"/>",
        "<immediate priority='3'/>",
        "<immediate priority=\"3\" />",
        "\n  <immediate\n    priority=\"3\"></immediate>\n",
        "<!-- ours --><immediate priority=\"&#51;\"/>",
    ] {
        let net = pnml::read(with_note(note).as_bytes(), Mode::Strict).unwrap().nets.remove(0);
        assert_eq!(net.transitions[0].immediate, Some(3), "{note}");
        assert!(net.tool_specific.is_empty(), "{note}");
        for profile in [Profile::Iso, Profile::Prom] {
            // As Python's ElementTree writes it: each element with a prefix.
            let text = pnml::write(std::slice::from_ref(&net), profile).unwrap();
            let prefixed = text.replace("</", "</ns0:").replace('<', "<ns0:");
            let prefixed = prefixed.replace("<ns0:/ns0:", "</ns0:").replace("<ns0:?", "<?");
            let prefixed = prefixed.replace("xmlns=", "xmlns:ns0=").replace("/>", " />");
            let none = "<ns0:pnml xmlns:ns0=\"x\">";
            let prefixed = prefixed.replace("<ns0:pnml>", none);
            for text in [&text, &prefixed] {
                let again = pnml::read(text.as_bytes(), Mode::Lenient);
                let again = again.unwrap_or_else(|error| panic!("{error}: {text}")).nets.remove(0);
                assert_eq!(again.transitions[0].immediate, Some(3), "{text}");
            }
        }
    }
    for note in ["<silent></silent>", "<silent />", " <silent/> "] {
        let net = pnml::read(with_note(note).as_bytes(), Mode::Strict).unwrap().nets.remove(0);
        assert!(net.transitions[0].silent && net.tool_specific.is_empty(), "{note}");
    }
}

#[test]
fn a_timed_transition_keeps_its_time() {
    for (note, after, at) in [
        ("<timed after='30s'/>", Some("30s"), None),
        (
            "<timed at=\"timestamp(token.data.a) &lt; now\" />",
            None,
            Some("timestamp(token.data.a) < now"),
        ),
    ] {
        let net = pnml::read(with_note(note).as_bytes(), Mode::Strict).unwrap().nets.remove(0);
        for profile in [Profile::Iso, Profile::Prom] {
            let text = pnml::write(std::slice::from_ref(&net), profile).unwrap();
            let again = pnml::read(text.as_bytes(), Mode::Lenient).unwrap().nets.remove(0);
            let id = stormpetrel::models::WorkflowId::new("w").unwrap();
            let definition = again.definition(id).unwrap();
            let transition = &definition.transitions[0];
            assert_eq!((transition.after.as_deref(), transition.at.as_deref()), (after, at));
        }
    }
    let both = with_note("<timed after='1s' at='now'/>");
    let error = pnml::read(both.as_bytes(), Mode::Lenient).unwrap_err();
    assert!(error.to_string().contains("after and at"), "{error}");
}

#[test]
fn a_rank_that_is_none_is_refused_with_its_place() {
    for note in [
        "<immediate/>",
        "<immediate priority=''/>",
        "<immediate priority='high'/>",
        "<immediate priority='2147483648'/>",
        "<immediate priority='1.0'/>",
    ] {
        let error = pnml::read(with_note(note).as_bytes(), Mode::Lenient).unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported, "{note}");
        assert!(error.to_string().contains("priority") && error.line == 1, "{error}");
    }
}

#[test]
fn the_most_of_a_cascade_is_kept() {
    let net = pnml::read(with_note("<silent/>").as_bytes(), Mode::Strict).unwrap().nets.remove(0);
    assert_eq!(net.max_cascade, None);
    let net = PnmlNet { max_cascade: Some(5_000), ..net };
    for profile in [Profile::Iso, Profile::Prom] {
        let text = pnml::write(std::slice::from_ref(&net), profile).unwrap();
        let again = pnml::read(text.as_bytes(), Mode::Lenient).unwrap().nets.remove(0);
        assert_eq!(again.max_cascade, Some(5_000));
        let id = stormpetrel::models::WorkflowId::new("w").unwrap();
        assert_eq!(again.definition(id).unwrap().max_cascade, Some(5_000));
    }
}
