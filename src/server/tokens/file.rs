//! The file of tokens.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{Entry, Known};
use crate::models::Principal;

/// Bytes of the file; some ten thousand tokens.
const MOST_BYTES: u64 = 1024 * 1024;

/// Characters of a token: 16 of base 64 are 96 bits.
const SHORTEST: usize = 16;
const LONGEST: usize = 512;

/// Characters of a name.
const LONGEST_NAME: usize = 64;

/// Permissions that the file must not give: any to others, and writing to the group.
const OTHERS: u32 = 0o027;

const FORM: &str = "a line is a name, a role and a token, with blanks between";

/// An error that keeps a file of tokens from being used. No message has a token in it.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It can't be read.
    #[error("can't read the token file {}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// It is unfit as a file of tokens.
    #[error("the token file {} {reason}", .path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// The fault, and the remedy.
        reason: String,
    },
    /// A line is wrong.
    #[error("{}:{line}: {reason}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The fault.
        reason: String,
    },
}

/// Numbers that tell a changed file from the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(Option<[i64; 6]>);

impl Stamp {
    /// The stamp of a file as it is now.
    pub(super) fn of(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|now| Self::numbers(&now)))
    }

    fn numbers(of: &Metadata) -> [i64; 6] {
        let (inode, size) = (of.ino().cast_signed(), of.size().cast_signed());
        [inode, size, of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()]
    }
}

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<Known, TokenFileError> {
    let unreadable = |error| TokenFileError::Unreadable { path: path.to_owned(), error };
    let unfit = |reason: String| TokenFileError::Unfit { path: path.to_owned(), reason };
    // Taken first: what is written while it is read makes another stamp.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unfit("is no file".to_owned()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        let path = path.display();
        return Err(unfit(format!(
            "can be read or written by others (its mode is {mode:03o}); do `chmod 600 {path}`"
        )));
    }
    if metadata.len() > MOST_BYTES {
        return Err(unfit(format!("has more than {MOST_BYTES} bytes, which is the most")));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let stamp = Stamp(Some(Stamp::numbers(&metadata)));
    let entries = parse(&text).map_err(|(line, reason)| TokenFileError::Line {
        path: path.to_owned(),
        line,
        reason,
    })?;
    if entries.is_empty() {
        return Err(unfit(format!("has no token in it; {FORM}")));
    }
    Ok(Known { entries, stamp })
}

/// The tokens in the text of a file, or the wrong line and its fault.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let mut entries: Vec<(usize, Entry)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = entry(line).map_err(|reason| (number, reason))?;
        if let Some((first, _)) = entries.iter().find(|(_, other)| other.digest == entry.digest) {
            return Err((number, format!("this token is that of line {first}")));
        }
        entries.push((number, entry));
    }
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn entry(line: &str) -> Result<Entry, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let &[name, role, token] = &words[..] else {
        let count = words.len();
        return Err(format!("{FORM}; this one has {count} words"));
    };
    let in_name = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    if name.len() > LONGEST_NAME || !name.chars().all(in_name) {
        return Err(format!("a name has 1 to {LONGEST_NAME} characters of A-Z a-z 0-9 . _ @ -"));
    }
    let role = role.parse()?;
    // What a header can carry (RFC 6750).
    let in_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if !(SHORTEST..=LONGEST).contains(&token.len()) || !token.chars().all(in_token) {
        return Err(format!(
            "a token has {SHORTEST} to {LONGEST} characters of A-Z a-z 0-9 - . _ ~ + / =, as \
             `openssl rand -hex 32` makes them"
        ));
    }
    Ok(Entry::new(token, Principal { name: name.to_owned(), role }))
}
