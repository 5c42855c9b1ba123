//! Lines and columns of byte positions.

use super::{Kind, PnmlError};

/// The line and the column, in characters, of a byte position; both from 1.
pub(in crate::formats) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    // Bytes that go on with a character don't count.
    let column = before[start..].iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1;
    (line, column)
}

/// An error at a byte position.
pub(in crate::formats) fn error(
    text: &str,
    at: usize,
    kind: Kind,
    message: impl Into<String>,
) -> PnmlError {
    let (line, column) = line_and_column(text, at);
    PnmlError { line, column, kind, message: message.into() }
}

/// A piece of the file for a message: short, and in one line.
pub(in crate::formats) fn excerpt(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text.trim().chars().take(MOST).collect();
    if text.trim().chars().nth(MOST).is_some() {
        short.push('…');
    }
    format!("{short:?}")
}
