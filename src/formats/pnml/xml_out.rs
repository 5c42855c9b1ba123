//! Writing XML: elements and their indentation.

use std::fmt::Write;

use quick_xml::{Reader, events::Event};

use super::{xml::is_blank, xml_text::escaped};

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
        self.text.push_str(&escaped(text));
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
            self.text.push_str(&escaped(value));
            self.text.push('"');
        }
    }
}

/// Returns true if the content of an element is nothing but elements, so that it can be copied
/// into a file of the standard.
pub(super) fn only_elements(content: &str) -> bool {
    let mut reader = Reader::from_str(content);
    reader.config_mut().check_comments = true;
    let mut depth = 0_usize;
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return true,
            Ok(Event::Start(_)) => depth += 1,
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Text(text)) if depth > 0 || is_blank(&text.xml10_content()) => {}
            Ok(Event::CData(_) | Event::GeneralRef(_)) if depth > 0 => {}
            Ok(Event::Empty(_) | Event::Comment(_) | Event::PI(_)) => {}
            _ => return false,
        }
    }
}
