//! JSON as CEL values and back.

use std::collections::HashMap;

use cel::common::{
    types::{
        CelBool, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString,
        CelTimestamp, CelUInt, Kind,
    },
    value::{CowVal, Val},
};
use chrono::SecondsFormat;
use serde_json::{Map, Number, Value};

use super::view::View;
use crate::engine::Budget;

/// `json` as a CEL value that borrows it; the elements of its lists are counted. A whole number is an `int`, one above the range of
/// `int` a `uint`, any other number a `double`. CEL compares the three by value, a `double`
/// with the other two as a `double`: exact up to 2^53.
pub(super) fn from_json<'a>(json: &'a Value, budget: &'a Budget) -> Box<dyn Val + 'a> {
    match json {
        Value::Null => Box::new(CelNull),
        Value::Bool(truth) => Box::new(CelBool::from(*truth)),
        Value::Number(number) => from_number(number),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        // What it becomes without a budget does not matter: nothing is decided by it.
        Value::Array(items) if budget.charge(1 + items.len() as u64 / 16).is_err() => {
            Box::new(CelNull)
        }
        Value::Array(items) => {
            let item = |item| from_json(item, budget);
            Box::new(CelList::from(items.iter().map(item).collect::<Vec<_>>()))
        }
        Value::Object(fields) => Box::new(View::object(fields, budget)),
    }
}

fn from_number<'a>(number: &Number) -> Box<dyn Val + 'a> {
    if let Some(int) = number.as_i64() {
        Box::new(CelInt::from(int))
    } else if let Some(uint) = number.as_u64() {
        Box::new(CelUInt::from(uint))
    } else {
        // A JSON number is one of the three; NaN stands for none and compares with nothing.
        Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
    }
}

/// `value` with every view in it made into a map of the interpreter's own. Those know only
/// their own kind: `{'a': 1} == view` is false for any view, so the right side of such a
/// comparison must be whole.
pub(super) fn whole<'v>(value: &(dyn Val + 'v)) -> Box<dyn Val + 'v> {
    match value.get_type().kind() {
        Kind::List => {
            let mut items = Vec::new();
            each(value, |item| items.push(whole(item)));
            Box::new(CelList::from(items))
        }
        Kind::Map => {
            let mut fields: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = HashMap::new();
            each(value, |key| {
                let found = value.as_indexer().and_then(|map| map.get(key).ok());
                let key = CelMapKey::try_from(CowVal::Owned(key.clone_as_boxed()));
                if let (Some(found), Ok(key)) = (found, key) {
                    fields.insert(key, whole(found.as_ref()));
                }
            });
            Box::new(CelMap::from(fields))
        }
        _ => value.clone_as_boxed(),
    }
}

/// Calls `visit` with each element of a list or each key of a map.
fn each<'b, 'v>(value: &'b (dyn Val + 'v), mut visit: impl FnMut(&'b (dyn Val + 'v))) {
    let Some(iterable) = value.as_iterable() else {
        return;
    };
    let mut items = iterable.iter();
    while let Some(item) = items.next() {
        visit(item);
    }
}

