//! Nets as files: a workflow definition, or PNML, told apart by what is in them.

use std::path::Path;

use super::{
    definition_file,
    failure::Failure,
    import::{read_bytes, shown, which_net},
};
use crate::{
    cases::assumptions,
    engine::Net,
    formats::{
        drawing::Positions,
        pnml::{self, PnmlNet},
    },
    models::{WorkflowDefinition, petri},
};

/// A net and what is known of it beside.
#[derive(Debug)]
pub(super) struct NetFile {
    /// The id of the workflow, or of the net in a PNML file.
    pub(super) name: String,
    /// The net.
    pub(super) net: petri::Net,
    /// The places where a case ends.
    pub(super) ends: Vec<usize>,
    /// The final markings that the file declares; only PNML has such.
    pub(super) final_markings: Vec<petri::Marking>,
    /// Where its nodes were drawn.
    pub(super) positions: Positions,
    /// What the net leaves out, for people.
    pub(super) notes: Option<String>,
}

impl NetFile {
    /// Its name for people, where that is not its id.
    fn title(&self) -> Option<&str> {
        Some(self.net.name.as_str()).filter(|title| *title != self.name)
    }
}

/// Whether an argument that may be a workflow's id means a file: what has a dot or a slash
/// can't be an id.
pub(super) fn is_file(argument: &str) -> bool {
    argument == "-" || argument.contains(['.', '/', '\\']) || Path::new(argument).is_file()
}

/// Reads the nets of a file, at least one; `-` is the standard input.
pub(super) fn read(path: &Path) -> Result<Vec<NetFile>, Failure> {
    let (name, bytes) = (shown(path), read_bytes(path)?);
    let invalid = |reason: String| Failure::invalid(format!("{name}: {reason}"));
    if is_xml(&bytes) {
        let document = pnml::read(&bytes, pnml::Mode::Lenient);
        let document = document.map_err(|error| invalid(error.to_string()))?;
        return Ok(document.nets.iter().map(from_pnml).collect());
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("is not text in UTF-8".to_owned()))?;
    let definition = definition_file::parse(&text).map_err(invalid)?;
    Ok(vec![from_definition(&definition).map_err(|failure| failure.about(&name))?])
}

/// Reads one net of a file: the only one, or that with this id or number.
pub(super) fn read_one(path: &Path, wanted: Option<&str>) -> Result<NetFile, Failure> {
    let mut nets = read(path)?;
    let names: Vec<_> = nets.iter().map(|net| (net.name.as_str(), net.title())).collect();
    let found = which_net(&names, wanted).map_err(|failure| failure.about(shown(path)))?;
    Ok(nets.swap_remove(found))
}

/// Whether a file begins as XML does. No definition does, in any encoding.
fn is_xml(bytes: &[u8]) -> bool {
    let visible = |byte: &&u8| {
        !byte.is_ascii_whitespace() && !matches!(byte, 0 | 0xef | 0xbb | 0xbf | 0xfe | 0xff)
    };
    bytes.iter().find(visible) == Some(&b'<')
}

/// The net of a definition.
pub(super) fn from_definition(definition: &WorkflowDefinition) -> Result<NetFile, Failure> {
    let compiled =
        Net::compile(definition).map_err(|problems| Failure::invalid(problems.to_string()))?;
    let net = compiled.petri();
    Ok(NetFile {
        name: definition.id.to_string(),
        positions: Positions::from_metadata(&net, &definition.metadata),
        net,
        ends: compiled.ends(),
        final_markings: Vec::new(),
        notes: assumptions(&compiled),
    })
}

fn from_pnml(found: &PnmlNet) -> NetFile {
    let net = found.petri();
    let at = |graphics: &Option<Box<pnml::NodeGraphics>>| graphics.as_ref()?.position;
    let positions = Positions {
        places: found.places.iter().map(|place| at(&place.graphics)).collect(),
        transitions: found.transitions.iter().map(|of| at(&of.graphics)).collect(),
    };
    NetFile {
        name: found.id.clone(),
        ends: net.sinks(),
        net,
        final_markings: found.final_markings().collect(),
        positions,
        notes: None,
    }
}
