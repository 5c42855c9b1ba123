//! The ledger of what workers do outside of the engine: a line for each begin and each end of an execution.
//!
//! A line goes to the kernel whole, by one write to the end of the file, so a worker that is killed leaves no part
//! of one, and those of several workers do not mix. The machine does not crash, so nothing is synced.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::Path,
};

use chrono::{SecondsFormat, Utc};
use stormpetrel::worker::Attempt;

use crate::{activities, orders};

/// The ledger as a worker writes it.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    worker: String,
}

impl Ledger {
    /// Opens a ledger, which others write too.
    pub(crate) fn open(path: &Path, worker: &str) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { file, worker: worker.to_owned() })
    }

    /// Notes that an execution begins.
    pub(crate) fn begins(&self, attempt: &Attempt) {
        self.note("begin", attempt, "-");
    }

    /// Notes that an execution has ended, by an outcome or with a code.
    pub(crate) fn ends(&self, attempt: &Attempt, by: &str) {
        self.note("end", attempt, by);
    }

    fn note(&self, what: &str, attempt: &Attempt, by: &str) {
        let work = attempt.work();
        let (claim, number) = (attempt.claim(), attempt.number());
        let (kind, worker) = (attempt.kind(), &self.worker);
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let (case, item) = (&work.case, work.item);
        let line = format!("{what} {case} {item} {claim} {number} {worker} {kind} {by} {time}\n");
        let written = (&self.file).write(line.as_bytes());
        if !matches!(written, Ok(length) if length == line.len()) {
            // Nothing may happen that is not noted.
            eprintln!("error: the ledger can't be written: {written:?}");
            std::process::exit(70);
        }
    }
}

/// Name of a claim: order, item and claim.
pub(crate) type ClaimId = (u32, u64, u64);

/// An execution as the ledger has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Execution {
    /// Number of times that it began.
    pub begun: u32,
    /// Its worker, by its number among the names.
    pub worker: u32,
    /// Its ends, by their numbers among the names.
    pub ends: Vec<u32>,
}

/// A ledger as it is read.
#[derive(Debug, Default)]
pub(crate) struct Executions {
    pub of: HashMap<ClaimId, Execution>,
    /// Lines that are none.
    pub odd: Vec<String>,
    /// Numbers of the names of failures.
    failures: Vec<u32>,
}

/// Texts that many have, each by a number.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<String, u32>,
    texts: Vec<String>,
}

impl Names {
    /// The number of a text.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// The text of a number.
    pub(crate) fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("?", String::as_str)
    }
}

impl Executions {
    /// Reads a ledger.
    pub(crate) fn read(path: &Path, names: &mut Names) -> io::Result<Self> {
        let failures = [activities::BANK_AWAY, "CARD_DECLINED"].map(|code| names.number(code));
        let mut all = Self { failures: failures.into(), ..Self::default() };
        for line in BufReader::new(File::open(path)?).lines() {
            let line = line?;
            if all.add(&line, names).is_none() {
                all.odd.push(line);
            }
        }
        Ok(all)
    }

    fn add(&mut self, line: &str, names: &mut Names) -> Option<()> {
        let words: Vec<_> = line.split(' ').collect();
        let [what, case, item, claim, _, worker, _, by, _] = words[..] else { return None };
        let id = (orders::number(case)?, item.parse().ok()?, claim.parse().ok()?);
        let (worker, by) = (names.number(worker), names.number(by));
        match what {
            "begin" => {
                let execution = self.of.entry(id).or_default();
                execution.begun += 1;
                execution.worker = worker;
            }
            "end" => self.of.entry(id).or_default().ends.push(by),
            _ => return None,
        }
        Some(())
    }

    /// Number of items that were carried out to the end more often than once: outside of the engine they
    /// happened again, as no system can help it. A failed execution is none.
    pub(crate) fn repeated(&self) -> usize {
        let mut whole: HashMap<(u32, u64), u32> = HashMap::new();
        for ((case, item, _), of) in &self.of {
            let done = of.ends.iter().filter(|end| !self.failures.contains(end)).count();
            *whole.entry((*case, *item)).or_default() += done as u32;
        }
        whole.values().filter(|count| **count > 1).count()
    }
}
