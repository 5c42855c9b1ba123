//! The seed of an nkey, given as it is or as a file.

use std::{fs, path::Path};

use super::ConfigError;

/// Characters of an encoded seed: two bytes of prefix, 32 of seed, two of checksum, base 32.
const SEED_LENGTH: usize = 58;

/// The seed in `text`, or in the file that it names.
pub(super) fn seed(text: &str) -> Result<String, ConfigError> {
    let text = text.trim();
    if is_seed(text) {
        return Ok(text.to_owned());
    }
    let content = fs::read_to_string(text).map_err(ConfigError::NKeyFile)?;
    let seed = content.lines().map(str::trim).find(|line| is_seed(line));
    seed.map(str::to_owned).ok_or_else(|| ConfigError::NoSeed(Path::new(text).to_owned()))
}

fn is_seed(text: &str) -> bool {
    text.len() == SEED_LENGTH
        && text.starts_with("SU")
        && text.chars().all(|c| matches!(c, 'A'..='Z' | '2'..='7'))
}
