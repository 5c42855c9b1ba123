//! The reader of definitions and the compiler answer for any text; and a definition that is
//! accepted comes back from the text that it is written as.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stormpetrel::{engine::Net, models::WorkflowDefinition};

fuzz_target!(|text: &str| {
    let json = serde_json::from_str::<WorkflowDefinition>(text).ok();
    // With the reader that the command line has.
    let options = serde_saphyr::options! { with_snippet: false };
    let yaml = || serde_saphyr::from_str_with_options::<WorkflowDefinition>(text, options).ok();
    let Some(definition) = json.or_else(yaml) else { return };
    if let Ok(net) = Net::compile(&definition) {
        assert_eq!(net.petri().transitions.len(), net.modes().count());
    }
    let written = serde_json::to_string(&definition).expect("a definition is JSON");
    let again: WorkflowDefinition = serde_json::from_str(&written).expect("it was written so");
    assert_eq!(again, definition);
});
