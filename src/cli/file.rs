//! Files that the user names, for reading and writing.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use super::failure::Failure;
use crate::formats::pnml::MAX_BYTES;

/// A file's name for messages.
pub(super) fn shown(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// Reads a file whole, if it is not longer than a PNML file may be; `-` is the standard input.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    // Nothing that is too long to be read is brought into memory as a whole.
    let most = MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().lock().take(most).read_to_end(&mut bytes),
        false => fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    read.map_err(|error| Failure::usage(format!("can't read {}: {error}", shown(path))))?;
    if bytes.len() > MAX_BYTES {
        let message = format!("{}: has more than {MAX_BYTES} bytes, the most", shown(path));
        return Err(Failure::invalid(message + " that is read"));
    }
    Ok(bytes)
}

/// Writes a text to a file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| cant_write(path, error))
}

/// The failure to write a file; a pipe whose reader has had enough is none.
pub(super) fn cant_write(path: &Path, error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::interrupted(),
        _ => Failure::usage(format!("can't write {}: {error}", path.display())),
    }
}
