//! The limits of stored JSON: its depth and its length, computed without writing it; and a
//! reader that takes more levels than are written.

pub(super) mod time;

use std::fmt::{self, Write};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// The most levels of objects and lists that a caller's data or metadata may have.
pub const MAX_NESTING: usize = 64;

/// The most levels of a stored message that can be read. The frame around a caller's data
/// takes six of them, and older versions stored data with more than [`MAX_NESTING`].
pub const MAX_NESTING_READ: usize = 256;

/// The most unknown fields that are named.
pub(crate) const MOST_UNKNOWN: usize = 16;

/// The beginning of names that no field of stored JSON has. serde_json reads an object whose first
/// field has one as something else, so that it could not be read back.
const KEPT: &str = "$serde_json::private::";

/// Returns true if a field can't have this name in stored JSON.
pub fn is_kept_name(name: &str) -> bool {
    name.starts_with(KEPT)
}

/// The first name in a value that no field of stored JSON can have.
pub fn kept_name(value: &Value) -> Option<&str> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        Value::Array(values) => values.iter().find_map(kept_name),
        Value::Object(fields) => object_kept_name(fields),
    }
}

/// The first name in an object that no field of stored JSON can have.
pub fn object_kept_name(fields: &Map<String, Value>) -> Option<&str> {
    let kept = |(name, value)| {
        let name: &String = name;
        if is_kept_name(name) { Some(name.as_str()) } else { kept_name(value) }
    };
    fields.iter().find_map(kept)
}

/// The number of levels of a value: 0 of a text or a number, 1 of an object without others in
/// it. Counts no further than one more than `most`.
pub fn nesting(value: &Value, most: usize) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(values) => deepest(values.iter(), most),
        Value::Object(fields) => object_nesting(fields, most),
    }
}

/// The number of levels of an object; see [`nesting`].
pub fn object_nesting(fields: &Map<String, Value>, most: usize) -> usize {
    deepest(fields.values(), most)
}

fn deepest<'a>(values: impl Iterator<Item = &'a Value>, most: usize) -> usize {
    match most.checked_sub(1) {
        None => 1,
        Some(below) => 1 + values.map(|value| nesting(value, below)).max().unwrap_or_default(),
    }
}

/// The number of bytes that a value has as JSON.
pub fn json_length(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => number_length(number),
        Value::String(text) => text_length(text),
        Value::Array(values) => 2 + separated(values.iter().map(json_length)),
        Value::Object(fields) => object_length(fields),
    }
}

/// The number of bytes that an object has as JSON.
pub fn object_length(fields: &Map<String, Value>) -> usize {
    let field = |(name, value): (&String, &Value)| text_length(name) + 1 + json_length(value);
    2 + separated(fields.iter().map(field))
}

fn separated(lengths: impl ExactSizeIterator<Item = usize>) -> usize {
    let commas = lengths.len().saturating_sub(1);
    lengths.sum::<usize>() + commas
}

/// The number of bytes that a text has as JSON, with its quotes.
pub fn text_length(text: &str) -> usize {
    let length = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    2 + text.bytes().map(length).sum::<usize>()
}

fn number_length(number: &serde_json::Number) -> usize {
    struct Counted(usize);
    impl Write for Counted {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut counted = Counted(0);
    // Counting never fails.
    let _ = write!(counted, "{number}");
    counted.0
}

/// Reads JSON with up to [`MAX_NESTING_READ`] levels.
pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    read(bytes, |from| T::deserialize(from))
}

/// The same, with the paths of the first fields that the type does not have.
pub(crate) fn read_json_noting<T: DeserializeOwned>(
    bytes: &[u8],
) -> serde_json::Result<(T, Vec<String>)> {
    let mut unknown = Vec::new();
    let value = read(bytes, |from| {
        unknown.clear();
        serde_ignored::deserialize(from, |path| {
            if unknown.len() < MOST_UNKNOWN {
                unknown.push(path.to_string());
            }
        })
    })?;
    Ok((value, unknown))
}

fn read<T>(
    bytes: &[u8],
    mut deserialize: impl FnMut(&mut JsonReader<'_>) -> serde_json::Result<T>,
) -> serde_json::Result<T> {
    let mut whole = |mut from: JsonReader<'_>| {
        let value = deserialize(&mut from)?;
        from.end()?;
        Ok(value)
    };
    let error = match whole(JsonReader::from_slice(bytes)) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // What is not too deep for the reader above is no better for the one below.
    if !(100..=MAX_NESTING_READ).contains(&brackets(bytes)) {
        return Err(error);
    }
    let mut from = JsonReader::from_slice(bytes);
    from.disable_recursion_limit();
    whole(from)
}

