//! The schema: its three roots, its limits, and the cases it is made over.

use async_graphql::{Schema as Of, SchemaBuilder};

use super::{Limits, mutation::Mutation, query::Query, subscription::Subscription};
use crate::cases::Cases;

/// The schema of this engine.
pub(super) type Schema = Of<Query, Mutation, Subscription>;

/// Directives that one field may have; `@skip` and `@include` are the only ones there are.
const DIRECTIVES: usize = 4;

/// The schema, ready to execute.
pub(super) fn over(cases: Cases, limits: &Limits) -> Schema {
    builder()
        .data(cases)
        .limit_depth(limits.depth)
        .limit_complexity(limits.complexity)
        .limit_recursive_depth(2 * limits.depth)
        .limit_directives(DIRECTIVES)
        .finish()
}

/// The schema in the schema definition language, as the file `schema.graphql` has it.
pub fn sdl() -> String {
    let options = async_graphql::SDLExportOptions::new().prefer_single_line_descriptions();
    builder().finish().sdl_with_options(options)
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Of::build(Query, Mutation, Subscription)
}

#[cfg(test)]
mod tests {
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
}
