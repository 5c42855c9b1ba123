//! Programs as handlers: the input on stdin, the result on stdout.

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

use super::{Attempt, Done, WorkError};
use crate::models::OutcomeId;

/// Most bytes of stdout that are read: more can't be stored.
const LONGEST_RESULT: u64 = 16 * 1024 * 1024;

/// Most bytes of stderr that are kept: its end.
const LONGEST_STDERR: usize = 4 * 1024;

/// Time for which the pipes of a program that has ended are read: what it left running may hold them.
const LINGERS: Duration = Duration::from_millis(500);

/// A program that carries out a kind of work.
///
/// It gets the input as JSON on stdin, and in its environment `PETREL_WORKFLOW`, `PETREL_CASE`,
/// `PETREL_ITEM`, `PETREL_CLAIM` and `PETREL_ATTEMPT`. What it writes to stdout is the result, as JSON;
/// nothing is an empty object. It names an outcome by writing it into the file `PETREL_OUTCOME_FILE`. An
/// exit code other than 0 is the failed attempt `EXIT_<code>`, with the end of stderr as its words. It is
/// killed with all that it has begun when its attempt is to stop, and what it leaves behind at its end.
#[derive(Debug, Clone)]
pub struct CommandHandler {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl CommandHandler {
    /// Carries out an attempt.
    pub async fn run(self, attempt: Attempt, input: Value) -> Result<Done, WorkError> {
        let outcome = tempfile::NamedTempFile::new()?;
        let work = attempt.work();
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env("PETREL_WORKFLOW", work.workflow.as_str())
            .env("PETREL_CASE", work.case.as_str())
            .env("PETREL_ITEM", work.item.to_string())
            .env("PETREL_CLAIM", attempt.claim().to_string())
            .env("PETREL_ATTEMPT", attempt.number().to_string())
            .env("PETREL_OUTCOME_FILE", outcome.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C is for the worker, which lets it end; and a kill is for all that it has begun.
            .process_group(0);
        let mut child = command.spawn().map_err(|error| {
            let program = self.program.display();
            WorkError::new("NOT_STARTED", format!("{program} can't be started: {error}"))
        })?;
        let _group = Group(child.id());
        let talked = tokio::select! {
            talked = talk(&mut child, input.to_string()) => talked?,
            () = attempt.stopped() => {
                let reason = attempt.stop_reason().map_or("stopped", |reason| reason.as_str());
                return Err(WorkError::new("STOPPED", format!("the program was killed: {reason}")));
            }
        };
        let (status, stdout, stderr) = talked;
        if stdout.len() as u64 > LONGEST_RESULT {
            let message = format!("the program wrote more than {LONGEST_RESULT} bytes to stdout");
            let refused = WorkError::new(super::handler::RESULT_REFUSED, message);
            return Err(refused.without_retry());
        }
        if !status.success() {
            let code = match status.code() {
                Some(code) => format!("EXIT_{code}"),
                None => "KILLED".to_owned(),
            };
            let message = match stderr.trim().lines().last() {
                Some(last) => last.to_owned(),
                None => format!("{} ended with {status}", self.program.display()),
            };
            return Err(WorkError::new(code, message).with_stack(stderr));
        }
        let result = match stdout.trim_ascii() {
            [] => Value::Object(serde_json::Map::new()),
            text => serde_json::from_slice(text).map_err(|error| {
                let message = format!("what the program wrote to stdout is no JSON: {error}");
                WorkError::new(super::handler::RESULT_REFUSED, message).without_retry()
            })?,
        };
        let named = tokio::fs::read_to_string(outcome.path()).await?;
        let outcome = match named.trim() {
            "" => None,
            id => Some(OutcomeId::new(id)?),
        };
        Ok(Done { outcome, result })
    }
}

/// The processes of a program: all that are left are killed when it is dropped.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(leader) = leader {
            // Fails if all have ended, which is fine.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Writes the input, reads what the program says, and waits for its end. What it leaves running may hold
/// its pipes, so these are read for a moment longer only.
async fn talk(
    child: &mut Child,
    input: String,
) -> Result<(ExitStatus, Vec<u8>, String), std::io::Error> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program may end without having read it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let talk = async {
        let read = keep(stdout, &mut said, usize::MAX);
        let complain = keep(stderr, &mut complained, LONGEST_STDERR);
        let ((), read, complained) = tokio::join!(write, read, complain);
        read.and(complained)
    };
    let status = {
        let mut talk = std::pin::pin!(talk);
        let mut has_talked = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                talked = &mut talk, if !has_talked => {
                    talked?;
                    has_talked = true;
                }
            }
        };
        if !has_talked && let Ok(talked) = tokio::time::timeout(LINGERS, talk).await {
            talked?;
        }
        status
    };
    let from = complained.len().saturating_sub(LONGEST_STDERR);
    Ok((status, said, String::from_utf8_lossy(&complained[from..]).into_owned()))
}

/// Reads to the end, and keeps the end: twice as much as is wanted at most, or, where all is wanted, as much
/// as may be stored and a byte more.
async fn keep(
    from: Option<impl AsyncRead + Unpin>,
    kept: &mut Vec<u8>,
    wanted: usize,
) -> Result<(), std::io::Error> {
    let Some(mut from) = from else { return Ok(()) };
    let mut part = [0; 8192];
    loop {
        match from.read(&mut part).await? {
            0 => return Ok(()),
            count if wanted < usize::MAX || kept.len() as u64 <= LONGEST_RESULT => {
                kept.extend_from_slice(&part[..count]);
            }
            _ => {}
        }
        if wanted < usize::MAX && kept.len() > 2 * wanted {
            kept.drain(..kept.len() - wanted);
        }
    }
}
