//! The work of a request against its limits, counted where it is done: bytes of its answer, and
//! look-ups in the store.

pub(super) mod joins;
mod slice;
mod together;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_graphql::{
    Error as GraphqlError, PathSegment, QueryPathSegment, ServerResult, Value,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextResolve, ResolveInfo},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::graphql::Limits;
use joins::Joins;
use slice::Slice;

pub use together::Charge;
pub(super) use together::{Taker, Together};

/// Bytes that each value counts beside its own, measured as a process's growth.
const VALUE: usize = 256;

/// Number of times that the bytes of a value as JSON count: as a value, and in the text that is
/// made of it.
const COPIES: usize = 2;

/// Bytes up to which an answer is a small one, for which there is always room: so large ones keep
/// nobody else from being answered.
const SMALL: usize = 64 * 1024;

/// Look-ups that a request has under way at once.
const AT_ONCE: usize = 32;

/// The refusal of more than a limit allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overdrawn {
    /// The code, for programs.
    pub code: &'static str,
    /// True if the same request may get more when it is made again.
    pub retryable: bool,
    /// The limit that binds.
    pub limit: usize,
    message: String,
}

impl fmt::Display for Overdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Treatment of an answer where there is no room for it among all of them.
#[derive(Debug, Clone)]
pub(super) enum NoRoom {
    /// It is refused, and may be asked for again.
    Refuses,
    /// It only counts: what has been stored is not answered with "try again".
    Counts,
    /// It waits, and comes when there is room and who takes it has taken the one before.
    Waits(Taker),
}

/// The work that one request, or one event of a subscription, has done.
pub(super) struct Work {
    limits: Limits,
    no_room: NoRoom,
    together: Together,
    bytes: AtomicUsize,
    /// The rights to take and to make this event, where it is one of a subscription.
    event: Mutex<Rights>,
    over: Mutex<Over>,
    slice: Slice,
    /// Look-ups of the request.
    pub look_ups: Arc<LookUps>,
    /// Look-ups that several fields of a query ask for.
    pub joins: Joins,
}

#[derive(Default)]
struct Rights {
    take: Option<OwnedSemaphorePermit>,
    make: Option<OwnedSemaphorePermit>,
}

/// The signal that the answer has become too large, and the reason.
#[derive(Default)]
struct Over {
    signal: CancellationToken,
    why: Option<Overdrawn>,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.take();
    }
}

impl Work {
    /// The work of a request that has used nothing yet.
    pub(super) fn new(
        limits: Limits,
        no_room: NoRoom,
        together: Together,
        look_ups: Arc<LookUps>,
        joins: Joins,
    ) -> Self {
        Self {
            limits,
            no_room,
            together,
            bytes: AtomicUsize::new(0),
            event: Mutex::default(),
            over: Mutex::default(),
            slice: Slice::new(),
            look_ups,
            joins,
        }
    }

    /// Takes out the charge of the answer just made, so that the next one begins with nothing.
    pub(super) fn take(&self) -> Charge {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = Over::default();
        self.look_ups.used.store(0, Ordering::Relaxed);
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        let mut event = self.event.lock().unwrap_or_else(PoisonError::into_inner);
        let Rights { take, make } = std::mem::take(&mut *event);
        drop(make);
        Charge::of(bytes, &self.together, take)
    }

    /// Waits until the answer may be begun. Only an event of a subscription waits: nothing may be
    /// left out of it, and events have room of their own.
    async fn begin(&self) {
        if let NoRoom::Waits(taker) = &self.no_room {
            let take = taker.turn().await;
            let make = self.together.event(self.limits.answers_bytes / 2).await;
            let rights = Rights { take, make };
            *self.event.lock().unwrap_or_else(PoisonError::into_inner) = rights;
        }
    }

