//! From a token's id alone to its workflow, without an index: the id carries a tag of the
//! workflow, and the workflows are few.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{Error, Inner, Result};
use crate::{
    models::{CaseId, TokenId, WorkflowId},
    storage::Consistency,
};

/// The known workflows by tag.
#[derive(Debug, Default)]
pub(super) struct Tags {
    known: Mutex<HashMap<String, Vec<WorkflowId>>>,
}

impl Tags {
    fn get(&self, tag: &str) -> Vec<WorkflowId> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(tag).cloned().unwrap_or_default()
    }

    fn replace(&self, workflows: Vec<WorkflowId>) {
        let mut new: HashMap<String, Vec<WorkflowId>> = HashMap::new();
        for workflow in workflows {
            new.entry(workflow.tag()).or_default().push(workflow);
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = new;
    }
}

impl Inner {
    /// The workflow and the case that a token's id leads to. The case is known to exist only
    /// if the tag alone did not decide.
    pub async fn locate(
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
            self.tags.replace(self.storage.workflow_ids().await?);
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
}
