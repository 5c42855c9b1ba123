//! Nets that run by themselves: cascades and their incidents, as a caller sees them.

pub(crate) mod audited;
mod incidents;
mod lost;
mod repeated;
mod shown;

use serde_json::{Value, json};
use stormpetrel::{
    models::{CaseId, Record, WorkflowDefinition},
    petrel::{Changed, ExpectedVersion, NewCase, Petrel},
    storage::TokenScope,
};

use crate::support::{case, definition, workflow};

/// An order: large ones wait for a person, the others are split at once and packed and billed by
/// callers; what is packed and billed is joined at once and sent.
pub(super) fn order() -> WorkflowDefinition {
    definition(json!({
        "id": "order", "initial_place": "new",
        "places": [
            {"id": "new"}, {"id": "waits"}, {"id": "accepted"}, {"id": "to_pack"}, {"id": "to_bill"},
            {"id": "packed"}, {"id": "billed"}, {"id": "ready"}, {"id": "sent"}
        ],
        "transitions": [
            {"id": "hold", "from_places": ["new"], "to_place": "waits", "auto": true, "priority": 1,
             "conditions": ["token.data.amount >= 1000"], "output": "{'held': true}"},
            {"id": "accept", "from_places": ["new"], "to_place": "accepted", "auto": true},
            {"id": "split", "inputs": [{"place": "accepted"}], "auto": true,
             "outputs": [{"place": "to_pack"}, {"place": "to_bill"}]},
            {"id": "approve", "from_places": ["waits"], "to_place": "accepted"},
            {"id": "pack", "from_places": ["to_pack"], "to_place": "packed"},
            {"id": "bill", "from_places": ["to_bill"], "to_place": "billed"},
            {"id": "join", "inputs": [{"place": "packed"}, {"place": "billed"}], "auto": true,
             "outputs": [{"place": "ready"}]},
            {"id": "send", "from_places": ["ready"], "to_place": "sent", "auto": true}
        ]
    }))
}

pub(super) async fn begun(petrel: &Petrel, id: &str, data: Value) -> Changed {
    petrel.create_workflow(order(), ExpectedVersion::Any).await.unwrap();
    let case = Some(case(id));
    petrel.create_case(NewCase { case, data, ..NewCase::of(workflow("order")) }).await.unwrap()
}

/// The transitions of a record, the change's own first.
pub(super) fn fired(record: &Record) -> Vec<String> {
    let own = record.transition.iter();
    own.chain(record.cascade.iter().map(|step| &step.transition)).map(ToString::to_string).collect()
}

/// The places of a case's tokens, as the view has them.
pub(super) async fn places(petrel: &Petrel, id: &CaseId) -> Vec<String> {
    let scope = TokenScope { workflow: workflow("order"), place: None, case: None };
    let page = stormpetrel::storage::Page { first: 1_000, after: None };
    let tokens = petrel.tokens(&scope, page).await.unwrap().items.into_iter().map(|(_, of)| of);
    let mut places: Vec<_> =
        tokens.filter(|token| token.case == *id).map(|token| token.place.to_string()).collect();
    places.sort();
    places
}
