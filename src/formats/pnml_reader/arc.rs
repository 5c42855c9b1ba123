//! Reading arcs: their kind and weight in all their spellings.

use super::{
    Arc, ArcGraphics, Direction, Kind, Part, PnmlError, Point, arc_kind,
    draft::DraftArc,
    ignored,
    number::{self, NoCount},
    position,
    read::Reading,
    standard::Seen,
    xml::Element,
};
use crate::models::ArcKind;

/// The attributes of an arc, from any of the spellings.
#[derive(Default)]
struct Said {
    kind: Option<ArcKind>,
    weight: Option<u64>,
    graphics: ArcGraphics,
}

impl<'a> Reading<'a> {
    /// Reads an arc.
    pub(in crate::formats) fn arc(
        &mut self,
        element: &Element<'a>,
        page: Option<usize>,
    ) -> Result<(), PnmlError> {
        let id = match element.attribute("id") {
            None => {
                let message = || "<arc> lacks the attribute id".to_owned();
                self.xml.strict(element.at, Kind::MissingAttribute, message)?;
                String::new()
            }
            Some(_) => self.id(element)?,
        };
        let end = |name: &str| {
            element.attribute(name).cloned().ok_or_else(|| {
                let message = format!("<arc> lacks the attribute {name}");
                self.xml.error(element.at, Kind::MissingAttribute, message)
            })
        };
        let (source, target) = (end("source")?, end("target")?);
        let mut said = Said::default();
        self.arc_attributes(element, &mut said)?;
        let mut seen = Seen::default();
        while let Some(child) = self.xml.child()? {
            self.once(&mut seen, &child, &["name", "inscription", "graphics"])?;
            self.in_arc(&child, &mut said)?;
        }
        let kind = said.kind.unwrap_or_default();
        let weight = match (kind, said.weight.unwrap_or(1)) {
            // It empties the place, whatever its weight.
            (ArcKind::Reset, _) => 1,
            (ArcKind::Inhibitor, 0) => {
                let message = "an inhibitor arc of weight 0 would never let its transition fire";
                return Err(self.xml.error(element.at, Kind::WeightZero, message));
            }
            (_, weight) => weight,
        };
        let is_drawn = said.graphics != ArcGraphics::default();
        let graphics = is_drawn.then(|| Box::new(said.graphics));
        let arc = Arc {
            id,
            place: 0,
            transition: 0,
            direction: Direction::ToTransition,
            kind,
            weight,
            graphics,
            page,
        };
        self.draft.arcs.push(DraftArc { source, target, arc, at: element.at });
        Ok(())
    }

    fn arc_attributes(&mut self, element: &Element<'a>, said: &mut Said) -> Result<(), PnmlError> {
        let at = element.at;
        for (key, value) in &element.attributes {
            match *key {
                "id" | "source" | "target" => continue,
                "type" => self.arc_type(value, at, said)?,
                "weight" => self.weight(value, at, said)?,
                // TAPAAL's: the ages that tokens must have, or in an untimed net the weight.
                "inscription" if value.contains('[') || value.contains('(') => {
                    let plain: String = value.chars().filter(|c| !c.is_whitespace()).collect();
                    if plain != "[0,inf)" {
                        let found = position::excerpt(value);
                        let message = format!(
                            "the interval {found} limits the age of tokens, which can't be \
                             represented; make it [0,inf)"
                        );
                        return Err(self.xml.error(at, Kind::Timing, message));
                    }
                }
                // Beside the weight itself, where it is always 1.
                "inscription" if element.attribute("weight").is_some() => {}
                "inscription" => self.weight(value, at, said)?,
                "nameOffsetX" | "nameOffsetY" => {}
                _ => self.attribute_passed_over(element, key),
            }
            self.dialect_attribute(element, key)?;
        }
        Ok(())
    }

