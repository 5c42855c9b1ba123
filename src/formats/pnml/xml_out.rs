//! Writing XML: indentation and what has to be escaped.

use std::fmt::Write;

/// XML as it is written.
pub(super) struct XmlOut {
    text: String,
    open: Vec<&'static str>,
}

impl XmlOut {
    /// The start of a document.
    pub(super) fn new() -> Self {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        Self { text, open: Vec::new() }
    }

    /// Opens an element.
    pub(super) fn start(&mut self, name: &'static str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.text.push_str(">\n");
        self.open.push(name);
    }

    /// Closes the element that was opened last.
    pub(super) fn end(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            let _ = writeln!(self.text, "</{name}>");
        }
    }

    /// An element without content.
    pub(super) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.text.push_str("/>\n");
    }

    /// An element with text in it.
    pub(super) fn element(&mut self, name: &str, text: &str) {
        self.tag(name, &[]);
        self.text.push('>');
        self.escaped(text);
        let _ = writeln!(self.text, "</{name}>");
    }

    /// An element with XML in it, as it is.
    pub(super) fn raw(&mut self, name: &str, attributes: &[(&str, &str)], content: &str) {
        if content.is_empty() {
            return self.empty(name, attributes);
        }
        self.tag(name, attributes);
        let _ = writeln!(self.text, ">{content}</{name}>");
    }

    /// The document.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.end();
        }
        self.text
    }

    fn indent(&mut self) {
        (0..self.open.len()).for_each(|_| self.text.push_str("  "));
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        for (key, value) in attributes {
            let _ = write!(self.text, " {key}=\"");
            self.escaped(value);
            self.text.push('"');
        }
    }

    /// Line ends and tabs are escaped too: a reader may change them otherwise.
    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '&' => self.text.push_str("&amp;"),
                '"' => self.text.push_str("&quot;"),
                '\t' | '\n' | '\r' => {
                    let _ = write!(self.text, "&#{};", u32::from(c));
                }
                _ => self.text.push(c),
            }
        }
    }
}

/// The first character of a text that XML has no place for.
pub(super) fn unwritable(text: &str) -> Option<char> {
    let odd = |c: &char| matches!(c, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}');
    text.chars().find(odd)
}
