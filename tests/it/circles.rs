//! No circle of files of different folders, each of which names the next. A folder's front,
//! its `mod.rs`, belongs to the files beneath it, so that these may name it.

use std::collections::{BTreeMap, BTreeSet};

use crate::layering::{code, ends_in_word, library, word};

type Words = Vec<String>;

fn words(path: &str, apart: &str) -> Words {
    path.split(apart).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn folder(file: &str) -> &str {
    file.rsplit_once('/').expect("a file in src").0
}

fn is_front(file: &str) -> bool {
    file.ends_with("/mod.rs")
}

/// The files by their modules, and the paths that each of them uses.
struct Sources {
    modules: BTreeMap<Words, String>,
    used: BTreeMap<String, Vec<Words>>,
}

/// The paths of a tree as in `a::{b, c::d}`, each after `before`; the rest of the text.
fn spread<'a>(mut text: &'a str, mut before: Words, paths: &mut Vec<Words>) -> &'a str {
    loop {
        text = text.trim_start();
        if let Some(mut group) = text.strip_prefix('{') {
            loop {
                group = spread(group, before.clone(), paths).trim_start();
                // Renamed.
                let next = group.find([',', '}']).unwrap_or(group.len());
                group = &group[next..];
                match group.strip_prefix(',') {
                    Some(rest) if !rest.trim_start().starts_with('}') => group = rest,
                    Some(rest) => return &rest.trim_start()[1..],
                    None => return group.strip_prefix('}').unwrap_or(group),
                }
            }
        }
        let name = word(text);
        text = &text[name.len()..];
        if !name.is_empty() && name != "self" {
            before.push(name.to_owned());
        }
        match text.strip_prefix("::") {
            Some(rest) if !name.is_empty() => text = rest,
            _ => {
                paths.push(before);
                return text;
            }
        }
    }
}

/// The paths of all `use` declarations, and those that begin with `crate` or `super`.
fn paths(source: &str) -> Vec<Words> {
    let code = code(source);
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let (mut paths, mut rest) = (Vec::new(), code);
    while let Some(at) =
        ["use ", "crate::", "super::"].iter().filter_map(|one| rest.find(one)).min()
    {
        let (before, found) = rest.split_at(at);
        rest = match found.strip_prefix("use ") {
            _ if ends_in_word(before) => &found[1..],
            Some(tree) => spread(tree, Vec::new(), &mut paths),
            None => spread(found, Vec::new(), &mut paths),
        };
    }
    paths
}

impl Sources {
    fn of(library: &BTreeMap<String, String>) -> Self {
        let (mut modules, mut used) = (BTreeMap::new(), BTreeMap::new());
        for (file, source) in library {
            if file.contains("test") || file == "src/main.rs" {
                continue;
            }
            let module = file.trim_start_matches("src/").trim_end_matches(".rs");
            let module = module.trim_end_matches("mod").trim_end_matches("lib");
            modules.insert(words(module, "/"), file.clone());
            used.insert(file.clone(), paths(source));
        }
        Self { modules, used }
    }

    fn module(&self, file: &str) -> &Words {
        let (module, _) = self.modules.iter().find(|(_, other)| *other == file).expect("a module");
        module
    }

    /// The file that a path leads to from another one, by way of fronts that only pass it on.
    fn target(&self, file: &str, path: &[String]) -> Option<&str> {
        let mut module = self.module(file).clone();
        let path = match path.first().map(String::as_str) {
            Some("crate") => path[1..].to_vec(),
            Some("super") => {
                let up = path.iter().take_while(|word| *word == "super").count();
                module.truncate(module.len().checked_sub(up)?);
                [&module, &path[up..]].concat()
            }
            first => {
                module.push(first?.to_owned());
                self.modules.get(&module)?;
                [&module, &path[1..]].concat()
            }
        };
        let (ends, found) = (0..=path.len())
            .rev()
            .find_map(|ends| Some((ends, self.modules.get(&path[..ends])?.as_str())))?;
        let passed_on = || {
            let (name, rest) = path[ends..].split_first()?;
            let mut known = self.used[found].iter().filter(|used| used.len() > 1);
            let on = known.find(|used| used.last() == Some(name))?;
            self.target(found, &[on, rest].concat())
        };
        is_front(found).then(passed_on).flatten().or(Some(found))
    }

    /// The files of other folders that each file names, and those of its own.
    fn names(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut names = BTreeMap::<&str, BTreeSet<&str>>::new();
        for (file, used) in &self.used {
            let from_above = |path: &&Words| path[0] == "crate" || path[0] == "super";
            let targets = used.iter().filter(from_above).filter_map(|path| self.target(file, path));
            let others = targets.filter(|other| {
                let own_front = is_front(other) && file.starts_with(folder(other));
                *other != "src/lib.rs" && *other != file && !own_front
            });
            names.insert(file, others.collect());
        }
        names
    }

    /// The first step of each circle that leads into another folder.
    fn circles(&self) -> Vec<(&str, &str)> {
        let (names, mut circles) = (self.names(), Vec::new());
        for (from, others) in &names {
            for other in others.iter().filter(|other| folder(other) != folder(from)) {
                let (mut todo, mut reached) = (vec![*other], BTreeSet::new());
                while let Some(file) = todo.pop() {
                    if reached.insert(file) {
                        todo.extend(&names[file]);
                    }
                }
                if reached.contains(from) {
                    circles.push((*from, *other));
                }
            }
        }
        circles
    }
}

#[test]
fn no_circle_of_files_leads_through_different_folders() {
    let library = library();
    let sources = Sources::of(&library);
    let steps: usize = sources.names().values().map(BTreeSet::len).sum();
    assert!(steps > 1_000, "{steps} names of files in others");
    assert_eq!(sources.circles(), []);
}

#[test]
fn a_planted_circle_is_found_however_it_is_written() {
    let found = |files: &[(&str, &str)]| {
        let files =
            files.iter().map(|(file, source)| (format!("src/{file}.rs"), (*source).to_owned()));
        Sources::of(&files.collect()).circles().len()
    };
    let plain = ("b/y", "use crate::a::{w::{self as other}, x::{X, Z},};");
    for x in
        ["use crate::b::y::Y;", "fn f(_: super::super::b::y::Y) {}", "use super::super::{b::y}; "]
    {
        assert_eq!(found(&[("lib", ""), ("a/mod", "mod x;"), ("b/mod", ""), ("a/x", x), plain]), 2);
    }
    let passed_on = ("b/mod", "mod y; pub use y::Y as Z; pub use y::Y;");
    let x = ("a/x", "use crate::b::Y;");
    assert_eq!(found(&[("lib", ""), ("a/mod", ""), passed_on, x, plain]), 2);
    let longer =
        [("a/x", "use super::w;"), ("a/w", "use crate::c::Z;"), ("c/mod", "use crate::b::y;")];
    let others = [("lib", ""), ("a/mod", ""), ("b/mod", ""), plain];
    assert_eq!(found(&[longer.as_slice(), &others].concat()), 4);
    // No circle: one way, a front and what is beneath it, and in tests.
    let tests = "#[cfg(test)]\nmod tests { use crate::b::y::Y; }";
    assert_eq!(found(&[("lib", ""), ("a/mod", ""), ("b/mod", ""), ("a/x", tests), plain]), 0);
    let front = ("a/mod", "mod c; use c::Y; struct X;");
    assert_eq!(found(&[("lib", ""), front, ("a/c/mod", ""), ("a/c/y", "use crate::a::X;")]), 0);
}