/// Amount to copy in `value`: one for each scalar and each view, which is only a reference,
/// and one more for every eight bytes of text.
pub(super) fn weight(value: &(dyn Val + '_)) -> u64 {
    let mut sum: u64 = 1;
    if let Some(text) = value.downcast_ref::<CelString>() {
        sum += text.inner().len() as u64 / 8;
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        sum += list.inner().iter().map(|item| weight(item.as_ref())).sum::<u64>();
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        sum += map.inner().values().map(|item| 1 + weight(item.as_ref())).sum::<u64>();
    }
    sum
}

/// Number of values in `value`, itself among them, and one more for each kilobyte of text.
pub(super) fn nodes(value: &(dyn Val + '_)) -> u64 {
    let mut sum = 1 + text(value) / 1_024;
    match value.get_type().kind() {
        Kind::List => each(value, |item| sum += nodes(item)),
        Kind::Map => each(value, |key| {
            let found = value.as_indexer().and_then(|map| map.get(key).ok());
            sum += 1 + found.map_or(0, |found| nodes(found.as_ref()));
        }),
        _ => {}
    }
    sum
}

/// The bytes of a text; 0 for anything else.
pub(super) fn text(value: &(dyn Val + '_)) -> u64 {
    value.downcast_ref::<CelString>().map_or(0, |text| text.inner().len() as u64)
}

/// The reason that a value is none of JSON's. Kinds of values have an article before their names.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotJson {
    /// An infinity, or no number at all.
    #[error("JSON has no number {0}")]
    Number(f64),
    /// A kind of value that JSON has not.
    #[error("JSON can't hold {0}")]
    Kind(String),
    /// A map's key that is no text.
    #[error("a key is {0}, not text")]
    Key(String),
    /// A value without fields, where a map was wanted.
    #[error("{0} has no fields")]
    NoFields(String),
    /// A field that its map does not give.
    #[error("{0}")]
    Field(String),
}

/// The result of an expression, as JSON. Times become RFC 3339 text and durations seconds with
/// an `s`, as in protobuf's JSON mapping.
///
/// # Errors
///
/// For a value that JSON can't hold: bytes, types, optionals, infinities, and maps with keys other
/// than text.
pub(super) fn to_json(value: &(dyn Val + '_)) -> Result<Value, NotJson> {
    match value.get_type().kind() {
        Kind::NullType => return Ok(Value::Null),
        Kind::List => return list_to_json(value),
        Kind::Map => return map_to_json(value).map(Value::Object),
        _ => {}
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        Ok(Value::String(text.inner().to_owned()))
    } else if let Some(int) = value.downcast_ref::<CelInt>() {
        Ok(Value::from(*int.inner()))
    } else if let Some(uint) = value.downcast_ref::<CelUInt>() {
        Ok(Value::from(*uint.inner()))
    } else if let Some(double) = value.downcast_ref::<CelDouble>() {
        let number = Number::from_f64(*double.inner());
        number.map(Value::Number).ok_or_else(|| NotJson::Number(*double.inner()))
    } else if let Some(truth) = value.downcast_ref::<CelBool>() {
        Ok(Value::Bool(*truth.inner()))
    } else if let Some(time) = value.downcast_ref::<CelTimestamp>() {
        Ok(Value::String(time.inner().to_rfc3339_opts(SecondsFormat::AutoSi, true)))
    } else if let Some(duration) = value.downcast_ref::<CelDuration>() {
        Ok(Value::String(seconds(duration.inner())))
    } else {
        Err(NotJson::Kind(with_article(value)))
    }
}

fn seconds(duration: &chrono::Duration) -> String {
    let sign = if *duration < chrono::Duration::zero() { "-" } else { "" };
    let whole = duration.num_seconds().unsigned_abs();
    match duration.subsec_nanos().unsigned_abs() {
        0 => format!("{sign}{whole}s"),
        nanos => format!("{sign}{whole}.{nanos:09}s"),
    }
}

fn list_to_json(value: &(dyn Val + '_)) -> Result<Value, NotJson> {
    let mut items = Vec::new();
    each(value, |item| items.push(to_json(item)));
    items.into_iter().collect::<Result<_, _>>().map(Value::Array)
}

/// A map as a JSON object; see [`to_json`].
pub(super) fn map_to_json(value: &(dyn Val + '_)) -> Result<Map<String, Value>, NotJson> {
    let no_fields = || NotJson::NoFields(kind_of(value).to_owned());
    let indexer = value.as_indexer().ok_or_else(no_fields)?;
    let mut fields = Vec::new();
    each(value, |key| {
        let text = key.downcast_ref::<CelString>().map(|text| text.inner().to_owned());
        let text = text.ok_or_else(|| NotJson::Key(with_article(key)));
        fields.push(text.and_then(|text| {
            let found = indexer.get(key).map_err(|error| NotJson::Field(error.to_string()))?;
            Ok((text, to_json(found.as_ref())?))
        }));
    });
    fields.into_iter().collect()
}

/// The name of a value's type, as `type(value)` gives it.
pub(super) fn kind_of<'b>(value: &'b (dyn Val + '_)) -> &'b str {
    value.get_type().name()
}

/// The name of a value's type after its article: `an int`, `a list`.
pub(super) fn with_article(value: &(dyn Val + '_)) -> String {
    let kind = kind_of(value);
    let article = if kind.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {kind}")
}
