//! The licences of all dependencies, against the list in `deny.toml`. `cargo deny` looks at more, and
//! has to be installed; this needs nothing but Cargo.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

/// The licences that `deny.toml` allows: the quoted texts of its list.
fn allowed() -> BTreeSet<String> {
    let text = include_str!("../../deny.toml");
    let list = text.split_once("allow = [").unwrap().1.split_once(']').unwrap().0;
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Returns true if the terms of an SPDX expression can be kept. `/` is the old way to write `OR`.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    fn alternatives<'a>(
        words: &mut impl Iterator<Item = &'a str>,
        allowed: &BTreeSet<String>,
    ) -> bool {
        let (mut any, mut all, mut licence) = (false, true, Vec::new());
        let holds = |licence: &mut Vec<&str>| {
            licence.is_empty() || allowed.contains(&std::mem::take(licence).join(" "))
        };
        while let Some(word) = words.next() {
            match word {
                "(" => all &= alternatives(words, allowed),
                ")" => break,
                "AND" => all &= holds(&mut licence),
                "OR" => {
                    any |= all & holds(&mut licence);
                    all = true;
                }
                word => licence.push(word),
            }
        }
        any | (all & holds(&mut licence))
    }
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    alternatives(&mut spaced.split_whitespace(), allowed)
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--locked", "--all-features"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{}", packages.len());
    let allowed = allowed();
    let others = packages.iter().filter(|package| {
        !package["license"].as_str().is_some_and(|licence| is_allowed(licence, &allowed))
    });
    let others: Vec<_> =
        others.map(|package| format!("{} {}", package["name"], package["license"])).collect();
    assert_eq!(others, Vec::<String>::new());
}

#[test]
fn of_alternatives_one_is_enough_and_of_what_goes_together_all_are_needed() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    let allowed = BTreeSet::from(allowed);
    for fine in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND Zlib"] {
        assert!(is_allowed(fine, &allowed), "{fine}");
    }
    assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR GPL-3.0", &allowed));
    for wrong in ["GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR MIT) AND GPL-2.0", "Apache-2.0"] {
        assert!(!is_allowed(wrong, &allowed), "{wrong}");
    }
    assert!(!is_allowed("GPL-3.0 OR (MIT AND GPL-2.0)", &allowed));
}
