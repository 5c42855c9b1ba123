//! Text from outside, made harmless to look at.
//!
//! A name, a reason or a token's data may hold characters that a terminal obeys, that hide or
//! reorder the text around them, or that end a line that is not theirs. Such characters are
//! shown by their escapes, as in `\u{1b}`. Nothing that is stored is changed.

use std::{borrow::Cow, fmt::Write};

/// Text in one line.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_harmful(c).then(|| c.escape_default().to_string()))
}

/// Text of several lines; a tab stays, too.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    let harmful = |c| is_harmful(c) && c != '\n' && c != '\t';
    escaped(text, |c| harmful(c).then(|| c.escape_default().to_string()))
}

/// A JSON document with the same meaning. Its line ends are its layout: in strings they are
/// escaped already.
pub fn visible_json(text: &str) -> Cow<'_, str> {
    escaped(text, |c| {
        (is_harmful(c) && c != '\n').then(|| {
            let mut units = [0; 2];
            let mut escape = String::new();
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String can't fail.
                let _ = write!(escape, "\\u{unit:04x}");
            }
            escape
        })
    })
}

/// Text without the logins of its addresses: the part between `://` and an `@` of the same
/// word is left out.
pub fn without_logins(text: &str) -> Cow<'_, str> {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    let mut any = false;
    for part in parts {
        shown.push_str("://");
        let word = part.find(|c: char| c.is_whitespace() || "\"'`".contains(c));
        let (word, rest) = part.split_at(word.unwrap_or(part.len()));
        match word.rsplit_once('@') {
            Some((_, host)) => {
                any = true;
                shown.push_str("…@");
                shown.push_str(host);
            }
            None => shown.push_str(word),
        }
        shown.push_str(rest);
    }
    if any { Cow::Owned(shown) } else { Cow::Borrowed(text) }
}

fn escaped(text: &str, escape: impl Fn(char) -> Option<String>) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match escape(c) {
            Some(escape) => shown.push_str(&escape),
            None => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Returns true if a character does more than stand there: controls (C0, DEL, C1), marks and
/// overrides of direction, separators of lines, and invisible characters. Joiners are part of
/// people's writing, so they are not among them.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_and_the_rest_stays() {
        assert_eq!(visible("Änderung 👩‍🚀 ok \\n"), "Änderung 👩‍🚀 ok \\n");
        let hostile = "a\u{1b}[2Jb\r\nc\u{9b}31m\u{202e}d\u{200b}\u{7f}\u{e0041}";
        let shown = r"a\u{1b}[2Jb\r\nc\u{9b}31m\u{202e}d\u{200b}\u{7f}\u{e0041}";
        assert_eq!(visible(hostile), shown);
        assert_eq!(visible_lines("a\n\tb\r\u{1b}"), "a\n\tb\\r\\u{1b}");
    }

    #[test]
    fn logins_are_taken_out_of_addresses_and_nothing_else() {
        for (text, shown) in [
            (
                "can't connect to nats://ann:hush@a:1, tls://b:p@c",
                "can't connect to nats://…@a:1, tls://…@c",
            ),
            ("nats://a:x@b,nats://c:y@d", "nats://…@b,nats://…@d"),
            ("'nats://a:h@u/s#h@b' x@y", "'nats://…@b' x@y"),
            ("mail ann@example.com, http://a/b", "mail ann@example.com, http://a/b"),
        ] {
            assert_eq!(without_logins(text), shown);
        }
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left_and_json_means_the_same(text in any::<String>()) {
            prop_assert!(!visible(&text).chars().any(is_harmful));
            prop_assert!(!visible_lines(&text).chars().any(|c| is_harmful(c) && c != '\n' && c != '\t'));
            let json = serde_json::json!({ &text: [&text] });
            for written in [json.to_string(), format!("{json:#}")] {
                let shown = visible_json(&written);
                prop_assert!(!shown.chars().any(|c| is_harmful(c) && c != '\n'));
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&shown).unwrap(), &json);
            }
        }
    }
}
