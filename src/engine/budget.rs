//! A bound on the cost of one decision.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use cel::{
    ExecutionError,
    common::{
        types::Type,
        value::{StaticVal, Val},
    },
};

/// Steps that the search of one transition may take, so that the others go on.
pub(super) const STEPS_A_SEARCH: u64 = 50_000;

/// The most steps that one decision may take: a firing, or a look at the transitions that can
/// fire, with all its conditions, for all choices of tokens, and its outputs. Some 0.5 s of
/// one core.
pub const MAX_STEPS: u64 = 1_000_000;

/// Number of steps between two looks at a clock.
const CLOCK_EVERY: u64 = 1_024;

static METER_TYPE: Type = Type::new_unspecified_type("meter");

/// The limit of one decision's cost, and its cost so far. A step is an element of a
/// comprehension, a value that one puts together, 16 values that are looked at, or 512 bytes
/// of text that are gone through. A choice of tokens is ten steps, and one more for each
/// token. A clone shares the count.
///
/// The functions that charge it are given nothing but their arguments, so it reaches them as a
/// CEL value.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    steps: u64,
    /// The budget that this one is a part of.
    whole: Option<Budget>,
    until: Option<Instant>,
    spent: AtomicU64,
    is_late: AtomicBool,
}

/// The resource that a decision ran out of, before it came to a yes or a no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RanOut {
    /// Steps: it took so many, and will take them each time.
    Steps(u64),
    /// Time: on another machine, or later, it may come to its end.
    Time,
}

impl fmt::Display for RanOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => write!(
                f,
                "it takes more than {steps} steps; go over fewer elements, or name the tokens"
            ),
            Self::Time => f.write_str("it takes too long on this machine now"),
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(MAX_STEPS)
    }
}

impl Budget {
    /// Budget of so many steps.
    pub fn of(steps: u64) -> Self {
        let (spent, is_late) = (AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(Shared { steps, whole: None, until: None, spent, is_late }))
    }

    /// A part of this one, of at most so many steps: what it spends counts here too, and it runs out
    /// with the whole.
    pub(in crate::engine) fn part(&self, steps: u64) -> Self {
        let (spent, is_late) = (AtomicU64::new(0), AtomicBool::new(false));
        let whole = Some(self.clone());
        Self(Arc::new(Shared { steps, whole, until: None, spent, is_late }))
    }

    /// Another one of so many steps, that runs out of time with this one.
    pub(in crate::engine) fn beside(&self, steps: u64) -> Self {
        let (spent, is_late) = (AtomicU64::new(0), AtomicBool::new(false));
        let mut timed = self;
        while let Some(whole) = &timed.0.whole {
            timed = whole;
        }
        let until = timed.0.until;
        Self(Arc::new(Shared { steps, whole: None, until, spent, is_late }))
    }

    /// [`MAX_STEPS`], and no longer than `until`.
    pub fn until(until: Instant) -> Self {
        let (spent, is_late) = (AtomicU64::new(0), AtomicBool::new(false));
        let (steps, until) = (MAX_STEPS, Some(until));
        Self(Arc::new(Shared { steps, whole: None, until, spent, is_late }))
    }

    /// The resource that it ran out of, if it did.
    pub fn ran_out(&self) -> Option<RanOut> {
        if let Some(ran_out) = self.0.whole.as_ref().and_then(Self::ran_out) {
            return Some(ran_out);
        }
        if self.0.spent.load(Ordering::Relaxed) > self.0.steps {
            return Some(RanOut::Steps(self.0.steps));
        }
        self.0.is_late.load(Ordering::Relaxed).then_some(RanOut::Time)
    }

    /// The steps that may be taken.
    pub(in crate::engine) fn steps(&self) -> u64 {
        self.0.steps
    }

    /// The steps that were taken.
    pub(in crate::engine) fn spent(&self) -> u64 {
        self.0.spent.load(Ordering::Relaxed)
    }

    /// Counts `steps` more.
    ///
    /// # Errors
    ///
    /// When that is more than there are, or the time is over.
    pub(crate) fn charge(&self, steps: u64) -> Result<(), RanOut> {
        let shared = &self.0;
        if let Some(whole) = &shared.whole {
            whole.charge(steps)?;
        }
        let before = shared.spent.fetch_add(steps.min(u64::MAX / 2), Ordering::Relaxed);
        let after = before.saturating_add(steps);
        if before / CLOCK_EVERY != after / CLOCK_EVERY
            && shared.until.is_some_and(|until| Instant::now() > until)
        {
            shared.is_late.store(true, Ordering::Relaxed);
        }
        self.ran_out().map_or(Ok(()), Err)
    }
}

impl From<RanOut> for ExecutionError {
    fn from(ran_out: RanOut) -> Self {
        Self::InternalError(ran_out.to_string())
    }
}

impl Val for Budget {
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

impl StaticVal for Budget {}
