//! The commands of the README and the tours are run in their order, and print the output that
//! is shown. `UPDATE_DOCS=1` writes the text that they print now into the
//! documents.

mod blocks;
mod mounted;

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::{
    clients::python::Python,
    program::{self, Program},
};
use blocks::{Block, blocks, comparable};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Commands that are not run here, each with the reason. All others are.
const NOT_RUN: [(&str, &str, &str); 5] = [
    ("README.md", "cargo run --release -- dev\n", "the test starts the built `petrel dev`"),
    ("README.md", "cargo test\n", "this is it"),
    (
        "README.md",
        "cargo run --example durable -- hello\n",
        "the test of the examples runs the built one, and compares what it prints",
    ),
    (
        "docs/tour-graphql.md",
        "python3 -m pip install --quiet --target target/clients -r examples/clients/requirements.txt\n\
         export PYTHONPATH=target/clients\n",
        "the test installs the same file into a folder of its own",
    ),
    (
        "docs/tour-cli.md",
        "export PATH=\"$PWD/target/release:$PATH\"\n",
        "the test puts the built petrel on PATH",
    ),
];

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// The host and port of a URL.
fn host(url: &str) -> String {
    let host = url.split("//").nth(1).and_then(|rest| rest.split('/').next());
    host.unwrap().to_owned()
}

/// A running server, `petrel dev` or another, and the values for a document's addresses.
struct Tour {
    server: Program,
    graphql: String,
    nats: String,
    data: tempfile::TempDir,
    python: Python,
    /// Functions that earlier blocks have defined.
    functions: String,
}

impl Tour {
    async fn start() -> Self {
        let python = Python::with_requirements().await;
        let data = tempfile::tempdir().unwrap();
        let mut command = program::program();
        command.args(["dev", "--json", "--listen", "127.0.0.1:0"]);
        command.env("PETREL_DATA_DIR", data.path());
        let mut server = Program::start(command);
        let up = server.json().await;
        let graphql = host(up["graphql"].as_str().unwrap());
        let nats = host(up["nats"].as_str().unwrap());
        Self { server, graphql, nats, data, python, functions: String::new() }
    }

    /// The text of a block as it is run here.
    fn here(&self, text: &str) -> String {
        let example = built_example("memory").display().to_string();
        text.replace("127.0.0.1:4000", &self.graphql)
            .replace("127.0.0.1:4222", &self.nats)
            .replace("cargo run --example memory", &example)
    }

