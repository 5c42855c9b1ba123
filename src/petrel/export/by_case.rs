//! Records put together by case, in bounded memory: the log has those of all cases mixed.
//!
//! An external merge sort. Asking the server case by case would need no temporary file, but the
//! server looks through the log for each case anew: `docs/experiments.md` has the figures.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    iter,
    sync::Arc,
};

use chrono::{DateTime, Utc};

use crate::models::{CaseId, Fence, LogSequence, Record, Stored, WorkflowId, read_json};
use crate::petrel::{Error, Result, thread::off_thread};

/// Bytes of records in memory before they go to the temporary file.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of each sorted part of the temporary file in memory while they are merged.
const READ_BYTES: usize = 64 * 1024;

/// Workflow, case and log sequence of a record.
type Key = (WorkflowId, CaseId, LogSequence);

/// The case that a subject of the log belongs to.
pub(crate) fn case_of(subject: &str) -> Option<(WorkflowId, CaseId)> {
    let mut words = subject.rsplit('.');
    let case = CaseId::new(words.next()?).ok()?;
    Some((WorkflowId::new(words.nth(2)?).ok()?, case))
}

/// Takes records in any order and gives them by workflow, case and sequence.
#[derive(Debug)]
pub(crate) struct ByCase {
    /// The records in memory: their keys, and their places in `bytes`.
    keys: Vec<(Key, usize, usize)>,
    bytes: Vec<u8>,
    most: usize,
    file: Option<File>,
    /// Begin and end of the file's sorted parts.
    parts: Vec<(u64, u64)>,
}

impl ByCase {
    pub(crate) fn new() -> Self {
        Self::with_memory(MOST_BYTES)
    }

    fn with_memory(most: usize) -> Self {
        Self { keys: Vec::new(), bytes: Vec::new(), most, file: None, parts: Vec::new() }
    }

    /// Takes a record, and sees to it that there is memory for the next.
    pub(crate) async fn keep(mut self, stored: Stored<Record>) -> Result<Self> {
        self.add(stored).map_err(Error::TemporaryFile)?;
        if !self.is_full() {
            return Ok(self);
        }
        // Writing may wait for the disk.
        off_thread(|| self.spill()).await.map_err(Error::TemporaryFile)
    }

    /// Takes a record. Its tokens' histories are not kept: other records have them.
    fn add(&mut self, mut stored: Stored<Record>) -> io::Result<()> {
        stored.value.history_bases.clear();
        stored.value.produced.iter_mut().for_each(|token| token.history = Default::default());
        let begin = self.bytes.len();
        let Stored { value, sequence, timestamp, subject, hash, fence } = &stored;
        let line = (sequence, timestamp, subject, hash, fence, &value.unknown, value);
        serde_json::to_writer(&mut self.bytes, &line)?;
        // JSON has no line breaks of its own.
        self.bytes.push(b'\n');
        let key = (stored.value.workflow, stored.value.case, stored.sequence);
        self.keys.push((key, begin, self.bytes.len()));
        Ok(())
    }

    /// Returns true if it is time to [`spill`](Self::spill).
    fn is_full(&self) -> bool {
        self.bytes.len() + self.keys.len() * size_of::<(Key, usize, usize)>() >= self.most
    }

    /// Writes the records in memory to the temporary file.
    fn spill(mut self) -> io::Result<Self> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile()?),
        };
        self.keys.sort_unstable();
        let begin = file.seek(SeekFrom::End(0))?;
        let mut to = io::BufWriter::with_capacity(READ_BYTES, &mut *file);
        for (_, begin, end) in self.keys.drain(..) {
            to.write_all(&self.bytes[begin..end])?;
        }
        to.flush()?;
        drop(to);
        self.parts.push((begin, file.stream_position()?));
        self.bytes.clear();
        Ok(self)
    }

    /// The records, by case. May wait for the disk.
    pub(crate) fn into_records(mut self) -> io::Result<Records> {
        if !self.parts.is_empty() {
            self = self.spill()?;
        }
        let Self { mut keys, bytes, file, parts, .. } = self;
        let Some(file) = file.map(Arc::new) else {
            keys.sort_unstable();
            let mut keys = keys.into_iter();
            return Ok(Records(Box::new(iter::from_fn(move || {
                let (_, begin, end) = keys.next()?;
                Some(record(&bytes[begin..end]))
            }))));
        };
        let mut merge = Merge { sources: Vec::new(), next: BinaryHeap::new(), failed: None };
        for (at, end) in parts {
            let part = Part { file: Arc::clone(&file), at, end };
            merge.sources.push(BufReader::with_capacity(READ_BYTES, part));
            merge.advance(merge.sources.len() - 1)?;
        }
        Ok(Records(Box::new(merge)))
    }
}

