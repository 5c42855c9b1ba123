//! Programs that run beside a test. Nothing here waits for ever.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

/// Longest time for a program to print a line, or to end. Starting Python on a busy machine
/// takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// `petrel` in an environment that says nothing about a server.
pub(crate) fn program() -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_petrel")))
}

/// A command without the settings of the user who runs the tests, except the search for the
/// nats-server binary.
pub(crate) fn clean(mut command: Command) -> Command {
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        let search = name == "PETREL_NATS_SERVER" || name == "PETREL_CACHE_DIR";
        if (name.starts_with("NATS_") || name.starts_with("PETREL_")) && !search {
            command.env_remove(&variable);
        }
    }
    command.env_remove("RUST_LOG").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn output(mut command: Command) -> Output {
    match timeout(PATIENCE, command.output()).await {
        Ok(output) => output.unwrap_or_else(|error| panic!("{command:?}: {error}")),
        Err(_elapsed) => panic!("{command:?} has not ended in {PATIENCE:?}"),
    }
}

/// A program that prints lines while it runs, killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
    /// The part of its errors that has been read.
    errors: String,
}

impl Program {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, stderr, errors: String::new() }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// The next line.
    pub(crate) async fn line(&mut self) -> String {
        let Ok(line) = timeout(PATIENCE, self.lines.next_line()).await else {
            panic!("no line in {PATIENCE:?}; {}", self.end().await.1)
        };
        let Some(line) = line.unwrap() else { panic!("it has ended: {}", self.end().await.1) };
        line
    }

    /// The next line, a JSON document.
    pub(crate) async fn json(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }

    /// Waits for the next line of its log that has `part`.
    pub(crate) async fn logs(&mut self, part: &str) {
        let reading = async {
            loop {
                let begin = self.errors.len();
                let read = self.stderr.read_line(&mut self.errors).await.unwrap();
                if read == 0 || self.errors[begin..].contains(part) {
                    return read > 0;
                }
            }
        };
        let logged = timeout(PATIENCE, reading).await;
        assert_eq!(logged, Ok(true), "no {part:?} in {PATIENCE:?}: {}", self.errors);
    }

    /// Freezes it where it is: its connections stay open, and it does nothing.
    pub(crate) fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`suspend`](Self::suspend).
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.try_into().unwrap()));
        kill_process(pid.expect("it runs"), signal).unwrap();
    }

    /// Ends it as a service manager does, and returns its exit code and its errors.
    pub(crate) async fn terminate(mut self) -> (Option<i32>, String) {
        self.signal(Signal::TERM);
        self.exited().await
    }

    /// Waits for its own end, and returns its exit code and its errors.
    pub(crate) async fn exited(&mut self) -> (Option<i32>, String) {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let code = status.unwrap_or_else(|_| panic!("not ended in {PATIENCE:?}")).unwrap().code();
        self.stderr.read_to_string(&mut self.errors).await.unwrap();
        (code, std::mem::take(&mut self.errors))
    }

    /// Kills it, for the sake of its errors.
    async fn end(&mut self) -> (Option<i32>, String) {
        // Fails when it has ended already, which is fine.
        let _ = self.child.start_kill();
        self.exited().await
    }
}
