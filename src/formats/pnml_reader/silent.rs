//! Silent transitions: the notes of other tools that a transition is no activity.

use super::ToolSpecific;

/// The tool whose note ProM and PM4Py read, and the note's value of the attribute `activity`.
pub(in crate::formats) const PROM: &str = "ProM";
pub(in crate::formats) const INVISIBLE: &str = "$invisible$";

/// A note that says that a transition is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Note {
    /// It says nothing else.
    Only,
    /// It is kept for its other contents.
    AndMore,
}

/// Reads a transition's note of another tool; `None` if it does not say that the transition is silent. PM4Py reads
/// those of ProM, and of nets with times, where a property says so.
pub(in crate::formats) fn read(
    tool: &str,
    attributes: &[(String, String)],
    content: &str,
) -> Option<Note> {
    let activity = || attributes.iter().find(|(key, _)| key == "activity");
    if tool.contains(PROM) && activity().is_some_and(|(_, activity)| activity == INVISIBLE) {
        return Some(Note::Only);
    }
    let property = || content.split_once("key=\"invisible\"").map(|(_, rest)| rest);
    let says_true = |rest: &str| rest.trim_start().starts_with(">true<");
    let stochastic = tool.contains("StochasticPetriNet") && property().is_some_and(says_true);
    stochastic.then_some(Note::AndMore)
}

/// Returns true if PM4Py would misread a transition's note: of ProM's it wants the attribute
/// `activity`, and takes any that has the word `invisible` in it for a silent one.
pub(in crate::formats) fn misread(note: &ToolSpecific) -> bool {
    let activity = note.attributes.iter().find(|(key, _)| key == "activity");
    let fits = activity.is_some_and(|(_, activity)| !activity.contains("invisible"));
    note.tool.contains(PROM) && !fits
}
