//! Limits of one request, and the checks that come before the parser and the validator.

use async_graphql::parser::types::ExecutableDocument;

use crate::graphql::{
    request::arguments::DEFAULT_PAGE,
    request::cost::{Cost, LOOK_UP},
    request::spread::Sizes,
};

/// Limits of the GraphQL part. Everything beyond is refused with a message that names the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an HTTP body or a websocket message. 2 MiB: more than a NATS server takes in
    /// one message by default (1 MiB), so that this limit is not the one that binds.
    pub body_bytes: usize,
    /// Bytes of a document. Data belongs into variables; 128 KiB of document is no query that
    /// a person or a client library writes.
    pub document_bytes: usize,
    /// The depth to which fields may be nested. 20: the introspection query of the reference
    /// implementation is 14 deep, and 15 must pass.
    pub depth: usize,
    /// The cost of a request: 1 for a field and 500 for a look-up in the store. The items of a
    /// page cost the selection of one, times the number asked for. 500,000: a thousand look-ups,
    /// or a hundred cases with a hundred records of forty fields each.
    pub complexity: usize,
    /// Fields and fragment spreads that a document may have when all fragments are spread out.
    /// Without it a document of a few hundred bytes spreads out to millions of fields.
    pub selections: usize,
    /// Look-ups in the store that a request may make, counted where they happen: the same look-up
    /// of a query counts once, and one of many messages once for each 512. 1,000, as many as
    /// [`complexity`](Self::complexity) allows to be foreseen.
    pub look_ups: usize,
    /// Bytes that an answer takes, counted where they come about: 256 for a value, and twice those
    /// that it has as JSON, and those of what was read for it. 64 MiB: 20 tokens of a megabyte, or
    /// 200,000 small values.
    pub answer_bytes: usize,
    /// Bytes that all answers take that are being made or sent, counted in the same way. 96 MiB.
    pub answers_bytes: usize,
    /// Operations that one websocket may have under way.
    pub operations: usize,
    /// Queries and mutations that a process executes at a time, of all clients. 1,024: more
    /// wait for one another, and each costs memory meanwhile.
    pub under_way: usize,
    /// Subscriptions that a process has at a time, of all clients.
    pub subscriptions: usize,
    /// Time that a websocket may take until `connection_init`, in milliseconds.
    pub init_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 2 * 1024 * 1024,
            document_bytes: 128 * 1024,
            depth: 20,
            complexity: 500_000,
            selections: 2_000,
            look_ups: 1_000,
            answer_bytes: 64 * 1024 * 1024,
            answers_bytes: 96 * 1024 * 1024,
            operations: 100,
            under_way: 1_024,
            subscriptions: 10_000,
            init_timeout_ms: 10_000,
        }
    }
}

/// The most levels of brackets in a document. The parser descends on the stack before it counts,
/// so this is checked first; types, arguments and fields together stay far below.
const NESTING: usize = 100;

/// Variables that an operation may have: each use of one looks for it among all.
const VARIABLES: usize = 500;

/// The most that all fragments of a document, each by itself, may select, as a multiple of its
/// operations: a chain of fragments counts its last link as often as it has links.
const FRAGMENTS: usize = 10;

impl Limits {
    /// Checks the text of a document, before it is parsed.
    pub(super) fn check_text(&self, document: &str) -> Result<(), String> {
        if document.len() > self.document_bytes {
            return Err(format!(
                "the document has {} bytes and the most is {}; put data into variables",
                document.len(),
                self.document_bytes
            ));
        }
        if nesting(document) > NESTING {
            return Err(format!("brackets are nested deeper than {NESTING}"));
        }
        Ok(())
    }

    /// Checks the cost of an operation.
    pub(super) fn check_cost(&self, cost: Cost) -> Result<(), String> {
        if cost.depth > self.depth {
            return Err(format!(
                "fields are nested {} deep, and the most is {}",
                cost.depth, self.depth
            ));
        }
        if cost.total > self.complexity {
            return Err(format!(
                "the query costs {} and the most is {}: a field costs 1, a look-up in the store \
                 {LOOK_UP}, and a page as many times what is in it as `first` says \
                 ({DEFAULT_PAGE} where absent); ask for smaller pages, or for less at once",
                cost.total, self.complexity
            ));
        }
        Ok(())
    }

    /// Checks a document before it is validated, or anything else follows its fragments.
    pub(super) fn check_document(&self, document: &ExecutableDocument) -> Result<(), String> {
        let Sizes { operations, fragments } = Sizes::of(document)?;
        let (depth, most) = (operations.depth.max(fragments.depth), self.nested_sets());
        if depth > most {
            return Err(format!(
                "selections are nested {depth} deep, those of fragments included, and the most \
                 is {most}"
            ));
        }
        if operations.selections > self.selections {
            return Err(format!(
                "the document selects {} fields when its fragments are spread out, and the most \
                 is {}",
                operations.selections, self.selections
            ));
        }
        let most = self.selections.saturating_mul(FRAGMENTS);
        if fragments.selections > most {
            return Err(format!(
                "the document's fragments select {} fields when each is spread out, and the most \
                 is {most}",
                fragments.selections
            ));
        }
        for (_, operation) in document.operations.iter() {
            let variables = operation.node.variable_definitions.len();
            if variables > VARIABLES {
                return Err(format!(
                    "the operation has {variables} variables, and the most is {VARIABLES}"
                ));
            }
        }
        Ok(())
    }

    /// The depth to which selection sets may be nested, those of fragments included: between two
    /// fields there may be a fragment.
    pub(super) fn nested_sets(&self) -> usize {
        2 * self.depth + 1
    }
}

/// The depth to which brackets are nested in a document, outside of strings and comments.
fn nesting(document: &str) -> usize {
    let bytes = document.as_bytes();
    let (mut at, mut depth, mut deepest) = (0, 0usize, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b'#' => {
                while at < bytes.len() && bytes[at] != b'\n' && bytes[at] != b'\r' {
                    at += 1;
                }
            }
            b'"' => at = end_of_string(bytes, at),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// The position of the last byte of the string that starts at `start`. One that does not end
/// ends with its line, as the parser will say; what follows is counted then.
pub(super) fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let block = bytes[start..].starts_with(b"\"\"\"");
    let mut at = start + if block { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if !block => at += 1,
            b'\\' if bytes[at..].starts_with(b"\\\"\"\"") => at += 3,
            b'"' if !block => return at,
            b'"' if bytes[at..].starts_with(b"\"\"\"") => return at + 2,
            b'\n' | b'\r' if !block => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_nest() {
        assert_eq!(nesting("{ a(b: [1]) }"), 3);
        assert_eq!(nesting("{ a(b: \"[[[[ \\\" {{{\") } # ((((\n"), 2);
        assert_eq!(nesting("{ a(b: \"\"\"[[ \\\"\"\" \" {{\"\"\") }"), 2);
        assert_eq!(nesting("{ a(b: \"unfinished\n [[["), 5);
    }

    #[test]
    fn a_document_nested_too_deep_is_refused_before_the_parser_sees_it() {
        let limits = Limits::default();
        let deep = format!("{{ a(b: {}", "[".repeat(100_000));
        assert!(limits.check_text(&deep).unwrap_err().contains("nested deeper than 100"));
    }
}
