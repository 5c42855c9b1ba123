//! The kinds of arcs and their spellings in dialects.

use crate::models::ArcKind;

/// The kind that a word names; `None` if nobody knows it.
///
/// `normal` is PIPE's, ProM's and PM4Py's; `timed` and `tapnInhibitor` are TAPAAL's; `test`,
/// `read` and `inhibitor` those of Renew, Tina and others.
pub(in crate::formats) fn of(word: &str) -> Option<ArcKind> {
    let plain: String =
        word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let plain = plain.strip_suffix("arc").unwrap_or(&plain);
    Some(match plain {
        "" | "normal" | "ordinary" | "standard" | "regular" | "default" | "timed" => {
            ArcKind::Consume
        }
        "read" | "test" => ArcKind::Read,
        "inhibitor" | "inhibit" | "tapninhibitor" => ArcKind::Inhibitor,
        "reset" => ArcKind::Reset,
        _ => return None,
    })
}

/// The name of a kind in messages.
pub(in crate::formats) fn name(kind: ArcKind) -> &'static str {
    match kind {
        ArcKind::Consume => "normal",
        ArcKind::Read => "read",
        ArcKind::Inhibitor => "inhibitor",
        ArcKind::Reset => "reset",
    }
}
