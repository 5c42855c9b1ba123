//! The reader answers for any bytes; and an accepted document comes back from a file that the
//! writer makes of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stormpetrel::{
    formats::pnml::{self, Mode, PnmlNet, Profile},
    models::{ArcKind, WorkflowId},
};

/// Notes of tools, in an order of their own, since a file has them by their subjects.
fn noted(net: &PnmlNet) -> Vec<(&str, &str, Vec<&(String, String)>, &str)> {
    let mut noted = Vec::new();
    for note in &net.tool_specific {
        let mut attributes: Vec<_> = note.attributes.iter().collect();
        attributes.sort();
        noted.push((&*note.tool, &*note.version, attributes, &*note.content));
    }
    noted.sort();
    noted
}

fuzz_target!(|bytes: &[u8]| {
    let lenient = pnml::read(bytes, Mode::Lenient);
    let strict = pnml::read(bytes, Mode::Strict);
    assert!(lenient.is_ok() || strict.is_err(), "only strict mode accepts it");
    let Ok(document) = lenient else { return };
    for net in &document.nets {
        let petri = net.petri();
        assert_eq!(petri.places.len(), net.places.len());
        if let Ok(definition) = net.definition(WorkflowId::new("fuzzed").expect("a plain id")) {
            // Answers too, whatever it says.
            let _ = stormpetrel::engine::Net::compile(&definition);
        }
        for profile in [Profile::Iso, Profile::Prom] {
            let Ok(text) = pnml::write(std::slice::from_ref(net), profile) else { continue };
            let mode = if profile == Profile::Iso { Mode::Strict } else { Mode::Lenient };
            let again = pnml::read(text.as_bytes(), mode).expect("what we write can be read");
            // A read arc that says nothing beside another is not written, nor what was noted of it.
            if profile == Profile::Prom && net.arcs.iter().all(|arc| arc.kind != ArcKind::Read) {
                assert_eq!(noted(&again.nets[0]), noted(net));
            }
            let again = again.nets[0].petri();
            assert_eq!(again.initial(), petri.initial());
            let ids = |net: &stormpetrel::models::petri::Net| {
                net.places.iter().map(|place| place.id.clone()).collect::<Vec<_>>()
            };
            assert_eq!(ids(&again), ids(&petri));
            if profile == Profile::Iso {
                let arcs = |net: &stormpetrel::models::petri::Net| {
                    net.transitions.iter().map(|t| t.arcs.clone()).collect::<Vec<_>>()
                };
                assert_eq!(arcs(&again), arcs(&petri));
            }
        }
    }
});
