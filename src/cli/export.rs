//! `petrel export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{
    answer::Answer,
    answer::complain,
    connection::{self, Connection},
    definition_file,
    failure::Failure,
    import::write_net,
    net_file,
};
use crate::{
    config::Config,
    engine::Net,
    formats::{
        drawing::Positions,
        pnml::{self, Node, PnmlNet, Profile},
    },
    models::{WorkflowDefinition, WorkflowId, petri},
};

const EXAMPLES: &str = "\
Examples:
  petrel export orders.yaml                       print PNML as the standard has it
  petrel export orders.yaml --profile prom -o orders.pnml
  petrel export orders --profile prom             the stored workflow orders

The iso profile is ISO/IEC 15909-2, for all tools. It has no read, inhibitor and reset arcs and no
capacities: a workflow with them is refused, with the arcs named. The prom profile is for ProM and
PM4Py: transitions have the labels that event logs have, inhibitor and reset arcs are as these
tools write them, and a read arc is two arcs, one that takes and one that gives back; what they
would take for another net is refused, such as numbers above 2147483647. Its final
marking is the one that the workflow names, else one token in the place where cases end; --final
says which, if there are several.
A transition with from_places becomes one transition for each of them, and an activity one for each
outcome. Guards are not exported.";

/// Write a workflow as PNML, for other Petri-net and process-mining tools
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Export {
    /// A definition file in YAML or JSON (- is the standard input), or a stored workflow's id
    #[arg(value_name = "FILE|WORKFLOW")]
    what: PathBuf,
    /// Reader of the file: the standard, or ProM and PM4Py
    #[arg(long, value_enum, default_value_t = For::Iso)]
    profile: For,
    /// The place that has the one token of the final marking; only with --profile prom
    #[arg(long = "final", value_name = "PLACE")]
    final_place: Option<String>,
    /// Write to this file instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A profile, as the command line has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum For {
    /// ISO/IEC 15909-2
    Iso,
    /// ProM and PM4Py
    Prom,
}

impl Export {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        if self.profile == For::Iso && self.final_place.is_some() {
            let message = "the standard has no final markings; use --profile prom with --final";
            return Err(Failure::usage(message));
        }
        let definition = self.definition(config).await?;
        let name = self.what.display();
        // It may be a stored one; an expression that can't succeed does not hinder the export.
        let compiled = Net::compile_stored(&definition)
            .map_err(|problems| Failure::invalid(format!("{name}: {problems}")))?;
        let net = compiled.petri();
        let mut file = for_file(&definition, &net);
        if self.profile == For::Prom {
            file.final_marking_entries = self.final_marking(&compiled)?;
        }
        let profile = match self.profile {
            For::Iso => Profile::Iso,
            For::Prom => Profile::Prom,
        };
        let text = pnml::write(std::slice::from_ref(&file), profile).map_err(|unwritable| {
            let problems = unwritable.0.join("\n  ");
            let message = format!("{name}: the net can't be written exactly:\n  {problems}");
            Failure::invalid(message)
        })?;
        if self.profile == For::Iso {
            if !compiled.final_markings.is_empty() {
                complain("note: the standard has no final markings, so they are not written");
            }
            for large in file.beyond_32_bits() {
                complain(&format!(
                    "note: {large}, which tools that count in 32 bits read as another number"
                ));
            }
        }
        let guarded = definition.transitions.iter().filter(|t| !t.conditions.is_empty()).count();
        if guarded > 0 {
            let have = if guarded == 1 { "transition has" } else { "transitions have" };
            complain(&format!("note: {guarded} {have} conditions, which PNML does not say"));
        }
        let Some(path) = &self.output else {
            return Ok(Answer::document(json!({ "workflow": definition.id, "pnml": text }), text));
        };
        write_net(path, &text, &definition.id, net.places.len(), net.transitions.len())
    }

    /// The definition in the file, else the stored one.
    async fn definition(&self, config: &Config) -> Result<WorkflowDefinition, Failure> {
        let id = self.what.to_str().filter(|text| !net_file::is_file(text));
        let id = id.and_then(|text| WorkflowId::new(text).ok());
        let Some(id) = id else {
            // It says, too, what is wrong where there is none: nothing but a file has such a name.
            return definition_file::read(&self.what);
        };
        let shutdown = connection::shutdown(config)?;
        let stored = Connection::with(config, &shutdown, async |connection| {
            Ok(connection.petrel.workflow(&id).await?)
        });
        let no_file =
            |failure: Failure| failure.and(format!("and there is no file {}", self.what.display()));
        let stored = stored.await.map_err(no_file)?;
        Ok(stored.definition.clone())
    }

    /// The final markings that are named, else one token in the place where cases end.
    fn final_marking(&self, net: &Net) -> Result<Vec<Vec<(usize, u64)>>, Failure> {
        let terminal: Vec<_> =
            net.places.iter().enumerate().filter(|(_, place)| place.terminal).collect();
        if let Some(wanted) = &self.final_place {
            let found = net.places.iter().position(|place| place.id.as_str() == wanted);
            let place = found.ok_or_else(|| {
                let ids: Vec<_> = terminal.iter().map(|(_, place)| place.id.as_str()).collect();
                let message = format!("--final {wanted}: there is no such place");
                Failure::usage(match &ids[..] {
                    [] => message,
                    ids => format!("{message}; cases end in {}", ids.join(", ")),
                })
            })?;
            return Ok(vec![vec![(place, 1)]]);
        }
        if !net.final_markings.is_empty() {
            let held = |(_, tokens): &(usize, u64)| *tokens > 0;
            let entries =
                |of: &petri::Marking| of.iter().copied().enumerate().filter(held).collect();
            return Ok(net.final_markings.iter().map(entries).collect());
        }
        match &terminal[..] {
            [(place, _)] => Ok(vec![vec![(*place, 1)]]),
            [] => Ok(Vec::new()),
            several => {
                let ids: Vec<_> = several.iter().map(|(_, place)| place.id.as_str()).collect();
                complain(&format!(
                    "note: cases end in several places ({}), so no final marking is written, and \
                     PM4Py makes one of a token in each, unless it is read with \
                     auto_guess_final_marking=False; choose one with --final",
                    ids.join(", ")
                ));
                Ok(Vec::new())
            }
        }
    }
}

/// The net with the positions of `metadata.layout`.
fn for_file(definition: &WorkflowDefinition, net: &petri::Net) -> PnmlNet {
    let positions = Positions::from_metadata(net, &definition.metadata);
    let file = PnmlNet::from_petri(definition.id.as_str(), net, |node| match node {
        Node::Place(place) => positions.place(place),
        Node::Transition(transition) => positions.transition(transition),
    });
    let defaults = definition.defaults.clone();
    PnmlNet { max_cascade: definition.max_cascade, defaults, ..file }
}
