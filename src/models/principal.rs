//! Callers: their names and roles.

use std::{fmt, str::FromStr};

/// A caller who has shown a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The name under which changes are noted in the log.
    pub name: String,
    /// Role that the token gives.
    pub role: Role,
}

/// Permissions of a caller; each role has those of the roles before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// Looks at everything.
    Reader,
    /// Changes cases.
    Operator,
    /// Changes definitions, and puts messages of a log aside.
    Admin,
}

impl Role {
    /// Its name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let roles = [Self::Reader, Self::Operator, Self::Admin];
        let found = roles.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| "the role must be reader, operator or admin".to_owned())
    }
}
