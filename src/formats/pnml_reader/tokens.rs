//! Numbers of tokens, as dialects write them.

use std::borrow::Cow;

use super::{
    Kind, PnmlError,
    label::Label,
    number::{self, NoCount},
    position,
    read::Reading,
};

impl<'a> Reading<'a> {
    /// The number of tokens that a label says; 0 where it says nothing.
    pub(in crate::formats) fn tokens(
        &mut self,
        label: &Label<'a>,
        at: usize,
    ) -> Result<u64, PnmlError> {
        match label.text.as_deref().map(str::trim) {
            None => Ok(0),
            Some("") => {
                let message = || "an empty number; write 0".to_owned();
                self.xml.strict(at, Kind::Marking, message)?;
                Ok(0)
            }
            Some(text) => {
                let number = self.of_one_class(text, at, Kind::Marking)?;
                self.count(&number, at)
            }
        }
    }

    /// A number of tokens that stands somewhere.
    pub(in crate::formats) fn count(&self, text: &str, at: usize) -> Result<u64, PnmlError> {
        number::count(text).map_err(|error| {
            let found = position::excerpt(text);
            let (kind, message) = match error {
                NoCount::Overflow => {
                    (Kind::Overflow, format!("{found} is more than 64 bits hold ({})", u64::MAX))
                }
                NoCount::Negative => (Kind::Marking, format!("{found}: tokens can't be negative")),
                NoCount::Unreadable => {
                    (Kind::Marking, format!("{found} is no number of tokens; write a whole number"))
                }
            };
            self.xml.error(at, kind, message)
        })
    }

    /// The number in `Default,2`: PIPE writes the class of the tokens with it. A net with
    /// several classes is coloured.
    pub(in crate::formats) fn of_one_class<'t>(
        &mut self,
        text: &'t str,
        at: usize,
        kind: Kind,
    ) -> Result<Cow<'t, str>, PnmlError> {
        if !text.contains(',') {
            return Ok(Cow::Borrowed(text));
        }
        self.not_in_strict_mode(text, at, kind)?;
        let mut total = 0_u64;
        let mut parts = text.split(',').map(str::trim);
        while let Some(class) = parts.next() {
            let number = parts.next().map(number::count);
            let known = match number {
                // A class of which there is none doesn't matter.
                Some(Ok(0)) if number::count(class).is_err() => continue,
                Some(Ok(number)) if number::count(class).is_err() && total == 0 => {
                    total = number;
                    self.draft.token_class.get_or_insert_with(|| class.to_owned())
                }
                _ => "",
            };
            if known != class {
                let found = position::excerpt(text);
                let message = format!(
                    "{found}: tokens of several classes make a coloured net, which is no \
                     place/transition net"
                );
                return Err(self.xml.error(at, kind, message));
            }
        }
        Ok(Cow::Owned(total.to_string()))
    }

    fn not_in_strict_mode(&self, text: &str, at: usize, kind: Kind) -> Result<(), PnmlError> {
        self.xml.strict(at, kind, || format!("{} is no number", position::excerpt(text)))
    }
}
