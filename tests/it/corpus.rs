//! Nets of others with known ground truth. They are not part of this repository, since some
//! have licences that do not let them be; where the folder is there, everything in it is used.

use std::path::PathBuf;

use serde_json::Value;

/// The folder: `PETREL_CORPUS`, or `shared/corpus` beside the checkout; `None` if neither is
/// there. A `PETREL_CORPUS` that leads nowhere is a failure, not a skip.
pub fn folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PETREL_CORPUS") {
        let named = PathBuf::from(named);
        assert!(named.join("index.json").is_file(), "no corpus in {}", named.display());
        return Some(named);
    }
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    beside.join("index.json").is_file().then_some(beside)
}

/// What is known of each net, one object a file; empty where there is no corpus.
pub fn index() -> Vec<Value> {
    let Some(folder) = folder() else {
        eprintln!("no corpus of nets beside this checkout: only the project's own fixtures");
        return Vec::new();
    };
    let text = std::fs::read_to_string(folder.join("index.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}
