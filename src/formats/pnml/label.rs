//! Labels: the text of a name, a marking or a weight, and where it is drawn.

use std::borrow::Cow;

use super::{
    Kind, Part, PnmlError, Point, number, position,
    read::Reading,
    xml::{Element, Xml},
};

/// A label.
#[derive(Default)]
pub(super) struct Label<'a> {
    /// Its text; `None` if there is none.
    pub(super) text: Option<Cow<'a, str>>,
    /// Where it is drawn, from the thing it belongs to.
    pub(super) offset: Option<Point>,
}

impl<'a> Reading<'a> {
    /// Reads a label: `<text>`, in dialects `<value>` or the bare text.
    pub(super) fn label(
        &mut self,
        element: &Element<'a>,
        part: Part,
    ) -> Result<Label<'a>, PnmlError> {
        let start = element.at;
        let mut label = Label::default();
        while let Some(element) = self.xml.child_or_text(&mut label.text)? {
            match element.name {
                _ if !element.home => self.foreign(&element)?,
                "text" | "value" => {
                    if element.name == "value" {
                        self.xml.strict(element.at, Kind::Unsupported, || {
                            "<value> is a dialect's word; write <text>".to_owned()
                        })?;
                    }
                    let text = self.xml.content()?;
                    if let Some(first) = &label.text
                        && first.trim() != text.trim()
                    {
                        let message = "a label has two texts; leave one of them";
                        return Err(self.xml.error(element.at, Kind::DuplicateLabel, message));
                    }
                    label.text = Some(text);
                }
                "graphics" => label.offset = self.label_graphics()?,
                "toolspecific" => self.tool_specific(&element, part)?,
                _ => return Err(self.unsupported(&element, "a label")),
            }
        }
        if label.text.is_none() {
            let message = || "a label without <text>".to_owned();
            self.xml.strict(start, Kind::Unsupported, message)?;
        }
        Ok(label)
    }

    fn label_graphics(&mut self) -> Result<Option<Point>, PnmlError> {
        let mut offset = None;
        while let Some(element) = self.xml.child()? {
            if element.home && matches!(element.name, "offset" | "position") {
                offset = Some(point(&self.xml, &element)?);
            }
            self.xml.skip(&element)?;
        }
        Ok(offset)
    }
}

/// The point that the attributes `x` and `y` name.
pub(super) fn point(xml: &Xml<'_>, element: &Element<'_>) -> Result<Point, PnmlError> {
    Ok(Point { x: coordinate(xml, element, "x")?, y: coordinate(xml, element, "y")? })
}

/// The number in an attribute.
pub(super) fn coordinate(
    xml: &Xml<'_>,
    element: &Element<'_>,
    name: &str,
) -> Result<f64, PnmlError> {
    let Some(text) = element.attribute(name) else {
        let message = format!("<{}> lacks the attribute {name}", element.name);
        return Err(xml.error(element.at, Kind::MissingAttribute, message));
    };
    let exponent = xml.mode == super::Mode::Lenient;
    number::coordinate(text, exponent).ok_or_else(|| {
        let found = position::excerpt(text);
        let message = format!("{name}={found} is not a number; write one, or remove the element");
        xml.error(element.at, Kind::Graphics, message)
    })
}
