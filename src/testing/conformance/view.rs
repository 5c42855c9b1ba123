//! The suite of a view.

use super::{Behaviour, View, contention, each, listings, lives, odd, registers, tokens};

/// The behaviours of every view.
pub fn behaviours() -> impl Iterator<Item = &'static Behaviour<View>> {
    let groups = [
        registers::BEHAVIOURS,
        tokens::BEHAVIOURS,
        listings::BEHAVIOURS,
        lives::BEHAVIOURS,
        odd::OF_VIEWS,
        contention::OF_VIEWS,
    ];
    groups.into_iter().flatten()
}

/// Checks every behaviour, one after the other. `make` is called before each and returns a
/// view in which that behaviour has not run: always the same one, or new ones.
///
/// # Panics
///
/// When a behaviour does not hold. Standard error names the one that was being checked.
pub async fn all(make: impl AsyncFn() -> View) {
    each(behaviours(), make).await;
}