    /// Counts `bytes` more; false if that is too much.
    fn charge(&self, bytes: usize) -> bool {
        let own = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.together.add(bytes);
        let (most, together) = (self.limits.answer_bytes, self.limits.answers_bytes);
        let why = if own > most {
            Overdrawn {
                code: crate::graphql::response::code::TOO_LARGE,
                retryable: false,
                limit: most,
                message: format!(
                    "the answer takes more than {most} bytes, which is the most ({VALUE} for each \
                     value, twice what it has as JSON, and what is read for it); ask for smaller \
                     pages, or for less of each item"
                ),
            }
        } else if all > together && own > SMALL && matches!(self.no_room, NoRoom::Refuses) {
            Overdrawn {
                code: crate::graphql::response::code::OVERLOADED,
                retryable: true,
                limit: together,
                message: format!(
                    "the answers under way take more than {together} bytes, which is the most at \
                     a time; ask again in a moment, or for less at once"
                ),
            }
        } else {
            return true;
        };
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.why.get_or_insert(why);
        over.signal.cancel();
        false
    }

    fn signal(&self) -> CancellationToken {
        self.over.lock().unwrap_or_else(PoisonError::into_inner).signal.clone()
    }

    fn why(&self) -> Option<Overdrawn> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner).why.clone()
    }
}

/// Look-ups in the store, counted where they happen.
pub(super) struct LookUps {
    used: AtomicUsize,
    most: usize,
    at_once: Semaphore,
}

impl LookUps {
    /// A count of none, of at most `most`.
    pub(super) fn new(most: usize) -> Self {
        Self { used: AtomicUsize::new(0), most, at_once: Semaphore::new(AT_ONCE) }
    }

    /// The right to make `count` look-ups together, once it is this request's turn.
    pub(super) async fn begin(&self, count: usize) -> Result<SemaphorePermit<'_>, Overdrawn> {
        let used = self.used.fetch_add(count, Ordering::Relaxed) + count;
        if used > self.most {
            return Err(Overdrawn {
                code: crate::graphql::response::code::TOO_MANY_LOOK_UPS,
                retryable: false,
                limit: self.most,
                message: format!(
                    "the request needs more than {} look-ups in the store, which is the most; \
                     ask for smaller pages, or for less of each item",
                    self.most
                ),
            });
        }
        // Invariant: nobody closes it.
        Ok(self.at_once.acquire().await.expect("an open semaphore"))
    }
}

/// Counts the bytes of answers.
pub(super) struct Counting;

impl ExtensionFactory for Counting {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for Counting {
    /// Lets others have their turn. Gives up a field of the root as a whole when the answer becomes too large in it, and begins
    /// none after that. Fields below one that is to be given up are not finished, and give no
    /// errors, of which there may be as many as values.
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let Some(work) = ctx.data_opt::<Arc<Work>>() else { return next.run(ctx, info).await };
        let is_root = info.path_node.parent.is_none();
        let key = match info.path_node.segment {
            QueryPathSegment::Name(name) => COPIES * (name.len() + 4),
            QueryPathSegment::Index(_) => COPIES,
        };
        // The items of a list are counted one by one.
        let counts =
            info.field.selection_set.node.items.is_empty() && !info.return_type.starts_with('[');
        work.slice.turn().await;
        if !is_root {
            if !work.charge(VALUE + key) {
                return std::future::pending().await;
            }
            let value = next.run(ctx, info).await;
            let bytes = match &value {
                Ok(Some(value)) if counts => bytes(value),
                Ok(_) => 0,
                Err(error) => VALUE + error.message.len(),
            };
            if !work.charge(bytes) {
                return std::future::pending().await;
            }
            return value;
        }
        let (pos, response_key) = (info.field.name.pos, info.field.response_key().node.to_string());
        let given_up = |work: &Work| {
            let why = work.why().map(GraphqlError::new_with_source);
            let why = why.unwrap_or_else(|| GraphqlError::new("the answer is too large"));
            let path = vec![PathSegment::Field(response_key.clone())];
            why.into_server_error(pos).with_path(path)
        };
        let signal = work.signal();
        if !signal.is_cancelled() {
            work.begin().await;
        }
        if signal.is_cancelled() || !work.charge(VALUE + key) {
            return Err(given_up(work));
        }
        let value = tokio::select! {
            biased;
            value = next.run(ctx, info) => value,
            () = signal.cancelled() => return Err(given_up(work)),
        };
        match &value {
            Ok(Some(value)) if counts && !work.charge(bytes(value)) => return Err(given_up(work)),
            _ => value,
        }
    }
}

