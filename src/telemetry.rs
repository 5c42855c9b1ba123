//! Log lines: what is logged, how it looks, and where it goes.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::LogFormat;

/// Starts logging to stderr, once in a process. `filter` is in the language of `RUST_LOG`.
///
/// # Errors
///
/// When `filter` can't be read; nothing is logged then.
pub fn init(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Both fail only where logging has been started before, and then it is left as it is.
    let _ = match format {
        LogFormat::Human => lines.with_ansi(colours).with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}