type JsonReader<'a> = serde_json::Deserializer<serde_json::de::SliceRead<'a>>;

/// Reads JSON in which no object has a name twice: readers take the first or the last of these, as
/// they please, and a caller would not learn which.
///
/// # Errors
///
/// When it is no JSON, or an object has a name twice, or one that no field of stored JSON can have;
/// the error names it.
pub fn unambiguous(bytes: &[u8]) -> serde_json::Result<Value> {
    Ok(serde_json::from_slice::<Unambiguous>(bytes)?.0)
}

/// A value of JSON, or of a language that is read as JSON, in which no object has a name twice; see
/// [`unambiguous`].
#[derive(Debug)]
pub struct Unambiguous(pub Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Path::Root.deserialize(from).map(Self)
    }
}

/// The way to a value from the whole.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Element(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Path::Root, name) => f.write_str(name),
            Self::Field(of, name) => write!(f, "{of}.{name}"),
            Self::Element(of, index) => write!(f, "{of}[{index}]"),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Path<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Path<'_> {
    type Value = Value;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = from.next_element_seed(Path::Element(&self, values.len()))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            if is_kept_name(&name) {
                let at = Path::Field(&self, &name);
                let what = format_args!("no field can have the name {name:?}: {at}");
                return Err(de::Error::custom(what));
            }
            if fields.contains_key(&name) {
                let at = Path::Field(&self, &name);
                let what = format_args!("an object has {name:?} twice: {at}");
                return Err(de::Error::custom(what));
            }
            let value = from.next_value_seed(Path::Field(&self, &name))?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

/// Depth of brackets in one another, outside of texts. Never less than what a reader recurses.
fn brackets(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!("x"), |inner, level| match level % 2 {
            0 => json!({ "a]}": inner }),
            _ => json!([inner, "\"{["]),
        })
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_has_each_name_once_is_read_as_it_is(value in any_json()) {
            prop_assert_eq!(unambiguous(value.to_string().as_bytes()).unwrap(), value);
        }

        #[test]
        fn the_reckoned_length_is_that_of_the_text(value in any_json()) {
            prop_assert_eq!(json_length(&value), value.to_string().len());
        }

        #[test]
        fn levels_are_counted_up_to_the_most(levels in 0_usize..150, most in 0_usize..150) {
            let value = nested(levels);
            prop_assert_eq!(nesting(&value, most), levels.min(most + 1));
            prop_assert_eq!(brackets(value.to_string().as_bytes()), levels);
        }
    }

    proptest! {
        /// Names that the library which reads JSON takes for something else are never let in.
        #[test]
        fn what_may_be_stored_is_read_back_by_others(value in any_json(), name in ".{0,6}") {
            for name in [format!("{KEPT}RawValue"), format!("{KEPT}Number"), name] {
                let value = json!([{ "a": { name.as_str(): value.clone() } }]);
                match kept_name(&value) {
                    Some(kept) => {
                        assert!(kept.starts_with(KEPT));
                        let error = unambiguous(value.to_string().as_bytes()).unwrap_err();
                        assert!(error.to_string().contains(kept), "{error}");
                    }
                    None => {
                        let read: Value = serde_json::from_str(&value.to_string()).unwrap();
                        assert_eq!(read, value);
                    }
                }
            }
        }
    }

    #[test]
    fn an_object_that_has_a_name_twice_is_refused_wherever_it_is() {
        for (text, at) in
            [(r#"{"a":1,"a":1}"#, "a"), (r#"[0,{"b":{"a":1,"c":2,"\u0061":3}}]"#, "[1].b.a")]
        {
            let error = unambiguous(text.as_bytes()).unwrap_err().to_string();
            let said = format!("an object has \"a\" twice: {at} at line 1");
            assert!(error.contains(&said), "{error}");
        }
    }

    #[test]
    fn more_is_read_than_is_written_and_what_is_too_deep_is_an_error() {
        for levels in [0, 1, MAX_NESTING, 127, 128, 129, 200, MAX_NESTING_READ] {
            let text = nested(levels).to_string();
            assert_eq!(read_json::<Value>(text.as_bytes()).unwrap(), nested(levels), "{levels}");
            let cut = &text.as_bytes()[..text.len() - 1];
            assert!(read_json::<Value>(cut).is_err(), "{levels}");
            assert!(read_json::<Value>(format!("{text}]").as_bytes()).is_err(), "{levels}");
        }
        let error = read_json::<Value>(nested(MAX_NESTING_READ + 1).to_string().as_bytes());
        assert!(error.unwrap_err().to_string().contains("recursion limit"));
        assert!(read_json::<Value>(&b"[".repeat(1_000_000)).is_err());
    }
}
