//! Nets of others with known ground truth. They are not part of this repository, since some
//! have licences that do not let them be; where the folder is there, everything in it is used.

use std::{
    collections::HashMap,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Once,
};

use serde_json::Value;
use stormpetrel::{
    formats::pnml::{Mode, PnmlNet, read},
    models::petri::Net,
};

/// The folder: `PETREL_CORPUS`, or `shared/corpus` beside the checkout; `None` if neither is
/// there. A `PETREL_CORPUS` that leads nowhere is a failure, not a skip.
pub(crate) fn folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PETREL_CORPUS") {
        let named = PathBuf::from(named);
        assert!(named.join("index.json").is_file(), "no corpus in {}", named.display());
        return Some(named);
    }
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let found = beside.join("index.json").is_file().then_some(beside);
    if found.is_none() {
        NOT_RUN.call_once(|| {
            // Not a macro, whose output is not shown where a test passes.
            let message = "NOT RUN: no corpus of nets in PETREL_CORPUS or beside this checkout; \
                           its tests look at the project's own files alone\n";
            let _ = std::io::stderr().write_all(message.as_bytes());
        });
    }
    found
}

/// Notice that is given once, for any number of tests.
static NOT_RUN: Once = Once::new();

/// Known facts of each net, one object a file; empty if there is no corpus.
pub(crate) fn index() -> Vec<Value> {
    let Some(folder) = folder() else { return Vec::new() };
    let text = std::fs::read_to_string(folder.join("index.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The first net of a PNML file of the corpus.
pub(crate) fn net(file: &str) -> Net {
    nets(&folder().expect("an index has files").join(file)).swap_remove(0).petri()
}

/// The nets of a PNML file.
pub(crate) fn nets(path: &Path) -> Vec<PnmlNet> {
    let bytes = std::fs::read(path).unwrap();
    let read = read(&bytes, Mode::Lenient);
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display())).nets
}

/// The 1,386 industrial nets, each with the row of its known facts; empty if there is no
/// corpus.
pub(crate) fn industrial() -> Vec<(PnmlNet, Vec<String>)> {
    let Some(folder) = folder() else { return Vec::new() };
    let archive = std::fs::File::open(folder.join("ibm-1386/ibm-1386-pnml.tar.gz")).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let mut nets = HashMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        if path.extension().is_some_and(|extension| extension == "pnml") {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let document = read(&bytes, Mode::Lenient);
            let mut document =
                document.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            nets.insert(name, document.nets.remove(0));
        }
    }
    let table = std::fs::read_to_string(folder.join("ibm-1386/ibm-1386-verdicts.csv")).unwrap();
    let row = |row: &str| {
        let cells: Vec<_> = row.split(',').map(str::to_owned).collect();
        (nets.remove(&cells[0]).unwrap_or_else(|| panic!("no net {}", cells[0])), cells)
    };
    table.lines().skip(1).map(row).collect()
}
