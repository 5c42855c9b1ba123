//! Reading places, transitions and references.

use std::collections::hash_map::Entry;

use super::{
    Kind, Node, NodeGraphics, Part, Place, PnmlError, Point, Reference, Transition,
    draft::{DraftReference, Named, Precedence},
    ignored, position,
    read::Reading,
    standard::Seen,
    xml::Element,
};

impl<'a> Reading<'a> {
    /// Reads a place.
    pub(in crate::formats) fn place(
        &mut self,
        element: &Element<'a>,
        page: Option<usize>,
    ) -> Result<(), PnmlError> {
        let index = self.draft.net.places.len();
        let id = self.node_id(element, Named::Place(index))?;
        let mut place = Place { id, page, ..Place::default() };
        let part = Part::Place(index);
        let mut graphics = NodeGraphics::default();
        let mut marking = None;
        for (key, value) in &element.attributes {
            match *key {
                "id" => continue,
                "name" => place.name = name_of(value),
                "initialMarking" => marking = Some(self.count(value, element.at)?),
                "invariant" => self.check_invariant(value, element.at)?,
                "positionX" | "positionY" | "nameOffsetX" | "nameOffsetY" | "displayName" => {}
                _ => self.attribute_passed_over(element, key),
            }
            self.dialect_attribute(element, key)?;
        }
        self.attribute_position(element, &mut graphics)?;
        let mut seen = Seen::default();
        while let Some(child) = self.xml.child()? {
            self.once(&mut seen, &child, &["name", "graphics"])?;
            if seen.twice(&child, &["initialMarking", "capacity"]) {
                return Err(self.twice(&child));
            }
            match child.name {
                _ if self.of_any_node(&child, part, &mut place.name, &mut graphics)? => {}
                "initialMarking" => {
                    let label = self.label(&child, part)?;
                    let tokens = self.tokens(&label, child.at)?;
                    if marking.replace(tokens).is_some_and(|attribute| attribute != tokens) {
                        let message = "the place has an attribute initialMarking, which says \
                                       something else; remove one of them";
                        return Err(self.xml.error(child.at, Kind::DuplicateLabel, message));
                    }
                }
                "capacity" => {
                    self.not_standard(&child)?;
                    let label = self.label(&child, part)?;
                    let capacity = self.tokens(&label, child.at)?;
                    // In the dialects that have capacities, 0 is none.
                    place.capacity = Some(capacity).filter(|capacity| *capacity > 0);
                }
                "type" => {
                    let message = "the place has a type of tokens: a high-level net is no \
                                   place/transition net; unfold it, and import the result";
                    return Err(self.xml.error(child.at, Kind::HighLevel, message));
                }
                name if ignored::in_any(name) => self.pass_over(&child)?,
                _ => return Err(self.unsupported(&child, "a place")),
            }
        }
        place.tokens = marking.unwrap_or(0);
        place.graphics = boxed(graphics);
        self.draft.net.places.push(place);
        Ok(())
    }

