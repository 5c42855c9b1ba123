//! The code blocks of a Markdown document, and a comparison of outputs.

use chrono::DateTime;
use serde_json::{Deserializer, Value};

/// A fenced code block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// The words after the opening fence.
    pub language: String,
    pub text: String,
    /// The line of the opening fence, counted from 1.
    pub line: usize,
}

/// The blocks of a document, in order.
pub(super) fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(markdown.lines());
    while let Some((line, opening)) = lines.next() {
        let Some(language) = opening.strip_prefix("```") else { continue };
        let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let text = inside.map(|line| format!("{line}\n")).collect();
        blocks.push(Block { language: language.to_owned(), text, line });
    }
    blocks
}

/// The contents of a block of output, without the differences between runs: times are all the
/// same and so are rates, JSON may be broken into lines in any way, and so may spaces in text.
pub(super) fn comparable(language: &str, output: &str) -> Result<Vec<Value>, serde_json::Error> {
    if language == "json" {
        let documents = Deserializer::from_str(output).into_iter();
        return documents.map(|document| document.map(without_times)).collect();
    }
    let cells = |word: &str| {
        let cells = word.split(',');
        cells.map(|cell| if is_time(cell) { "<time>" } else { cell }).collect::<Vec<_>>().join(",")
    };
    let words = |line: &str| {
        let mut words: Vec<_> = line.split_whitespace().map(cells).collect();
        // How fast something was.
        for at in 1..words.len() {
            if words[at].starts_with("million/s") {
                words[at - 1] = "<rate>".to_owned();
            }
        }
        words.join(" ")
    };
    Ok(output.lines().map(|line| words(line).into()).collect())
}

fn without_times(value: Value) -> Value {
    match value {
        Value::String(text) if is_time(&text) => "<time>".into(),
        Value::Array(items) => items.into_iter().map(without_times).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields.map(|(name, value)| (name, without_times(value))).collect()
        }
        other => other,
    }
}

fn is_time(text: &str) -> bool {
    DateTime::parse_from_rfc3339(text).is_ok()
}

#[test]
fn blocks_are_found_with_their_language_text_and_line() {
    let found = blocks("a\n```sh\nls\npwd\n```\nb\n```text\nx\n```\n");
    let block = |language: &str, text: &str, line| Block {
        language: language.to_owned(),
        text: text.to_owned(),
        line,
    };
    assert_eq!(found, [block("sh", "ls\npwd\n", 2), block("text", "x\n", 7)]);
}

#[test]
fn outputs_that_differ_in_times_and_line_breaks_are_equal_and_others_are_not() {
    let same =
        |language, a, b| comparable(language, a).unwrap() == comparable(language, b).unwrap();
    let at = r#"{"at": "2026-01-01T00:00:00Z", "n": [1]}"#;
    assert!(same("json", at, "{\"at\": \"2027-02-02T10:00:00.5+00:00\",\n\"n\":\n[1]}"));
    assert!(!same("json", at, r#"{"at": "soon", "n": [1]}"#));
    assert!(same("text", "a  2026-01-01T00:00:00Z b\n", "a 2027-01-01T00:00:00.123Z  b\n"));
    assert!(same("text", "a,2026-01-01T00:00:00Z,b\n", "a,2027-01-01T00:00:00.123Z,b\n"));
    assert!(!same("text", "a,2026-01-01T00:00:00Z,b\n", "a,2026-01-01T00:00:00Z,c\n"));
    assert!(same("text", "7 firings (0.2 million/s)\n", "7 firings (3.1 million/s)\n"));
    assert!(!same("text", "7 firings (0.2 million/s)\n", "8 firings (0.2 million/s)\n"));
    assert!(!same("text", "a b\n", "a c\n"));
}
