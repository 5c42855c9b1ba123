use std::{
    fs::{self, File},
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{account::Account, error::PostgresError};

/// The temporary folder of one Postgres server: password, data and log.
#[derive(Debug)]
pub(super) struct Folder(TempDir);

impl Folder {
    /// Makes a folder that belongs to `account`, with the file that initdb reads `password` from.
    pub(super) fn new(account: Account, password: &str) -> Result<Self, PostgresError> {
        let folder = tempfile::Builder::new()
            .prefix("stormpetrel-postgres-")
            .tempdir()
            .map_err(PostgresError::io("create a temporary folder"))?;
        let folder = Self(folder);
        let file = folder.password_file();
        fs::write(&file, password).map_err(failed("write", &file))?;
        if let Account::Other { user, group } = account {
            for path in [folder.path(), file.as_path()] {
                chown(path, Some(user), Some(group)).map_err(failed("give away", path))?;
            }
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.path().join("password")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// The server's log, created to write to.
    pub(super) fn create_log(&self) -> Result<File, PostgresError> {
        let path = self.log();
        File::create(&path).map_err(failed("create", &path))
    }

    /// The last lines of the server's log, for an error text.
    pub(super) fn log_tail(&self) -> String {
        tail(&fs::read(self.log()).unwrap_or_default())
    }

    fn log(&self) -> PathBuf {
        self.path().join("postgres.log")
    }
}

/// The last lines of a program's output.
pub(super) fn tail(output: &[u8]) -> String {
    const LINES: usize = 20;
    let output = String::from_utf8_lossy(output);
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn failed(verb: &str, path: &Path) -> impl FnOnce(std::io::Error) -> PostgresError {
    PostgresError::io(format!("{verb} {}", path.display()))
}
