//! Answers of commands, once for people and once for programs.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use serde_json::Value;

use super::failure::Failure;
use crate::models::{visible_json, visible_lines};

/// The result of a command.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// One JSON document.
    pub(super) json: Value,
    /// Lines for people; empty if everything has been said already.
    pub(super) text: String,
    /// True if the text is a document, which is written without changes where no person looks
    /// at it.
    document: bool,
    /// Failures of a command of which only a part failed. The JSON document has them too, so
    /// only people get them on stderr; the exit code is that of the first.
    pub(super) complaints: Vec<Failure>,
    /// The exit code of a command that has more to say with it than done or failed.
    pub(super) exit: Option<u8>,
}

impl Answer {
    /// An answer of a command that did its work.
    pub(super) fn new(json: Value, text: impl Into<String>) -> Self {
        Self { json, text: text.into(), ..Self::default() }
    }

    /// A document, as other programs read it too.
    pub(super) fn document(json: Value, text: impl Into<String>) -> Self {
        Self { document: true, ..Self::new(json, text) }
    }

    /// Writes it to stdout, and answers the exit code.
    pub(super) fn print(&self, as_json: bool) -> ExitCode {
        let written = match as_json {
            true if self.json.is_null() => Ok(()),
            // The alternate form is the indented one.
            true => json_line(&format!("{:#}", self.json)),
            false if self.text.is_empty() => Ok(()),
            // Its last value may end in lines that are empty; only the last line's end is written here.
            false if self.document => {
                let text = self.text.strip_suffix('\n').unwrap_or(&self.text);
                if io::stdout().is_terminal() { line(text) } else { write(text) }
            }
            false => line(self.text.trim_end_matches('\n')),
        };
        if let Err(failure) = written {
            return failure.report(as_json);
        }
        if !as_json {
            for complaint in &self.complaints {
                complain(&complaint.to_text());
            }
        }
        match self.exit {
            Some(exit) => ExitCode::from(exit),
            None => self.complaints.first().map_or(ExitCode::SUCCESS, Failure::exit_code),
        }
    }
}

/// Writes a line, or several, to stdout at once, for answers that come bit by bit. Characters
/// that a terminal would obey are shown and not obeyed.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    write(&visible_lines(text))
}

/// Writes a JSON document to stdout at once.
pub(super) fn json_line(json: &str) -> Result<(), Failure> {
    write(&visible_json(json))
}

/// Writes a message for people to stderr. What can't be written there is lost, and changes nothing:
/// a disk that is full must not become another exit code.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", visible_lines(text));
}

/// Writes a JSON document to stderr, as [`complain`] does a text.
pub(super) fn complain_json(json: &str) {
    let _ = writeln!(io::stderr(), "{}", visible_json(json));
}

fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}
