use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::cluster_folder::ClusterFolder;
use super::error::LocalServerError;
use super::lock::FolderLock;
use super::options::Store;

/// The folder of one local server: configuration, log, lock and streams.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Lock that the server process inherits, so a server that outlives its parent still holds
    /// the folder.
    lock: FolderLock,
    /// Removes the folder when dropped.
    _temporary: Option<tempfile::TempDir>,
}

impl Folder {
    /// Creates or opens the folder and locks it. The data of a cluster is refused, unless the
    /// folder is for one of its servers.
    pub(super) fn open(store: &Store, is_in_cluster: bool) -> Result<Self, LocalServerError> {
        let (path, temporary) = match store {
            Store::Temporary => {
                let folder = tempfile::Builder::new()
                    .prefix("stormpetrel-")
                    .tempdir()
                    .map_err(LocalServerError::io("create a temporary folder"))?;
                (folder.path().to_owned(), Some(folder))
            }
            Store::Kept(path) => {
                fs::create_dir_all(path).map_err(LocalServerError::of_path("create", path))?;
                let path = path.canonicalize().map_err(LocalServerError::of_path("open", path))?;
                (path, None)
            }
        };
        let lock = FolderLock::take(&path)?;
        if temporary.is_none() && !is_in_cluster {
            ClusterFolder::refuse(&path)?;
        }
        // The log of an earlier run would only mislead.
        let log = path.join(LOG);
        File::create(&log).map_err(LocalServerError::of_path("create", &log))?;
        Ok(Self { path, lock, _temporary: temporary })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A second handle of the lock, for the server process to hold.
    pub(super) fn lock_handle(&self) -> Result<File, LocalServerError> {
        self.lock.handle()
    }

    /// Gives the lock back, now that no server has the folder.
    pub(super) fn release(&self) {
        self.lock.release();
    }

    pub(super) fn write_configuration(&self, text: &str) -> Result<PathBuf, LocalServerError> {
        let path = self.path.join("nats-server.conf");
        fs::write(&path, text).map_err(LocalServerError::of_path("write", &path))?;
        Ok(path)
    }

    /// The server's log, opened to append to.
    pub(super) fn log(&self) -> Result<File, LocalServerError> {
        let path = self.path.join(LOG);
        let log = File::options().append(true).open(&path);
        log.map_err(LocalServerError::of_path("open", &path))
    }

    /// The last lines of the log, for an error text.
    pub(super) fn log_tail(&self) -> String {
        const LINES: usize = 20;
        let log = fs::read(self.path.join(LOG)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

const LOG: &str = "nats-server.log";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_folder_is_refused_while_it_is_in_use_and_opens_again_afterwards() {
        let parent = tempfile::tempdir().unwrap();
        let store = Store::Kept(parent.path().join("data"));
        let first = Folder::open(&store, false).unwrap();
        let refused = Folder::open(&store, false).unwrap_err();
        assert!(matches!(refused, LocalServerError::FolderInUse { .. }));
        drop(first);
        Folder::open(&store, false).unwrap();
    }

    #[test]
    fn the_server_process_holds_the_folder_through_its_handle() {
        let parent = tempfile::tempdir().unwrap();
        let store = Store::Kept(parent.path().join("data"));
        let first = Folder::open(&store, false).unwrap();
        let handle = first.lock_handle().unwrap();
        drop(first);
        Folder::open(&store, false).unwrap_err();
        drop(handle);
        Folder::open(&store, false).unwrap();
    }

    #[test]
    fn a_folder_that_is_released_is_free_whoever_else_has_a_handle() {
        let parent = tempfile::tempdir().unwrap();
        let store = Store::Kept(parent.path().join("data"));
        let first = Folder::open(&store, false).unwrap();
        let _inherited = first.lock_handle().unwrap();
        first.release();
        Folder::open(&store, false).unwrap();
    }

    #[test]
    fn a_temporary_folder_goes_when_dropped() {
        let folder = Folder::open(&Store::Temporary, false).unwrap();
        let path = folder.path().to_owned();
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists());
    }
}
