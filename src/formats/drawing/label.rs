//! Text in the picture: its width, its breaks, and characters that must not be in it.

use unicode_width::UnicodeWidthChar;

use crate::models::petri::{Timed, Transition, Work};

/// The size of labels.
pub(super) const FONT: f64 = 12.0;

/// The distance from one line of a label to the next.
pub(super) const LINE: f64 = 14.0;

/// The greatest width of a text in the fonts that viewers commonly have: the widths of DejaVu
/// Sans, which is wider than Helvetica and Arial, by classes of characters and rounded up.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| advance(c) * size).sum()
}

fn advance(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '\'' | '|' => 0.34,
        ' ' | '.' | ',' | ':' | ';' | '!' | 'I' | 'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-'
        | '/' | '\\' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
        'A'..='Z' | '+' | '=' | '<' | '>' | '#' | '~' | '&' => 0.85,
        ' '..='~' => 0.65,
        _ => match c.width() {
            Some(0) | None => 0.0,
            Some(1) => 0.9,
            Some(_) => 1.2,
        },
    }
}

/// A text as it can be shown in one line: a character that can't be seen or would turn the rest
/// around is a blank.
pub(super) fn shown(text: &str) -> String {
    let visible = |c: char| {
        let hidden = c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}'..='\u{ffff}');
        if hidden { ' ' } else { c }
    };
    text.chars().map(visible).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The time at which a transition fires, as it is told.
pub(super) fn timed(timed: &Timed) -> String {
    let (word, time) = match timed {
        Timed::After(time) => ("after", time),
        Timed::At(time) => ("at", time),
    };
    shown(&format!("{word} {time}"))
}

/// The work before a transition fires, as it is told.
pub(super) fn work(work: &Work) -> String {
    format!("done by a worker: queue {}, kind {}", work.queue, work.kind)
}

/// The line in a transition's box that follows its name: the outcome by which an activity ends.
pub(super) fn outcome(transition: &Transition) -> Option<String> {
    let way = transition.work.as_ref()?.way.as_ref()?;
    way.outcome.as_ref().map(|outcome| format!("→ {outcome}"))
}

/// Breaks a text into at most `lines` lines of at most `widest`, between words where it can; a
/// rest that has no room is an ellipsis.
pub(super) fn wrap(text: &str, widest: f64, lines: usize) -> Vec<String> {
    let text = shown(text);
    let (mut broken, mut rest) = (Vec::new(), text.as_str());
    while !rest.is_empty() {
        let last = broken.len() + 1 == lines;
        let (line, after) = split(rest, widest);
        if last && !after.is_empty() {
            broken.push(shortened(rest, widest));
            break;
        }
        broken.push(line.trim_end().to_owned());
        rest = after.trim_start();
    }
    broken
}

/// The longest beginning that has room, and the rest.
fn split(text: &str, widest: f64) -> (&str, &str) {
    let (mut used, mut word, mut was_small) = (0.0, 0, false);
    for (at, c) in text.char_indices() {
        // In `orderReceived`, a word begins at the capital.
        if was_small && c.is_uppercase() {
            word = at;
        }
        was_small = c.is_lowercase();
        used += advance(c) * FONT;
        if used > widest && at > 0 {
            // A break that leaves a line nearly empty is worse than one within a word.
            let cut = if word * 3 >= at { word } else { at };
            return text.split_at(if cut == 0 { at } else { cut });
        }
        if matches!(c, ' ' | '_' | '-' | '.' | '/' | ':' | ',') {
            word = at + c.len_utf8();
        }
    }
    (text, "")
}

fn shortened(text: &str, widest: f64) -> String {
    let room = widest - advance('…') * FONT;
    let mut used = 0.0;
    let fits = |c: &char| {
        used += advance(*c) * FONT;
        used <= room
    };
    let kept: String = text.chars().take_while(fits).collect();
    format!("{}…", kept.trim_end())
}

/// The width of the widest line.
pub(super) fn widest(lines: &[String]) -> f64 {
    lines.iter().map(|line| width(line, FONT)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_break_between_words_and_end_in_an_ellipsis() {
        assert_eq!(wrap("Approve the order", 90.0, 3), ["Approve the", "order"]);
        assert_eq!(wrap("ContainerIsDown", 90.0, 2), ["ContainerIs", "Down"]);
        assert_eq!(wrap("approval_pending", 90.0, 2), ["approval_", "pending"]);
        let lines = wrap("a name that goes on and on and on and on and on", 60.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with('…'), "{lines:?}");
        assert!(widest(&lines) <= 60.0, "{lines:?}");
        assert_eq!(wrap("漢字漢字漢字漢字", 60.0, 1).len(), 1);
    }

    #[test]
    fn what_cannot_be_seen_is_left_out() {
        assert_eq!(shown("a\u{0}b\nc \u{202e}d"), "a b c d");
        assert_eq!(wrap(" \n ", 60.0, 2), Vec::<String>::new());
    }
}