    fn in_arc(&mut self, child: &Element<'a>, said: &mut Said) -> Result<(), PnmlError> {
        let part = Part::Arc(self.draft.arcs.len());
        match child.name {
            _ if !child.home => self.foreign(child)?,
            "name" => {
                self.name(child, part)?;
            }
            "inscription" => {
                let label = self.label(child, part)?;
                said.graphics.weight_offset = label.offset;
                match label.text.as_deref().map(str::trim) {
                    None => {}
                    Some("") => {
                        let message = || "an empty inscription; write 1".to_owned();
                        self.xml.strict(child.at, Kind::Inscription, message)?;
                    }
                    Some(text) => {
                        let number = self.of_one_class(text, child.at, Kind::Inscription)?;
                        self.weight(&number, child.at, said)?;
                    }
                }
            }
            "graphics" => said.graphics.points = self.arc_graphics(child)?,
            "toolspecific" => self.tool_specific(child, part)?,
            "type" | "arctype" | "arcType" => {
                self.not_standard(child)?;
                if let Some(value) = child.attribute("value") {
                    self.arc_type(value, child.at, said)?;
                    self.xml.skip(child)?;
                } else {
                    let label = self.label(child, part)?;
                    let word = label.text.unwrap_or_default();
                    self.arc_type(&word, child.at, said)?;
                }
            }
            // PIPE's points.
            "arcpath" => {
                self.not_standard(child)?;
                said.graphics.points.extend(self.point(child)?);
                self.xml.skip(child)?;
            }
            name if name == "probability" || ignored::in_any(name) => self.pass_over(child)?,
            _ => return Err(self.unsupported(child, "an arc")),
        }
        Ok(())
    }

    fn arc_type(&self, word: &str, at: usize, said: &mut Said) -> Result<(), PnmlError> {
        let found = || position::excerpt(word);
        let Some(kind) = arc_kind::of(word) else {
            let message = format!(
                "arcs of the type {} are not known; known are normal, read (or test), inhibitor \
                 and reset",
                found()
            );
            return Err(self.xml.error(at, Kind::ArcKind, message));
        };
        if said.kind.is_some_and(|before| before != kind) {
            let message = format!("the arc is of two types, {} being the second", found());
            return Err(self.xml.error(at, Kind::ArcKind, message));
        }
        said.kind = Some(kind);
        Ok(())
    }

    fn weight(&self, text: &str, at: usize, said: &mut Said) -> Result<(), PnmlError> {
        let found = || position::excerpt(text);
        let (kind, message) = match number::count(text) {
            Ok(_) if said.weight.is_some() => {
                (Kind::DuplicateLabel, "a second weight; remove one of them".to_owned())
            }
            Ok(weight) => {
                if weight == 0 {
                    let message = || "the weight 0; remove the arc".to_owned();
                    self.xml.strict(at, Kind::WeightZero, message)?;
                }
                said.weight = Some(weight);
                return Ok(());
            }
            Err(NoCount::Negative) => {
                (Kind::Weight, format!("{}: a weight can't be negative", found()))
            }
            Err(NoCount::Overflow) => {
                (Kind::Overflow, format!("{} is more than 64 bits hold ({})", found(), u64::MAX))
            }
            Err(NoCount::Unreadable) => {
                let message = format!(
                    "{} is no weight; a place/transition net has whole numbers there, not \
                     variables or multisets",
                    found()
                );
                (Kind::Inscription, message)
            }
        };
        Err(self.xml.error(at, kind, message))
    }

    fn arc_graphics(&mut self, element: &Element<'a>) -> Result<Vec<Point>, PnmlError> {
        self.standard_attributes(element, &[])?;
        let mut points = Vec::new();
        let mut seen = Seen::default();
        while let Some(child) = self.xml.child()? {
            self.once(&mut seen, &child, &["line"])?;
            match child.name {
                "position" if child.home => points.extend(self.point(&child)?),
                "line" if child.home => {}
                _ => self.xml.strict(child.at, Kind::Unsupported, || {
                    format!("<{}> in the graphics of an arc", child.name)
                })?,
            }
            self.drawn(&child)?;
        }
        Ok(points)
    }
}
