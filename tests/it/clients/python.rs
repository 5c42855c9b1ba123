//! Python with the packages of `examples/clients/requirements.txt`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use crate::program;

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/clients");

/// A Python whose `PYTHONPATH` is a folder of the tests' own.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    packages: PathBuf,
}

impl Python {
    /// Installs the requirements, once for each text of that file.
    ///
    /// `pip install --target` and not a virtual environment: it needs neither `ensurepip`,
    /// which some systems leave out, nor the right to change the system's Python.
    pub(crate) async fn with_requirements() -> Self {
        tokio::task::spawn_blocking(install).await.unwrap()
    }

    /// The folder of the packages.
    pub(crate) fn packages(&self) -> &Path {
        &self.packages
    }

    /// One of the clients, with these arguments.
    pub(crate) fn client(&self, script: &str, arguments: &[&str]) -> tokio::process::Command {
        let mut command = program::clean(tokio::process::Command::new("python3"));
        command.arg(Path::new(CLIENTS).join(script)).args(arguments);
        command.env("PYTHONPATH", &self.packages).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

fn install() -> Python {
    let requirements = Path::new(CLIENTS).join("requirements.txt");
    let digest = Sha256::digest(fs::read(&requirements).unwrap());
    let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    fs::create_dir_all(&folder).unwrap();
    // Other tests wait here for the one that installs.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let (packages, stamp) = (folder.join(&hash), folder.join(format!("{hash}.complete")));
    if !stamp.exists() {
        pip_install(&requirements, &packages);
        File::create(stamp).unwrap();
    }
    Python { packages }
}

fn pip_install(requirements: &Path, packages: &Path) {
    const NEEDED: &str = "The tests of the clients in examples/clients need python3 with pip on \
                          PATH, and once a package index to install from.";
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--requirement"]);
    pip.arg(requirements).arg("--target").arg(packages);
    // Settings of the user's that contradict `--target`.
    pip.env("PIP_USER", "0").env("PIP_REQUIRE_VIRTUALENV", "0").env("PIP_NO_INPUT", "1");
    pip.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    let output = pip.output().unwrap_or_else(|error| panic!("{NEEDED}\npython3: {error}"));
    if !output.status.success() {
        panic!("{NEEDED}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
