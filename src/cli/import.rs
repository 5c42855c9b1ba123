//! `petrel import`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    answer::Answer,
    answer::complain,
    definition_file,
    failure::Failure,
    file::{self, shown},
    net_file::{read_pnml, which_net},
    presentation::counted,
};
use crate::{
    engine::Net,
    formats::pnml::{self, Document, Mode, PnmlNet},
    models::{WorkflowDefinition, WorkflowId},
};

const EXAMPLES: &str = "\
Examples:
  petrel import net.pnml                        print the definition as YAML
  petrel import net.pnml -o orders.yaml         write a file (.json for JSON)
  petrel import net.pnml --id orders | petrel workflow apply -
  petrel import several.pnml --net 2            the second net of a file

A case of a workflow starts with one token in one place. A net with another initial marking, or
with a transition that takes from no place or gives to none, is refused with all the reasons.
Read are place/transition nets, from ISO/IEC 15909-2 files and from those of WoPeD, ProM, PM4Py,
PIPE, TAPAAL and pnapi (LoLA). Names, weights, capacities, read, inhibitor and reset arcs and
positions are kept; what tools noted for themselves is not.";

/// Make a workflow definition of a PNML file (a Petri net from another tool)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Import {
    /// The PNML file; - is the standard input
    #[arg(value_name = "FILE.pnml")]
    file: PathBuf,
    /// The workflow's id [default: the file's name]
    #[arg(long, value_name = "ID")]
    id: Option<WorkflowId>,
    /// Net of the file: its number from 1, or its id. Needed if there are several
    #[arg(long, value_name = "N")]
    net: Option<String>,
    /// Refuse elements that are not in the standard, ISO/IEC 15909-2
    #[arg(long)]
    strict: bool,
    /// Write to this file instead of the standard output; as JSON if it ends in .json, else YAML
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Import {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let name = shown(&self.file);
        let mode = if self.strict { Mode::Strict } else { Mode::Lenient };
        let document = read_pnml(&self.file, &file::read_bytes(&self.file)?, mode)?;
        let net = choose(&document, self.net.as_deref()).map_err(|error| error.about(&name))?;
        let id = match self.id {
            Some(id) => id,
            None => id_for(&self.file, net)?,
        };
        let refused = |problems| Failure::invalid(format!("{name}: {problems}"));
        let definition = net.definition(id).map_err(refused)?;
        Net::compile(&definition).map_err(refused)?;
        for large in rounded_by_readers(&definition) {
            complain(&format!(
                "note: {large}, which some readers of JSON round; YAML and petrel don't"
            ));
        }
        match &self.output {
            None => {
                let yaml = definition_file::to_yaml(&definition)?;
                Ok(Answer::document(json!(definition), yaml))
            }
            Some(path) => written(path, &definition),
        }
    }
}

/// Writes a definition to a file, in the format of its name.
fn written(path: &Path, definition: &WorkflowDefinition) -> Result<Answer, Failure> {
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let text = match is_json {
        true => format!("{:#}\n", json!(definition)),
        false => definition_file::to_yaml(definition)?,
    };
    write_net(path, &text, &definition.id, definition.places.len(), definition.transitions.len())
}

/// Writes the text of a net to a file that the user named, and says so.
pub(super) fn write_net(
    path: &Path,
    text: &str,
    workflow: &WorkflowId,
    places: usize,
    transitions: usize,
) -> Result<Answer, Failure> {
    file::write(path, text)?;
    let file = path.display().to_string();
    let text = format!(
        "{workflow}: {}, {} in {file}",
        counted(places as u64, "place"),
        counted(transitions as u64, "transition")
    );
    let json = json!({
        "workflow": workflow, "file": file, "places": places, "transitions": transitions,
    });
    Ok(Answer::new(json, text))
}

/// The parts of a definition with numbers above 2^53 - 1.
fn rounded_by_readers(definition: &WorkflowDefinition) -> Vec<String> {
    let large = |number: &u64| *number > (1 << 53) - 1;
    let capacities = definition.places.iter().filter_map(|place| {
        let capacity = place.capacity.filter(large)?;
        Some(format!("place {} has the capacity {capacity}", place.id))
    });
    let weights = definition.transitions.iter().flat_map(|transition| {
        transition.inputs.iter().filter(move |arc| large(&arc.weight)).map(|arc| {
            let (place, id, weight) = (&arc.place, &transition.id, arc.weight);
            format!("the arc from {place} to {id} has the weight {weight}")
        })
    });
    capacities.chain(weights).collect()
}

/// The net that the user means.
fn choose<'a>(document: &'a Document, wanted: Option<&str>) -> Result<&'a PnmlNet, Failure> {
    let names: Vec<_> =
        document.nets.iter().map(|net| (net.id.as_str(), net.name.as_deref())).collect();
    Ok(&document.nets[which_net(&names, wanted)?])
}

/// The workflow's id where the user gives none: from the file's name, or from the net's.
fn id_for(file: &Path, net: &PnmlNet) -> Result<WorkflowId, Failure> {
    let stem = match file.as_os_str() == "-" {
        true => None,
        false => file.file_stem().map(|stem| stem.to_string_lossy()),
    };
    let candidates = [stem.as_deref(), Some(&net.id), net.name.as_deref()];
    let made = candidates.into_iter().flatten().map(pnml::id_of).find(|id| !id.is_empty());
    let made = made.and_then(|id| WorkflowId::new(id).ok());
    made.ok_or_else(|| Failure::usage("neither file nor net has a name for an id; give --id"))
}
