//! Hints to workers whose attempts have ended by another word than their own.

use crate::petrel::views::Views;
use crate::{
    models::{Case, IncidentAbout, IncidentCode, Item, Record, RecordKind},
    storage::Hint,
};

impl Views {
    /// Tells the workers of attempts that a record has ended. Who does not hear it finds it out at his next
    /// sign of life.
    pub(super) async fn tell_workers(&self, before: Option<&Case>, record: &Record, case: &Case) {
        let hints = ended(before, record, case);
        if !hints.is_empty()
            && let Err(error) = self.reader.storage.tell(&hints).await
        {
            tracing::debug!(case = %case.id, %error, "workers hear of an end at their next beat");
        }
    }
}

/// The items whose attempt ran before a record and is to stop after it, but for that which the record answers; of a record
/// that pauses or resumes the case, all.
fn ended(before: Option<&Case>, record: &Record, case: &Case) -> Vec<Hint> {
    let Some(before) = before else { return Vec::new() };
    let answers = |item: &Item| {
        let work = record.work.as_ref().filter(|work| work.item == item.number);
        work.is_some_and(|work| work.claim == Some(item.claim))
    };
    let is_late = |of: &Case, item: &Item| {
        let about = IncidentAbout::Item(item.number);
        of.incidents
            .iter()
            .any(|open| open.about == about && open.code == IncidentCode::DeadlinePassed)
    };
    let goes_on = |was: &Item| {
        let now = case.items.iter().find(|item| item.number == was.number);
        now.is_some_and(|now| {
            let is_same = now.claim == was.claim && now.running.is_some() && now.done.is_none();
            let is_told = matches!(record.kind, RecordKind::Paused | RecordKind::Resumed);
            is_same && !is_told && is_late(case, now) == is_late(before, was)
        })
    };
    let running = before.items.iter().filter(|item| item.running.is_some());
    let over = running.filter(|item| !answers(item) && !goes_on(item));
    let hint = |item: &Item| Hint {
        workflow: case.workflow.clone(),
        case: case.id.clone(),
        item: item.number,
    };
    over.map(hint).collect()
}
