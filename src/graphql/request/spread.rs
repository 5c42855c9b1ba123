//! The size and the depth of a document when its fragments are spread out, found before anything
//! follows a fragment on the stack.
//!
//! The text of one definition is nested as deep as its brackets, which are counted before the
//! parser. So each definition is measured by itself, each fragment after those that it spreads,
//! and nothing here is deeper on the stack than one definition's text.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

/// The size of selections when all fragments are spread out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::graphql) struct Size {
    /// Number of fields and fragments that are selected.
    pub selections: usize,
    /// The depth to which selection sets are nested, those of fragments too.
    pub depth: usize,
}

/// The sizes of a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::graphql) struct Sizes {
    /// The operations: the greatest depth, and the selections of all.
    pub operations: Size,
    /// The same for the fragments, used or not.
    pub fragments: Size,
}

impl Sizes {
    /// The sizes of `document`, or an error that names a fragment that spreads itself.
    pub(crate) fn of(document: &ExecutableDocument) -> Result<Self, String> {
        let mut sizes = Self::default();
        let mut known = HashMap::new();
        for name in in_order(document)? {
            // Names of the document's own fragments.
            let Some(fragment) = document.fragments.get(name) else { continue };
            let size = size(&fragment.node.selection_set.node, &known);
            known.insert(name, size);
            sizes.fragments = sizes.fragments.beside(size);
        }
        for (_, operation) in document.operations.iter() {
            let size = size(&operation.node.selection_set.node, &known);
            sizes.operations = sizes.operations.beside(size);
        }
        Ok(sizes)
    }
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            depth: self.depth.max(other.depth),
        }
    }
}

/// The names of the fragments that are spread in the text of `set`, each as often as it is.
pub(in crate::graphql) fn spreads<'a>(set: &'a SelectionSet, found: &mut Vec<&'a str>) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) => spreads(&field.node.selection_set.node, found),
            Selection::InlineFragment(fragment) => {
                spreads(&fragment.node.selection_set.node, found);
            }
            Selection::FragmentSpread(spread) => found.push(&spread.node.fragment_name.node),
        }
    }
}

/// The fragments of a document, each after those that it spreads.
fn in_order(document: &ExecutableDocument) -> Result<Vec<&str>, String> {
    let spread_in = |name: &str| {
        let mut found = Vec::new();
        // Validation reports a fragment that does not exist.
        if let Some(fragment) = document.fragments.get(name) {
            spreads(&fragment.node.selection_set.node, &mut found);
        }
        found
    };
    let mut order = Vec::new();
    // Whether all that a fragment spreads is in the order already.
    let mut is_done: HashMap<&str, bool> = HashMap::new();
    for start in document.fragments.keys() {
        if is_done.contains_key(start.as_str()) {
            continue;
        }
        is_done.insert(start, false);
        let mut open = vec![(start.as_str(), spread_in(start))];
        while let Some((name, left)) = open.last_mut() {
            let name = *name;
            let Some(next) = left.pop() else {
                is_done.insert(name, true);
                order.push(name);
                open.pop();
                continue;
            };
            match is_done.get(next) {
                Some(true) => {}
                Some(false) => return Err(format!("fragment {next} spreads itself")),
                None => {
                    is_done.insert(next, false);
                    open.push((next, spread_in(next)));
                }
            }
        }
    }
    Ok(order)
}

/// The size of `set`; `known` has the fragments that are spread in it.
fn size(set: &SelectionSet, known: &HashMap<&str, Size>) -> Size {
    let mut whole = Size::default();
    for selection in &set.items {
        let below = match &selection.node {
            Selection::Field(field) => size(&field.node.selection_set.node, known),
            Selection::InlineFragment(fragment) => size(&fragment.node.selection_set.node, known),
            Selection::FragmentSpread(spread) => {
                let name = spread.node.fragment_name.node.as_str();
                known.get(name).copied().unwrap_or_default()
            }
        };
        whole = whole.beside(below);
        whole.selections = whole.selections.saturating_add(1);
    }
    if !set.items.is_empty() {
        whole.depth += 1;
    }
    whole
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use proptest::prelude::*;

    use super::*;

    fn of(document: &str) -> Result<Sizes, String> {
        Sizes::of(&parse_query(document).unwrap())
    }

    #[test]
    fn fragments_that_multiply_are_counted_without_spreading_them_out() {
        let mut document = String::from("{ ...f0 } fragment f30 on Query { health { version } }");
        for level in 0..30 {
            let next = level + 1;
            document += &format!(" fragment f{level} on Query {{ ...f{next} ...f{next} }}");
        }
        let sizes = of(&document).unwrap().operations;
        assert!(sizes.selections > 1 << 30, "{sizes:?}");
        assert_eq!(sizes.depth, 33);
    }

    #[test]
    fn a_fragment_that_spreads_itself_is_found() {
        let document = "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }";
        assert!(of(document).unwrap_err().contains("spreads itself"));
        let unused = "{ health { version } } fragment a on Query { ...a }";
        assert!(of(unused).unwrap_err().contains("spreads itself"));
    }

    proptest! {
        /// Checks that the depth of a chain of fragments is the sum of theirs, however many and
        /// deep they are, and that finding it takes no more stack than one of them.
        #[test]
        fn the_depth_of_a_chain_is_the_sum_of_its_links(deep in 1..60usize, links in 1..1_000usize) {
            let mut document = String::from("{...f0}");
            for link in 0..links {
                let (open, close) = ("...{".repeat(deep), "}".repeat(deep));
                let next = link + 1;
                document += &format!(" fragment f{link} on Query {{{open}...f{next}{close}}}");
            }
            document += &format!(" fragment f{links} on Query {{ a }}");
            let sizes = of(&document).unwrap();
            prop_assert_eq!(sizes.operations.depth, links * (deep + 1) + 2);
            prop_assert_eq!(sizes.fragments.depth, links * (deep + 1) + 1);
        }
    }
}
