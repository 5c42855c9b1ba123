//! What one request may cost, and the checks that come before the parser and the validator.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

use super::{
    arguments::DEFAULT_PAGE,
    cost::{Cost, LOOK_UP},
};

/// What one client may ask of the GraphQL part. Everything beyond is refused with a message
/// that names the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an HTTP body or a websocket message. 2 MiB: more than a NATS server takes in
    /// one message by default (1 MiB), so that this limit is not the one that binds.
    pub body_bytes: usize,
    /// Bytes of a document. Data belongs into variables; 128 KiB of document is no query that
    /// a person or a client library writes.
    pub document_bytes: usize,
    /// How deep fields may be nested. 20: the introspection query of the reference
    /// implementation is 14 deep, and 15 must pass.
    pub depth: usize,
    /// The cost of a request: 1 for a field and 500 for a look-up in the store, and the items
    /// of a page cost as many times what is selected of one as are asked for. 500,000: a
    /// thousand look-ups, or a hundred cases with a hundred records of forty fields each.
    pub complexity: usize,
    /// How many fields and fragment spreads a document may have when all fragments are spread
    /// out. Without it a document of a few hundred bytes spreads out to millions of fields.
    pub selections: usize,
    /// Operations that one websocket may have under way.
    pub operations: usize,
    /// Queries and mutations that a process executes at a time, of all clients. 1,024: more
    /// wait for one another, and each costs memory meanwhile.
    pub under_way: usize,
    /// Subscriptions that a process has at a time, of all clients.
    pub subscriptions: usize,
    /// How long a websocket may take until `connection_init`, in milliseconds.
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
            operations: 100,
            under_way: 1_024,
            subscriptions: 10_000,
            init_timeout_ms: 10_000,
        }
    }
}

/// How deep brackets may be nested in a document. The parser descends on the stack before it
/// counts, so this is checked first; types, arguments and fields together stay far below.
const NESTING: usize = 100;

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

    /// Checks what an operation costs.
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

    /// Checks a document before it is validated.
    pub(super) fn check_document(&self, document: &ExecutableDocument) -> Result<(), String> {
        let mut sizes = HashMap::new();
        let mut total = 0usize;
        for (_, operation) in document.operations.iter() {
            let set = &operation.node.selection_set.node;
            total = total.saturating_add(spread_out(document, set, &mut sizes)?);
        }
        if total > self.selections {
            return Err(format!(
                "the document selects {total} fields when its fragments are spread out, and \
                 the most is {}",
                self.selections
            ));
        }
        Ok(())
    }
}

/// How many selections `set` has when all fragments are spread out. `sizes` remembers the
/// fragments; `None` marks those whose size is being found, so a cycle is noticed.
fn spread_out<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    sizes: &mut HashMap<&'a str, Option<usize>>,
) -> Result<usize, String> {
    let mut total = 0usize;
    for selection in &set.items {
        let below = match &selection.node {
            Selection::Field(field) => spread_out(document, &field.node.selection_set.node, sizes)?,
            Selection::InlineFragment(fragment) => {
                spread_out(document, &fragment.node.selection_set.node, sizes)?
            }
            Selection::FragmentSpread(spread) => {
                fragment_size(document, spread.node.fragment_name.node.as_str(), sizes)?
            }
        };
        total = total.saturating_add(1).saturating_add(below);
    }
    Ok(total)
}

fn fragment_size<'a>(
    document: &'a ExecutableDocument,
    name: &'a str,
    sizes: &mut HashMap<&'a str, Option<usize>>,
) -> Result<usize, String> {
    match sizes.get(name) {
        Some(Some(size)) => return Ok(*size),
        Some(None) => return Err(format!("fragment {name} spreads itself")),
        None => {}
    }
    // Validation reports a fragment that does not exist.
    let Some(fragment) = document.fragments.get(name) else { return Ok(0) };
    sizes.insert(name, None);
    let size = spread_out(document, &fragment.node.selection_set.node, sizes)?;
    sizes.insert(name, Some(size));
    Ok(size)
}

/// How deep brackets are nested in a document, outside of strings and comments.
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
fn end_of_string(bytes: &[u8], start: usize) -> usize {
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
    use async_graphql::parser::parse_query;

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

    #[test]
    fn fragments_that_multiply_are_counted_without_spreading_them_out() {
        let mut document = String::from("{ ...f0 } fragment f30 on Query { health { version } }");
        for level in 0..30 {
            let next = level + 1;
            document += &format!(" fragment f{level} on Query {{ ...f{next} ...f{next} }}");
        }
        let parsed = parse_query(&document).unwrap();
        let problem = Limits::default().check_document(&parsed).unwrap_err();
        assert!(problem.contains("the most is 2000"), "{problem}");
    }

    #[test]
    fn a_fragment_that_spreads_itself_is_refused() {
        let parsed =
            parse_query("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }");
        let problem = Limits::default().check_document(&parsed.unwrap()).unwrap_err();
        assert!(problem.contains("spreads itself"), "{problem}");
    }
}
