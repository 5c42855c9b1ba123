//! `petrel draw`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{
    answer::Answer,
    connection::{self, Connection},
    failure::Failure,
    file,
    net_file::{self, NetFile},
};
use crate::{
    config::Config,
    formats::drawing::{self, Drawing},
    models::{CaseId, WorkflowId, petri::Marking},
    petrel::Petrel,
};

const EXAMPLES: &str = "\
Examples:
  petrel draw order-approval.yaml -o order-approval.svg   open it in a browser
  petrel draw order-approval --case order-1 -o order-1.svg
  petrel draw net.pnml --format dot | dot -Tpdf > net.pdf
  petrel draw order-approval --format mermaid             for Markdown pages

Places are circles with their tokens, transitions boxes. A number at an arc is its weight, k=3
a capacity. A dashed line reads, a line that ends in a small circle inhibits, an arrow with two
heads resets. In a case, marked places and the transitions that their tokens enable are in
colour; conditions are not looked at.

Nodes stand where a PNML file or `metadata: {layout: …}` of a definition puts them, or else from
left to right.";

/// Draw a workflow, a case's tokens in it, or a net in a file: SVG, Graphviz or Mermaid
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Draw {
    /// A definition (YAML or JSON) or PNML file, - for the standard input; or a workflow's id
    #[arg(value_name = "FILE|WORKFLOW")]
    source: String,
    /// Show the tokens of this case of the workflow
    #[arg(long)]
    case: Option<CaseId>,
    /// Format of the picture [default: by the name of the written file, else svg]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write to this file instead of the standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Net of a PNML file: its number from 1, or its id. Needed if there are several
    #[arg(long, value_name = "N", conflicts_with = "case")]
    net: Option<String>,
}

/// The languages of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A picture for browsers and documents
    Svg,
    /// Input of Graphviz
    Dot,
    /// A flowchart for Markdown, for up to 500 arcs
    Mermaid,
}

/// Net, title and marking of a picture.
struct Subject {
    file: NetFile,
    title: String,
    marking: Option<Marking>,
}

impl Draw {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let format = self.format()?;
        let subject = match self.case {
            None if net_file::is_file(&self.source) => {
                let file = net_file::read_one(&PathBuf::from(&self.source), self.net.as_deref())?;
                Subject { title: file.net.name.clone(), marking: None, file }
            }
            _ => {
                let workflow = WorkflowId::new(&self.source).map_err(|error| {
                    Failure::usage(format!("{:?} is no file and no workflow: {error}", self.source))
                })?;
                let shutdown = connection::shutdown(config)?;
                Connection::with(config, &shutdown, async |connection| {
                    stored(&connection.petrel, &workflow, self.case.as_ref()).await
                })
                .await?
            }
        };
        let drawing = Drawing {
            net: &subject.file.net,
            title: &subject.title,
            positions: Some(&subject.file.positions),
            marking: subject.marking.as_deref(),
        };
        let text = match format {
            Format::Svg => drawing.svg(),
            Format::Dot => drawing.dot(),
            Format::Mermaid => drawing.mermaid(),
        };
        let name = format.to_possible_value().map(|value| value.get_name().to_owned());
        let Some(output) = &self.output else {
            return Ok(Answer::document(json!({ "format": name, "drawing": text }), text));
        };
        let shown = output.display().to_string();
        file::write(output, &text)?;
        let said = format!("wrote {shown} ({} kB)\n", text.len().div_ceil(1000));
        Ok(Answer::new(json!({ "format": name, "file": shown, "bytes": text.len() }), said))
    }

    /// The format that was asked for, or else that of the output's name.
    fn format(&self) -> Result<Format, Failure> {
        let Some(output) = self.output.as_ref().filter(|_| self.format.is_none()) else {
            return Ok(self.format.unwrap_or(Format::Svg));
        };
        let extension = output.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => Ok(Format::Svg),
            Some("dot" | "gv") => Ok(Format::Dot),
            Some("mmd" | "mermaid") => Ok(Format::Mermaid),
            _ => Err(Failure::usage(format!(
                "which format {} should have is unknown: name it .svg, .dot or .mmd, or give \
                 --format (other pictures can be made of SVG, for instance by rsvg-convert)",
                output.display()
            ))),
        }
    }
}

/// A workflow of the server, or a case with the version that it runs.
async fn stored(
    petrel: &Petrel,
    workflow: &WorkflowId,
    case: Option<&CaseId>,
) -> Result<Subject, Failure> {
    let Some(case) = case else {
        let stored = petrel.workflow(workflow).await?;
        let file = net_file::from_stored(&stored.definition)?;
        return Ok(Subject { title: file.net.name.clone(), marking: None, file });
    };
    let case = petrel.case(workflow, case).await?;
    let stored = petrel.workflow_at(workflow, case.definition).await?;
    let file = net_file::from_stored(&stored.definition)?;
    let marking = drawing::counted(&file.net, &case.marking);
    let title = drawing::case_title(&file.net, &case);
    Ok(Subject { title, marking: Some(marking), file })
}
