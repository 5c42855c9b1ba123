//! Rules for the names that parts of the library use. A part may name those beside it and
//! below it, and nobody else; a dependency belongs to the parts that wrap it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Each part of `src`, and the other parts that it may name.
const PARTS: &[(&str, &[&str])] = &[
    ("models", &[]),
    ("engine", &["models"]),
    ("analysis", &["models"]),
    ("formats", &["models"]),
    ("storage", &["models"]),
    ("petrel", &["analysis", "engine", "models", "storage"]),
    ("audit", &["analysis", "engine", "models", "petrel", "storage"]),
    ("graphql", &["analysis", "audit", "petrel", "engine", "formats", "models", "storage"]),
    ("server", &["petrel", "graphql", "models"]),
    (
        "process",
        &[
            "graphql", "petrel", "server", "storage", "worker", // In its tests.
            "models", "testing",
        ],
    ),
    ("worker", &["engine", "models", "petrel", "storage"]),
    ("durable", &["engine", "models", "petrel", "storage", "worker"]),
    ("bench", &["local_server", "petrel", "models", "storage", "worker"]),
    ("local_server", &[]),
    ("config", &["local_server", "storage"]),
    ("telemetry", &["config", "models"]),
    (
        "cli",
        &[
            "analysis",
            "audit",
            "bench",
            "petrel",
            "process",
            "config",
            "durable",
            "engine",
            "formats",
            "graphql",
            "local_server",
            "models",
            "server",
            "storage",
            "telemetry",
            "worker",
            // In its tests; without them the feature `testing` is off, and it is not there.
            "testing",
        ],
    ),
    ("testing", &["local_server", "models", "storage"]),
    ("main", &["cli", "config", "telemetry"]),
    // It declares the parts, and names what a program that embeds them begins with.
    ("lib", &["local_server", "models", "petrel", "storage"]),
];

/// Dependencies that only some folders or files may name.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("async_nats", &["src/storage/nats", "src/storage/nats_link", "src/local_server"]),
    ("async_graphql", &["src/graphql"]),
    ("clap", &["src/cli", "src/config", "src/main.rs"]),
    ("async_graphql_axum", &["src/server"]),
    ("axum", &["src/server"]),
    ("hyper", &["src/server"]),
    ("http_body_util", &["src/server"]),
    ("tokio_tungstenite", &["src/server"]),
    ("petgraph", &["src/formats/drawing"]),
    ("rust_sugiyama", &["src/formats/drawing"]),
    ("quick_xml", &["src/formats"]),
    ("encoding_rs", &["src/formats"]),
    ("tokio_postgres", &["src/bench/peers"]),
    ("rusqlite", &["src/bench/peers"]),
];

/// A part of the library's name for itself, in the binary.
const LIBRARY: &str = "stormpetrel";

