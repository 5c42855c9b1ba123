//! Labels: the text of a name, a marking or a weight, and its position.

use std::borrow::Cow;

use super::{
    Kind, Mode, Part, PnmlError, Point, ignored, number, position,
    read::Reading,
    standard::Seen,
    xml::{Element, Xml},
};

/// A label.
#[derive(Default)]
pub(in crate::formats) struct Label<'a> {
    /// Its text; `None` if there is none.
    pub(in crate::formats) text: Option<Cow<'a, str>>,
    /// Its position, from the thing it belongs to.
    pub(in crate::formats) offset: Option<Point>,
}

impl<'a> Reading<'a> {
    /// Reads a label: `<text>`, in dialects `<value>` or the bare text.
    pub(in crate::formats) fn label(
        &mut self,
        element: &Element<'a>,
        part: Part,
    ) -> Result<Label<'a>, PnmlError> {
        self.standard_attributes(element, &[])?;
        // However it is filled, it changes nothing.
        let is_name = element.name == "name";
        let start = element.at;
        let mut label = Label::default();
        let mut seen = Seen::default();
        while let Some(element) = self.xml.child_or_text(&mut label.text)? {
            self.once(&mut seen, &element, &["text", "graphics"])?;
            match element.name {
                _ if !element.home => self.foreign(&element)?,
                "text" | "value" => {
                    if element.name == "value" {
                        self.xml.strict(element.at, Kind::Unsupported, || {
                            "<value> is a dialect's word; write <text>".to_owned()
                        })?;
                    }
                    self.standard_attributes(&element, &[])?;
                    let text = self.xml.content()?;
                    let is_other =
                        label.text.as_ref().is_some_and(|first| first.trim() != text.trim());
                    if is_other && !is_name {
                        let message = "a label has two texts; leave one of them";
                        return Err(self.xml.error(element.at, Kind::DuplicateLabel, message));
                    }
                    label.text = Some(text);
                }
                "graphics" => label.offset = self.label_graphics(&element)?,
                "toolspecific" => self.tool_specific(&element, part)?,
                _ if is_name || ignored::in_any(element.name) => self.pass_over(&element)?,
                _ => return Err(self.unsupported(&element, "a label")),
            }
        }
        if label.text.is_none() {
            let message = || "a label without <text>".to_owned();
            self.xml.strict(start, Kind::Unsupported, message)?;
        }
        Ok(label)
    }

    fn label_graphics(&mut self, element: &Element<'a>) -> Result<Option<Point>, PnmlError> {
        self.standard_attributes(element, &[])?;
        let mut offset = None;
        let mut seen = Seen::default();
        while let Some(child) = self.xml.child()? {
            self.once(&mut seen, &child, &["offset", "fill", "line", "font"])?;
            match child.name {
                "offset" if child.home => offset = self.point(&child)?,
                "fill" | "line" | "font" if child.home => {}
                _ => {
                    if child.home && child.name == "position" {
                        offset = self.point(&child)?;
                    }
                    self.xml.strict(child.at, Kind::Unsupported, || {
                        format!("<{}> in the graphics of a label", child.name)
                    })?;
                }
            }
            self.drawn(&child)?;
        }
        if offset.is_none() {
            let message = || "the graphics of a label need an <offset>".to_owned();
            self.xml.strict(element.at, Kind::Graphics, message)?;
        }
        Ok(offset)
    }

    /// The point that the attributes `x` and `y` name. Positions change nothing, so a wrong one is
    /// noted, and refused in strict mode only.
    pub(in crate::formats) fn point(
        &mut self,
        element: &Element<'a>,
    ) -> Result<Option<Point>, PnmlError> {
        self.point_of(element, "x", "y")
    }

    /// The point that these two attributes name.
    pub(in crate::formats) fn point_of(
        &mut self,
        element: &Element<'a>,
        x: &str,
        y: &str,
    ) -> Result<Option<Point>, PnmlError> {
        match (coordinate(&self.xml, element, x), coordinate(&self.xml, element, y)) {
            (Ok(x), Ok(y)) => Ok(Some(Point { x, y })),
            (Err(error), _) | (_, Err(error)) => {
                if self.xml.mode == Mode::Strict {
                    return Err(error);
                }
                self.note(element.at, format!("{}; it is not drawn there", error.message));
                Ok(None)
            }
        }
    }
}

/// The number in an attribute.
fn coordinate(xml: &Xml<'_>, element: &Element<'_>, name: &str) -> Result<f64, PnmlError> {
    let Some(text) = element.attribute(name) else {
        let message = format!("<{}> lacks the attribute {name}", element.name);
        return Err(xml.error(element.at, Kind::MissingAttribute, message));
    };
    let exponent = xml.mode == Mode::Lenient;
    number::coordinate(text, exponent).ok_or_else(|| {
        let found = position::excerpt(text);
        xml.error(element.at, Kind::Graphics, format!("{name}={found} is not a number"))
    })
}
