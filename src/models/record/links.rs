//! Links as they are stored: every record carries up to 64 of them, so they are short.
//!
//! The text is base64url without padding. Of each link it has the distance of its sequence to the
//! one before it (the first: to 0) as LEB128, and then the 8 bytes of the id's hash. Records that
//! were written before this form have a list of `[sequence, hash as 16 hexadecimal digits]`.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserializer, Serializer, de};

use super::{IdHash, Link};
use crate::models::LogSequence;

/// The most bytes of text that a link takes: 10 for the distance and 8 for the hash, as base64.
pub(crate) const LONGEST_LINK: usize = 24;

pub(super) fn serialize<S: Serializer>(links: &[Link], to: S) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::with_capacity(links.len() * 11);
    let mut before = 0;
    for link in links {
        let mut distance = link.sequence.get().wrapping_sub(before);
        while distance >= 0x80 {
            bytes.push(0x80 | (distance & 0x7f) as u8);
            distance >>= 7;
        }
        bytes.push(distance as u8);
        bytes.extend_from_slice(&link.id.0.to_be_bytes());
        before = link.sequence.get();
    }
    to.serialize_str(&BASE64URL_NOPAD.encode(&bytes))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Link>, D::Error> {
    from.deserialize_any(Links)
}

struct Links;

impl<'de> de::Visitor<'de> for Links {
    type Value = Vec<Link>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("links as base64url, or a list of [sequence, 16 hexadecimal digits]")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<Link>, E> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        bytes
            .and_then(|bytes| links(&bytes))
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Link>, A::Error> {
        let mut links = Vec::with_capacity(list.size_hint().unwrap_or(0).min(64));
        while let Some((sequence, digits)) = list.next_element::<(LogSequence, String)>()? {
            let is_hash = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let hash = is_hash.then(|| u64::from_str_radix(&digits, 16).ok()).flatten();
            let Some(hash) = hash else {
                return Err(de::Error::invalid_value(de::Unexpected::Str(&digits), &self));
            };
            links.push(Link { sequence, id: IdHash(hash) });
        }
        Ok(links)
    }
}

/// The links of the decoded bytes; `None` where they end in the middle of one, or one leads to
/// 0.
fn links(mut bytes: &[u8]) -> Option<Vec<Link>> {
    let mut links = Vec::with_capacity(bytes.len() / 9);
    let mut before = 0u64;
    while !bytes.is_empty() {
        let (mut distance, mut shift) = (0u64, 0);
        loop {
            let (&byte, rest) = bytes.split_first()?;
            bytes = rest;
            distance |= u64::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        let (hash, rest) = bytes.split_first_chunk::<8>()?;
        bytes = rest;
        before = before.wrapping_add(distance);
        let sequence = LogSequence::new(before)?;
        links.push(Link { sequence, id: IdHash(u64::from_be_bytes(*hash)) });
    }
    Some(links)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder(#[serde(with = "super")] Vec<Link>);

    fn link((sequence, id): (u64, u64)) -> Link {
        Link { sequence: LogSequence::new(sequence).unwrap(), id: IdHash(id) }
    }

    proptest! {
        #[test]
        fn links_come_back_as_they_were(links in vec((1..=u64::MAX, any::<u64>()), 0..70)) {
            let links = Holder(links.into_iter().map(link).collect());
            let text = serde_json::to_string(&links).unwrap();
            prop_assert!(text.len() <= links.0.len() * LONGEST_LINK + 2);
            prop_assert_eq!(serde_json::from_str::<Holder>(&text).unwrap(), links);
        }

        #[test]
        fn text_that_is_no_links_is_refused_or_read(text in "[A-Za-z0-9_-]{0,60}") {
            if let Ok(links) = serde_json::from_value::<Holder>(json!(text)) {
                prop_assert!(links.0.len() * 9 <= text.len());
            }
        }
    }

    #[test]
    fn the_list_of_earlier_records_is_read() {
        let list = json!([[7, "00000000000000ff"], [1000, "ffffffffffffffff"]]);
        let right = [(7, 255), (1000, u64::MAX)].map(link);
        assert_eq!(serde_json::from_value::<Holder>(list).unwrap().0, right);
        for wrong in [json!([[7, "ff"]]), json!([[7]]), json!("A"), json!("AAAA"), json!(7)] {
            let error = serde_json::from_value::<Holder>(wrong).unwrap_err().to_string();
            assert!(error.contains("links as base64url") || error.contains("tuple"), "{error}");
        }
    }
}
