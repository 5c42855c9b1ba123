//! Elements that tools write beside a net and that can't change it, whatever is in them: they are
//! passed over with a note, where unknown ones are refused.

/// Elements in any part of a net: words for people, in all tools.
const WORDS: [&str; 11] = [
    "annotation",
    "annotations",
    "comment",
    "comments",
    "description",
    "documentation",
    "label",
    "labels",
    "note",
    "notes",
    "tagged",
];

/// Elements in a net: PIPE's classes of tokens (a second one in use is refused there), its
/// parameters and its questions about states; WoPeD's facts of a refined transition, which stays
/// one step; the variables of data Petri nets; named constants of TAPAAL, whose uses are refused.
const IN_NET: [&str; 8] = [
    "constant",
    "definition",
    "definitions",
    "net",
    "rateParameter",
    "stategroup",
    "token",
    "variables",
];

/// Elements in a transition: its look in PIPE; its frequency and speed, in PIPE, GreatSPN and
/// their like; the reads and writes of data Petri nets; its worker, in Yasper.
const IN_TRANSITION: [&str; 15] = [
    "distribution",
    "exponential",
    "infiniteServer",
    "orientation",
    "probability",
    "rate",
    "rateParameter",
    "readVariable",
    "resource",
    "role",
    "server",
    "servers",
    "weight",
    "worker",
    "writeVariable",
];

/// Elements outside of nets: TAPAAL's questions and constants.
const AT_TOP: [&str; 6] = ["constant", "feature", "k-bound", "queries", "query", "token"];

pub(in crate::formats) fn in_any(name: &str) -> bool {
    WORDS.contains(&name)
}

pub(in crate::formats) fn in_net(name: &str) -> bool {
    in_any(name) || IN_NET.contains(&name)
}

pub(in crate::formats) fn in_transition(name: &str) -> bool {
    in_any(name) || IN_TRANSITION.contains(&name)
}

pub(in crate::formats) fn at_top(name: &str) -> bool {
    in_any(name) || AT_TOP.contains(&name)
}

/// Returns true if the content of a time interval, as Tina writes it in MathML, lets the
/// transition fire at any time: from 0 on, without an end.
pub(in crate::formats) fn is_any_time(content: &str) -> bool {
    let mut text = String::new();
    let mut inside = false;
    for c in content.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if inside || c.is_whitespace() => {}
            c => text.push(c),
        }
    }
    let bare = text.trim_matches(['[', ']', '(', ')']);
    let Some(end) = bare.strip_prefix('0') else { return false };
    matches!(end.trim_start_matches([',', ';']), "infty" | "inf" | "infinity" | "w" | "∞")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_from_zero_without_an_end_is_any_time() {
        for (content, any) in [
            ("<interval closure=\"closed-open\"> <cn>0</cn> <ci>infty</ci></interval>", true),
            ("[0,inf)", true),
            ("<interval><cn>4</cn><ci>infty</ci></interval>", false),
            ("<interval><cn>0</cn><cn>9</cn></interval>", false),
            ("<interval><cn>0.5</cn><ci>infty</ci></interval>", false),
            ("", false),
        ] {
            assert_eq!(is_any_time(content), any, "{content}");
        }
    }
}
