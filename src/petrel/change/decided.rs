//! Changes before they are in the log: the request, and the decision about it.

use std::{borrow::Cow, sync::Arc};

use crate::petrel::{
    Change, Error, Inner, Result, cache::definitions::Compiled, change::repeat::Asked,
};
use crate::{
    engine::{Act, Budget, NotMade, TokenSeed},
    models::{Case, CaseId, Record, WorkflowId},
    storage::{CaseLogExt, WriteLevel},
};

/// Decides a change, given the definition that the case runs, or would run, and the case, if
/// it exists.
pub(in crate::petrel) type Decide =
    Arc<dyn Fn(&Compiled, Option<&Case>, &Act, &Budget) -> Result<Decided> + Send + Sync>;

/// Decision about a change.
pub(in crate::petrel) enum Decided {
    /// The record to append.
    Append(Box<Record>),
    /// The case is as the caller wants it; nothing is stored.
    AsItIs,
    /// The case has begun already; nothing is stored. The answer is its beginning, if it began
    /// with this seed. `None`: it can't have begun with the token of the request.
    Begun(Option<TokenSeed>),
}

impl Decided {
    /// The record to append, if it fits.
    pub(crate) fn record(made: std::result::Result<Record, NotMade>) -> Result<Self> {
        Ok(Self::Append(Box::new(made?)))
    }
}

/// One change on its way into the log.
pub(in crate::petrel) struct Commit {
    pub workflow: WorkflowId,
    pub case: CaseId,
    pub change: Change,
    pub asked: Asked,
    pub decide: Decide,
    /// The case is probably not there yet, so the first attempt does not look: the fence of
    /// the append finds out.
    pub is_new: bool,
}

impl Inner {
    /// The act in a format that can say what is to follow in a net that runs by itself. It is refused
    /// where programs that write into this log as well may not know of that.
    pub(in crate::petrel) async fn in_format_of<'a>(
        &self,
        act: &'a Act,
        compiled: &Compiled,
    ) -> Result<Cow<'a, Act>> {
        let format = WriteLevel::SECOND.format();
        if act.format >= format || !compiled.net.runs_by_itself() {
            return Ok(Cow::Borrowed(act));
        }
        if !self.reader.storage.may_write(WriteLevel::SECOND).await? {
            return Err(Error::InvalidDefinition(compiled.stored.definition.problems_of_level()));
        }
        Ok(Cow::Owned(Act { format, ..act.clone() }))
    }
}
