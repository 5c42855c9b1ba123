//! Reading a file: the frame around the nets.

use std::collections::{BTreeMap, HashMap};

use super::{
    Document, Kind, Mode, Note, Part, PnmlError, ToolSpecific,
    draft::Draft,
    encoding, id, ignored,
    own::Own,
    position, silent,
    xml::{Element, Xml},
};

/// The most bytes that a file may have. A file of this size can take some hundred MB while it
/// is read.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The most nets in a file.
pub const MAX_NETS: usize = 10_000;

/// The namespace of the standard.
pub(in crate::formats) const NAMESPACE: &str = "http://www.pnml.org/version-2009/grammar/pnml";

/// Reads a PNML file.
pub fn read(bytes: &[u8], mode: Mode) -> Result<Document, PnmlError> {
    if bytes.len() > MAX_BYTES {
        let message = format!("the file has {} bytes; the most is {MAX_BYTES}", bytes.len());
        return Err(PnmlError { line: 1, column: 1, kind: Kind::Size, message });
    }
    let text = encoding::decode(bytes, mode)?;
    let xml = Xml::new(&text, mode);
    let reading = Reading {
        xml,
        document: Document::default(),
        draft: Draft::default(),
        notes: BTreeMap::new(),
        more: None,
        ids: HashMap::new(),
        namespaces: 0,
    };
    reading.document()
}

/// A file that is being read.
pub(in crate::formats) struct Reading<'a> {
    pub(in crate::formats) xml: Xml<'a>,
    pub(in crate::formats) document: Document,
    /// The net that is being read, or was last.
    pub(in crate::formats) draft: Draft<'a>,
    /// Things that were passed over, each with its number and the position of the first.
    notes: BTreeMap<String, (usize, usize)>,
    /// The number of other things that were passed over, and the position of the first.
    more: Option<(usize, usize)>,
    /// The ids of the file with their positions, in strict mode.
    ids: HashMap<String, usize>,
    /// The bytes of the namespaces that were copied into the notes of tools.
    namespaces: usize,
}

impl<'a> Reading<'a> {
    fn document(mut self) -> Result<Document, PnmlError> {
        let root = self.xml.root()?;
        if root.name != "pnml" {
            let message = format!("the root element is <{}>; a PNML file's is <pnml>", root.name);
            return Err(self.xml.error(root.at, Kind::Xml, message));
        }
        if self.xml.home() != Some(NAMESPACE) {
            let message = || format!("the namespace must be {NAMESPACE}");
            self.xml.strict(root.at, Kind::Namespace, message)?;
        }
        self.standard_attributes(&root, &[])?;
        // A module is transparent: how many are open, the root included.
        let mut open = 1;
        while open > 0 {
            match self.xml.child()? {
                None => open -= 1,
                Some(element) => open += usize::from(self.at_top(&element)?),
            }
        }
        self.xml.finish()?;
        if self.document.nets.is_empty() {
            return Err(self.xml.error(root.at, Kind::NoNet, "there is no <net> in the file"));
        }
        let mut notes: Vec<_> = self.notes.into_iter().collect();
        notes.sort_by_key(|(_, (_, at))| *at);
        let note = |(message, (count, at))| {
            let (line, _) = position::line_and_column(self.xml.text, at);
            Note { line, message, count }
        };
        self.document.notes = notes.into_iter().map(note).collect();
        if let Some((count, at)) = self.more {
            let (line, _) = position::line_and_column(self.xml.text, at);
            let message = format!("and {count} more, of other kinds, from here on");
            self.document.notes.push(Note { line, message, count: 1 });
        }
        Ok(self.document)
    }

