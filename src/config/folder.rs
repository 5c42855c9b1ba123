//! Data folder of the local server.

use std::{ffi::OsString, path::PathBuf};

pub(super) fn default_data_folder(
    variable: impl Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
    macos: bool,
) -> Option<PathBuf> {
    let data = match variable("XDG_DATA_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => home?.join(if macos { "Library/Application Support" } else { ".local/share" }),
    };
    Some(data.join("stormpetrel").join("dev"))
}
