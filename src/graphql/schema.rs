//! The schema: its three roots, its limits, and the cases it is made over.

use std::sync::Arc;

use async_graphql::{
    Positioned, Request, Response, Schema as Of, SchemaBuilder, ServerError, ValidationMode, Value,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute},
    parser::types::{
        DocumentOperations, ExecutableDocument, InlineFragment, Selection, SelectionSet,
    },
};
use futures::FutureExt;

use crate::graphql::{
    Limits,
    connection::Connection,
    mutation::Mutation,
    query::Query,
    subscription::Subscription,
    types::{CaseEvent, OpenIncident, OpenWorkItem, Token, Workflow},
    work::Counting,
};
use crate::{models::WorkflowId, petrel::Petrel};

/// The schema of this engine.
pub(super) type Schema = Of<Query, Mutation, Subscription>;

/// Directives that one field may have; `@skip` and `@include` are the only ones there are.
const DIRECTIVES: usize = 4;

/// Problems of a document that are told at once.
const TOLD: usize = 100;

/// The schema, ready to execute valid documents.
pub(super) fn over(petrel: Petrel, limits: &Limits) -> Schema {
    builder()
        .data(petrel)
        .validation_mode(ValidationMode::Fast)
        .limit_recursive_depth(limits.nested_sets())
        .extension(Counting)
        .finish()
}

/// The schema, ready to validate, and never to execute.
pub(super) fn checker(limits: &Limits) -> Schema {
    builder()
        .limit_recursive_depth(limits.nested_sets())
        .limit_directives(DIRECTIVES)
        .extension(NotExecuting)
        .finish()
}

/// The problems that make `document` no valid document of the schema, by a [`checker`]. `request`
/// has the rest: the values of its variables and the name of the operation.
pub(super) fn problems(
    checker: &Schema,
    request: &Request,
    document: &ExecutableDocument,
) -> Vec<ServerError> {
    let mut of = Request::new("").variables(request.variables.clone());
    of.operation_name.clone_from(&request.operation_name);
    let mut document = document.clone();
    for fragment in document.fragments.values_mut() {
        show_conditions(&mut fragment.node.selection_set.node);
    }
    match &mut document.operations {
        DocumentOperations::Single(operation) => {
            show_conditions(&mut operation.node.selection_set.node);
        }
        DocumentOperations::Multiple(operations) => {
            let sets = operations.values_mut().map(|of| &mut of.node.selection_set.node);
            sets.for_each(show_conditions);
        }
    }
    of.set_parsed_query(document);
    // Nothing is executed, so there is nothing to wait for.
    let response = checker.execute(of).now_or_never();
    let mut problems = response.map(|response| response.errors).unwrap_or_default();
    if problems.len() > TOLD {
        let more = format!("there are {} more problems", problems.len() - TOLD);
        problems.truncate(TOLD);
        problems.push(ServerError::new(more, None));
    }
    problems
}

/// Moves the directives of `__typename` to a fragment around it. The validator does not look at
/// them, and says of a variable that is used only there that it is not used.
fn show_conditions(set: &mut SelectionSet) {
    for item in &mut set.items {
        match &mut item.node {
            Selection::Field(field) if field.node.name.node == "__typename" => {
                let directives = std::mem::take(&mut field.node.directives);
                if directives.is_empty() {
                    continue;
                }
                let items = vec![Positioned::new(Selection::Field(field.clone()), item.pos)];
                let selection_set = Positioned::new(SelectionSet { items }, item.pos);
                let around = InlineFragment { type_condition: None, directives, selection_set };
                item.node = Selection::InlineFragment(Positioned::new(around, item.pos));
            }
            Selection::Field(field) => show_conditions(&mut field.node.selection_set.node),
            Selection::InlineFragment(of) => show_conditions(&mut of.node.selection_set.node),
            Selection::FragmentSpread(_) => {}
        }
    }
}

/// Ends a request where its execution would begin.
struct NotExecuting;

impl ExtensionFactory for NotExecuting {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for NotExecuting {
    async fn execute(
        &self,
        _: &ExtensionContext<'_>,
        _: Option<&str>,
        _: NextExecute<'_>,
    ) -> Response {
        Response::new(Value::Null)
    }
}

/// The schema in the schema definition language, as the file `schema.graphql` has it.
pub fn sdl() -> String {
    let options = async_graphql::SDLExportOptions::new().prefer_single_line_descriptions();
    builder().finish().sdl_with_options(options)
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    // The library describes the fields of connections, and leaves these to us.
    Of::build(Query, Mutation, Subscription)
        .override_output_type_description::<Connection<Token>>("A page of tokens.")
        .override_output_type_description::<Connection<CaseEvent>>("A page of a case's records.")
        .override_output_type_description::<Connection<Workflow, WorkflowId>>(
            "A page of workflows.",
        )
        .override_output_type_description::<Connection<OpenWorkItem>>("A page of open work items.")
        .override_output_type_description::<Connection<OpenIncident>>("A page of open incidents.")
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::{
        parse_schema,
        types::{TypeKind, TypeSystemDefinition},
    };

    use super::*;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");

    #[test]
    fn the_sdl_file_is_the_schema() {
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(FILE, sdl()).unwrap();
        }
        let file = std::fs::read_to_string(FILE).unwrap_or_default();
        let hint = "schema.graphql is not the schema; run `UPDATE_SCHEMA=1 cargo test sdl`";
        assert!(file == sdl(), "{hint}");
    }

    #[test]
    fn everything_in_the_schema_has_a_description() {
        let mut bare = Vec::new();
        let mut note = |what: String, description: Option<&Positioned<String>>| {
            if description.is_none_or(|text| text.node.trim().is_empty()) {
                bare.push(what);
            }
        };
        for definition in parse_schema(sdl()).unwrap().definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let definition = definition.node;
            let of = definition.name.node;
            note(of.to_string(), definition.description.as_ref());
            match definition.kind {
                TypeKind::Object(object) => {
                    for field in object.fields.iter().map(|field| &field.node) {
                        let field_of = format!("{of}.{}", field.name.node);
                        for argument in field.arguments.iter().map(|argument| &argument.node) {
                            let name = format!("{field_of}({})", argument.name.node);
                            note(name, argument.description.as_ref());
                        }
                        note(field_of, field.description.as_ref());
                    }
                }
                TypeKind::InputObject(input) => {
                    for field in input.fields.iter().map(|field| &field.node) {
                        note(format!("{of}.{}", field.name.node), field.description.as_ref());
                    }
                }
                TypeKind::Enum(choice) => {
                    for value in choice.values.iter().map(|value| &value.node) {
                        note(format!("{of}.{}", value.value.node), value.description.as_ref());
                    }
                }
                TypeKind::Scalar | TypeKind::Interface(_) | TypeKind::Union(_) => {}
            }
        }
        assert_eq!(bare, Vec::<String>::new());
    }
}