/// The part that a file belongs to: the first word of its path under `src`.
fn part(path: &str) -> &str {
    let path = path.strip_prefix("src/").expect("a path under src");
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

/// Number of modules above a file: 0 for `lib.rs`.
fn depth(path: &str) -> usize {
    let words: Vec<_> = path.trim_end_matches(".rs").split('/').skip(1).collect();
    match words.last() {
        Some(&("mod" | "lib" | "main")) => words.len() - 1,
        _ => words.len(),
    }
}

/// The code without comments, strings and characters.
pub(crate) fn code(source: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(source.len()), source);
    while let Some(next) = rest.chars().next() {
        let end = match next {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => 1 + closing_quote(&rest[1..]),
            'r' if !ends_in_word(&code) && raw_string(rest).is_some() => {
                raw_string(rest).unwrap_or(rest.len())
            }
            '\'' => character(rest),
            _ => {
                code.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[end..];
    }
    code
}

pub(crate) fn ends_in_word(code: &str) -> bool {
    code.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Length of a raw string, if this is one; with any number of hashes.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let body = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(2 + hashes + body.find(&end).map_or(body.len(), |at| at + end.len()))
}

/// Length of the rest of a string, its closing quote included.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of a character literal; a lifetime has its quote only.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => text[3..].find('\'').map_or(1, |end| end + 4),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

pub(crate) fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// The first words of the paths that `text` begins with: one, or those of a group in braces.
fn first_words(text: &str) -> Vec<&str> {
    let text = text.trim_start();
    let Some(group) = text.strip_prefix('{') else { return vec![word(text)] };
    let (mut words, mut level, mut begins) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => level += 1,
            '}' if level == 0 => break,
            '}' => level -= 1,
            ',' if level == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                words.push(word(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    words
}

/// The parts that a file names, by any path.
fn named<'a>(path: &str, code: &'a str) -> BTreeSet<&'a str> {
    let root = "super::".repeat(depth(path));
    let mut roots = vec![format!("{LIBRARY}::")];
    if part(path) != "main" {
        roots.push("crate::".to_owned());
    }
    if !root.is_empty() {
        roots.push(root);
    }
    let mut names = BTreeSet::new();
    for root in &roots {
        for (at, _) in code.match_indices(root.as_str()) {
            let before = &code[..at];
            // `other_crate::` and, for `super`, what is deeper than the root.
            if !ends_in_word(before) && !before.ends_with("super::") {
                names.extend(first_words(&code[at + root.len()..]));
            }
        }
    }
    names
}

/// Everything that a file names and may not.
fn violations(path: &str, source: &str) -> Vec<String> {
    let code = code(source);
    let part = part(path);
    let Some((_, allowed)) = PARTS.iter().find(|(name, _)| *name == part) else {
        return vec![format!("{path}: {part} is a part that the list of this test does not have")];
    };
    let mut violations = Vec::new();
    let is_part = |name: &&str| PARTS.iter().any(|(other, _)| other == name);
    for name in named(path, &code).into_iter().filter(is_part) {
        if name != part && !allowed.contains(&name) {
            violations.push(format!("{path}: {part} names {name}"));
        }
    }
    for (dependency, owners) in DEPENDENCIES {
        let uses = code.match_indices(dependency).any(|(at, _)| {
            let after = &code[at + dependency.len()..];
            !ends_in_word(&code[..at])
                && !after.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        });
        let owned = owners.iter().any(|owner| {
            path.strip_prefix(owner)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
        });
        if uses && !owned {
            violations.push(format!("{path}: names {dependency}"));
        }
    }
    violations
}

fn sources(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
            found
                .insert(name.to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap());
        }
    }
}

pub(crate) fn library() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