    /// Runs a block. Returns true and its output, or false and its errors.
    async fn run(&mut self, block: &Block) -> (bool, String) {
        let text = self.here(&block.text);
        let mut bash = program::clean(Command::new("bash"));
        bash.args(["-euo", "pipefail", "-c", &format!("{}{text}", self.functions)]);
        let binaries = Path::new(env!("CARGO_BIN_EXE_petrel")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(binaries.to_owned()).chain(std::env::split_paths(&path));
        bash.env("PATH", std::env::join_paths(path).unwrap());
        bash.env("PETREL_DATA_DIR", self.data.path());
        bash.env("PYTHONPATH", self.python.packages());
        let output = program::output({
            bash.current_dir(ROOT);
            bash
        })
        .await;
        if text.contains("() {") {
            self.functions.push_str(&text);
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return (true, String::from_utf8(output.stdout).unwrap());
        }
        // Where a command found its server is no part of its answer.
        let errors = errors.lines().filter(|line| !line.starts_with("using "));
        (false, errors.map(|line| format!("{line}\n")).collect())
    }

    /// Runs the commands of a document, and compares at least so many outputs.
    async fn take(&mut self, name: &str, at_least: usize) {
        let blocks = blocks(&document(name));
        let mut not_run = Vec::from(NOT_RUN);
        not_run.retain(|(of, ..)| *of == name);
        let (mut compared, mut renewed) = (0, document(name));
        let renews = std::env::var_os("UPDATE_DOCS").is_some();
        for (index, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sh")
        {
            if let Some(found) = not_run.iter().position(|(_, text, _)| *text == block.text) {
                not_run.remove(found);
                continue;
            }
            let (fine, printed) = self.run(block).await;
            let place = format!("{name}, line {}:\n{}", block.line, block.text);
            let shown = blocks.get(index + 1);
            let shown = shown
                .filter(|shown| ["json", "text", "mermaid"].contains(&shown.language.as_str()));
            let Some(shown) = shown else {
                assert!(fine, "{place}\n{printed}");
                continue;
            };
            assert_eq!(fine, !shown.text.starts_with("error:"), "{place}\n{printed}");
            let is_text = shown.language == "text";
            if renews
                && is_text
                && comparable("text", &printed).ok() != comparable("text", &shown.text).ok()
            {
                assert!(renewed.contains(&shown.text), "{place}");
                renewed = renewed.replacen(&shown.text, &printed, 1);
                continue;
            }
            let expected = comparable(&shown.language, &shown.text).unwrap();
            match comparable(&shown.language, &printed) {
                Ok(printed_now) => assert_eq!(printed_now, expected, "{place}\n{printed}"),
                Err(error) => panic!("{place}\n{error} in {printed}"),
            }
            compared += 1;
        }
        if renews {
            fs::write(Path::new(ROOT).join(name), renewed).unwrap();
        }
        assert!(not_run.is_empty(), "no longer in {name}: {not_run:?}");
        assert!(compared >= at_least, "only {compared} outputs were compared");
    }
}

/// An example that `cargo test` has built beside this test.
fn built_example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples").join(name)
}

/// Fails with the tools to install if the commands can't run.
async fn check_tools() {
    for tool in ["bash", "curl", "python3"] {
        let mut command = program::clean(Command::new(tool));
        let answer = command.arg("--version").output().await;
        let runs = answer.is_ok_and(|answer| answer.status.success());
        assert!(runs, "the documents' commands need {tool} on PATH; install it and try again");
    }
    let example = built_example("memory");
    assert!(
        example.exists(),
        "{} is missing: `cargo test` builds it, and so does `cargo build --example memory`",
        example.display()
    );
}

/// Runs the commands of a document on `petrel dev`, and compares at least so many outputs.
async fn runs(name: &str, at_least: usize) {
    check_tools().await;
    let mut tour = Tour::start().await;
    tour.take(name, at_least).await;
    let (code, errors) = tour.server.terminate().await;
    assert_eq!(code, Some(0), "{errors}");
}

#[tokio::test]
async fn the_commands_of_the_readme_print_what_it_shows() {
    runs("README.md", 2).await;
}

#[tokio::test]
async fn the_commands_of_the_graphql_tour_print_what_it_shows() {
    runs("docs/tour-graphql.md", 15).await;
}

#[tokio::test]
async fn the_commands_of_the_command_line_tour_print_what_it_shows() {
    runs("docs/tour-cli.md", 10).await;
}

#[tokio::test]
async fn the_commands_of_the_page_about_work_do_what_it_says() {
    runs("docs/workers.md", 1).await;
}

#[test]
fn the_rust_programs_of_the_readme_are_the_examples() {
    let blocks = blocks(&document("README.md"));
    let shown: Vec<_> = blocks.iter().filter(|block| block.language == "rust").collect();
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[0].text, document("examples/memory.rs"));
    assert_eq!(shown[1].text, document("examples/durable/hello.rs"));
}

#[tokio::test]
async fn the_picture_of_the_readme_is_what_petrel_draws() {
    let mut draw = program::program();
    draw.args(["draw", "samples/order-approval.yaml"]).current_dir(ROOT);
    let drawn = program::output(draw).await;
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    let picture = "docs/order-approval.svg";
    assert!(document("README.md").contains(&format!("]({picture})")));
    let shown = fs::read_to_string(Path::new(ROOT).join(picture)).unwrap();
    let again = format!("`petrel draw samples/order-approval.yaml -o {picture}` draws it again");
    assert!(shown == String::from_utf8(drawn.stdout).unwrap(), "it is an older one; {again}");
}

/// The anchors of a document's headings.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let kept = |of: &char| of.is_alphanumeric() || "-_ ".contains(*of);
    let anchor = |heading: &str| heading.to_lowercase().chars().filter(kept).collect::<String>();
    headings.map(|heading| anchor(heading).replace(' ', "-")).collect()
}

#[test]
fn every_file_and_heading_that_a_document_links_to_exists() {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    for path in docs.chain([Path::new(ROOT).join("README.md")]) {
        let document = path.display();
        let text = fs::read_to_string(&path).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{document} links to {link}");
            let there = anchor.is_empty()
                || anchors(&fs::read_to_string(&target).unwrap()).iter().any(|of| of == anchor);
            assert!(there, "{document} links to {link}");
        }
    }
}
