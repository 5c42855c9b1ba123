//! Tokens of a record as they are stored: each by its number in the case, since a token's id
//! follows from the case and the number. Records of format 1 have the ids.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de,
    ser::{Error, SerializeSeq},
};

use super::TokenAt;
use crate::models::{LogSequence, Marking, MarkingEntry, PlaceId, TokenId};

fn number<E: Error>(token: &TokenId) -> Result<u64, E> {
    token.number().ok_or_else(|| E::custom(format!("token {token} has no number in its case")))
}

/// Tokens with their places, as format 2 has them: `[[17,"a"],[18,"b"]]`.
pub(super) struct At<'a>(pub &'a [TokenAt]);

impl Serialize for At<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.0.len()))?;
        for TokenAt { token, place } in self.0 {
            list.serialize_element(&(number(token)?, place))?;
        }
        list.end()
    }
}

/// Writes tokens with their places as format 2 has them.
pub(super) fn write_at<S: Serializer>(tokens: &[TokenAt], to: S) -> Result<S::Ok, S::Error> {
    At(tokens).serialize(to)
}

/// Reads tokens with their places, of any format.
pub(super) fn at<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<TokenAt>, D::Error> {
    let entries = Vec::<Entry>::deserialize(from)?;
    Ok(entries.into_iter().map(|Entry(at)| at).collect())
}

/// A token with its place, of any format.
struct Entry(TokenAt);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyEntry)
    }
}

struct AnyEntry;

impl<'de> de::Visitor<'de> for AnyEntry {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token and its place, [number, place]")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Entry, A::Error> {
        let missing = || de::Error::invalid_length(0, &self);
        let number = list.next_element()?.ok_or_else(missing)?;
        let place = list.next_element()?.ok_or_else(missing)?;
        Ok(Entry(TokenAt { token: TokenId::by_number(number), place }))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
        // By this reader, so that fields which are not known are noted.
        TokenAt::deserialize(de::value::MapAccessDeserializer::new(map)).map(Entry)
    }
}

/// A marking by place, as format 2 has it: each token with the sequence of the record that put it
/// there, or alone if that is the record itself: `{"a":[[17,4711],18]}`.
pub(super) struct ByPlace<'a>(pub &'a Marking);

impl Serialize for ByPlace<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Entry {
            Earlier(u64, LogSequence),
            Own(u64),
        }
        let mut places: BTreeMap<&PlaceId, Vec<Entry>> = BTreeMap::new();
        for MarkingEntry { token, place, sequence } in &self.0.0 {
            let number = number(token)?;
            let entry = sequence.map_or(Entry::Own(number), |at| Entry::Earlier(number, at));
            places.entry(place).or_default().push(entry);
        }
        places.serialize(to)
    }
}

/// Reads a marking of any format.
pub(super) fn by_place<'de, D: Deserializer<'de>>(from: D) -> Result<Marking, D::Error> {
    from.deserialize_any(Places)
}

struct Places;

impl<'de> de::Visitor<'de> for Places {
    type Value = Marking;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tokens of each place")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Marking, A::Error> {
        let mut marking = Vec::new();
        while let Some(place) = map.next_key::<PlaceId>()? {
            for Placed { token, sequence } in map.next_value::<Vec<Placed>>()? {
                marking.push(MarkingEntry { token, place: place.clone(), sequence });
            }
        }
        Ok(Marking(marking))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Marking, A::Error> {
        let mut marking = Vec::with_capacity(list.size_hint().unwrap_or_default().min(1_024));
        while let Some(entry) = list.next_element()? {
            marking.push(entry);
        }
        Ok(Marking(marking))
    }
}

/// A token of a place.
struct Placed {
    token: TokenId,
    sequence: Option<LogSequence>,
}

impl<'de> Deserialize<'de> for Placed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OfPlace)
    }
}

struct OfPlace;

impl<'de> de::Visitor<'de> for OfPlace {
    type Value = Placed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number of a token, or [number, sequence]")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Placed, E> {
        Ok(Placed { token: TokenId::by_number(number), sequence: None })
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Placed, A::Error> {
        let missing = || de::Error::invalid_length(0, &self);
        let number = list.next_element()?.ok_or_else(missing)?;
        let sequence = list.next_element()?.ok_or_else(missing)?;
        Ok(Placed { token: TokenId::by_number(number), sequence: Some(sequence) })
    }
}