    /// Reads an element outside of nets; returns true if it is left open, as a mere bracket.
    fn at_top(&mut self, element: &Element<'a>) -> Result<bool, PnmlError> {
        let dialect = |what: &str| format!("<{what}> is not in the standard");
        match element.name {
            _ if !element.home => self.foreign(element)?,
            "net" if self.document.nets.len() == MAX_NETS => {
                let message = format!("more than {MAX_NETS} nets in one file");
                return Err(self.xml.error(element.at, Kind::Size, message));
            }
            "net" => self.net(element)?,
            "toolspecific" | "name" => {
                self.xml.strict(element.at, Kind::Unsupported, || dialect(element.name))?;
                self.xml.skip(element)?;
            }
            "module" => {
                self.xml.strict(element.at, Kind::Unsupported, || dialect("module"))?;
                return Ok(true);
            }
            "ports" => {
                self.xml.strict(element.at, Kind::Unsupported, || dialect("ports"))?;
                if let Some(port) = self.xml.child()? {
                    let message = "an open net, whose ports others connect to, is no net that \
                                   runs by itself; import the composed net";
                    return Err(self.xml.error(port.at, Kind::Unsupported, message));
                }
            }
            "finalmarkings" if !self.document.nets.is_empty() => {
                self.xml.strict(element.at, Kind::Unsupported, || dialect("finalmarkings"))?;
                for marking in self.final_markings()? {
                    let entries = self.draft.marking(marking, &self.xml)?;
                    if let Some(net) = self.document.nets.last_mut() {
                        net.final_marking_entries.push(entries);
                    }
                }
            }
            name if ignored::at_top(name) => self.pass_over(element)?,
            _ => return Err(self.unsupported(element, "a PNML file")),
        }
        Ok(false)
    }

    /// Notes an element that can't change the firings, and goes to its end. Strict mode refuses
    /// it.
    pub(in crate::formats) fn pass_over(&mut self, element: &Element<'a>) -> Result<(), PnmlError> {
        let message = || format!("<{}> is not in the standard", element.name);
        self.xml.strict(element.at, Kind::Unsupported, message)?;
        self.note(element.at, format!("<{}> was passed over", element.name));
        self.xml.skip(element)?;
        Ok(())
    }

    /// An element of another namespace.
    pub(in crate::formats) fn foreign(&mut self, element: &Element<'a>) -> Result<(), PnmlError> {
        let message = || format!("<{}> is in another namespace than <pnml>", element.name);
        self.xml.strict(element.at, Kind::Namespace, message)?;
        let name = element.name;
        self.note(element.at, format!("<{name}> of another namespace was passed over"));
        self.xml.skip(element)?;
        Ok(())
    }

    /// Notes something that is no part of the net.
    pub(in crate::formats) fn note(&mut self, at: usize, message: String) {
        /// Notes kept: names in them come from the file, which can have as many as it likes.
        const MOST: usize = 100;
        if self.notes.len() < MOST || self.notes.contains_key(&message) {
            self.notes.entry(message).or_insert((0, at)).0 += 1;
        } else {
            self.more.get_or_insert((0, at)).0 += 1;
        }
    }

    /// The error for an element that has no meaning here, or one that we don't know.
    pub(in crate::formats) fn unsupported(&self, element: &Element<'a>, place: &str) -> PnmlError {
        let name = element.name;
        let high_level = name.starts_with("hl")
            || matches!(name, "structure" | "declaration" | "condition" | "declarations");
        let (kind, message) = if high_level {
            let message = format!(
                "<{name}> in {place}: a high-level net, whose tokens have colours, is not a \
                 place/transition net; unfold it with a tool that can, and import the result"
            );
            (Kind::HighLevel, message)
        } else {
            let message = format!(
                "<{name}> in {place} is not known, and may change what the net means; if it \
                 doesn't, put it into <toolspecific>"
            );
            (Kind::Unsupported, message)
        };
        self.xml.error(element.at, kind, message)
    }

