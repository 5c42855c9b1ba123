//! Errors as clients see them: a message for people, and for programs `extensions.code`,
//! `extensions.retryable` and the details that belong to the code.

use async_graphql::{ErrorExtensionValues, ServerError, Value};
use serde_json::json;

use super::code::{INTERNAL, INVALID_ARGUMENT, INVALID_REQUEST};
use crate::graphql::work::{Overdrawn, joins::Failure};
use crate::{
    analysis::Finding,
    engine::{Blocker, Excess, ModeExplanation, NotEnabled},
    models::{LogSequence, Problem},
    petrel::Error,
    storage::StorageError,
};

/// An error that is found before anything is executed.
pub(in crate::graphql) fn refusal(code: &str, message: impl Into<String>) -> ServerError {
    let mut error = ServerError::new(message, None);
    set(&mut error, code, false);
    error
}

/// Gives an error its code. Resolvers return the errors of the core as they are; GraphQL's own
/// errors come without a source, and have a path if they come from executing.
pub(in crate::graphql) fn classify(error: &mut ServerError) {
    if error.extensions.as_ref().is_some_and(|values| values.get("code").is_some()) {
        return;
    }
    let Some(source) = error.source.clone() else {
        let code = if error.path.is_empty() { INVALID_REQUEST } else { INVALID_ARGUMENT };
        return set(error, code, false);
    };
    let failure = source.downcast_ref::<Failure>();
    let core = match failure {
        Some(Failure::Core(error)) => Some(&**error),
        _ => source.downcast_ref::<Error>(),
    };
    let overdrawn = match failure {
        Some(Failure::Overdrawn(why)) => Some(why),
        _ => source.downcast_ref::<Overdrawn>(),
    };
    match (core, overdrawn) {
        (Some(source), _) => {
            set(error, source.code(), source.retryable());
            details(error.extensions.get_or_insert_default(), source);
        }
        (None, Some(why)) => {
            set(error, why.code, why.retryable);
            error.extensions.get_or_insert_default().set("limit", why.limit as u64);
        }
        (None, None) => set(error, INTERNAL, false),
    }
}

/// Names the argument that an error is about.
pub(in crate::graphql) fn invalid_argument(error: &mut ServerError, argument: &str) {
    set(error, INVALID_ARGUMENT, false);
    error.extensions.get_or_insert_default().set("argument", argument);
}

fn set(error: &mut ServerError, code: &str, retryable: bool) {
    let values = error.extensions.get_or_insert_default();
    values.set("code", code);
    values.set("retryable", retryable);
}

/// Sets the details that a program needs to act on an error, beside its code.
fn details(values: &mut ErrorExtensionValues, error: &Error) {
    let mut set = |name: &str, value: serde_json::Value| {
        // A JSON value is always a GraphQL value.
        values.set(name, Value::from_json(value).unwrap_or_default());
    };
    match error {
        Error::NotFound(object) => {
            set("kind", json!(object.kind()));
            set("id", json!(object.id()));
        }
        Error::NoTransition { transition, known, .. } => {
            set("kind", json!("transition"));
            set("id", json!(transition));
            set("known", json!(known));
        }
        Error::AlreadyExists { workflow, .. } => {
            set("kind", json!("workflow"));
            set("id", json!(workflow));
        }
        Error::InvalidDefinition(problems) => {
            let problem = |problem: &Problem| json!({ "path": camel_case(&problem.path), "message": problem.message });
            set("problems", problems.0.iter().map(problem).collect());
        }
        Error::InvalidArgument { argument, .. } => set("argument", json!(argument)),
        Error::NotSound { report, .. } => {
            set("verdict", json!(report.verdict.as_str().to_uppercase()));
            let finding = |finding: &Finding| json!({ "message": finding.to_string() });
            set("findings", report.findings.iter().map(finding).collect());
        }
        Error::NotEnabled(reason) | Error::Undecided(reason) => {
            set("caseId", json!(reason.case));
            set("transitionId", json!(reason.transition));
            set("blockers", blockers(reason));
        }
        Error::WrongStatus { case, status, .. } => {
            set("caseId", json!(case));
            set("status", json!(status.as_str().to_uppercase()));
        }
        Error::Work(refused) => {
            set("caseId", json!(refused.work.case));
            set("item", json!(refused.work.item));
        }
        Error::Conflict { expected, actual, .. } => {
            set("expected", json!(expected.to_string()));
            set("actual", json!(actual.to_string()));
        }
        Error::VersionConflict { expected, actual, .. } => {
            set("expected", json!(expected.to_string()));
            set("actual", json!(actual.map(|actual| actual.to_string())));
        }
        Error::ViewsContended { case } => set("caseId", json!(case)),
        Error::IdTaken { kind, id, case, what, first } => {
            set("kind", json!(kind));
            set("id", json!(id));
            set("caseId", json!(case));
            set("differsIn", json!(what));
            let (transition, sequence) = (&first.transition, first.sequence.to_string());
            let kind = first.kind.as_str().to_uppercase();
            let first = json!({ "kind": kind, "transitionId": transition, "sequence": sequence });
            set("first", first);
        }
        Error::Overloaded { reason } => set("reason", json!(reason)),
        Error::IdPutAside { id, case, sequence } => {
            set("id", json!(id));
            set("caseId", json!(case));
            set("sequence", json!(sequence.to_string()));
        }
        Error::BrokenLog { case, sequence, .. } => {
            set("caseId", json!(case));
            set("sequence", json!(sequence.map(|sequence| sequence.to_string())));
        }
        Error::Excess(Excess::Name { name, .. }) => set("name", json!(name)),
        Error::Excess(Excess::Nesting { limit, .. }) => set("limit", json!(limit)),
        Error::Excess(
            Excess::Size { size, limit, .. } | Excess::Memory { memory: size, limit, .. },
        ) => {
            set("size", json!(size));
            set("limit", json!(limit));
        }
        Error::Storage(error) => details_of_storage(set, error),
        Error::TemporaryFile(_) => {}
    }
}