#[test]
fn nobody_names_what_is_above_or_beside_it() {
    let library = library();
    assert!(library.len() > 100, "{} files", library.len());
    let violations: Vec<_> =
        library.iter().flat_map(|(path, source)| violations(path, source)).collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn every_part_on_the_list_is_there_and_the_list_has_no_circle() {
    let library = library();
    for (name, below) in PARTS {
        assert!(library.keys().any(|path| part(path) == *name), "{name} is no part");
        let (mut todo, mut beneath) = (below.to_vec(), BTreeSet::new());
        while let Some(other) = todo.pop() {
            if beneath.insert(other) {
                let (_, theirs) = PARTS.iter().find(|(name, _)| *name == other).unwrap();
                todo.extend(theirs.iter());
            }
        }
        assert!(!beneath.contains(name), "{name} is beneath itself");
    }
}

#[test]
fn a_planted_violation_is_found_however_it_is_written() {
    let found = |path: &str, source: &str| violations(path, source).join("; ");
    for source in [
        "use crate::engine::fire;",
        "use crate::{models::Case, engine::{fire, apply}};",
        "use crate::{\n    models::{Case, Token},\n    engine,\n};",
        "fn f() { crate::engine::apply() }",
        "use super::super::super::engine;",
        "fn f<'a>(text: &'a str) -> char { 'x' } use crate::engine;",
        "const QUOTE: char = '\"'; use crate::engine;",
        "const QUOTE: char = '\\''; use crate::engine;",
        "const RAW: &str = r\"\\\"; use crate::engine;",
        "const RAW: &str = r##\"a\"# b\"##; use crate::engine;",
    ] {
        let text = found("src/storage/nats/log.rs", source);
        assert_eq!(text, "src/storage/nats/log.rs: storage names engine", "{source}");
    }
    for (path, source, violation) in [
        ("src/engine/fire.rs", "use crate::storage::Page;", "engine names storage"),
        ("src/models/case.rs", "use crate::petrel::Petrel;", "models names petrel"),
        ("src/petrel/mod.rs", "use crate::graphql;", "petrel names graphql"),
        ("src/petrel/mod.rs", "use super::graphql::Api;", "petrel names graphql"),
        ("src/main.rs", "use stormpetrel::petrel::Petrel;", "main names petrel"),
        ("src/petrel/change/commit.rs", "use async_nats::Client;", "names async_nats"),
        ("src/storage/memory.rs", "fn f(_: async_nats::Client) {}", "names async_nats"),
        ("src/server/http.rs", "use async_graphql::Request;", "names async_graphql"),
        ("src/server.rs", "#[derive(clap::Parser)] struct S;", "names clap"),
        ("src/configuration.rs", "", "configuration is a part that"),
    ] {
        let text = found(path, source);
        assert!(text.contains(violation), "{path}: {source}: {text:?}");
    }
}

#[test]
fn what_is_allowed_or_only_looks_like_a_name_is_no_violation() {
    for (path, source) in [
        ("src/storage/nats/log.rs", "use crate::{models::Case, storage::Page};"),
        ("src/storage/nats/log.rs", "use super::{codec, store::Inner}; use super::super::Page;"),
        ("src/storage/mod.rs", "//! Not crate::engine.\n/* crate::engine */ fn f() {}"),
        ("src/storage/mod.rs", "const A: &str = \"crate::engine \\\" async_nats\";"),
        ("src/storage/mod.rs", "const A: &str = r#\"crate::engine \" async_nats\"#;"),
        ("src/engine/guard/rule.rs", "use super::storage;"),
        ("src/petrel/mod.rs", "use my_crate::graphql;"),
        ("src/storage/nats_link/link.rs", "use async_nats::Client;"),
        ("src/config/tests.rs", "use clap::Parser;"),
    ] {
        assert_eq!(violations(path, source), Vec::<String>::new(), "{path}: {source}");
    }
}

/// The files of a walk in the architecture, and the functions that it passes there.
fn walk(heading: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let (_, after) = text.split_once(heading).expect("the walk's first line");
    let steps = after.lines().skip_while(|line| !line.starts_with("1. "));
    let steps = steps.take_while(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let named = |line: &str| {
        let mut words = line.split('`').skip(1).step_by(2);
        (words.next().unwrap().to_owned(), words.next().unwrap().to_owned())
    };
    steps.map(named).collect()
}

#[test]
fn the_walks_of_the_architecture_are_short_and_pass_what_is_there() {
    let library = library();
    for (heading, most) in [("A firing, from the request", 14), ("A token, from the request", 9)] {
        let steps = walk(heading);
        assert!((5..=most).contains(&steps.len()), "{steps:?}");
        for (file, function) in steps {
            let source = library.get(&file).unwrap_or_else(|| panic!("{file} is gone"));
            let is_there =
                ["(", "<"].map(|after| source.contains(&format!("fn {function}{after}")));
            assert!(is_there.contains(&true), "{file} has no {function}");
        }
    }
}

#[test]
fn a_firing_has_few_names_on_its_way_and_each_is_a_type_where_it_is_said_to_be() {
    let (library, root) = (library(), Path::new(env!("CARGO_MANIFEST_DIR")));
    let text = std::fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let (_, after) = text.split_once("A firing's names on this way").expect("the names");
    let (names, _) = after.split_once("\n\nParts of these").expect("the end of the names");
    let names: Vec<_> = names.lines().filter(|line| line.starts_with("- ")).collect();
    assert!((1..=5).contains(&names.len()), "{names:?}");
    for line in names {
        let mut words = line.split('`').skip(1).step_by(2);
        let (name, file) = (words.next().unwrap(), words.next().unwrap());
        let source = library.get(file).unwrap_or_else(|| panic!("{file} is gone"));
        let is_there = [" ", "<"].map(|after| source.contains(&format!("struct {name}{after}")));
        assert!(is_there.contains(&true), "{file} has no {name}");
    }
}

#[test]
fn no_folder_or_file_is_too_large_to_be_overlooked() {
    let mut files = BTreeMap::<String, usize>::new();
    for (path, source) in library() {
        let lines = source.lines().count();
        assert!(lines <= 400, "{path} has {lines} lines");
        let (folder, _) = path.rsplit_once('/').unwrap();
        *files.entry(folder.to_owned()).or_default() += 1;
    }
    // A command a file.
    files.remove("src/cli");
    let large: Vec<_> = files.iter().filter(|(_, files)| **files > 20).collect();
    assert!(large.is_empty(), "{large:?}");
}