    /// Keeps a tool's note about the part of the net that is being read.
    pub(in crate::formats) fn tool_specific(
        &mut self,
        element: &Element<'a>,
        part: Part,
    ) -> Result<(), PnmlError> {
        let [tool, version] = ["tool", "version"].map(|name| element.owned(name));
        for name in ["tool", "version"] {
            if element.attribute(name).is_none() {
                let message = || format!("<toolspecific> lacks the attribute {name}");
                self.xml.strict(element.at, Kind::MissingAttribute, message)?;
            }
        }
        self.standard_attributes(element, &["tool", "version"])?;
        let declared = self.xml.declared();
        let content = self.xml.skip(element)?;
        let used = |prefix: &str| {
            content.contains(prefix)
                || element.attributes.iter().any(|(key, _)| key.starts_with(prefix))
        };
        let mut attributes = self.xml.needed(&declared, used);
        self.namespaces += attributes.iter().map(|(_, namespace)| namespace.len()).sum::<usize>();
        if self.namespaces > MAX_BYTES {
            let message = format!(
                "what tools noted needs more than {MAX_BYTES} bytes of namespaces, each with its \
                 own; shorten them"
            );
            return Err(self.xml.error(element.at, Kind::Size, message));
        }
        let own = element.attributes.iter().filter(|(key, _)| !matches!(*key, "tool" | "version"));
        attributes.extend(own.map(|(key, value)| ((*key).to_owned(), value.to_string())));
        let content = content.trim().to_owned();
        if tool == id::TOOL {
            let invalid = |reason: String| self.xml.error(element.at, Kind::Unsupported, reason);
            match (Own::read(&content).map_err(invalid)?, part) {
                (Some(Own::Id(original)), _) => {
                    self.draft.original_ids.push((part, original));
                    return Ok(());
                }
                (Some(Own::Silent), Part::Transition(_)) => {
                    self.draft.silent = true;
                    return Ok(());
                }
                (Some(Own::Immediate(rank)), Part::Transition(_)) => {
                    self.draft.immediate = Some(rank);
                    return Ok(());
                }
                (Some(Own::Timed(timed)), Part::Transition(_)) => {
                    self.draft.timed = Some(timed);
                    return Ok(());
                }
                (Some(Own::Activity(work)), Part::Transition(_)) => {
                    self.draft.work = Some(work);
                    return Ok(());
                }
                (Some(Own::Defaults(defaults)), Part::Net) => {
                    self.draft.net.defaults = Some(*defaults);
                    return Ok(());
                }
                (Some(Own::MaxCascade(most)), Part::Net) => {
                    self.draft.net.max_cascade = Some(most);
                    return Ok(());
                }
                _ => {}
            }
        }
        if let Part::Transition(_) = part
            && let Some(note) = silent::read(&tool, &attributes, &content)
        {
            self.draft.silent = true;
            if note == silent::Note::Only {
                return Ok(());
            }
        }
        let noted = ToolSpecific { part, tool, version, attributes, content };
        self.draft.net.tool_specific.push(noted);
        Ok(())
    }

    /// An id; in strict mode an XML name that the file has once.
    pub(in crate::formats) fn id(&mut self, element: &Element<'a>) -> Result<String, PnmlError> {
        let id = element.owned("id");
        if self.xml.mode == super::Mode::Lenient {
            return Ok(id);
        }
        if !is_name(&id) {
            let found = position::excerpt(&id);
            let message = format!(
                "<{}> has the id {found}; an id starts with a letter or _ and goes on with \
                 letters, digits, . _ -",
                element.name
            );
            let kind = if id.is_empty() { Kind::MissingAttribute } else { Kind::Id };
            return Err(self.xml.error(element.at, kind, message));
        }
        if let Some(first) = self.ids.insert(id.clone(), element.at) {
            return Err(self.duplicate(&id, element.at, first));
        }
        Ok(id)
    }

    /// The error for the second thing with an id.
    pub(in crate::formats) fn duplicate(&self, id: &str, at: usize, first: usize) -> PnmlError {
        let (line, _) = position::line_and_column(self.xml.text, first);
        let id = position::excerpt(id);
        let message = format!("the id {id} is that of another thing in line {line}; rename one");
        self.xml.error(at, Kind::DuplicateId, message)
    }
}

/// Returns true if it is a name of XML without a colon, which the standard takes for an id.
pub(in crate::formats) fn is_name(text: &str) -> bool {
    let starts = |c: char| {
        matches!(c,
            'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}'
            | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}'
            | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}'
            | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
            | '\u{10000}'..='\u{EFFFF}')
    };
    let goes_on = |c: char| {
        starts(c)
            || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}'
                | '\u{203F}'..='\u{2040}')
    };
    let mut characters = text.chars();
    characters.next().is_some_and(starts) && characters.all(goes_on)
}