/// An estimate of the bytes that a value takes in an answer.
fn bytes(value: &Value) -> usize {
    COPIES * json(value)
}

/// An estimate of the bytes of a value as JSON.
fn json(value: &Value) -> usize {
    match value {
        Value::Null | Value::Boolean(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Enum(name) => name.len() + 2,
        Value::Binary(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(|item| json(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| key.len() + 4 + json(value)).sum::<usize>() + 2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{petrel::Petrel, storage::MemoryStorage};

    fn work_with(together: &Together, no_room: NoRoom) -> Work {
        let look_ups = Arc::new(LookUps::new(1));
        let petrel = Petrel::new(Arc::new(MemoryStorage::new()));
        let joins = Joins::new(true, petrel, Arc::clone(&look_ups));
        Work::new(Limits::default(), no_room, together.clone(), look_ups, joins)
    }

    fn work(together: &Together) -> Work {
        work_with(together, NoRoom::Refuses)
    }

    #[tokio::test]
    async fn an_event_waits_for_room_and_no_other_answer_does() {
        let together = Together::default();
        let counting = || work_with(&together, NoRoom::Counts);
        let (one, other) = (counting(), counting());
        assert!(one.charge(40 << 20) && other.charge(40 << 20));
        let event = work_with(&together, NoRoom::Waits(Taker::default()));
        let mut begin = std::pin::pin!(event.begin());
        assert!(futures::poll!(begin.as_mut()).is_pending());
        work(&together).begin().await;
        let mut charge = one.take();
        assert!(futures::poll!(begin.as_mut()).is_pending());
        // Half of the room is 48 MiB.
        charge.shrink(4 << 20);
        begin.await;
        assert!(event.charge(60 << 20));
    }

    #[tokio::test]
    async fn who_takes_events_has_one_at_a_time() {
        let (together, taker) = (Together::default(), Taker::default());
        let event = || work_with(&together, NoRoom::Waits(taker.clone()));
        let (one, other) = (event(), event());
        one.begin().await;
        let charge = one.take();
        let mut begin = std::pin::pin!(other.begin());
        assert!(futures::poll!(begin.as_mut()).is_pending());
        // Those of others are made meanwhile.
        work_with(&together, NoRoom::Waits(Taker::default())).begin().await;
        drop(charge);
        begin.await;
    }

    #[test]
    fn what_answers_use_together_is_free_again_when_they_are_gone() {
        let together = Together::default();
        let work = || work(&together);
        let (one, other) = (work(), work());
        assert!(one.charge(40 << 20) && other.charge(40 << 20));
        let answer = one.take();
        assert_eq!(together.bytes(), 80 << 20);
        drop((answer, other));
        assert_eq!(together.bytes(), 0);
        // The next event of a subscription begins with nothing.
        assert!(one.charge(40 << 20) && !one.charge(40 << 20));
        assert_eq!(one.why().unwrap().code, "TOO_LARGE");
        drop(one.take());
        assert!(one.why().is_none() && !one.signal().is_cancelled());
    }

    #[test]
    fn an_answer_that_is_one_too_many_is_told_to_come_again() {
        let together = Together::default();
        let work = || work(&together);
        let three: Vec<_> = (0..3).map(|_| work()).collect();
        assert!(three.iter().all(|work| work.charge(32 << 20)));
        let one_more = work();
        assert!(one_more.charge(SMALL) && !one_more.charge(1));
        let why = one_more.why().unwrap();
        assert_eq!((why.code, why.retryable), ("OVERLOADED", true));
    }
}
