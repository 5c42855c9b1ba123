//! Workflows of functions: durable handlers without a net of their own.

use serde_json::json;

use crate::{
    models::{KindId, OutcomeId, WorkflowDefinition, WorkflowId},
    worker::FUNCTION,
};

/// The place of a function that has not ended.
const CALLED: &str = "called";

/// Field of a case's data that has the input.
pub(super) const INPUT: &str = "input";

/// Field of a case's data that has the result, in a list: what is merged into data loses its nulls, but for those in
/// lists.
pub(super) const OUTPUT: &str = "output";

/// Field of a case's data that has the error with which somebody ended it.
pub(super) const ERROR: &str = "error";

/// The outcome of a function that has returned.
pub(super) const RETURNED: &str = "returned";

/// The outcome by which somebody ends a function that has failed.
pub(super) const FAILED: &str = "failed";

/// The kind of a function's work.
pub(super) fn kind_of(name: &WorkflowId) -> KindId {
    KindId::new(name.as_str()).expect("a name is a kind")
}

pub(super) fn outcome(name: &str) -> OutcomeId {
    OutcomeId::new(name).expect("it is an id")
}

/// The workflow of a function: it is called, and has returned, or somebody has ended it as failed.
pub(super) fn definition(name: &WorkflowId) -> WorkflowDefinition {
    let way = |id: &str, field: &str| json!({ "to_place": id, "output": format!("{{'{field}': [result]}}") });
    let net = json!({
        "id": name,
        "name": name,
        "places": [{ "id": CALLED }, { "id": RETURNED }, { "id": FAILED }],
        "initial_place": CALLED,
        "transitions": [{
            "id": "run",
            "from_places": [CALLED],
            "activity": {
                "kind": name,
                "input": format!("token.data.{INPUT}"),
                // Each step has its own attempts.
                "retry": { "attempts": 1 },
                "outcomes": { RETURNED: way(RETURNED, OUTPUT), FAILED: way(FAILED, ERROR) },
            },
        }],
        "metadata": { FUNCTION: true },
    });
    serde_json::from_value(net).expect("it is a definition")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Net;

    #[test]
    fn the_workflow_of_a_function_is_a_net() {
        let longest = "x".repeat(WorkflowId::MAX_LENGTH);
        for name in ["hello", longest.as_str()] {
            Net::compile(&definition(&WorkflowId::new(name).unwrap())).unwrap();
        }
    }
}
