//! Numbers that JSON has not: serde_json writes them as null, and a result would come back as another one.

use std::fmt;

use serde::{
    Serialize, Serializer,
    ser::{
        self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};
use serde_json::Value;

use crate::models::{MAX_NESTING, kept_name, nesting};

/// The JSON of a value.
///
/// # Errors
///
/// The reason that it has none: a number that is not finite, or what serde_json refuses.
pub(super) fn json(value: &impl Serialize) -> Result<Value, String> {
    value.serialize(Finite).map_err(|fault| fault.to_string())?;
    let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
    if nesting(&value, MAX_NESTING) > MAX_NESTING {
        return Err(format!("it has more than {MAX_NESTING} levels of lists and objects"));
    }
    match kept_name(&value) {
        Some(name) => Err(format!("no field may have the name {name:?}")),
        None => Ok(value),
    }
}

/// A serializer that writes nothing, and refuses numbers that are not finite.
struct Finite;

/// A number that is not finite, with the names of the fields around it.
#[derive(Debug)]
struct Fault {
    path: Vec<String>,
    reason: String,
}

impl Fault {
    fn in_field(mut self, name: &str) -> Self {
        self.path.push(name.to_owned());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            let path: Vec<_> = self.path.iter().rev().map(String::as_str).collect();
            write!(f, "{}: ", path.join("."))?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Fault {}

impl ser::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: Vec::new(), reason: message.to_string() }
    }
}

type Checked = Result<(), Fault>;

/// Values in which there is nothing to look for.
macro_rules! nothing {
    ($($name:ident($($type:ty),*);)*) => {
        $(fn $name(self, $(_: $type),*) -> Checked { Ok(()) })*
    };
}

impl Serializer for Finite {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    nothing! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_f32(self, number: f32) -> Checked {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Checked {
        match number.is_finite() {
            true => Ok(()),
            false => Err(ser::Error::custom(format!("{number} is no number that JSON has"))),
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self).map_err(|fault| fault.in_field(name))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Fault> {
        Ok(self)
    }
}

/// Lists, of which each element is looked at.
macro_rules! list {
    ($($of:ident::$name:ident;)*) => {
        $(impl $of for Finite {
            type Ok = ();
            type Error = Fault;

            fn $name<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
                value.serialize(Finite)
            }

            fn end(self) -> Checked {
                Ok(())
            }
        })*
    };
}

list! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

/// Objects with the names of their fields.
macro_rules! object {
    ($($of:ident;)*) => {
        $(impl $of for Finite {
            type Ok = ();
            type Error = Fault;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Checked {
                value.serialize(Finite).map_err(|fault| fault.in_field(name))
            }

            fn end(self) -> Checked {
                Ok(())
            }
        })*
    };
}

object! {
    SerializeStruct;
    SerializeStructVariant;
}

impl SerializeMap for Finite {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Checked {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        value.serialize(Finite)
    }

    fn end(self) -> Checked {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    enum Price {
        Of { amount: f64, parts: (f32, Option<f64>) },
    }

    #[test]
    fn numbers_that_json_has_not_are_refused_by_name_and_all_others_come_through() {
        let of = |amount, part| Price::Of { amount, parts: (0.5, Some(part)) };
        let wanted = json!({"Of": {"amount": -0.0, "parts": [0.5, 1e-320]}});
        assert_eq!(json(&of(-0.0, 1e-320)).unwrap(), wanted);
        assert_eq!(json(&of(f64::NAN, 1.0)).unwrap_err(), "amount: NaN is no number that JSON has");
        assert_eq!(
            json(&of(1.0, f64::NEG_INFINITY)).unwrap_err(),
            "parts: -inf is no number that JSON has"
        );
        assert!(json(&[BTreeMap::from([("a", f32::INFINITY)])]).unwrap_err().contains("inf is no"));
        assert_eq!(json(&None::<f64>).unwrap(), Value::Null);
        assert!(json(&BTreeMap::from([((1, 2), 1)])).unwrap_err().contains("key must be a string"));
    }
}
