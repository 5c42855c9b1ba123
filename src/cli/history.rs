//! `petrel history`.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::ProgressBar;
use serde_json::json;
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use super::{
    answer::Answer,
    bar::{READING, WRITING, bar},
    connection::{self, Connection},
    failure::Failure,
    file::cant_write,
    presentation::counted,
};
use crate::{
    config::Config,
    formats::event_log::{Csv, EventLog, Labels, Ocel2, Options, Written, Xes},
    models::{CaseId, WorkflowId},
    petrel::Gathered,
};

/// Number of unreadable cases that a message lists.
const LISTED: usize = 10;

/// Bytes of the objects' lines in memory before they go to a temporary file.
const SPOOL_BYTES: usize = 4 * 1024 * 1024;

/// Event logs of all cases of a workflow, for process mining
#[derive(Debug, Subcommand)]
pub(super) enum History {
    Export(Export),
}

const EXAMPLES: &str = "\
Examples:
  petrel history export order-approval --format xes -o orders.xes
  petrel history export order-approval --format csv --case order-1 --case order-2
  petrel history export order-approval --format ocel2 | gzip > orders.json.gz

The formats, for tools of process mining (PM4Py, ProM, Celonis and others):
  xes    IEEE 1849-2016: a trace a case, an event a firing
  ocel2  OCEL 2.0 JSON: events, and the tokens that each consumed, read, removed or produced
  csv    a line an event

An event's activity is the transition's name, or its id where it has none; its time is the
server's, in microseconds, and strictly increases in a case. Cases come in the order of their
ids. A case with a record that can't be read is named and left out: the others are exported, and
the exit code is 1. A cell of a CSV file that a spreadsheet would take for a formula (it begins
with = + - or @) has a ' before it; --raw-cells writes it as it is.";

/// Write a workflow's history as an event log for process mining
///
/// Reads the log once, as it is when the command begins. At any length of the log, it takes
/// some 100 MiB of memory; the rest is in a temporary file (in TMPDIR), of about half the size
/// of the output.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Export {
    /// The workflow's id
    workflow: WorkflowId,
    /// Format of the event log
    #[arg(long, value_enum)]
    format: Format,
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The only case to write; can be repeated
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<CaseId>,
    /// Write changes that are no activity, too: created, paused, resumed, cancelled, edited,
    /// and firings of silent transitions. A replay on the net does not fit any more then
    #[arg(long)]
    lifecycle: bool,
    /// Write cells of CSV as they are: for programs that are no spreadsheets
    #[arg(long)]
    raw_cells: bool,
}

/// The format of an event log on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// XES, IEEE 1849-2016
    Xes,
    /// OCEL 2.0 in JSON
    Ocel2,
    /// CSV, RFC 4180
    Csv,
}

impl History {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        match self {
            Self::Export(export) => export.run(config).await,
        }
    }
}

impl Export {
    async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        // A file that can't be written is found out before the log is read.
        let target = Target::open(self.output.as_deref())?;
        let reading = bar(config, READING);
        let gathered = Connection::with(config, &shutdown, async |connection| {
            let progress = |done, of| {
                reading.set_length(of);
                reading.set_position(done);
            };
            let petrel = &connection.petrel;
            Ok(petrel.gather_history(&self.workflow, &self.cases, &progress).await?)
        })
        .await;
        reading.finish_and_clear();
        let gathered = gathered?;
        let complaint = complaint(&gathered);
        let unreadable: Vec<_> = gathered.unreadable.keys().cloned().collect();
        let to_stdout = self.output.is_none();
        let (writing, stop) = (bar(config, WRITING), shutdown.clone());
        let write = move || self.write(gathered, target, &writing, &stop);
        let written = tokio::task::spawn_blocking(write).await;
        let written = written.unwrap_or_else(|error| Err(Failure::internal(error.to_string())));
        if shutdown.is_cancelled() {
            return Err(Failure::interrupted());
        }
        let Written { cases, events, silent } = written?;
        if to_stdout {
            // Standard output has the log and nothing else.
            return complaint.map_or_else(|| Ok(Answer::default()), Err);
        }
        let json = json!({
            "cases": cases, "events": events, "silent": silent, "unreadable": unreadable,
        });
        let mut text = format!("cases: {cases}, events: {events}");
        if silent > 0 {
            text.push_str(&format!(", left out: {}", counted(silent, "silent firing")));
        }
        let mut answer = Answer::new(json, text);
        answer.complaints.extend(complaint);
        Ok(answer)
    }

    fn write(
        &self,
        gathered: Gathered,
        target: Target,
        bar: &ProgressBar,
        stop: &CancellationToken,
    ) -> Result<Written, Failure> {
        let options = Options {
            name: self.workflow.to_string(),
            labels: Labels::of(&gathered.definitions),
            lifecycle: self.lifecycle,
            raw_cells: self.raw_cells,
        };
        bar.set_length(gathered.total);
        let written = target.write(|sink| {
            let mut log: Box<dyn EventLog> = match self.format {
                Format::Xes => Box::new(Xes::new(sink, options)?),
                Format::Csv => Box::new(Csv::new(sink, options)?),
                Format::Ocel2 => {
                    let spool = tempfile::SpooledTempFile::new(SPOOL_BYTES);
                    Box::new(Ocel2::new(sink, spool, options)?)
                }
            };
            for record in gathered.into_records()? {
                if stop.is_cancelled() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                log.record((&record?).into())?;
                bar.inc(1);
            }
            log.finish()
        });
        bar.finish_and_clear();
        written
    }
}

/// Target of the event log.
enum Target {
    Stdout,
    /// Something that is no plain file, as a pipe.
    Device(File, PathBuf),
    /// A file beside the one that is wanted, which it replaces when it is whole.
    Beside(NamedTempFile, PathBuf),
}

impl Target {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        let opened = match fs::metadata(path) {
            Ok(there) if !there.is_file() => OpenOptions::new()
                .write(true)
                .open(path)
                .map(|file| Self::Device(file, path.to_owned())),
            _ => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let mut builder = tempfile::Builder::new();
                // As any new file: what the user's mask leaves of it.
                builder.permissions(Permissions::from_mode(0o666));
                let file = builder.tempfile_in(folder.unwrap_or(Path::new(".")));
                file.map(|file| Self::Beside(file, path.to_owned()))
            }
        };
        opened.map_err(|error| cant_write(path, error))
    }

    fn write(
        self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<Written>,
    ) -> Result<Written, Failure> {
        match self {
            Self::Stdout => Ok(write(&mut BufWriter::new(io::stdout().lock()))?),
            Self::Device(file, path) => {
                write(&mut BufWriter::new(file)).map_err(|error| cant_write(&path, error))
            }
            Self::Beside(file, path) => {
                let written = write(&mut BufWriter::new(&file));
                let written = written.map_err(|error| cant_write(&path, error))?;
                file.persist(&path).map_err(|error| cant_write(&path, error.error))?;
                Ok(written)
            }
        }
    }
}

/// The cases that are left out, with the reasons.
fn complaint(gathered: &Gathered) -> Option<Failure> {
    let count = gathered.unreadable.len();
    if count == 0 {
        return None;
    }
    let listed = gathered.unreadable.iter().take(LISTED);
    let listed: Vec<_> = listed.map(|(case, error)| format!("\n  {case}: {error}")).collect();
    let more = match count.saturating_sub(LISTED) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    let cases = if count == 1 { "case" } else { "cases" };
    let message =
        format!("{count} {cases} left out, since a record can't be read:{}{more}", listed.concat());
    Some(Failure::corrupt(message).about_records(gathered.unreadable.values()))
}
