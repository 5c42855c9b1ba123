//! PNML files: those that are read, those that are refused with the place, and those that are
//! written.

mod activities;
mod as_pm4py;
mod corpus_files;
mod definitions;
mod dialects;
mod encodings;
mod extremes;
mod hostile;
mod ignorable;
mod own_notes;
mod refusals;
mod round_trip;
mod silent;

use std::{fs, path::PathBuf};

use stormpetrel::formats::pnml::{self, Document, Mode};

/// A file of our own, from `tests/fixtures/pnml`.
fn fixture(name: &str) -> Vec<u8> {
    let path = fixtures("").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn fixtures(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pnml").join(folder)
}

/// A file of our own, read.
fn read(name: &str) -> Document {
    pnml::read(&fixture(name), Mode::Lenient).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A file of the standard with this on its page.
fn standard(page: &str) -> String {
    format!(
        "<pnml xmlns=\"http://www.pnml.org/version-2009/grammar/pnml\"><net id=\"n\" \
         type=\"http://www.pnml.org/version-2009/grammar/ptnet\"><page id=\"g\">{page}</page>\
         </net></pnml>"
    )
}
