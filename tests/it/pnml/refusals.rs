use std::{fs, path::Path};

use stormpetrel::formats::pnml::{self, Mode};

use super::fixtures;

/// The files in a folder, whose names begin with the reason, and the line that says `here`.
fn each(folder: &str, mut check: impl FnMut(&Path, &[u8], &str, usize)) {
    let mut count = 0;
    for entry in fs::read_dir(fixtures(folder)).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let line = 1 + text.lines().position(|line| line.contains("<!-- here -->")).unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let (reason, _) = stem.split_once("--").unwrap();
        check(&path, &bytes, reason, line);
        count += 1;
    }
    assert!(count > 15, "{count} files in {folder}");
}

#[test]
fn what_is_no_place_transition_net_is_refused_with_its_line_and_reason() {
    each("refused", |path, bytes, reason, line| {
        for mode in [Mode::Lenient, Mode::Strict] {
            let error = pnml::read(bytes, mode).expect_err(&path.display().to_string());
            // Strict mode may find something else before.
            if mode == Mode::Lenient {
                let found = (error.kind.code(), error.line);
                assert_eq!(found, (reason, line), "{}: {error}", path.display());
            }
        }
    });
}

#[test]
fn what_only_dialects_have_is_refused_in_strict_mode_alone() {
    each("strict", |path, bytes, reason, line| {
        let name = path.display();
        pnml::read(bytes, Mode::Lenient).unwrap_or_else(|error| panic!("{name}: {error}"));
        let error = pnml::read(bytes, Mode::Strict).expect_err(&name.to_string());
        assert_eq!((error.kind.code(), error.line), (reason, line), "{name}: {error}");
    });
}

#[test]
fn the_column_counts_characters() {
    let text = super::standard("<name><text>ü</text></name><arc/>");
    let error = pnml::read(text.as_bytes(), Mode::Lenient).unwrap_err();
    let before = text.split("<arc").next().unwrap();
    assert_eq!((error.line, error.column), (1, before.chars().count() + 1));
}
