use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LocalServerError;
use super::lock::FolderLock;

/// File by which the folder of a cluster is known.
const MARK: &str = "cluster.json";

/// The kept folder of a cluster: a lock, a mark, and a folder for each server.
#[derive(Debug)]
pub(super) struct ClusterFolder {
    path: PathBuf,
    lock: FolderLock,
    mark: Mark,
}

/// Contents of the mark. What the servers store goes by their names, so those are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Name of the cluster; each server's begins with it.
    name: String,
    /// Number of servers.
    servers: usize,
}

impl ClusterFolder {
    /// Creates or opens the folder for so many servers and locks it. A new cluster gets `name`.
    pub(super) fn open(path: &Path, servers: usize, name: &str) -> Result<Self, LocalServerError> {
        fs::create_dir_all(path).map_err(LocalServerError::of_path("create", path))?;
        let path = path.canonicalize().map_err(LocalServerError::of_path("open", path))?;
        let lock = FolderLock::take(&path)?;
        let mark = match Mark::read(&path)? {
            Some(mark) if mark.servers == servers => mark,
            Some(Mark { servers, .. }) => {
                return Err(LocalServerError::OfCluster { folder: path, servers });
            }
            None if path.join("jetstream").exists() => {
                return Err(LocalServerError::OfOneServer { folder: path });
            }
            None => {
                let mark = Mark { name: name.to_owned(), servers };
                mark.write(&path)?;
                mark
            }
        };
        Ok(Self { path, lock, mark })
    }

    /// Fails if the folder is a cluster's, or that of one of its servers.
    pub(super) fn refuse(path: &Path) -> Result<(), LocalServerError> {
        for folder in path.ancestors().take(2) {
            if let Some(Mark { servers, .. }) = Mark::read(folder)? {
                return Err(LocalServerError::OfCluster { folder: folder.to_owned(), servers });
            }
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Name of the cluster.
    pub(super) fn name(&self) -> &str {
        &self.mark.name
    }

    /// The folder of one server.
    pub(super) fn of_server(&self, number: usize) -> PathBuf {
        self.path.join(format!("server-{number}"))
    }

    /// Gives the lock back, now that no server has its folder.
    pub(super) fn release(&self) {
        self.lock.release();
    }
}

impl Mark {
    /// The mark of a folder, if it has one.
    fn read(folder: &Path) -> Result<Option<Self>, LocalServerError> {
        let path = folder.join(MARK);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(LocalServerError::of_path("read", &path))?,
        };
        let mark = serde_json::from_slice(&text);
        mark.map(Some)
            .map_err(|error| LocalServerError::of_path("read", &path)(io::Error::other(error)))
    }

    /// Written beside and renamed, so that no crash leaves half of it.
    fn write(&self, folder: &Path) -> Result<(), LocalServerError> {
        let path = folder.join(MARK);
        let written = || {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        written().map_err(LocalServerError::of_path("write", &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_server::{Store, folder::Folder};

    /// Names of everything in a folder.
    fn contents(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_cluster_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let first = ClusterFolder::open(folder.path(), 3, "a").unwrap();
        first.release();
        let again = ClusterFolder::open(folder.path(), 3, "b").unwrap();
        assert_eq!(again.name(), "a");
        assert_ne!(again.of_server(1), again.of_server(2));
    }

    #[test]
    fn a_folder_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _first = ClusterFolder::open(folder.path(), 3, "a").unwrap();
        let refused = ClusterFolder::open(folder.path(), 3, "a").unwrap_err();
        assert!(matches!(refused, LocalServerError::FolderInUse { .. }), "{refused}");
    }

    #[test]
    fn the_data_of_a_cluster_is_for_no_other_size_and_not_for_one_server() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = ClusterFolder::open(folder.path(), 3, "a").unwrap();
        fs::create_dir(cluster.of_server(1)).unwrap();
        cluster.release();
        let before = contents(folder.path());
        let five = ClusterFolder::open(folder.path(), 5, "a").unwrap_err();
        let whole = Store::Kept(folder.path().to_owned());
        let one = Folder::open(&whole, false).unwrap_err();
        for refused in [five, one] {
            assert!(matches!(refused, LocalServerError::OfCluster { servers: 3, .. }), "{refused}");
            assert!(refused.to_string().contains("--cluster 3"), "{refused}");
        }
        assert_eq!(contents(folder.path()), before);

        let part = Store::Kept(cluster.of_server(1));
        Folder::open(&part, false).unwrap_err();
        Folder::open(&part, true).unwrap();
    }

    #[test]
    fn the_data_of_one_server_is_for_no_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let one = Folder::open(&Store::Kept(folder.path().to_owned()), false).unwrap();
        fs::create_dir(folder.path().join("jetstream")).unwrap();
        one.release();
        let before = contents(folder.path());
        let refused = ClusterFolder::open(folder.path(), 3, "a").unwrap_err();
        assert!(matches!(refused, LocalServerError::OfOneServer { .. }), "{refused}");
        assert_eq!(contents(folder.path()), before);
    }

    #[test]
    fn a_mark_that_can_not_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MARK), "{").unwrap();
        let refused = ClusterFolder::open(folder.path(), 3, "a").unwrap_err();
        assert!(refused.to_string().contains(MARK), "{refused}");
        assert_eq!(fs::read(folder.path().join(MARK)).unwrap(), b"{");
    }
}
