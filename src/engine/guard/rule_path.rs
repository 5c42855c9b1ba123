//! Dotted paths of rule trees.

use std::fmt;

use cel::{
    common::{
        types::{CelInt, CelString, Kind},
        value::CowVal,
    },
    context::VariableResolver,
};

use super::{
    scope::Variables,
    value::from_json,
    view::{CASE_FIELDS, TOKEN_FIELDS},
};

/// Path of a rule: it begins at `token`, `tokens`, `case` or the data of `token`.
#[derive(Debug, Clone)]
pub(super) struct RulePath {
    text: String,
    root: Root,
    segments: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Variable(&'static str),
    TokenData,
}

/// The fault of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathProblem {
    #[error("path {path:?} has an empty part; write names and list positions with a dot between")]
    Empty { path: String },
    #[error("unknown name `{field}` in path `{path}`; known are {known}")]
    Unknown { field: String, path: String, known: String },
    #[error("`{position}` in path `{path}` is no position of a token")]
    Position { position: String, path: String },
}

impl RulePath {
    /// Reads `text`.
    ///
    /// # Errors
    ///
    /// Its problem.
    pub(super) fn parse(text: &str) -> Result<Self, PathProblem> {
        if text.split('.').any(str::is_empty) {
            return Err(PathProblem::Empty { path: text.to_owned() });
        }
        let mut segments: Vec<String> = text.split('.').map(str::to_owned).collect();
        let root = ["token", "tokens", "case"].into_iter().find(|root| *root == segments[0]);
        let root = root.map_or(Root::TokenData, Root::Variable);
        if root != Root::TokenData {
            segments.remove(0);
        }
        let (field, fields) = match root {
            Root::Variable("tokens") => (segments.get(1), TOKEN_FIELDS),
            Root::Variable("case") => (segments.first(), CASE_FIELDS),
            Root::Variable(_) => (segments.first(), TOKEN_FIELDS),
            Root::TokenData => (None, TOKEN_FIELDS),
        };
        if let Some(field) = field.filter(|field| !fields.contains(&field.as_str())) {
            let (field, path) = (field.clone(), text.to_owned());
            return Err(PathProblem::Unknown { field, path, known: fields.join(", ") });
        }
        if root == Root::Variable("tokens")
            && let Some(position) = segments.first().filter(|first| first.parse::<u32>().is_err())
        {
            let (position, path) = (position.clone(), text.to_owned());
            return Err(PathProblem::Position { position, path });
        }
        Ok(Self { text: text.to_owned(), root, segments })
    }

    /// Returns true if it begins at the case.
    pub(super) fn is_of_case(&self) -> bool {
        self.root == Root::Variable("case")
    }

    /// The value that the path leads to, if any.
    pub(super) fn find<'v>(&self, variables: &'v Variables<'_>) -> Option<CowVal<'v, 'v>> {
        let mut value = match self.root {
            Root::Variable(name) => variables.resolve(name)?,
            Root::TokenData => {
                CowVal::Owned(from_json(variables.token_data()?, variables.budget()))
            }
        };
        for segment in &self.segments {
            let indexer = value.as_indexer()?;
            let next = if value.get_type().kind() == Kind::List {
                indexer.get(&CelInt::from(segment.parse::<i64>().ok()?))
            } else {
                indexer.get(&CelString::from(segment.as_str()))
            };
            value = CowVal::Owned(next.ok()?.into_owned());
        }
        Some(value)
    }
}

impl fmt::Display for RulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
