//! Nets as files: a workflow definition, or PNML, told apart by what is in them.

use std::path::PathBuf;

use super::{definition_file, failure::Failure};
use crate::{cases::assumptions, engine::Net, models::petri};

/// A net and what is known of it beside.
#[derive(Debug)]
pub(super) struct NetFile {
    /// What it is called.
    pub(super) name: String,
    /// The net.
    pub(super) net: petri::Net,
    /// The places where a case ends.
    pub(super) ends: Vec<usize>,
    /// What the net leaves out, for people.
    pub(super) notes: Option<String>,
}

/// Reads the nets of a file; `-` is the standard input.
pub(super) fn read(path: &PathBuf) -> Result<Vec<NetFile>, Failure> {
    let definition = definition_file::read(path)?;
    let net =
        Net::compile(&definition).map_err(|problems| Failure::invalid(problems.to_string()))?;
    let name = definition.id.to_string();
    let (ends, notes) = (net.ends(), assumptions(&net));
    Ok(vec![NetFile { name, net: net.petri(), ends, notes }])
}
