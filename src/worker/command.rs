//! Programs as handlers: the input on stdin, the result on stdout.

use std::{path::PathBuf, process::Stdio};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

use super::{Attempt, Done, WorkError};
use crate::models::OutcomeId;

/// Most bytes of stdout that are read: more can't be stored.
const LONGEST_RESULT: u64 = 16 * 1024 * 1024;

/// Most bytes of stderr that are kept: its end.
const LONGEST_STDERR: usize = 4 * 1024;

/// A program that carries out a kind of work.
///
/// It gets the input as JSON on stdin, and in its environment `PETREL_WORKFLOW`, `PETREL_CASE`,
/// `PETREL_ITEM`, `PETREL_CLAIM` and `PETREL_ATTEMPT`. What it writes to stdout is the result, as JSON;
/// nothing is an empty object. It names an outcome by writing it into the file `PETREL_OUTCOME_FILE`. An
/// exit code other than 0 is the failed attempt `EXIT_<code>`, with the end of stderr as its words. It is
/// killed when its attempt is to stop.
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
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            let program = self.program.display();
            WorkError::new("NOT_STARTED", format!("{program} can't be started: {error}"))
        })?;
        let talked = tokio::select! {
            talked = talk(&mut child, input.to_string()) => talked?,
            () = attempt.stopped() => {
                let reason = attempt.stop_reason().map_or("stopped", |reason| reason.as_str());
                child.kill().await?;
                return Err(WorkError::new("STOPPED", format!("the program was killed: {reason}")));
            }
        };
        let (stdout, stderr) = talked;
        let status = child.wait().await?;
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

/// Writes the input, and reads what the program says.
async fn talk(child: &mut Child, input: String) -> Result<(Vec<u8>, String), std::io::Error> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program may end without having read it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let read = async {
        let mut text = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(LONGEST_RESULT).read_to_end(&mut text).await?;
        }
        Ok::<_, std::io::Error>(text)
    };
    let complain = async {
        let (mut end, mut part) = (Vec::new(), [0; 4096]);
        if let Some(mut stderr) = stderr {
            loop {
                match stderr.read(&mut part).await? {
                    0 => break,
                    count => end.extend_from_slice(&part[..count]),
                }
                if end.len() > 2 * LONGEST_STDERR {
                    end.drain(..end.len() - LONGEST_STDERR);
                }
            }
        }
        let from = end.len().saturating_sub(LONGEST_STDERR);
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&end[from..]).into_owned())
    };
    let ((), text, stderr) = tokio::join!(write, read, complain);
    Ok((text?, stderr?))
}
