//! Input objects of a document that name a field twice, which the parser takes for its last value.

use std::collections::HashSet;

use async_graphql::{Pos, ServerError};

use crate::graphql::limits::end_of_string;

/// Meaning of a bracket that is open.
enum Open<'a> {
    /// Arguments, or the variables of an operation.
    Parentheses,
    /// An input object, with the fields that it has so far.
    Object(HashSet<&'a str>),
    /// A list, or a selection.
    Other,
}

/// The first field that an input object of a document names twice. The document has been parsed, and
/// its brackets have been counted.
pub(super) fn named_twice(document: &str) -> Option<ServerError> {
    let (bytes, mut at) = (document.as_bytes(), 0);
    let mut open: Vec<Open<'_>> = Vec::new();
    // Selections are never between parentheses, and input objects always.
    let mut parentheses = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            b'(' => {
                parentheses += 1;
                open.push(Open::Parentheses);
            }
            b'{' if parentheses > 0 => open.push(Open::Object(HashSet::new())),
            b'{' | b'[' => open.push(Open::Other),
            b')' | b'}' | b']' => {
                if let Some(Open::Parentheses) = open.pop() {
                    parentheses -= 1;
                }
            }
            b'#' => at = end_of_line(bytes, at),
            b'"' => at = end_of_string(bytes, at),
            first if first.is_ascii_alphanumeric() || first == b'_' => {
                let end = end_of_word(bytes, at);
                let name = &document[at..end];
                if let Some(Open::Object(fields)) = open.last_mut()
                    && bytes.get(next_sign(bytes, end)) == Some(&b':')
                    && !fields.insert(name)
                {
                    let problem = format!("There can only be one input field named \"{name}\"");
                    return Some(ServerError::new(problem, Some(position(document, at))));
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn end_of_word(bytes: &[u8], start: usize) -> usize {
    let word = bytes[start..].iter();
    start + word.take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

fn end_of_line(bytes: &[u8], start: usize) -> usize {
    let line = bytes[start..].iter();
    start + line.take_while(|byte| !matches!(byte, b'\n' | b'\r')).count()
}

/// Position of the next byte that is neither blank nor comment.
fn next_sign(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'#' => at = end_of_line(bytes, at),
            b' ' | b'\t' | b'\n' | b'\r' | b',' => at += 1,
            // A byte order mark, which is blank wherever it stands.
            0xef | 0xbb | 0xbf => at += 1,
            _ => break,
        }
    }
    at
}

fn position(document: &str, at: usize) -> Pos {
    let before = &document[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|sign| *sign != '\n').count() + 1;
    Pos { line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_an_input_object_may_stand_once_wherever_the_object_is() {
        for document in [
            "{ f(a: {b: 1, b: 2}) }",
            "{ f(a: [{c: 1}, {b: {x: 1 x # no\n :2}}]) }",
            "query($v: In = {b: 1 b: 1}) { f(a: $v) }",
            "{ f @skip(if: {a: \"a: \\\" a\", a: 1}) }",
            "{ f(a: {b: $b, c: E\u{feff}, b: 1e5}) }",
        ] {
            let problem = named_twice(document).unwrap_or_else(|| panic!("{document}"));
            assert!(problem.message.contains("only be one input field"), "{problem}");
        }
        let problem = named_twice("{\n  f(a: {b: 1,\n b: 2}) }").unwrap();
        assert_eq!(problem.locations, [Pos { line: 3, column: 2 }]);
    }

    #[test]
    fn what_stands_twice_elsewhere_is_left_to_others() {
        for document in [
            "{ a: f b: f(x: 1) { a: g a: g } }",
            "{ f(a: {b: {b: 1}, c: {b: 1}}) g(a: {b: b, c: b}) }",
            "{ f(a: \"\"\"{b: 1, b: 2}\"\"\") # (a: {b: 1, b: 2})\n }",
            "query($b: Int, $c: Int) { f(a: {b: $b, c: $b, d: [B, B]}) }",
        ] {
            assert!(named_twice(document).is_none(), "{document}");
        }
    }
}
