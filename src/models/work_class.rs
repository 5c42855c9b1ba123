//! Classes of work: what is to be done first.

use serde::{Deserialize, Serialize};

/// Class of an open work item. Workers take more of the higher ones, and some of each.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum WorkClass {
    /// Before others.
    High,
    /// Of no special urgency.
    #[default]
    Normal,
    /// After others, but not for ever.
    Low,
}

impl WorkClass {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The class of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// Returns true if nothing says otherwise.
    pub fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}
