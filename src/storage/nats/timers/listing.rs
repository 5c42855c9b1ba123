//! Lists of timers that are armed, or have come due and are not settled.

use std::collections::BTreeMap;

use super::codec;
use crate::{
    models::{CaseId, WorkflowId},
    storage::{
        Arming, Page, PageOf, Result,
        nats::{direct::RawMessage, other_streams::EVERYTHING, store::Inner},
    },
};

/// Bytes that an item of a page takes, by a rough estimate.
const BYTES: usize = 256;

/// Number of cases that one request names. The server answers for at most 1,024 subjects; where they have more,
/// each is asked for alone.
const CASES_AT_ONCE: usize = 256;

impl Inner {
    /// The timers of some cases. One that comes due meanwhile leaves its place and is put at the end, so it
    /// may be there twice.
    pub(super) async fn armed_in(
        &self,
        workflow: &WorkflowId,
        cases: &[CaseId],
    ) -> Result<Vec<Arming>> {
        let mut found = BTreeMap::new();
        for some in cases.chunks(CASES_AT_ONCE) {
            let filters: Vec<_> =
                some.iter().map(|case| self.subjects.timers_of(workflow, case)).collect();
            let messages = self.all_of(&self.timers.stream.name, &filters).await?;
            let timers = messages.iter().filter_map(|message| self.timer_of(message));
            found.extend(timers.map(|it| ((it.case.clone(), it.timer, it.armed), it)));
        }
        Ok(found.into_values().collect())
    }

    pub(super) async fn armed(&self, page: Page) -> Result<PageOf<Arming>> {
        let stream = &self.timers.stream.name;
        self.page_of(stream, EVERYTHING, page, BYTES, |message| self.timer_of(message)).await
    }

    /// The timer of a message; what has none is told of and left out.
    fn timer_of(&self, message: &RawMessage) -> Option<Arming> {
        let refused = |reason: &String| {
            let (stream, subject, sequence) =
                (&self.timers.stream.name, &message.subject, message.sequence);
            tracing::warn!(stream, subject, sequence, reason, "this is no timer");
        };
        codec::decode(message, &self.subjects).inspect_err(refused).ok()
    }
}