/// Records, those of a case together and in the order of their sequences.
pub(crate) struct Records(Box<dyn Iterator<Item = io::Result<Stored<Record>>> + Send>);

impl Iterator for Records {
    type Item = io::Result<Stored<Record>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

fn record(line: &[u8]) -> io::Result<Stored<Record>> {
    type Line = (LogSequence, DateTime<Utc>, String, String, Fence, Vec<String>, Record);
    let (sequence, timestamp, subject, hash, fence, unknown, mut value): Line = read_json(line)?;
    value.unknown = unknown;
    Ok(Stored { value, sequence, timestamp, subject, hash, fence })
}

/// A sorted part of the file. All parts share the file's position, so each read sets it.
#[derive(Debug)]
struct Part {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        (&*self.file).seek(SeekFrom::Start(self.at))?;
        let read = (&*self.file).read(&mut buffer[..wanted])?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Gives the least record of all parts, again and again.
struct Merge {
    sources: Vec<BufReader<Part>>,
    next: BinaryHeap<Reverse<Waiting>>,
    failed: Option<io::Error>,
}

/// The next record of a part. A key is there once, so records are never compared.
struct Waiting {
    key: Key,
    source: usize,
    record: Stored<Record>,
}

impl Merge {
    fn advance(&mut self, source: usize) -> io::Result<()> {
        let mut line = Vec::new();
        if self.sources[source].read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let record = record(&line)?;
        let key = (record.value.workflow.clone(), record.value.case.clone(), record.sequence);
        self.next.push(Reverse(Waiting { key, source, record }));
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = io::Result<Stored<Record>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.next.clear();
            return Some(Err(error));
        }
        let Reverse(Waiting { source, record, .. }) = self.next.pop()?;
        // The record is good; what comes after it is told of next.
        self.failed = self.advance(source).err();
        Some(Ok(record))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(case: u8, sequence: u64) -> Stored<Record> {
        let record = serde_json::json!({
            "format": 1, "kind": "paused", "workflow": "w", "case": format!("c{case}"),
            "definition": 1, "time": "2026-01-01T00:00:00.123456789Z", "firing": "f",
            "marking": [], "status": "paused", "tokens_made": 1, "metadata": {"line": "a\nb"},
        });
        Stored {
            value: serde_json::from_value(record).unwrap(),
            sequence: LogSequence::new(sequence).unwrap(),
            timestamp: "2026-01-01T00:00:00.123456789Z".parse().unwrap(),
            subject: format!("log.w.c{case}"),
            fence: LogSequence::new(sequence / 2).into(),
            hash: "h".to_owned(),
        }
    }

    proptest! {
        #[test]
        fn what_is_spilled_comes_back_whole_and_by_case(
            cases in prop::collection::vec(0u8..5, 0..60),
            most in 1usize..20_000,
        ) {
            let given: Vec<_> = cases.iter().zip(1..).map(|(case, at)| stored(*case, at)).collect();
            let mut by_case = ByCase::with_memory(most);
            for record in &given {
                by_case.add(record.clone()).unwrap();
                if by_case.is_full() {
                    by_case = by_case.spill().unwrap();
                }
            }
            let back: Vec<_> = by_case.into_records().unwrap().map(|record| record.unwrap()).collect();
            let mut sorted = given;
            sorted.sort_by_key(|record| (record.value.case.clone(), record.sequence));
            prop_assert_eq!(back, sorted);
        }
    }
}
