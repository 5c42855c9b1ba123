use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::sync::{oneshot, watch};

/// A server's program, and its ways.
#[derive(Debug)]
pub(crate) struct Program {
    /// The program with its arguments, and the account that it runs under.
    pub(crate) command: Command,
    /// Name of the thread that waits for it.
    pub(crate) thread: &'static str,
    /// Signal that asks it to stop.
    pub(crate) stop: Signal,
    /// The port that it listens on, if this line of its log tells it.
    pub(crate) port: fn(&str) -> Option<u16>,
    /// Words of the line of its log that says that it is ready. They come after the port.
    pub(crate) ready: &'static str,
}

/// Words of the line in which nats-server says that it is ready.
const READY: &str = "Server is ready";

/// The port in `… Listening for client connections on 127.0.0.1:4222`.
fn announced_port(line: &str) -> Option<u16> {
    let (_, address) = line.split_once("Listening for client connections on ")?;
    let (_, port) = address.trim_end().rsplit_once(':')?;
    port.parse().ok()
}

impl Program {
    /// nats-server with a configuration file.
    pub(super) fn nats(binary: &Path, configuration: &Path) -> Self {
        let mut command = Command::new(binary);
        command.arg("--config").arg(configuration);
        let (thread, stop) = ("nats-server", Signal::TERM);
        Self { command, thread, stop, port: announced_port, ready: READY }
    }
}

/// A running server.
///
/// A thread of its own starts the server, reads its log and waits for its end. It lives
/// exactly as long as the server does. The parent-death signal needs that: Linux sends it when
/// the *thread* that forked ends, and the threads of an async runtime come and go.
#[derive(Debug)]
pub(crate) struct Process {
    child: Arc<Mutex<Child>>,
    pid: u32,
    stop: Signal,
    listening: Option<oneshot::Receiver<u16>>,
    exit: watch::Receiver<Option<ExitStatus>>,
    /// Channel that never carries anything; disconnected when the server has ended. For
    /// `drop`, which can't await `exit`.
    ended: Mutex<mpsc::Receiver<Infallible>>,
}

impl Process {
    /// Starts `program`.
    ///
    /// `log` gets the server's output; `held` is inherited as its standard input, which it
    /// doesn't read, so that a lock on the file lasts as long as the server. Blocks for as
    /// long as a fork takes.
    pub(crate) fn spawn(program: Program, log: File, held: File) -> io::Result<Self> {
        let Program { mut command, thread, stop, port, ready } = program;
        command
            .stdin(held)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A Ctrl-C in the terminal goes to the whole foreground group; in a
            // group of its own the server stays until we stop it.
            .process_group(0);
        end_with_parent(&mut command);

        let (spawned_to, spawned) = mpsc::channel();
        let (listening_to, listening) = oneshot::channel();
        let (exit_to, exit) = watch::channel(None);
        let (ended_to, ended) = mpsc::channel::<Infallible>();
        thread::Builder::new().name(thread.to_owned()).spawn(move || {
            let _ended = ended_to;
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let _ = spawned_to.send(Err(error));
                    return;
                }
            };
            let stderr = child.stderr.take();
            let pid = child.id();
            let child = Arc::new(Mutex::new(child));
            let _ = spawned_to.send(Ok((Arc::clone(&child), pid)));
            if let Some(stderr) = stderr {
                follow_log(BufReader::new(stderr), log, port, ready, listening_to);
            }
            let status = reap(&child, pid);
            let _ = exit_to.send(status);
        })?;
        let (child, pid) = spawned.recv().map_err(io::Error::other)??;
        let (listening, ended) = (Some(listening), Mutex::new(ended));
        Ok(Self { child, pid, stop, listening, exit, ended })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the server says that it is ready, and returns its port;
    /// `None` when it ended instead. To be awaited once.
    pub(crate) async fn listening(&mut self) -> Option<u16> {
        self.listening.take()?.await.ok()
    }

    /// Waits until the server has ended. Cancel-safe.
    pub(crate) async fn exited(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(status)) => *status,
            // The thread is gone without a status: the kernel had none.
            _ => ExitStatus::default(),
        }
    }

    /// Sends a signal, unless the server has ended.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        // The lock keeps the process from being reaped between the look and the
        // signal, after which its id might be another's.
        let mut child = lock(&self.child);
        if child.try_wait()?.is_none() {
            rustix::process::kill_process(Pid::from_child(&child), signal)?;
        }
        Ok(())
    }

    /// Freezes the server; when this returns, it has stopped running.
    pub(super) fn suspend(&self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        wait_for(self.pid, WaitIdOptions::STOPPED | WaitIdOptions::EXITED)
    }

    /// Asks the server to stop, waits at most `grace` and then kills it.
    /// Cancel-safe: it can be asked again.
    pub(crate) async fn stop(&self, grace: Duration) -> io::Result<ExitStatus> {
        self.ask_to_stop()?;
        if let Ok(status) = tokio::time::timeout(grace, self.exited()).await {
            return Ok(status);
        }
        self.signal(Signal::KILL)?;
        Ok(self.exited().await)
    }

    /// Stops it as [`Process::stop`], but blocks, and leaves the kill to `drop`.
    pub(crate) fn stop_blocking(&mut self, grace: Duration) {
        if self.ask_to_stop().is_ok() {
            self.wait_blocking(grace);
        }
    }

    fn ask_to_stop(&self) -> io::Result<()> {
        self.signal(self.stop)?;
        // A suspended process takes no other signal until it is resumed.
        self.signal(Signal::CONT)
    }

    fn wait_blocking(&mut self, bound: Duration) {
        let ended = self.ended.get_mut();
        let _ = ended.unwrap_or_else(PoisonError::into_inner).recv_timeout(bound);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        /// A killed process is gone in milliseconds, unless the kernel itself
        /// is stuck in a disk; then nobody should wait for it here.
        const KILLED: Duration = Duration::from_secs(5);
        if self.exit.borrow().is_none() && self.signal(Signal::KILL).is_ok() {
            self.wait_blocking(KILLED);
        }
    }
}

