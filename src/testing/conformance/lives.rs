//! Checkpoints of a view that may lose what it acknowledged.

use super::{Behaviour, behaviour, fixture::View};
use crate::{
    models::LogSequence,
    storage::{Checkpoint, Recovery},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<View>] =
    &[behaviour!(the_last_checkpoint_of_a_life_is_the_one_that_is_found)];

/// A view that loses nothing has none.
pub async fn the_last_checkpoint_of_a_life_is_the_one_that_is_found(view: &View) {
    let Recovery::After(found) = view.recovery().await.unwrap() else { return };
    for number in [7, 3] {
        let (right, kept) = (LogSequence::new(number), LogSequence::new(number - 2));
        let checkpoint = Checkpoint { right, kept, ..found.clone() };
        assert!(view.keep_checkpoint(&checkpoint).await.unwrap());
        assert_eq!(view.recovery().await.unwrap(), Recovery::After(checkpoint));
    }
    assert!(view.keep_checkpoint(&found).await.unwrap());
}
