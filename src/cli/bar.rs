//! Bars that show the progress of a command.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::Config;

pub(super) const AUDITING: &str = "auditing {bar:40} {percent}%, {eta} left";
pub(super) const READING: &str = "reading {bar:40} {human_pos} of {human_len}, {eta} left";
pub(super) const WRITING: &str = "writing {bar:40} {human_pos} of {human_len}, {eta} left";
pub(super) const REBUILDING: &str =
    "rebuilding {bar:40} {human_pos} of {human_len} records, {eta} left";

/// A bar of this template, for a person at a terminal.
pub(super) fn bar(config: &Config, template: &str) -> ProgressBar {
    // The templates are constants that a test reads.
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    seen(config, ProgressBar::new(0).with_style(style))
}

/// The bar, or one that is never drawn if nobody looks.
pub(super) fn seen(config: &Config, bar: ProgressBar) -> ProgressBar {
    match !config.json && io::stderr().is_terminal() {
        true => bar,
        false => ProgressBar::hidden(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_of_the_bars_are_valid() {
        for template in [AUDITING, READING, WRITING, REBUILDING] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