    /// Reads a transition.
    pub(in crate::formats) fn transition(
        &mut self,
        element: &Element<'a>,
        page: Option<usize>,
    ) -> Result<(), PnmlError> {
        let index = self.draft.net.transitions.len();
        let id = self.node_id(element, Named::Transition(index))?;
        let mut transition = Transition { id, page, ..Transition::default() };
        let part = Part::Transition(index);
        let mut graphics = NodeGraphics::default();
        (self.draft.silent, self.draft.immediate) = (false, None);
        (self.draft.timed, self.draft.work) = (None, None);
        let mut precedence = Precedence { timed: false, priority: 0, at: element.at };
        for (key, value) in &element.attributes {
            match *key {
                "id" => continue,
                "name" => transition.name = name_of(value),
                "urgent" if &**value == "true" => {
                    let message = "an urgent transition fires before time passes, which can't be \
                                   represented; make it not urgent";
                    return Err(self.xml.error(element.at, Kind::Timing, message));
                }
                "positionX" | "positionY" | "nameOffsetX" | "nameOffsetY" | "displayName"
                | "angle" | "infiniteServer" | "urgent" | "player" => {}
                "priority" => precedence.priority = self.count(value, element.at)?,
                _ => self.attribute_passed_over(element, key),
            }
            self.dialect_attribute(element, key)?;
        }
        self.attribute_position(element, &mut graphics)?;
        let mut seen = Seen::default();
        while let Some(child) = self.xml.child()? {
            self.once(&mut seen, &child, &["name", "graphics"])?;
            match child.name {
                _ if self.of_any_node(&child, part, &mut transition.name, &mut graphics)? => {}
                "priority" => {
                    self.not_standard(&child)?;
                    let label = self.label(&child, part)?;
                    precedence.priority = self.tokens(&label, child.at)?;
                }
                "timed" => {
                    self.not_standard(&child)?;
                    let label = self.label(&child, part)?;
                    precedence.timed = label.text.is_some_and(|text| text.trim() == "true");
                }
                "delay" | "interval" => {
                    self.not_standard(&child)?;
                    if ignored::is_any_time(self.xml.skip(&child)?) {
                        continue;
                    }
                    let message = "the transition has a time interval, which limits what can \
                                   fire and can't be represented; remove it";
                    return Err(self.xml.error(child.at, Kind::Timing, message));
                }
                name if ignored::in_transition(name) => self.pass_over(&child)?,
                _ => return Err(self.unsupported(&child, "a transition")),
            }
        }
        transition.graphics = boxed(graphics);
        (transition.silent, transition.immediate) = (self.draft.silent, self.draft.immediate);
        transition.timed = self.draft.timed.take();
        transition.work = self.draft.work.take();
        self.draft.net.transitions.push(transition);
        self.draft.precedence.push(precedence);
        Ok(())
    }

    /// Reads an element that every kind of node can have in it; returns false for any other.
    fn of_any_node(
        &mut self,
        child: &Element<'a>,
        part: Part,
        name: &mut Option<String>,
        graphics: &mut NodeGraphics,
    ) -> Result<bool, PnmlError> {
        match child.name {
            _ if !child.home => self.foreign(child)?,
            "name" => {
                let read = self.name(child, part)?;
                *name = read.text;
                graphics.name_offset = read.offset;
            }
            "graphics" => {
                let read = self.node_graphics(child)?;
                graphics.position = read.position;
                graphics.dimension = read.dimension;
            }
            "toolspecific" => self.tool_specific(child, part)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads a reference place or transition.
    pub(in crate::formats) fn reference(
        &mut self,
        element: &Element<'a>,
        page: Option<usize>,
    ) -> Result<(), PnmlError> {
        let index = self.draft.references.len();
        let id = self.node_id(element, Named::Reference(index))?;
        let Some(target) = element.attribute("ref").cloned() else {
            let message = format!("<{}> lacks the attribute ref", element.name);
            return Err(self.xml.error(element.at, Kind::MissingAttribute, message));
        };
        self.standard_attributes(element, &["id", "ref"])?;
        let mut reference =
            Reference { id, name: None, target: Node::Place(0), graphics: None, page };
        let part = Part::Reference(index);
        let mut graphics = NodeGraphics::default();
        let mut seen = Seen::default();
        while let Some(child) = self.xml.child()? {
            self.once(&mut seen, &child, &["name", "graphics"])?;
            if !self.of_any_node(&child, part, &mut reference.name, &mut graphics)? {
                if !ignored::in_any(child.name) {
                    return Err(self.unsupported(&child, "a reference"));
                }
                self.pass_over(&child)?;
            }
        }
        reference.graphics = boxed(graphics);
        let to_place = element.name == "referencePlace";
        let at = element.at;
        self.draft.references.push(DraftReference { target, to_place, reference, at });
        Ok(())
    }

    /// The id of a node, which the net has once.
    fn node_id(&mut self, element: &Element<'a>, named: Named) -> Result<String, PnmlError> {
        let Some(key) = element.attribute("id").filter(|id| !id.is_empty()).cloned() else {
            let message = format!("<{}> lacks the attribute id", element.name);
            return Err(self.xml.error(element.at, Kind::MissingAttribute, message));
        };
        let id = self.id(element)?;
        match self.draft.nodes.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert((named, element.at));
                Ok(id)
            }
            Entry::Occupied(entry) => {
                let (_, first) = *entry.get();
                Err(self.duplicate(&id, element.at, first))
            }
        }
    }

