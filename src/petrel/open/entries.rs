//! Entries of a case in the index.

use crate::petrel::{Result, views::Views};
use crate::{
    engine::Net,
    models::{Case, CaseId, Incident, Item, Record, Stored, WorkflowId},
    storage::Open,
};

/// The entry of a work item; `None` if its net has no such activity.
pub(super) fn of_item(
    net: &Net,
    (workflow, case): (&WorkflowId, &CaseId),
    item: &Item,
) -> Option<Open> {
    let activity = net.transition(&item.transition)?.activity.as_ref()?;
    Some(Open::Item {
        queue: activity.queue.clone(),
        workflow: workflow.clone(),
        case: case.clone(),
        item: item.number,
    })
}

fn of_incident((workflow, case): (&WorkflowId, &CaseId), incident: &Incident) -> Open {
    Open::Incident { workflow: workflow.clone(), case: case.clone(), incident: incident.number }
}

impl Views {
    /// Notes in the index what a record has opened, and strikes out what it has ended; both a moment later.
    pub(in crate::petrel) async fn note_changes(
        &self,
        before: Option<&Case>,
        record: &Record,
        case: &Case,
    ) -> Result<()> {
        let (items, incidents) = before.map_or((&[][..], &[][..]), |of| (&of.items, &of.incidents));
        let has_item = |of: &[Item], one: &Item| of.iter().any(|item| item.number == one.number);
        let has_incident =
            |of: &[Incident], one: &Incident| of.iter().any(|open| open.number == one.number);
        let id = (&case.workflow, &case.id);
        for raised in case.incidents.iter().filter(|one| !has_incident(incidents, one)) {
            self.notes.opened(of_incident(id, raised));
        }
        let over = incidents.iter().filter(|one| !has_incident(&case.incidents, one));
        over.for_each(|over| self.notes.ended(of_incident(id, over), true));
        let made: Vec<_> = case.items.iter().filter(|one| !has_item(items, one)).collect();
        let over: Vec<_> = items.iter().filter(|one| !has_item(&case.items, one)).collect();
        if made.is_empty() && over.is_empty() {
            return Ok(());
        }
        let compiled = Box::pin(self.reader.compiled(&case.workflow, case.definition)).await?;
        let of_item = |item: &&Item| of_item(&compiled.net, id, item);
        made.iter().filter_map(of_item).for_each(|open| self.notes.opened(open));
        for item in over {
            if let Some(open) = of_item(&item) {
                self.notes.ended(open, super::notes::may_be_noted(record.time - item.since));
            }
        }
        Ok(())
    }

    /// Notes in the index what is open by the last record of a case.
    pub(in crate::petrel) async fn note_all_of(&self, head: &Stored<Record>) -> Result<()> {
        let Record { workflow, case, items, incidents, definition, .. } = &head.value;
        let id = (workflow, case);
        let mut open: Vec<_> = incidents.iter().map(|incident| of_incident(id, incident)).collect();
        if !items.is_empty() {
            let compiled = Box::pin(self.reader.compiled(workflow, *definition)).await?;
            open.extend(items.iter().filter_map(|item| of_item(&compiled.net, id, item)));
        }
        if !open.is_empty() {
            self.reader.storage.note_open(&open).await?;
        }
        Ok(())
    }
}
