//! Immediate transitions: our note that a transition fires by itself, with its rank.

use super::id::TOOL;

/// Texts before and after the rank in the note's content.
const BEFORE: &str = "<immediate priority=\"";
const AFTER: &str = "\"/>";

/// The content of the note.
pub(in crate::formats) fn content(priority: i32) -> String {
    format!("{BEFORE}{priority}{AFTER}")
}

/// Reads a transition's note; `None` if it is another one.
pub(in crate::formats) fn read(tool: &str, content: &str) -> Option<i32> {
    let ours = (tool == TOOL).then_some(content)?;
    ours.strip_prefix(BEFORE)?.strip_suffix(AFTER)?.parse().ok()
}
