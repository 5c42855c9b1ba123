//! Simulated cases as an event log, in the formats of exported histories.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufWriter},
    path::Path,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};

use super::{failure::Failure, file::cant_write, net_file::NetFile};
use crate::{
    analysis::simulation::{End, Run},
    formats::event_log::{Csv, EventLog, Labels, LogRecord, Options, Written, Xes},
    models::{
        CaseId, CaseStatus, FORMAT_VERSION, FiringId, IdError, LogSequence, Marking, Record,
        RecordKind, StoredDefinition, TransitionId, Version, WorkflowId,
    },
};

/// Seconds from the first event of a case to that of the next. Events of a case are a second
/// apart.
const BETWEEN_CASES: i64 = 60;

/// A file that simulated cases are written to.
pub(super) struct SimulatedLog {
    log: Box<dyn EventLog>,
    workflow: WorkflowId,
    /// Ids of the transitions' events, in the order of the net.
    transitions: Vec<TransitionId>,
    begins: DateTime<Utc>,
    /// The sequence of the last record.
    last: Option<LogSequence>,
}

impl SimulatedLog {
    /// Begins a file in the format of its name.
    pub(super) fn create(path: &Path, file: &NetFile) -> Result<Self, Failure> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let extension = extension.map(str::to_ascii_lowercase);
        let is_csv = match extension.as_deref() {
            Some("csv") => true,
            Some("xes") => false,
            _ => {
                let reason = "is written as its name says, name it .csv or .xes";
                return Err(Failure::usage(format!("--log {} {reason}", path.display())));
            }
        };
        let workflow = WorkflowId::new(&*file.name).or_else(|_| WorkflowId::new("simulated"));
        let workflow = workflow.map_err(unexpected)?;
        let transitions = event_ids(&file.firing_ids).map_err(unexpected)?;
        let named = transitions.iter().zip(&file.net.transitions);
        let named: Vec<_> = named
            .map(|(id, of)| json!({ "id": id, "name": of.label(), "silent": of.silent }))
            .collect();
        let definition = serde_json::from_value(json!({
            "id": workflow, "places": [], "initial_place": "start", "transitions": named,
        }))
        .map_err(|error| Failure::internal(format!("the log's labels: {error}")))?;
        let begins = DateTime::UNIX_EPOCH + TimeDelta::days(10_957);
        let (version, sequence) = (Version::FIRST, LogSequence::FIRST);
        let stored = StoredDefinition { definition, version, sequence, stored_at: begins };
        let options = Options {
            name: file.name.clone(),
            labels: Labels::of([&stored]),
            lifecycle: false,
            raw_cells: false,
        };
        let sink = File::create(path).map_err(|error| cant_write(path, error))?;
        let sink = BufWriter::new(sink);
        let log: Box<dyn EventLog> = match is_csv {
            true => Box::new(Csv::new(sink, options)?),
            false => Box::new(Xes::new(sink, options)?),
        };
        Ok(Self { log, workflow, transitions, begins, last: None })
    }

    /// Writes a case.
    pub(super) fn case(&mut self, run: Run<'_>) -> io::Result<()> {
        let case = CaseId::new(format!("case-{}", run.case + 1)).map_err(io::Error::other)?;
        let first = i64::try_from(run.case).unwrap_or(i64::MAX).saturating_mul(BETWEEN_CASES);
        for (number, transition) in run.firings.iter().enumerate() {
            let later = first.saturating_add(i64::try_from(number).unwrap_or(i64::MAX));
            let later = TimeDelta::try_seconds(later).unwrap_or_default();
            let time = self.begins.checked_add_signed(later).unwrap_or(self.begins);
            let last = number + 1 == run.firings.len();
            let status = match run.end {
                End::Completed if last => CaseStatus::Completed,
                _ => CaseStatus::Running,
            };
            let sequence = LogSequence::after(self.last);
            self.last = Some(sequence);
            let firing =
                FiringId::new(format!("{case}-{}", number + 1)).map_err(io::Error::other)?;
            let record = Record {
                format: FORMAT_VERSION,
                kind: RecordKind::Fired,
                workflow: self.workflow.clone(),
                case: case.clone(),
                definition: LogSequence::FIRST,
                time,
                by: None,
                firing,
                transition: Some(self.transitions[*transition].clone()),
                consumed: Vec::new(),
                read: Vec::new(),
                removed: Vec::new(),
                given: Vec::new(),
                edited: Vec::new(),
                cascade: Vec::new(),
                produced: Vec::new(),
                history_bases: std::collections::BTreeMap::new(),
                marking: Marking::default(),
                status,
                tokens_made: 0,
                incidents: Vec::new(),
                incidents_made: 0,
                raised: Vec::new(),
                timers: Vec::new(),
                timers_made: 0,
                items: Vec::new(),
                items_made: 0,
                work: None,
                paused: None,
                on_resume: Default::default(),
                elapsed: Vec::new(),
                incident: None,
                metadata: Map::new(),
                previous: None,
                previous_hash: None,
                request: None,
                seed: None,
                recent: Vec::new(),
                page: None,
                pages: Vec::new(),
                unlisted: None,
                tokens_hash: None,
                aside: Vec::new(),
                put_aside: Vec::new(),
                unknown: Vec::new(),
            };
            self.log.record(LogRecord { record: &record, sequence, timestamp: time, step: 0 })?;
        }
        Ok(())
    }

    /// Writes the rest.
    pub(super) fn finish(self) -> io::Result<Written> {
        self.log.finish()
    }
}

/// The ids of the events of transitions that fire by these ids. One that a workflow could not have
/// is `t` and the transition's number, from 0; names stay as they are.
fn event_ids(firing_ids: &[String]) -> Result<Vec<TransitionId>, IdError> {
    let taken: HashSet<&str> = firing_ids.iter().map(String::as_str).collect();
    let id = |(number, id): (usize, &String)| {
        TransitionId::new(&**id).or_else(|_| {
            let mut made = format!("t{number}");
            while taken.contains(made.as_str()) {
                made.push('_');
            }
            TransitionId::new(made)
        })
    };
    firing_ids.iter().enumerate().map(id).collect()
}

fn unexpected(error: IdError) -> Failure {
    Failure::internal(error.to_string())
}
