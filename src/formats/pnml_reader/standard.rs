//! Refusals of strict mode everywhere in a file: attributes and repetitions that the standard's
//! grammar doesn't have.

use super::{Kind, PnmlError, read::Reading, xml::Element};

/// The attributes of a `<line>`, a `<fill>` and a `<font>`.
const LINE: &[&str] = &["shape", "color", "width", "style"];
const FILL: &[&str] = &["color", "gradient-color", "gradient-rotation", "image"];
const FONT: &[&str] = &["family", "style", "weight", "size", "decoration", "align", "rotation"];

impl<'a> Reading<'a> {
    /// Refuses in strict mode an attribute that only dialects have.
    pub(in crate::formats) fn dialect_attribute(
        &self,
        element: &Element<'a>,
        key: &str,
    ) -> Result<(), PnmlError> {
        let message =
            || format!("the attribute {key} of <{}> is not in the standard", element.name);
        self.xml.strict(element.at, Kind::Unsupported, message)
    }

    /// Refuses in strict mode every attribute but these.
    pub(in crate::formats) fn standard_attributes(
        &self,
        element: &Element<'a>,
        known: &[&str],
    ) -> Result<(), PnmlError> {
        let other = element.attributes.iter().find(|(key, _)| !known.contains(key));
        other.map_or(Ok(()), |(key, _)| self.dialect_attribute(element, key))
    }

    /// Goes to the end of something in graphics. In strict mode it has the standard's attributes
    /// and nothing in it.
    pub(in crate::formats) fn drawn(&mut self, element: &Element<'a>) -> Result<(), PnmlError> {
        let known = match element.name {
            "line" => LINE,
            "fill" => FILL,
            "font" => FONT,
            _ => &["x", "y"],
        };
        self.standard_attributes(element, known)?;
        self.xml.skip_empty(element)
    }

    /// Refuses in strict mode the second of an element that may be there once, and else notes it.
    pub(in crate::formats) fn once(
        &mut self,
        seen: &mut Seen,
        element: &Element<'a>,
        single: &[&'static str],
    ) -> Result<(), PnmlError> {
        if !seen.twice(element, single) {
            return Ok(());
        }
        if self.xml.mode == super::Mode::Strict {
            return Err(self.twice(element));
        }
        self.note(element.at, format!("a second <{}>; the last one counts", element.name));
        Ok(())
    }

    pub(in crate::formats) fn not_standard(&self, element: &Element<'a>) -> Result<(), PnmlError> {
        let message = || format!("<{}> is not in the standard", element.name);
        self.xml.strict(element.at, Kind::Unsupported, message)
    }

    pub(in crate::formats) fn twice(&self, element: &Element<'a>) -> PnmlError {
        let message = format!("a second <{}>; remove one of them", element.name);
        self.xml.error(element.at, Kind::DuplicateLabel, message)
    }
}

/// The elements that were seen, of those that may be there once.
#[derive(Default)]
pub(in crate::formats) struct Seen(Vec<&'static str>);

impl Seen {
    /// Returns true if it is one of `single` and was there before.
    pub(in crate::formats) fn twice(
        &mut self,
        element: &Element<'_>,
        single: &[&'static str],
    ) -> bool {
        let Some(name) = single.iter().find(|name| element.home && **name == element.name) else {
            return false;
        };
        let seen = self.0.contains(name);
        if !seen {
            // Each once: a file can have as many as it likes.
            self.0.push(name);
        }
        seen
    }
}
