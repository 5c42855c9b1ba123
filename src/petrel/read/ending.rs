//! Waiting for the end of a case, and its result.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use crate::{
    engine::merge_patch,
    models::{Case, CaseId, CaseStatus, Incident, WorkflowId},
    petrel::{Error, Petrel, Result, views::unseen::touched},
    storage::LogScope,
};

/// The longest wait: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

impl Petrel {
    /// A case when it has ended, and its last tokens are in the view; or as it is when `limit` is over.
    pub async fn await_case(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        limit: Duration,
    ) -> Result<Arc<Case>> {
        self.await_if(workflow, case, limit, |status, _| status.has_ended()).await
    }

    /// The same; or where an incident stops a part of it.
    pub async fn await_case_or_incident(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        limit: Duration,
    ) -> Result<Arc<Case>> {
        let stops = |status: CaseStatus, open: &[Incident]| status.has_ended() || !open.is_empty();
        self.await_if(workflow, case, limit, stops).await
    }

    async fn await_if(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        limit: Duration,
        stops: impl Fn(CaseStatus, &[Incident]) -> bool,
    ) -> Result<Arc<Case>> {
        let until = Instant::now() + limit.min(LONGEST);
        let now = self.ending(workflow, case).await?;
        if stops(now.status, &now.incidents) {
            return Ok(now);
        }
        let scope = LogScope::Case(workflow.clone(), case.clone());
        let after = now.sequence.next().into();
        let mut records = self.watch(scope, Some(after)).await?;
        loop {
            let ends = match timeout_at(until, records.next()).await {
                Ok(Some(record)) => {
                    let record = &record?.value;
                    stops(record.status, &record.incidents)
                }
                // Nobody follows any more, as where the process ends.
                Ok(None) | Err(_) => return self.ending(workflow, case).await,
            };
            if ends {
                return self.ending(workflow, case).await;
            }
        }
    }

    /// A case as it is now; one that has ended with its last tokens in the view.
    async fn ending(&self, workflow: &WorkflowId, id: &CaseId) -> Result<Arc<Case>> {
        let inner = &self.inner;
        let loaded = Box::pin(inner.reader.load(workflow, id)).await?;
        let (head, case) = loaded.ok_or_else(|| Error::no_case(id))?;
        if case.status.has_ended() {
            let registers = touched(&head.value).collect();
            Box::pin(inner.views.repair(workflow, id, registers)).await?;
        }
        Ok(Arc::new(case))
    }
}

impl Case {
    /// The result of a completed case: the data of its tokens, merged in the order of the marking (JSON
    /// merge patch, RFC 7396), as a join merges them; `None` of a case that is not completed.
    pub fn result(&self) -> Option<Value> {
        if self.status != CaseStatus::Completed {
            return None;
        }
        let mut tokens = self.live_tokens();
        let mut data = match tokens.next() {
            Some(first) => first.data.clone(),
            None => Value::Object(Map::new()),
        };
        tokens.for_each(|token| merge_patch(&mut data, &token.data));
        Some(data)
    }
}
