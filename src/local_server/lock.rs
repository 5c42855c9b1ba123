use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::error::LocalServerError;

/// The lock of a data folder, held as long as the folder is in use.
#[derive(Debug)]
pub(super) struct FolderLock {
    path: PathBuf,
    file: File,
}

impl FolderLock {
    /// Locks `folder`, which is there.
    pub(super) fn take(folder: &Path) -> Result<Self, LocalServerError> {
        let path = folder.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(LocalServerError::of_path("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, file }),
            Err(TryLockError::WouldBlock) => {
                Err(LocalServerError::FolderInUse { folder: folder.to_owned() })
            }
            Err(TryLockError::Error(error)) => Err(LocalServerError::of_path("lock", &path)(error)),
        }
    }

    /// A second handle of the lock, for the server process to hold.
    pub(super) fn handle(&self) -> Result<File, LocalServerError> {
        self.file.try_clone().map_err(LocalServerError::of_path("lock", &self.path))
    }

    /// Gives the lock back, now that no server has the folder. Closing it is not enough: a process
    /// that is just being started from another thread has it, too, until it becomes its program.
    pub(super) fn release(&self) {
        // Where that fails, closing it has to do.
        let _ = self.file.unlock();
    }
}
