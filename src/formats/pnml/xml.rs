//! A cursor over the XML of a file: elements, text and their positions. It refuses parts of XML
//! that a hostile file uses: document types, entities, endless nesting.

use std::borrow::Cow;

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesRef, BytesStart, Event, attributes::Attributes},
};

use super::{Kind, Mode, PnmlError, position, xml_text::unwritable};

/// The most namespaces that can be declared at one place: a lookup goes through them.
const MAX_NAMESPACES: usize = 32;

/// The most elements inside one another. Pages are nested a few deep.
pub const MAX_DEPTH: usize = 256;

/// The cursor.
pub(in crate::formats) struct Xml<'a> {
    pub(in crate::formats) text: &'a str,
    pub(in crate::formats) mode: Mode,
    reader: Reader<&'a [u8]>,
    depth: usize,
    /// True if the element just opened was `<empty/>`: its end comes next.
    ends: bool,
    /// Depth, prefix and namespace of each declaration that holds here.
    namespaces: Vec<(usize, &'a str, Cow<'a, str>)>,
    /// The namespace of the root, which is that of the document.
    home: Option<Cow<'a, str>>,
}

/// The start tag of an element.
pub(in crate::formats) struct Element<'a> {
    /// The name without a prefix.
    pub(in crate::formats) name: &'a str,
    /// True if its namespace is that of the document.
    pub(in crate::formats) home: bool,
    /// The attributes, but not declarations of namespaces.
    pub(in crate::formats) attributes: Vec<(&'a str, Cow<'a, str>)>,
    /// The position of its start.
    pub(in crate::formats) at: usize,
    /// The position of its content's start.
    inner: usize,
}

