//! Text in XML: characters to be escaped, and those that XML has no place for.

use std::borrow::Cow;

/// Text as content or as the value of an attribute. Line breaks and tabs are written as
/// references: a reader makes spaces of them otherwise, or another kind of line break. A character
/// that XML can't have is U+FFFD; a caller who can't use that asks [`unwritable`] before.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    let plain = |c: char| !matches!(c, '&' | '<' | '>' | '"') && c >= ' ' && is_character(c);
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            c if plain(c) => escaped.push(c),
            _ => escaped.push(char::REPLACEMENT_CHARACTER),
        }
    }
    Cow::Owned(escaped)
}

/// The first character of a text that XML has no place for.
pub(super) fn unwritable(text: &str) -> Option<char> {
    text.chars().find(|c| !is_character(*c))
}

/// Returns true if it is a character of XML 1.0.
fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}')
}
