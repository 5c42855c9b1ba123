//! What a command answers, once for people and once for programs.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::Value;

use super::failure::Failure;

/// The result of a command.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// One JSON document.
    pub(super) json: Value,
    /// Lines for people; empty if everything has been said already.
    pub(super) text: String,
    /// What failed, where only a part did. The JSON document says it too, so only people get
    /// it on stderr; the exit code is that of the first.
    pub(super) complaints: Vec<Failure>,
    /// The exit code of a command that has more to say with it than done or failed.
    pub(super) exit: Option<u8>,
}

impl Answer {
    /// An answer to a command that did what it was asked.
    pub(super) fn new(json: Value, text: impl Into<String>) -> Self {
        Self { json, text: text.into(), complaints: Vec::new(), exit: None }
    }

    /// Writes it to stdout, and answers the exit code.
    pub(super) fn print(&self, as_json: bool) -> ExitCode {
        let written = match as_json {
            true if self.json.is_null() => Ok(()),
            // The alternate form is the indented one.
            true => line(&format!("{:#}", self.json)),
            false if self.text.is_empty() => Ok(()),
            false => line(self.text.trim_end_matches('\n')),
        };
        if let Err(failure) = written {
            return failure.report(as_json);
        }
        if !as_json {
            for complaint in &self.complaints {
                eprintln!("{}", complaint.to_text());
            }
        }
        match self.exit {
            Some(exit) => ExitCode::from(exit),
            None => self.complaints.first().map_or(ExitCode::SUCCESS, Failure::exit_code),
        }
    }
}

/// Writes a line to stdout at once, for answers that come bit by bit.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}