enum Item<'a> {
    Start(Element<'a>),
    Text(Cow<'a, str>, usize),
    End(usize),
    Eof,
}

impl<'a> Element<'a> {
    /// The value of an attribute, if it is there.
    pub(in crate::formats) fn attribute(&self, name: &str) -> Option<&Cow<'a, str>> {
        self.attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The same, as a text of its own; empty if it is not there.
    pub(in crate::formats) fn owned(&self, name: &str) -> String {
        self.attribute(name).map(|value| value.to_string()).unwrap_or_default()
    }
}

impl<'a> Xml<'a> {
    pub(in crate::formats) fn new(text: &'a str, mode: Mode) -> Self {
        let mut reader = Reader::from_reader(text.as_bytes());
        reader.config_mut().check_comments = mode == Mode::Strict;
        Self { text, mode, reader, depth: 0, ends: false, namespaces: Vec::new(), home: None }
    }

    /// An error at a byte position.
    pub(in crate::formats) fn error(
        &self,
        at: usize,
        kind: Kind,
        message: impl Into<String>,
    ) -> PnmlError {
        position::error(self.text, at, kind, message)
    }

    /// Refuses in strict mode the ways of dialects.
    pub(in crate::formats) fn strict(
        &self,
        at: usize,
        kind: Kind,
        message: impl FnOnce() -> String,
    ) -> Result<(), PnmlError> {
        match self.mode {
            Mode::Lenient => Ok(()),
            Mode::Strict => Err(self.error(at, kind, message())),
        }
    }

    /// The root element.
    pub(in crate::formats) fn root(&mut self) -> Result<Element<'a>, PnmlError> {
        loop {
            match self.item()? {
                Item::Start(root) => return Ok(root),
                Item::Text(text, at) if !is_blank(&text) => {
                    let found = position::excerpt(&text);
                    return Err(self.error(at, Kind::Xml, format!("{found} is no XML")));
                }
                Item::Text(..) | Item::End(_) => {}
                Item::Eof => {
                    return Err(self.error(0, Kind::Xml, "there is no XML element in the file"));
                }
            }
        }
    }

    /// The namespace of the document.
    pub(in crate::formats) fn home(&self) -> Option<&str> {
        self.home.as_deref()
    }

    /// The next element inside the one that is open; `None` at its end.
    pub(in crate::formats) fn child(&mut self) -> Result<Option<Element<'a>>, PnmlError> {
        loop {
            match self.item()? {
                Item::Start(element) => return Ok(Some(element)),
                Item::End(_) | Item::Eof => return Ok(None),
                Item::Text(text, at) if !is_blank(&text) => {
                    self.strict(at, Kind::Unsupported, || no_text(&text))?;
                }
                Item::Text(..) => {}
            }
        }
    }

    /// The same, where dialects have text beside the elements; it is put into `text`.
    pub(in crate::formats) fn child_or_text(
        &mut self,
        text: &mut Option<Cow<'a, str>>,
    ) -> Result<Option<Element<'a>>, PnmlError> {
        loop {
            match self.item()? {
                Item::Start(element) => return Ok(Some(element)),
                Item::End(_) | Item::Eof => return Ok(None),
                Item::Text(found, _) if is_blank(&found) && text.is_none() => {}
                Item::Text(found, at) => {
                    if !is_blank(&found) {
                        let message = || "text beside elements; put it into <text>".to_owned();
                        self.strict(at, Kind::Unsupported, message)?;
                    }
                    match text {
                        None => *text = Some(found),
                        // Indentation after a <text> is none of it.
                        Some(_) if is_blank(&found) => {}
                        Some(before) => before.to_mut().push_str(&found),
                    }
                }
            }
        }
    }

    /// The text inside the element that is open, up to its end. Elements in it are refused.
    pub(in crate::formats) fn content(&mut self) -> Result<Cow<'a, str>, PnmlError> {
        let mut content = Cow::Borrowed("");
        loop {
            match self.item()? {
                Item::Text(text, _) if content.is_empty() => content = text,
                Item::Text(text, _) => content.to_mut().push_str(&text),
                Item::End(_) | Item::Eof => return Ok(content),
                Item::Start(element) => {
                    let message = format!("<{}> stands where only text may", element.name);
                    return Err(self.error(element.at, Kind::Unsupported, message));
                }
            }
        }
    }

    /// Goes to the end of the element that is open, and returns its content as it stands. In
    /// strict mode that may be elements, but no text beside them.
    pub(in crate::formats) fn skip(&mut self, element: &Element<'a>) -> Result<&'a str, PnmlError> {
        let outside = self.depth - 1;
        loop {
            match self.item()? {
                Item::End(at) if self.depth == outside => {
                    return Ok(&self.text[element.inner..at.max(element.inner)]);
                }
                Item::Text(text, at) if self.depth == outside + 1 && !is_blank(&text) => {
                    self.strict(at, Kind::Unsupported, || no_text(&text))?;
                }
                Item::Eof => return Ok(""),
                _ => {}
            }
        }
    }

    /// Goes to the end of the element that is open, which in strict mode is empty.
    pub(in crate::formats) fn skip_empty(
        &mut self,
        element: &Element<'a>,
    ) -> Result<(), PnmlError> {
        while let Some(inner) = self.child()? {
            let message = || format!("<{}> in <{}>, which is empty", inner.name, element.name);
            self.strict(inner.at, Kind::Unsupported, message)?;
            self.skip(&inner)?;
        }
        Ok(())
    }

    /// Goes to the end of the file, where nothing but comments may be after the root.
    pub(in crate::formats) fn finish(&mut self) -> Result<(), PnmlError> {
        loop {
            match self.item()? {
                Item::Eof => return Ok(()),
                Item::Text(text, _) if is_blank(&text) => {}
                Item::Text(_, at) | Item::End(at) | Item::Start(Element { at, .. }) => {
                    return Err(self.error(at, Kind::Xml, "nothing may follow the root element"));
                }
            }
        }
    }

    /// The prefixes and namespaces that the element just opened declares itself.
    pub(in crate::formats) fn declared(&self) -> Vec<(&'a str, Cow<'a, str>)> {
        let own = self.namespaces.iter().filter(|(depth, ..)| *depth == self.depth);
        own.map(|(_, prefix, namespace)| (*prefix, namespace.clone())).collect()
    }

    /// The declarations, as attributes, that an element needs which was just closed, of its `own`
    /// and of those around it. `uses` answers for each `prefix:`.
    pub(in crate::formats) fn needed(
        &self,
        own: &[(&'a str, Cow<'a, str>)],
        uses: impl Fn(&str) -> bool,
    ) -> Vec<(String, String)> {
        let around = self.namespaces.iter().rev().map(|(_, prefix, namespace)| (prefix, namespace));
        let all = own.iter().map(|(prefix, namespace)| (prefix, namespace)).chain(around);
        let mut needed: Vec<(String, String)> = Vec::new();
        for (prefix, namespace) in all.filter(|(prefix, _)| !prefix.is_empty()) {
            let key = format!("xmlns:{prefix}");
            let is_new = needed.iter().all(|(other, _)| *other != key);
            if is_new && uses(&format!("{prefix}:")) {
                needed.push((key, namespace.to_string()));
            }
        }
        needed
    }

    fn item(&mut self) -> Result<Item<'a>, PnmlError> {
        if std::mem::take(&mut self.ends) {
            return Ok(self.close(self.at()));
        }
        loop {
            let at = self.at();
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    let at = usize::try_from(self.reader.error_position()).unwrap_or(at);
                    return Err(self.error(at, Kind::Xml, format!("{error}")));
                }
            };
            return Ok(match event {
                Event::Start(tag) => Item::Start(self.open(&tag, at)?),
                Event::Empty(tag) => {
                    self.ends = true;
                    Item::Start(self.open(&tag, at)?)
                }
                Event::End(_) => self.close(at),
                Event::Text(text) => Item::Text(text.xml10_content(), at),
                Event::CData(text) => Item::Text(text.xml10_content(), at),
                Event::GeneralRef(reference) => Item::Text(self.character(&reference, at)?, at),
                Event::Comment(_) | Event::PI(_) => continue,
                Event::Decl(_) if at == 0 => continue,
                Event::Decl(_) => {
                    let message = "the XML declaration must be the very start of the file";
                    return Err(self.error(at, Kind::Xml, message));
                }
                Event::DocType(_) => {
                    let message = "document types are not read, since the entities that they \
                                   declare can be hostile; remove the <!DOCTYPE …>";
                    return Err(self.error(at, Kind::Dtd, message));
                }
                Event::Eof if self.depth > 0 => {
                    let message = "the file ends in the middle of an element; is it cut off?";
                    return Err(self.error(at, Kind::Xml, message));
                }
                Event::Eof => Item::Eof,
            });
        }
    }

    fn at(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    fn close(&mut self, at: usize) -> Item<'a> {
        while self.namespaces.pop_if(|(depth, ..)| *depth == self.depth).is_some() {}
        self.depth = self.depth.saturating_sub(1);
        Item::End(at)
    }

    fn open(&mut self, tag: &BytesStart<'_>, at: usize) -> Result<Element<'a>, PnmlError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("elements are nested more than {MAX_DEPTH} deep");
            return Err(self.error(at, Kind::Depth, message));
        }
        // The tag as it stands in the file, so that names and values need no copy.
        let length = tag.len();
        let content = &self.text[at + 1..at + 1 + length];
        let full = &content[..tag.name().as_ref().len()];
        let mut attributes = Vec::new();
        for attribute in Attributes::new(content, full.len()) {
            let invalid = |message: String| self.error(at, Kind::Xml, message);
            let attribute = attribute.map_err(|error| invalid(error.to_string()))?;
            let key: &'a str = attribute.key.0;
            if attribute.value.contains('<') {
                let message = format!("a < in the value of {key}; write &lt;");
                return Err(invalid(message));
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| invalid(format!("in the value of {key}: {error}")))?;
            if let Some(character) = unwritable(&value) {
                let reason = "is not allowed in XML, by its number neither; remove it";
                return Err(invalid(format!("in the value of {key}: {character:?} {reason}")));
            }
            let prefix = match key {
                "xmlns" => Some(""),
                _ => key.strip_prefix("xmlns:"),
            };
            match prefix {
                None => attributes.push((key, value)),
                Some(_) if self.namespaces.len() >= MAX_NAMESPACES => {
                    let message = format!("more than {MAX_NAMESPACES} namespaces at one place");
                    return Err(invalid(message));
                }
                Some(prefix) => self.namespaces.push((self.depth, prefix, value)),
            }
        }
        let (prefix, name) = full.split_once(':').unwrap_or(("", full));
        let namespace = self.namespace(prefix, at)?;
        if self.depth == 1 {
            self.home.clone_from(&namespace);
        }
        // A dialect's file may name the namespace for some elements only.
        let home = namespace == self.home || self.mode == Mode::Lenient && namespace.is_none();
        Ok(Element { name, home, attributes, at, inner: self.at() })
    }

    fn namespace(&self, prefix: &str, at: usize) -> Result<Option<Cow<'a, str>>, PnmlError> {
        let found = self.namespaces.iter().rev().find(|(_, declared, _)| *declared == prefix);
        match found {
            Some((_, _, namespace)) => {
                Ok(Some(namespace.clone()).filter(|namespace| !namespace.is_empty()))
            }
            None if prefix.is_empty() || prefix == "xml" => Ok(None),
            None => {
                let message = format!("the prefix {prefix} is not declared; add xmlns:{prefix}=…");
                Err(self.error(at, Kind::Xml, message))
            }
        }
    }

    fn character(&self, reference: &BytesRef<'_>, at: usize) -> Result<Cow<'a, str>, PnmlError> {
        let invalid = |error: quick_xml::Error| self.error(at, Kind::Xml, error.to_string());
        if let Some(character) = reference.resolve_char_ref().map_err(invalid)? {
            let character = character.to_string();
            if unwritable(&character).is_some() {
                let name: &str = reference;
                let message = format!("&{name}; is a character that XML doesn't allow; remove it");
                return Err(self.error(at, Kind::Xml, message));
            }
            return Ok(Cow::Owned(character));
        }
        match quick_xml::escape::resolve_xml_entity(reference) {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => {
                let name: &str = reference;
                let message = format!("the entity &{name}; is not one of XML's own; write it out");
                Err(self.error(at, Kind::Dtd, message))
            }
        }
    }
}

fn no_text(found: &str) -> String {
    format!("the text {} stands where only elements may", position::excerpt(found))
}

pub(super) fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}
