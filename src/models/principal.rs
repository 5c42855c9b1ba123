//! Who asks.

use std::{fmt, str::FromStr};

/// Somebody who has shown a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The name under which changes are noted in the log.
    pub name: String,
    /// What the token allows.
    pub role: Role,
}

/// What somebody may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything.
    Reader,
    /// Change cases.
    Operator,
    /// Change definitions, and put aside what is in a log.
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
