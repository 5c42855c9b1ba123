//! Ids as XML has them. The standard takes names for ids; other ids are spelled out with
//! `_xHHHH_`, as .NET's `XmlConvert.EncodeName` does, and kept as they were in a note of ours.

use std::{collections::HashSet, fmt::Write};

/// The tool that our own notes name.
pub(in crate::formats) const TOOL: &str = "stormpetrel";

/// The text before the number that makes an id unique.
const NUMBER: &str = "_n";

/// An id for the file: as it is where it is a plain name, spelled out otherwise.
pub(in crate::formats) fn encode(id: &str) -> String {
    let mut encoded = String::with_capacity(id.len());
    for (at, c) in id.char_indices() {
        // An underscore that looks like the start of a spelled out character is spelled out.
        let plain = match c {
            '_' => !id[at + 1..].starts_with('x'),
            '-' | '.' | '0'..='9' => at > 0,
            _ => c.is_ascii_alphabetic(),
        };
        if plain {
            encoded.push(c);
        } else {
            // Writing to a string can't fail.
            let _ = write!(encoded, "_x{:04X}_", u32::from(c));
        }
    }
    if encoded.is_empty() { "_x_".to_owned() } else { encoded }
}

/// Returns true if a file's `id` is one that we write for `original`.
pub(in crate::formats) fn stands_for(id: &str, original: &str) -> bool {
    id.strip_prefix(&encode(original)).is_some_and(|rest| {
        let number = rest.strip_prefix(NUMBER);
        rest.is_empty()
            || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// The ids of a file, each used once.
#[derive(Default)]
pub(in crate::formats) struct Ids {
    taken: HashSet<String>,
    /// The last number tried, so that many of one name don't take longer and longer.
    next: u64,
}

impl Ids {
    /// The id for `original`, or one with a number if it is taken.
    pub(in crate::formats) fn take(&mut self, original: &str) -> String {
        let base = encode(original);
        let mut id = base.clone();
        while !self.taken.insert(id.clone()) {
            self.next += 1;
            id = format!("{base}{NUMBER}{}", self.next);
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_stays_and_everything_else_is_spelled_out() {
        for (id, encoded) in [
            ("p1", "p1"),
            ("a.b-c_d", "a.b-c_d"),
            ("1p", "_x0031_p"),
            ("P0 to T0", "P0_x0020_to_x0020_T0"),
            ("ü", "_x00FC_"),
            ("😀", "_x1F600_"),
            ("_x0031_", "_x005F_x0031_"),
            ("", "_x_"),
        ] {
            assert_eq!(encode(id), encoded);
            assert!(stands_for(encoded, id));
        }
    }

    #[test]
    fn an_id_that_is_taken_gets_a_number_and_is_still_recognised() {
        let mut ids = Ids::default();
        assert_eq!(ids.take("a b"), "a_x0020_b");
        let second = ids.take("a b");
        assert_ne!(second, "a_x0020_b");
        assert!(stands_for(&second, "a b"));
        assert!(!stands_for(&second, "a c") && !stands_for("a_x0020_b_nx", "a b"));
    }
}
