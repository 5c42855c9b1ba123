//! The newest usable version of a definition: an unreadable one hides none before it.

use std::sync::Arc;

use futures::{StreamExt, stream};

use crate::petrel::{Error, Petrel, Result, cache::definitions::Compiled, read::Reader};
use crate::{
    models::{LogSequence, Version, WorkflowId},
    storage::{DefinitionVersion, StorageError},
};

/// Number of definitions that are asked for at once.
const AT_ONCE: usize = 16;

/// End of a workflow's definition subject.
pub(in crate::petrel) struct Newest {
    /// The newest version that can be used, if there is one.
    pub compiled: Option<Arc<Compiled>>,
    /// The sequence of the last message of any kind.
    pub last: Option<LogSequence>,
    /// The highest version that can be read.
    pub version: Option<Version>,
    /// The errors of the messages after the newest usable version, the last first.
    pub unusable: Vec<Error>,
}

impl Petrel {
    /// The definitions that can't be used: one line for each workflow whose last version can't
    /// be read, or is none, with its subject and sequence, and the version used instead. Of
    /// all workflows, or of one.
    pub async fn unusable_definitions(&self, of: Option<&WorkflowId>) -> Result<Vec<String>> {
        let ids = match of {
            Some(workflow) => vec![workflow.clone()],
            None => self.inner.reader.storage.workflow_ids().await?,
        };
        let looks = stream::iter(ids).map(|id| async move {
            match self.inner.reader.newest(&id).await {
                Ok(newest) => Ok(newest.and_then(|newest| complaint(&id, &newest))),
                Err(error) if error.is_of_one_case() => Ok(Some(error.to_string())),
                Err(error) => Err(error),
            }
        });
        let mut looks = std::pin::pin!(looks.buffered(AT_ONCE));
        let mut complaints = Vec::new();
        while let Some(complaint) = looks.next().await {
            complaints.extend(complaint?);
        }
        Ok(complaints)
    }
}

impl Reader {
    /// The newest version of a definition that can be used, and the messages after it; `None`
    /// if there is no message. A version that a newer petrel wrote is an error: use a newer
    /// petrel for it.
    pub(in crate::petrel) async fn newest(&self, workflow: &WorkflowId) -> Result<Option<Newest>> {
        let generation = self.storage.generation().await?;
        let last = self.storage.definition(workflow, DefinitionVersion::Latest).await;
        match last {
            Ok(None) => return Ok(None),
            Ok(Some(stored)) => {
                let (last, version) = (Some(stored.sequence), Some(stored.version));
                if let Ok(compiled) = self.compile(stored, true, generation) {
                    self.definitions.complain(workflow, None);
                    let (compiled, unusable) = (Some(compiled), Vec::new());
                    return Ok(Some(Newest { compiled, last, version, unusable }));
                }
            }
            Err(StorageError::Corrupt { newer: false, .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let mut newest = Newest { compiled: None, last: None, version: None, unusable: Vec::new() };
        for version in self.storage.versions(workflow).await?.into_iter().rev() {
            let sequence = match &version {
                Ok(stored) => stored.sequence,
                Err(StorageError::Corrupt { sequence, newer: false, .. }) => *sequence,
                Err(error) => return Err(error.clone().into()),
            };
            newest.last = newest.last.max(Some(sequence));
            match version.map_err(Error::from) {
                Ok(stored) => {
                    newest.version = newest.version.max(Some(stored.version));
                    match self.compile(stored, true, generation) {
                        Ok(compiled) => {
                            newest.compiled = Some(compiled);
                            break;
                        }
                        Err(error) => newest.unusable.push(named(workflow, sequence, error)),
                    }
                }
                Err(error) => newest.unusable.push(error),
            }
        }
        self.definitions.complain(workflow, complaint(workflow, &newest));
        Ok(Some(newest))
    }
}

/// A definition that can be read and not be used, as a message that can't be.
fn named(workflow: &WorkflowId, sequence: LogSequence, error: Error) -> Error {
    Error::Storage(StorageError::Corrupt {
        subject: format!("the definition of workflow {workflow}"),
        sequence,
        reason: error.to_string(),
        newer: false,
    })
}

fn complaint(workflow: &WorkflowId, newest: &Newest) -> Option<String> {
    let first = newest.unusable.first()?;
    let instead = match &newest.compiled {
        Some(compiled) => format!("new cases run version {}", compiled.stored.version),
        None => "no version can be used".to_owned(),
    };
    Some(format!("{first}; {instead}, and a new version of workflow {workflow} replaces it"))
}
