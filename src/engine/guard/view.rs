//! A map that an expression reads without a copy being made.

use std::{collections::BTreeMap, sync::OnceLock};

use cel::{
    ExecutionError,
    common::{
        traits::{self, Container, Indexer, Iterable, Sizer, Zeroer},
        types::{CelInt, CelString, CelTimestamp, Kind, MAP_TYPE, Type},
        value::{CowVal, Val},
    },
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{scope::Scope, value::from_json};
use crate::engine::Budget;
use crate::models::{LogSequence, PlaceId, Token};

/// The fields of a token, as expressions name them.
pub(super) const TOKEN_FIELDS: &[&str] =
    &["id", "place", "data", "metadata", "created_at", "updated_at", "revision"];

/// The fields of `case`.
pub(super) const CASE_FIELDS: &[&str] = &["id", "workflow", "status", "marking"];

/// A CEL map that stands for something else and makes a value of a field when it is asked for.
#[derive(Debug)]
pub(super) struct View<'a> {
    source: Source<'a>,
    budget: &'a Budget,
    /// An iteration lends its keys out, so they must live somewhere.
    keys: OnceLock<Vec<CelString<'a>>>,
}

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Object(&'a Map<String, Value>),
    Token(&'a Token),
    Case(&'a Scope<'a>),
    Marking(&'a BTreeMap<PlaceId, u64>),
}

impl<'a> View<'a> {
    fn new(source: Source<'a>, budget: &'a Budget) -> Self {
        Self { source, budget, keys: OnceLock::new() }
    }

    pub(super) fn object(fields: &'a Map<String, Value>, budget: &'a Budget) -> Self {
        Self::new(Source::Object(fields), budget)
    }

    pub(super) fn token(token: &'a Token, budget: &'a Budget) -> Self {
        Self::new(Source::Token(token), budget)
    }

    pub(super) fn case(scope: &'a Scope<'a>) -> Self {
        Self::new(Source::Case(scope), scope.budget)
    }

    fn field(&self, name: &str) -> Option<Box<dyn Val + 'a>> {
        match self.source {
            Source::Object(fields) => fields.get(name).map(|field| from_json(field, self.budget)),
            Source::Token(token) => token_field(token, name, self.budget),
            Source::Case(scope) => case_field(scope, name),
            Source::Marking(places) => {
                let (_, count) = places.iter().find(|(place, _)| place.as_str() == name)?;
                Some(int(*count))
            }
        }
    }

    fn keys(&self) -> &[CelString<'a>] {
        self.keys.get_or_init(|| match self.source {
            Source::Object(fields) => fields.keys().map(|key| key.as_str().into()).collect(),
            Source::Token(_) => TOKEN_FIELDS.iter().map(|key| (*key).into()).collect(),
            Source::Case(_) => CASE_FIELDS.iter().map(|key| (*key).into()).collect(),
            Source::Marking(places) => places.keys().map(|place| place.as_str().into()).collect(),
        })
    }

    fn len(&self) -> usize {
        match self.source {
            Source::Object(fields) => fields.len(),
            Source::Token(_) => TOKEN_FIELDS.len(),
            Source::Case(_) => CASE_FIELDS.len(),
            Source::Marking(places) => places.len(),
        }
    }
}

fn token_field<'a>(token: &'a Token, name: &str, budget: &'a Budget) -> Option<Box<dyn Val + 'a>> {
    Some(match name {
        "id" => text(token.id.as_str()),
        "place" => text(token.place.as_str()),
        "data" => from_json(&token.data, budget),
        "metadata" => Box::new(View::object(&token.metadata, budget)),
        "created_at" => time(token.created_at),
        "updated_at" => time(token.updated_at),
        "revision" => int(token.nats_sequence.map_or(0, LogSequence::get)),
        _ => return None,
    })
}

fn case_field<'a>(scope: &'a Scope<'a>, name: &str) -> Option<Box<dyn Val + 'a>> {
    Some(match name {
        "id" => text(scope.case.as_str()),
        "workflow" => text(scope.workflow.as_str()),
        "status" => text(scope.status.as_str()),
        "marking" => Box::new(View::new(Source::Marking(scope.marking), scope.budget)),
        _ => return None,
    })
}

fn text<'a>(text: &'a str) -> Box<dyn Val + 'a> {
    Box::new(CelString::from(text))
}

fn time<'a>(time: DateTime<Utc>) -> Box<dyn Val + 'a> {
    Box::new(CelTimestamp::from(time.fixed_offset()))
}

fn int<'a>(number: u64) -> Box<dyn Val + 'a> {
    // Sequences and counts stay far below the range of an int.
    Box::new(CelInt::from(i64::try_from(number).unwrap_or(i64::MAX)))
}

impl Val for View<'_> {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        let (Some(sizer), Some(indexer)) = (other.as_sizer(), other.as_indexer()) else {
            return false;
        };
        // A list has a size and an index too.
        other.get_type().kind() == Kind::Map
            && usize::try_from(*sizer.size().inner()) == Ok(self.len())
            && self.keys().iter().all(|key| {
                let (mine, theirs) = (self.field(key.inner()), indexer.get(key));
                mine.is_some_and(|mine| theirs.is_ok_and(|theirs| mine.equals(theirs.as_ref())))
            })
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Self::new(self.source, self.budget))
    }
}

impl Indexer for View<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let Some(name) = key.downcast_ref::<CelString>() else {
            return Err(ExecutionError::UnexpectedType {
                got: key.get_type().name().to_owned(),
                want: "string".to_owned(),
            });
        };
        let found = self.field(name.inner()).map(CowVal::Owned);
        found.ok_or_else(|| ExecutionError::no_such_key(name.inner()))
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl Container for View<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        let name = key.downcast_ref::<CelString>();
        Ok(name.is_some_and(|name| self.field(name.inner()).is_some()))
    }
}

impl Sizer for View<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.len()).unwrap_or(i64::MAX))
    }
}

impl Zeroer for View<'_> {
    fn is_zero_value(&self) -> bool {
        self.len() == 0
    }
}

impl Iterable for View<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn traits::Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Keys(self.keys().iter()))
    }
}

struct Keys<'b, 'a>(std::slice::Iter<'b, CelString<'a>>);

impl<'b, 'a: 'v, 'v> traits::Iterator<'b, 'v> for Keys<'b, 'a> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|key| key as &(dyn Val + 'v))
    }
}
