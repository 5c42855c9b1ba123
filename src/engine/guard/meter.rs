//! A bound on what one evaluation may cost.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cel::{
    ExecutionError,
    common::{
        types::Type,
        value::{StaticVal, Val},
    },
};

/// The most steps that one evaluation may take: an element of a comprehension is one, and
/// so is each value that a comprehension's body puts together. Nested comprehensions over a
/// hundred tokens stay within it; what would hold up all the other firings doesn't.
pub(super) const MAX_STEPS: u64 = 100_000;

static METER_TYPE: Type = Type::new_unspecified_type("meter");

/// Counts the steps of one evaluation. It reaches the functions that charge it as a CEL value,
/// since they are given nothing but their arguments.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Counts `steps` more.
    ///
    /// # Errors
    ///
    /// When that makes more than [`MAX_STEPS`].
    pub(super) fn charge(&self, steps: u64) -> Result<(), ExecutionError> {
        let before = self.0.fetch_add(steps, Ordering::Relaxed);
        if before.saturating_add(steps) > MAX_STEPS {
            return Err(ExecutionError::InternalError(format!(
                "it takes more than {MAX_STEPS} steps; go over fewer elements"
            )));
        }
        Ok(())
    }
}

impl Val for Meter {
    fn get_type(&self) -> &Type {
        &METER_TYPE
    }

    fn cel_type() -> &'static Type {
        &METER_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Meter {}
