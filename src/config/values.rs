//! Values of settings.

use clap::ValueEnum;

use crate::storage::{ReadPath, nats::GroupCommit};

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) String);

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// The address of a server. It may have a login, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(pub(super) String);

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// A set of settings to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Preset {
    /// Settings for a machine of one's own: answers within 5 s, 3 deliveries, 10 s to connect
    #[default]
    Development,
    /// Settings for a system in use: answers within 30 s, 5 deliveries, 30 s to connect
    Production,
    /// Settings of production, with larger buffers and batches
    HighThroughput,
}

/// Way of reading tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReadPathSetting {
    /// Direct get: one request for a token
    Direct,
    /// Ephemeral consumer, which takes the newest over all places and markers
    Consumer,
}

impl From<ReadPathSetting> for ReadPath {
    fn from(setting: ReadPathSetting) -> Self {
        match setting {
            ReadPathSetting::Direct => Self::Direct,
            ReadPathSetting::Consumer => Self::Consumer,
        }
    }
}

/// Setting of how changes that come at once go to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GroupCommitSetting {
    /// Together where that was measured to be faster.
    Measured,
    /// Together whenever several come at once.
    Always,
    /// One by one.
    Never,
}

impl From<GroupCommitSetting> for GroupCommit {
    fn from(setting: GroupCommitSetting) -> Self {
        match setting {
            GroupCommitSetting::Measured => Self::Measured,
            GroupCommitSetting::Always => Self::Always,
            GroupCommitSetting::Never => Self::Never,
        }
    }
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// Lines for people; in colour on a terminal
    #[default]
    Human,
    /// One JSON object a line
    Json,
}