/// Makes the kernel kill the child when the calling thread ends, for any reason.
#[cfg(target_os = "linux")]
fn end_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let before_exec = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above took effect.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec, where only
    // async-signal-safe calls are allowed. It makes two system calls; it takes
    // no lock and allocates nothing.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(before_exec)
    };
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent(_command: &mut Command) {}

/// Copies the server's log to a file until the server closes it, and tells the
/// port once the server is ready.
///
/// The log is the one place where the server says so of its own accord: the
/// file of `ports_file_dir` and the port itself would have to be polled.
fn follow_log(
    mut stderr: impl BufRead,
    mut log: File,
    port_in: fn(&str) -> Option<u16>,
    ready: &str,
    listening: oneshot::Sender<u16>,
) {
    let mut listening = Some(listening);
    let mut port = None;
    let mut line = Vec::new();
    while matches!(stderr.read_until(b'\n', &mut line), Ok(length) if length > 0) {
        // A log that can't be written is no reason to stop reading: the server
        // would stall on the full pipe.
        let _ = log.write_all(&line);
        let text = String::from_utf8_lossy(&line);
        port = port.or_else(|| port_in(&text));
        if let (true, Some(port)) = (text.contains(ready), port)
            && let Some(listening) = listening.take()
        {
            let _ = listening.send(port);
        }
        line.clear();
    }
}

/// Waits for the end of the child and takes its status.
fn reap(child: &Mutex<Child>, pid: u32) -> Option<ExitStatus> {
    // First without reaping and without the lock, so that signals can still be
    // sent meanwhile; an error here means that it has been reaped already.
    let _ = wait_for(pid, WaitIdOptions::EXITED);
    lock(child).wait().ok()
}

/// Waits for a change of the child's state and leaves it to be seen again.
fn wait_for(pid: u32, change: WaitIdOptions) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = WaitId::Pid(pid.ok_or(io::ErrorKind::InvalidInput)?);
    let options = change | WaitIdOptions::NOWAIT;
    rustix::io::retry_on_intr(|| rustix::process::waitid(pid.clone(), options))?;
    Ok(())
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_told_once_the_server_is_ready() {
        let text = "[1] [INF] Starting nats-server\n\
            [1] [INF] Listening for client connections on 127.0.0.1:34569\n\
            [1] [INF] Server is ready\n";
        let (listening, mut told) = oneshot::channel();
        follow_log(
            text.as_bytes(),
            tempfile::tempfile().unwrap(),
            announced_port,
            READY,
            listening,
        );
        assert_eq!(told.try_recv(), Ok(34569));
    }

    #[test]
    fn a_server_that_ends_before_it_is_ready_tells_no_port() {
        let text = "[1] [INF] Listening for client connections on 127.0.0.1:34569\n[1] [FTL] No\n";
        let (listening, mut told) = oneshot::channel();
        follow_log(
            text.as_bytes(),
            tempfile::tempfile().unwrap(),
            announced_port,
            READY,
            listening,
        );
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn a_line_without_a_port_announces_none() {
        for line in ["", "[INF] Listening for client connections on x", "on 127.0.0.1:1"] {
            assert_eq!(announced_port(line), None, "{line}");
        }
    }
}
