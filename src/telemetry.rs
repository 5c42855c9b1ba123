//! Log lines: their filter, their look and their destination.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::{
    config::LogFormat,
    models::{visible_json, visible_lines},
};

/// Starts logging to stderr, once in a process. `filter` is in the language of `RUST_LOG`.
///
/// # Errors
///
/// When `filter` can't be read; nothing is logged then.
pub fn init(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || Lines {
        sink: io::stderr(),
        format,
        colours,
    });
    // Both fail only where logging has been started before, and then it is left as it is.
    let _ = match format {
        LogFormat::Human => lines.with_ansi(colours).with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Writes each event as one line, with any contents.
struct Lines<W> {
    sink: W,
    format: LogFormat,
    /// The subscriber's colours are escape sequences, and it has escaped all others.
    colours: bool,
}

impl<W: Write> Write for Lines<W> {
    /// An event comes whole, with one line end.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let shown = match self.format {
            LogFormat::Json => visible_json(text).into_owned(),
            LogFormat::Human if self.colours => {
                let parts = text.split('\u{1b}').map(visible_lines);
                parts.collect::<Vec<_>>().join("\u{1b}")
            }
            LogFormat::Human => visible_lines(text).into_owned(),
        };
        // What does not begin at the margin is no event of its own.
        // One that can't be written, as on a full disk, is lost: the subscriber would tell of it on
        // stderr, which panics where that can't be written.
        let _ = writeln!(self.sink, "{}", shown.replace('\n', "\n    "));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.sink.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: LogFormat, colours: bool, event: &str) -> String {
        let mut lines = Lines { sink: Vec::new(), format, colours };
        lines.write_all(event.as_bytes()).unwrap();
        String::from_utf8(lines.sink).unwrap()
    }

    #[test]
    fn an_event_is_one_line_that_no_terminal_obeys() {
        let event = "INFO by=a\r\n2026 ERROR forged \u{202e}\u{1b}[2J\n";
        let line = written(LogFormat::Human, false, event);
        assert_eq!(line, "INFO by=a\\r\n    2026 ERROR forged \\u{202e}\\u{1b}[2J\n");
        let coloured = written(LogFormat::Human, true, "\u{1b}[32mINFO\u{1b}[0m a\u{9b}\n");
        assert_eq!(coloured, "\u{1b}[32mINFO\u{1b}[0m a\\u{9b}\n");
        let json = written(LogFormat::Json, false, "{\"by\":\"a\u{9b}\u{202e}\"}\n");
        assert_eq!(json, "{\"by\":\"a\\u009b\\u202e\"}\n");
    }
}
