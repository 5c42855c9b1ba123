//! Ctrl-C and SIGTERM.

use std::io::{self, Write};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that Ctrl-C ended, by the shells' custom.
const INTERRUPTED: i32 = 130;

/// A token that the first Ctrl-C or SIGTERM cancels; the second ends the process at once.
/// With `quiet` nothing is said about it.
pub(crate) fn shutdown(quiet: bool) -> io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let cancel = token.clone();
    // Not awaited by anybody: it lives as long as the process, so that a second signal is
    // heard whatever the first one set in motion.
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        cancel.cancel();
        if !quiet {
            let _ = writeln!(io::stderr(), "\nstopping; Ctrl-C again stops at once");
        }
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(INTERRUPTED);
    });
    Ok(token)
}

async fn either(first: &mut Signal, second: &mut Signal) {
    // Both are cancel-safe: a signal that is not taken here is taken by the next call.
    tokio::select! {
        _ = first.recv() => {}
        _ = second.recv() => {}
    }
}
