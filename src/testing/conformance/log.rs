//! The suite of a log.

use super::{
    Behaviour, Log, appends, contention, contents, definitions, each, history, odd, watching,
};

/// The behaviours of every log.
pub fn behaviours() -> impl Iterator<Item = &'static Behaviour<Log>> {
    let groups = [
        definitions::BEHAVIOURS,
        appends::BEHAVIOURS,
        history::BEHAVIOURS,
        watching::BEHAVIOURS,
        contents::BEHAVIOURS,
        odd::OF_LOGS,
        contention::OF_LOGS,
    ];
    groups.into_iter().flatten()
}

/// Checks every behaviour, one after the other. `make` is called before each and returns a
/// log in which that behaviour has not run: always the same one, or new ones.
///
/// # Panics
///
/// When a behaviour does not hold. Standard error names the one that was being checked.
pub async fn all(make: impl AsyncFn() -> Log) {
    each(behaviours(), make).await;
}
