//! Nets as files: a workflow definition, or PNML, told apart by their contents.

use std::path::Path;

use super::{
    answer::complain,
    definition_file,
    failure::Failure,
    file::{read_bytes, shown},
};
use crate::{
    engine::Net,
    formats::{
        drawing::Positions,
        pnml::{self, Document, Mode, PnmlNet},
    },
    models::{WorkflowDefinition, petri, visible},
    petrel::assumptions,
};

/// A net, and the other facts of its file.
#[derive(Debug)]
pub(super) struct NetFile {
    /// The id of the workflow, or of the net in a PNML file.
    pub(super) name: String,
    /// The net.
    pub(super) net: petri::Net,
    /// Ids by which the transitions fire: all alternatives of one in a definition have its
    /// own.
    pub(super) firing_ids: Vec<String>,
    /// The places where a case ends.
    pub(super) ends: Vec<usize>,
    /// The final markings that the file declares.
    pub(super) final_markings: Vec<petri::Marking>,
    /// Positions of its nodes.
    pub(super) positions: Positions,
    /// The parts that the net leaves out, for people.
    pub(super) notes: Option<String>,
}

impl NetFile {
    /// Its name for people, where that is not its id.
    fn title(&self) -> Option<&str> {
        Some(self.net.name.as_str()).filter(|title| *title != self.name)
    }
}

/// Returns true if an argument that may be a workflow's id means a file: a text with a dot or
/// a slash can't be an id.
pub(super) fn is_file(argument: &str) -> bool {
    argument == "-" || argument.contains(['.', '/', '\\']) || Path::new(argument).is_file()
}

/// Reads the nets of a file, at least one; `-` is the standard input.
pub(super) fn read(path: &Path) -> Result<Vec<NetFile>, Failure> {
    let (name, bytes) = (shown(path), read_bytes(path)?);
    let invalid = |reason: String| Failure::invalid(format!("{name}: {reason}"));
    if is_xml(&bytes) {
        let document = read_pnml(path, &bytes, Mode::Lenient)?;
        return Ok(document.nets.iter().map(from_pnml).collect());
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("is not text in UTF-8".to_owned()))?;
    let definition = definition_file::parse(&text).map_err(invalid)?;
    let compiled = Net::compile(&definition).map_err(|problems| invalid(problems.to_string()))?;
    Ok(vec![from_definition(&definition, &compiled)])
}

/// Reads the bytes of a PNML file, and notes on stderr the parts that were passed over.
pub(super) fn read_pnml(path: &Path, bytes: &[u8], mode: Mode) -> Result<Document, Failure> {
    let name = shown(path);
    let document = pnml::read(bytes, mode).map_err(|error| {
        let failure = Failure::invalid(format!("{name}: {error} [{}]", error.kind.code()));
        match mode {
            Mode::Lenient => failure,
            Mode::Strict => failure.and("without --strict, dialects of the standard are read too"),
        }
    })?;
    for note in &document.notes {
        let times = match note.count {
            1 => String::new(),
            count => format!(" ({count} times)"),
        };
        let message = visible(&note.message);
        complain(&format!("note: {name}, line {}: {message}{times}", note.line));
    }
    Ok(document)
}

/// Reads one net of a file: the only one, or that with this id or number.
pub(super) fn read_one(path: &Path, wanted: Option<&str>) -> Result<NetFile, Failure> {
    let mut nets = read(path)?;
    let names: Vec<_> = nets.iter().map(|net| (net.name.as_str(), net.title())).collect();
    let found = which_net(&names, wanted).map_err(|failure| failure.about(shown(path)))?;
    Ok(nets.swap_remove(found))
}

/// The index of the net that the user means: of the only one, or of that with this id or number.
/// `nets` has the id and the name of each.
pub(super) fn which_net(
    nets: &[(&str, Option<&str>)],
    wanted: Option<&str>,
) -> Result<usize, Failure> {
    let list = || {
        let named = |(index, (id, name)): (usize, &(&str, Option<&str>))| {
            let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
            format!("\n  {}: {id}{name}", index + 1)
        };
        nets.iter().enumerate().map(named).collect::<String>()
    };
    match wanted {
        None if nets.len() == 1 => Ok(0),
        None => {
            let message = format!("the file has {} nets; choose one with --net:", nets.len());
            Err(Failure::usage(message + &list()))
        }
        Some(wanted) => {
            let by_id = nets.iter().position(|(id, _)| *id == wanted);
            let number = wanted.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            by_id.or(number.filter(|index| *index < nets.len())).ok_or_else(|| {
                let message = format!("there is no net {wanted}; the nets of the file are");
                Failure::usage(message + &list())
            })
        }
    }
}

/// Returns true if a file begins as XML does. No definition does, in any encoding.
fn is_xml(bytes: &[u8]) -> bool {
    let visible = |byte: &&u8| {
        !byte.is_ascii_whitespace() && !matches!(byte, 0 | 0xef | 0xbb | 0xbf | 0xfe | 0xff)
    };
    bytes.iter().find(visible) == Some(&b'<')
}

/// The net of a definition that is stored.
pub(super) fn from_stored(definition: &WorkflowDefinition) -> Result<NetFile, Failure> {
    let compiled = Net::compile_stored(definition)
        .map_err(|problems| Failure::invalid(problems.to_string()))?;
    Ok(from_definition(definition, &compiled))
}

fn from_definition(definition: &WorkflowDefinition, compiled: &Net) -> NetFile {
    let net = compiled.petri();
    NetFile {
        name: definition.id.to_string(),
        positions: Positions::from_metadata(&net, &definition.metadata),
        net,
        firing_ids: compiled.modes().map(|(of, _)| of.id.to_string()).collect(),
        ends: compiled.ends(),
        final_markings: compiled.final_markings.clone(),
        notes: assumptions(compiled),
    }
}

fn from_pnml(found: &PnmlNet) -> NetFile {
    let net = found.petri();
    let at = |graphics: &Option<Box<pnml::NodeGraphics>>| graphics.as_ref()?.position;
    let positions = Positions::new(
        found.places.iter().map(|place| at(&place.graphics)),
        found.transitions.iter().map(|of| at(&of.graphics)),
    );
    NetFile {
        name: found.id.clone(),
        firing_ids: net.transitions.iter().map(|of| of.id.clone()).collect(),
        ends: net.sinks(),
        net,
        final_markings: found.final_markings().collect(),
        positions,
        notes: None,
    }
}
