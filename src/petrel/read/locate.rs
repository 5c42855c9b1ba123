//! Search for the workflow of a token by the token's id alone, without an index: the id
//! carries a tag of the workflow, and the workflows are few.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::petrel::{Error, Result, read::Reader};
use crate::{
    models::{CaseId, LogSequence, TokenId, WorkflowId},
    storage::{Consistency, StorageError},
};

/// The known workflows by tag.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Tags {
    state: Mutex<State>,
    /// The queue of those who look for a tag that is not known. It is held while the store is
    /// asked, on purpose: a caller who waited finds that another one has asked for him.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<String, Vec<WorkflowId>>,
    /// State of the log when the workflows were last listed.
    listed: Option<Listed>,
    /// Number of looks that have begun.
    begun: u64,
    /// The last look that has ended, by its number, and its error if it failed.
    ended: (u64, Option<StorageError>),
}

/// The log's last definition, in a generation of the log: while these are the same, there is no
/// workflow that was not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listed {
    generation: u64,
    definition: Option<LogSequence>,
}

impl Tags {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, tag: &str) -> Vec<WorkflowId> {
        self.state().known.get(tag).cloned().unwrap_or_default()
    }
}

impl State {
    fn replace(&mut self, workflows: Vec<WorkflowId>, listed: Listed) {
        self.known.clear();
        for workflow in workflows {
            self.known.entry(workflow.tag()).or_default().push(workflow);
        }
        self.listed = Some(listed);
    }
}

impl Reader {
    /// The workflow and the case that a token's id leads to. The case is known to exist only
    /// if the tag alone did not decide.
    pub(crate) async fn locate(
        &self,
        workflow: Option<&WorkflowId>,
        token: &TokenId,
    ) -> Result<(WorkflowId, CaseId)> {
        let (case, tag) = token.case().ok_or_else(|| Error::no_token(token))?;
        if let Some(workflow) = workflow {
            return Ok((workflow.clone(), case));
        }
        let mut candidates = self.tags.get(tag);
        if candidates.is_empty() {
            self.look_for_workflows().await?;
            candidates = self.tags.get(tag);
        }
        if candidates.len() > 1 {
            let mut existing = Vec::new();
            for workflow in candidates {
                let head = self.storage.head(&workflow, &case, Consistency::Strong).await?;
                existing.extend(head.map(|_| workflow));
            }
            candidates = existing;
        }
        match candidates.as_slice() {
            [] => Err(Error::no_token(token)),
            [workflow] => Ok((workflow.clone(), case)),
            several => Err(Error::argument(
                "workflow",
                format!("token {token} could be of {several:?}: name the workflow"),
            )),
        }
    }

    /// Makes sure that all workflows are known that there were when this was called. A caller
    /// who asks during a look waits for the next look, which is for all of them.
    async fn look_for_workflows(&self) -> Result<()> {
        let before = self.tags.state().begun;
        let _turn = self.tags.turn.lock().await;
        let number = {
            let mut state = self.tags.state();
            let (ended, failed) = &state.ended;
            if *ended > before {
                // It began after this was called.
                return failed.clone().map_or(Ok(()), |error| Err(error.into()));
            }
            state.begun += 1;
            state.begun
        };
        let looked = self.list_workflows().await;
        self.tags.state().ended = (number, looked.as_ref().err().cloned());
        Ok(looked?)
    }

    async fn list_workflows(&self) -> std::result::Result<(), StorageError> {
        // Asked for first: what is stored meanwhile is found the next time.
        let generation = self.storage.generation().await?;
        let listed = Listed { generation, definition: self.storage.last_definition().await? };
        if self.tags.state().listed == Some(listed) {
            return Ok(());
        }
        let workflows = self.storage.workflow_ids().await?;
        self.tags.state().replace(workflows, listed);
        Ok(())
    }
}