/// Sets the details of a failure of the store.
fn details_of_storage(mut set: impl FnMut(&str, serde_json::Value), error: &StorageError) {
    match error {
        StorageError::Corrupt { subject, sequence, .. } => {
            set("subject", json!(subject));
            set("sequence", json!(sequence.to_string()));
        }
        StorageError::CorruptView { subject, sequence, .. } => {
            set("subject", json!(subject));
            set("sequence", json!(sequence.to_string()));
        }
        StorageError::LogWentBack { expected, actual, .. } => {
            let actual = actual.map_or(0, LogSequence::get);
            set("expected", json!(expected.to_string()));
            set("actual", json!(actual.to_string()));
        }
        StorageError::TooLarge { size, limit, .. } => {
            set("size", json!(size));
            set("limit", json!(limit));
        }
        StorageError::Unavailable { away_since: Some(since), .. } => {
            set("awaySince", json!(since));
        }
        _ => {}
    }
}

/// Names of the stored form that the schema spells otherwise.
const SPELLED: &[&str] = &[
    "from_places",
    "to_place",
    "initial_place",
    "final_markings",
    "max_cascade",
    "max_parallel",
    "on_error",
];

/// A path of the stored form in the spelling of the schema: `initial_place` is `initialPlace`. Ids and
/// codes in it stay as they are.
fn camel_case(path: &str) -> String {
    let spelled = |part: &str| {
        let name = part.split('[').next().unwrap_or(part);
        if !SPELLED.contains(&name) {
            return part.to_owned();
        }
        let mut after_underscore = false;
        let spell = |c: char| match (c, std::mem::replace(&mut after_underscore, c == '_')) {
            ('_', _) => None,
            (c, true) => Some(c.to_ascii_uppercase()),
            (c, false) => Some(c),
        };
        part.chars().filter_map(spell).collect()
    };
    path.split('.').map(spelled).collect::<Vec<_>>().join(".")
}

/// The blockers of each mode, with the place it would take from where the transition has several.
fn blockers(reason: &NotEnabled) -> serde_json::Value {
    let of_mode = |mode: &ModeExplanation| {
        let from = mode.from.clone();
        let blocker =
            move |blocker: &Blocker| json!({ "from": from, "message": blocker.to_string() });
        mode.blockers.iter().map(blocker).collect::<Vec<_>>()
    };
    reason.modes.iter().flat_map(of_mode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Problems, WorkflowId};

    fn classified(source: Error) -> serde_json::Value {
        let error = async_graphql::Error::from(source);
        let mut error = error.into_server_error(async_graphql::Pos::default());
        classify(&mut error);
        serde_json::to_value(error).unwrap()["extensions"].take()
    }

    #[test]
    fn errors_of_the_core_keep_their_code_and_say_whether_to_try_again() {
        let missing = classified(Error::no_workflow(&WorkflowId::new("w").unwrap()));
        assert_eq!(missing["code"], "NOT_FOUND");
        assert_eq!(missing["retryable"], false);
        assert_eq!(missing["id"], "w");
        let away = StorageError::Unavailable { reason: "gone".into(), away_since: None };
        let away = classified(away.into());
        assert_eq!((&away["code"], &away["retryable"]), (&"UNAVAILABLE".into(), &true.into()));
    }

    #[test]
    fn all_the_problems_of_a_definition_are_listed() {
        let mut problems = Problems::default();
        problems.add("places", "is empty");
        problems.add("transitions[0].from_places[1]", "does not exist");
        problems.add("transitions[0].activity.outcomes.not_ok.to_place", "does not exist");
        problems.add("transitions[0].activity.on_error.NO_STOCK", "does not exist");
        let error = classified(Error::InvalidDefinition(problems));
        assert_eq!(error["code"], "INVALID_ARGUMENT");
        let path = |number: usize| &error["problems"][number]["path"];
        assert_eq!(path(1), "transitions[0].fromPlaces[1]");
        assert_eq!(path(2), "transitions[0].activity.outcomes.not_ok.toPlace");
        assert_eq!(path(3), "transitions[0].activity.onError.NO_STOCK");
    }

    #[test]
    fn an_error_of_graphql_itself_is_the_requests_before_execution_and_an_arguments_in_it() {
        let mut error = ServerError::new("Unknown field", None);
        classify(&mut error);
        assert_eq!(serde_json::to_value(&error).unwrap()["extensions"]["code"], INVALID_REQUEST);
        let path = vec![async_graphql::PathSegment::Field("token".into())];
        let mut error = ServerError::new("expected String", None).with_path(path);
        classify(&mut error);
        assert_eq!(serde_json::to_value(&error).unwrap()["extensions"]["code"], INVALID_ARGUMENT);
    }
}
