//! Reading a net: its frame, pages and final markings.

use super::{
    Kind, Mode, Page, Part, PnmlError,
    draft::{Draft, DraftMarking},
    ignored,
    net_type::{self, NetType},
    position,
    read::Reading,
    xml::Element,
};

impl<'a> Reading<'a> {
    /// Reads a net and adds it to the document.
    pub(in crate::formats) fn net(&mut self, element: &Element<'a>) -> Result<(), PnmlError> {
        self.draft = Draft::default();
        self.draft.net.id = self.id(element)?;
        self.draft.net.net_type = element.owned("type");
        self.check_type(element)?;
        self.standard_attributes(element, &["id", "type"])?;
        // The pages that are open, the net itself first.
        let mut open = vec![None];
        while let Some(page) = open.last().copied() {
            match self.xml.child()? {
                None => {
                    open.pop();
                }
                Some(element) if element.home && element.name == "page" => {
                    let id = self.id(&element)?;
                    self.standard_attributes(&element, &["id"])?;
                    open.push(Some(self.draft.net.pages.len()));
                    self.draft.net.pages.push(Page { id, parent: page, ..Page::default() });
                }
                Some(element) => self.in_net(&element, page)?,
            }
        }
        if self.draft.net.pages.is_empty() {
            let message = || "the net has no <page>".to_owned();
            self.xml.strict(element.at, Kind::Unsupported, message)?;
        }
        let net = self.draft.finish(&self.xml)?;
        self.document.nets.push(net);
        Ok(())
    }

    fn check_type(&mut self, element: &Element<'a>) -> Result<(), PnmlError> {
        let name = self.draft.net.net_type.clone();
        let shown = position::excerpt(&name);
        match net_type::of(&name) {
            NetType::Standard => Ok(()),
            NetType::HighLevel => {
                let message = format!(
                    "a net of the type {shown} is a high-level net, whose tokens have colours or \
                     values; unfold it to a place/transition net with a tool that can, and import \
                     the result"
                );
                Err(self.xml.error(element.at, Kind::HighLevel, message))
            }
            other => {
                let message = || format!("the type must be {:?}, not {shown}", net_type::STANDARD);
                self.xml.strict(element.at, Kind::NetType, message)?;
                if other == NetType::Unknown {
                    let message = format!(
                        "the net type {shown} is not known; read as a place/transition net"
                    );
                    self.note(element.at, message);
                }
                Ok(())
            }
        }
    }

    /// An element of a net or a page, other than a page.
    fn in_net(&mut self, element: &Element<'a>, page: Option<usize>) -> Result<(), PnmlError> {
        let part = page.map_or(Part::Net, Part::Page);
        match element.name {
            _ if !element.home => self.foreign(element)?,
            "place" | "transition" | "referencePlace" | "referenceTransition" | "arc" => {
                if page.is_none() {
                    let message = || format!("<{}> stands outside of a page", element.name);
                    self.xml.strict(element.at, Kind::Unsupported, message)?;
                }
                match element.name {
                    "place" => self.place(element, page)?,
                    "transition" => self.transition(element, page)?,
                    "arc" => self.arc(element, page)?,
                    _ => self.reference(element, page)?,
                }
            }
            "name" => {
                let name = self.name(element, part)?;
                let old = match page {
                    None => &mut self.draft.net.name,
                    Some(page) => &mut self.draft.net.pages[page].name,
                };
                let first = std::mem::replace(old, name.text);
                if first.is_some() && self.xml.mode == Mode::Strict {
                    return Err(self.twice(element));
                }
            }
            "toolspecific" => self.tool_specific(element, part)?,
            "graphics" => {
                let graphics = self.node_graphics(element)?;
                match page {
                    Some(page) => {
                        let page = &mut self.draft.net.pages[page];
                        let first = page.graphics.replace(Box::new(graphics));
                        if first.is_some() && self.xml.mode == Mode::Strict {
                            return Err(self.twice(element));
                        }
                    }
                    None => self.xml.strict(element.at, Kind::Unsupported, || {
                        "<graphics> of a net is not in the standard".to_owned()
                    })?,
                }
            }
            "finalmarkings" => {
                let message = || "<finalmarkings> is not in the standard".to_owned();
                self.xml.strict(element.at, Kind::Unsupported, message)?;
                let markings = self.final_markings()?;
                self.draft.final_markings.extend(markings);
            }
            name if ignored::in_net(name) => self.pass_over(element)?,
            _ => return Err(self.unsupported(element, "a net")),
        }
        Ok(())
    }

    /// The content of `<finalmarkings>`.
    pub(in crate::formats) fn final_markings(
        &mut self,
    ) -> Result<Vec<DraftMarking<'a>>, PnmlError> {
        let mut markings = Vec::new();
        while let Some(element) = self.xml.child()? {
            if element.name != "marking" {
                return Err(self.unsupported(&element, "<finalmarkings>"));
            }
            let mut marking = Vec::new();
            while let Some(element) = self.xml.child()? {
                let Some(id) = element.attribute("idref").filter(|_| element.name == "place")
                else {
                    return Err(self.unsupported(&element, "a final marking"));
                };
                let tokens = self.label(&element, Part::Net)?;
                let tokens = self.tokens(&tokens, element.at)?;
                marking.push((id.clone(), tokens, element.at));
            }
            markings.push(marking);
        }
        Ok(markings)
    }
}
