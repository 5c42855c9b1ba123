//! The context of a durable handler.

use std::{
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use futures::{FutureExt, future::BoxFuture};
use rand::Rng;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{
    Seeded, Step,
    error::{Difference, Fatal},
    finite,
    run::Run,
};
use crate::{
    models::{EntryKind, Operation, OperationEnd, OperationKind, Times},
    worker::WorkError,
};

/// The way of a durable handler to the world: what it does outside goes through here, and what differs from run to run
/// comes from here. A clone is the same context.
#[derive(Debug, Clone)]
pub struct Context {
    run: Arc<Run>,
    scope: Arc<Scope>,
}

/// A part of a handler whose operations have numbers of their own.
#[derive(Debug, Default)]
struct Scope {
    path: String,
    made: AtomicU64,
    drawn: AtomicU64,
}

impl Context {
    pub(super) fn new(run: Arc<Run>) -> Self {
        Self { run, scope: Arc::default() }
    }

    pub(super) fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// The next operation of the scope.
    pub(super) fn operation(&self, kind: OperationKind, name: &str) -> Operation {
        self.run.must_be_outside_of_steps();
        self.must_have_room(name);
        let number = self.scope.made.fetch_add(1, Ordering::Relaxed) + 1;
        let scope = self.scope.path.clone();
        Operation { scope, number, kind, name: name.to_owned(), input_hash: None }
    }

    /// A step: a function with an effect outside. Its result is in the journal before the handler sees it, and another
    /// run gets it from there.
    ///
    /// Its place among the operations is fixed by this call, and it begins when it is awaited. It is to be awaited to its
    /// end: what drops a step that has begun, as a `select` does, may do otherwise in another run. Its own code uses no
    /// context. It is carried out at least once; [`Step::at_most_once`] is for what must never be repeated.
    ///
    /// # Errors
    ///
    /// The failure of the attempt after which nothing more is tried: another one is made as [`Step::retry`] says. The
    /// same error comes in every run.
    #[track_caller]
    pub fn step<'a, T, E, F, R>(&self, name: &str, mut run: F) -> Step<'a, T>
    where
        T: Serialize + DeserializeOwned + Send + 'a,
        E: Into<WorkError>,
        F: FnMut() -> R + Send + 'a,
        R: Future<Output = Result<T, E>> + Send + 'a,
    {
        let of = self.operation(OperationKind::Step, name);
        let place = place(Location::caller());
        Step::new(Arc::clone(&self.run), (of, place), move || -> BoxFuture<'a, _> {
            let running = run();
            async move { finite::json(&running.await.map_err(Into::into)?).map_err(no_json) }
                .boxed()
        })
    }

    /// The time. Another run gets the same one.
    #[track_caller]
    pub fn now(&self) -> impl Future<Output = DateTime<Utc>> + Send + use<> {
        let (of, place) = (self.operation(OperationKind::Now, ""), place(Location::caller()));
        let run = Arc::clone(&self.run);
        async move {
            let asked = run.ask(of).await;
            run.go_on().await;
            if let Some((OperationEnd::Result(stored), _)) = asked.past.and_then(|past| past.end) {
                return match serde_json::from_value(stored) {
                    Ok(time) => time,
                    Err(error) => {
                        let (of, reason) = (asked.of, error.to_string());
                        run.end_by(Fatal::Differs(Difference::Unreadable { of, reason })).await
                    }
                };
            }
            let since = run.environment.now();
            let times = Times { attempt: 1, lost: 0, since, place };
            let end = OperationEnd::Result(serde_json::json!(since));
            // A time fits into any message.
            let _ =
                run.write(EntryKind::Ended { of: asked.of, end, times, beside: Vec::new() }).await;
            since
        }
    }

    /// A stream of random bits, another one for each call. Another run gets the same ones.
    pub fn rng(&self) -> Seeded {
        self.run.must_be_outside_of_steps();
        let number = self.scope.drawn.fetch_add(1, Ordering::Relaxed) + 1;
        Seeded::of(&format!("{} {} {number}", self.run.seed, self.scope.path))
    }

    /// A random number of 64 bits. Another run gets the same one.
    pub fn random(&self) -> u64 {
        self.rng().next_u64()
    }

    /// A random UUID, for keys of idempotency and the like. Another run gets the same one.
    pub fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.rng().fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A part of the handler whose operations have numbers of their own. What runs side by side, and what comes from a
    /// library, gets a scope each: so the order in which others make their operations does not matter to it.
    #[must_use]
    pub fn scope(&self, name: &str) -> Self {
        self.run.must_be_outside_of_steps();
        self.must_have_room(name);
        let number = self.scope.made.fetch_add(1, Ordering::Relaxed) + 1;
        // A slash parts the scopes of a path.
        let name = name.replace('%', "%25").replace('/', "%2F");
        let outer = self.scope.path.as_str();
        let path = match outer {
            "" => format!("{number}:{name}"),
            outer => format!("{outer}/{number}:{name}"),
        };
        self.run.enter(outer, number, &path);
        let scope = Scope { path, ..Scope::default() };
        Self { run: Arc::clone(&self.run), scope: Arc::new(scope) }
    }

    /// Returns true if the code takes a new way here: in each invocation that comes to this place for the first time, and
    /// in each other run of that one. In one that had gone on from here before the change it is false, so that it goes
    /// on as it did. The name stands for the change, in its scope; where no invocation needs the former way any more,
    /// that way can go, and the question with it when no invocation needs the answer.
    pub fn patched(&self, id: &str) -> impl Future<Output = bool> + Send + use<> {
        self.run.must_be_outside_of_steps();
        self.must_have_room(id);
        let (run, scope, id) = (Arc::clone(&self.run), self.scope.path.clone(), id.to_owned());
        let made = self.scope.made.load(Ordering::Relaxed);
        async move { run.patched(scope, id, made).await }
    }

    /// Path of its scope.
    pub(super) fn path(&self) -> &str {
        &self.scope.path
    }

    /// Number of its scope in the one round it; 0 of the outermost.
    pub(super) fn number(&self) -> u64 {
        let own = self.scope.path.rsplit('/').next().and_then(|own| own.split_once(':'));
        own.and_then(|(number, _)| number.parse().ok()).unwrap_or_default()
    }

    /// Ends the run where a name, with the scopes round it, is longer than an entry should have.
    fn must_have_room(&self, name: &str) {
        let length = self.scope.path.len() + name.len();
        if length > LONGEST_NAME {
            self.run.fail(Fatal::Name(format!(
                "an operation's name and the names of the scopes round it have {length} bytes, and {LONGEST_NAME} at \
                 most"
            )));
        }
    }

    /// Returns true as long as the journal has operations that the code has not asked for in this run.
    pub fn is_replaying(&self) -> bool {
        self.run.is_replaying()
    }
}

/// Most bytes of a name and of the scopes round it.
const LONGEST_NAME: usize = 4_096;

/// Code of a result that JSON has not.
const RESULT_REFUSED: &str = "RESULT_REFUSED";

fn no_json(reason: String) -> WorkError {
    WorkError::new(RESULT_REFUSED, format!("the result has no JSON form: {reason}")).without_retry()
}

/// A place in the source, as an entry has it.
pub(super) fn place(location: &Location<'_>) -> String {
    format!("{}:{}", location.file(), location.line())
}