    /// A label that is a name; a blank one is none.
    pub(in crate::formats) fn name(
        &mut self,
        element: &Element<'a>,
        part: Part,
    ) -> Result<Name, PnmlError> {
        let label = self.label(element, part)?;
        Ok(Name { text: label.text.as_deref().and_then(name_of), offset: label.offset })
    }

    /// The graphics of a node or a page.
    pub(in crate::formats) fn node_graphics(
        &mut self,
        element: &Element<'a>,
    ) -> Result<NodeGraphics, PnmlError> {
        self.standard_attributes(element, &[])?;
        let mut graphics = NodeGraphics::default();
        let mut seen = Seen::default();
        while let Some(child) = self.xml.child()? {
            self.once(&mut seen, &child, &["position", "dimension", "fill", "line"])?;
            match child.name {
                "position" if child.home && graphics.position.is_none() => {
                    graphics.position = self.point(&child)?;
                }
                "dimension" if child.home && graphics.dimension.is_none() => {
                    graphics.dimension = self.point(&child)?;
                }
                "position" | "dimension" | "fill" | "line" if child.home => {}
                _ => self.xml.strict(child.at, Kind::Unsupported, || {
                    format!("<{}> in the graphics of a node", child.name)
                })?,
            }
            self.drawn(&child)?;
        }
        if graphics.position.is_none() {
            let message = || "the graphics of a node need a <position>".to_owned();
            self.xml.strict(element.at, Kind::Graphics, message)?;
        }
        Ok(graphics)
    }

    /// TAPAAL's positions, which are attributes.
    fn attribute_position(
        &mut self,
        element: &Element<'a>,
        graphics: &mut NodeGraphics,
    ) -> Result<(), PnmlError> {
        if element.attribute("positionX").is_some() && element.attribute("positionY").is_some() {
            graphics.position = self.point_of(element, "positionX", "positionY")?;
        }
        Ok(())
    }

    fn check_invariant(&self, value: &str, at: usize) -> Result<(), PnmlError> {
        let plain: String = value.chars().filter(|c| !c.is_whitespace()).collect();
        if matches!(&*plain, "" | "<inf") {
            return Ok(());
        }
        let found = position::excerpt(value);
        let message = format!(
            "the place's invariant {found} limits how long tokens stay, which can't be \
             represented; remove it"
        );
        Err(self.xml.error(at, Kind::Timing, message))
    }

    pub(in crate::formats) fn attribute_passed_over(&mut self, element: &Element<'a>, key: &str) {
        let name = element.name;
        self.note(element.at, format!("the attribute {key} of <{name}> was passed over"));
    }
}

/// A name and its position.
pub(in crate::formats) struct Name {
    pub(in crate::formats) text: Option<String>,
    pub(in crate::formats) offset: Option<Point>,
}

/// A name as it is meant: indentation on lines of its own is not. A blank one is none.
fn name_of(text: &str) -> Option<String> {
    let trimmed = text.trim();
    let outside = |outside: &str| outside.contains(['\n', '\r']);
    let start = text.len() - text.trim_start().len();
    let name = match outside(&text[..start]) || outside(&text[text.trim_end().len()..]) {
        true => trimmed,
        false => text,
    };
    (!trimmed.is_empty()).then(|| name.to_owned())
}

fn boxed(graphics: NodeGraphics) -> Option<Box<NodeGraphics>> {
    (graphics != NodeGraphics::default()).then(|| Box::new(graphics))
}
