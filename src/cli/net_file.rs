//! Nets in files: workflow definitions in YAML or JSON, and PNML.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

use super::{definition_file, failure::Failure};
use crate::{
    engine,
    formats::{drawing, pnml},
    models::{
        WorkflowDefinition,
        petri::{Marking, Net},
    },
};

/// A net with what its file knows beside it.
#[derive(Debug)]
pub(super) struct NetFile {
    /// The net.
    pub(super) net: Net,
    /// Where its nodes were drawn.
    pub(super) positions: drawing::Positions,
    /// For each place, whether a token may end there.
    pub(super) terminal: Vec<bool>,
    /// The final markings that the file declares; only PNML has such.
    pub(super) final_markings: Vec<Marking>,
}

/// Whether an argument that may be a workflow's id means a file: what has a dot or a slash
/// can't be an id.
pub(super) fn is_file(argument: &str) -> bool {
    argument == "-" || argument.contains(['.', '/', '\\']) || Path::new(argument).is_file()
}

/// Reads a file, whatever of the two it is; `-` is the standard input. Of several nets in a
/// PNML file, `net` says which.
pub(super) fn read(path: &PathBuf, net: Option<&str>) -> Result<NetFile, Failure> {
    let (name, bytes) = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        ("standard input".to_owned(), io::stdin().read_to_end(&mut bytes).map(|_| bytes))
    } else {
        (path.display().to_string(), fs::read(path))
    };
    let bytes = bytes.map_err(|error| Failure::usage(format!("can't read {name}: {error}")))?;
    let invalid = |reason: String| Failure::invalid(format!("{name}: {reason}"));
    if is_xml(&bytes) {
        return from_pnml(&bytes, net).map_err(invalid);
    }
    if net.is_some() {
        return Err(Failure::usage(format!("{name}: --net is for PNML files with several nets")));
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("is not text in UTF-8".to_owned()))?;
    let definition = definition_file::parse(&text).map_err(invalid)?;
    from_definition(&definition).map_err(|failure| failure.about(&name))
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
    let compiled = engine::Net::compile(definition)
        .map_err(|problems| Failure::invalid(problems.to_string()))?;
    let net = compiled.petri();
    let positions = drawing::Positions::from_metadata(&net, &definition.metadata);
    let terminal = compiled.places.iter().map(|place| place.terminal).collect();
    Ok(NetFile { net, positions, terminal, final_markings: Vec::new() })
}

fn from_pnml(bytes: &[u8], id: Option<&str>) -> Result<NetFile, String> {
    let document = pnml::read(bytes, pnml::Mode::Lenient).map_err(|error| error.to_string())?;
    let ids = || document.nets.iter().map(|net| net.id.as_str()).collect::<Vec<_>>().join(", ");
    let found = match (id, &document.nets[..]) {
        (None, [only]) => only,
        (None, nets) => {
            return Err(format!("has {} nets, name one with --net: {}", nets.len(), ids()));
        }
        (Some(id), nets) => nets
            .iter()
            .find(|net| net.id == id)
            .ok_or_else(|| format!("has no net {id}; it has: {}", ids()))?,
    };
    let net = found.petri();
    let at = |graphics: &Option<Box<pnml::NodeGraphics>>| {
        let position = graphics.as_ref()?.position?;
        Some(drawing::Point { x: position.x, y: position.y })
    };
    let positions = drawing::Positions {
        places: found.places.iter().map(|place| at(&place.graphics)).collect(),
        transitions: found.transitions.iter().map(|of| at(&of.graphics)).collect(),
    };
    let terminal = net.sinks();
    Ok(NetFile { net, positions, terminal, final_markings: found.final_markings().collect() })
}
