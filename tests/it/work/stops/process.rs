//! Processes that go through a scenario: one that is stopped, and one that takes over.

use stormpetrel::{
    models::FiringId,
    petrel::Lookup,
    storage::nats::{NatsStorage, NatsStorageConfig},
};
use tokio::{runtime::Runtime, sync::oneshot};

use super::{
    scenario::{Asked, CASE, Request, Scenario, ask, worker},
    *,
};

/// Wait between two looks.
const AGAIN: Duration = Duration::from_millis(10);

/// A process that serves and works behind a proxy, on a runtime of its own: if that is dropped, nothing of the
/// process is left.
pub(super) struct Process {
    runtime: Own,
    go: oneshot::Sender<()>,
    ends: JoinHandle<()>,
}

impl Process {
    /// Starts it, and returns when its worker waits for work. `looking` is a handle whose messages are not
    /// counted.
    pub(super) async fn start(
        config: NatsStorageConfig,
        scenario: &Scenario,
        ledger: &Arc<Ledger>,
        looking: &Petrel,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (go, gone) = oneshot::channel();
        let (scenario, ledger, own) = (scenario.clone(), Arc::clone(ledger), looking.clone());
        let ends = runtime.spawn(async move {
            let storage = NatsStorage::connect(config).await.unwrap();
            let petrel = Petrel::new(Arc::new(storage));
            let mut serving = Running::serving(&petrel);
            let mut first = Working::start(&petrel, &ledger, true);
            if gone.await.is_err() {
                return;
            }
            for (number, asked) in scenario.requests.iter().enumerate() {
                if let (is_so, Request::Replace) = asked {
                    until_so(&own, |case| is_so(case, false)).await;
                    first.stop().await;
                    first = Working::start(&petrel, &ledger, false);
                } else {
                    request((&petrel, &own), (number, asked), false).await;
                }
            }
            is_over(&own, scenario.ends).await;
            serving.tasks.push(first.task);
            first.stop.cancel();
            serving.stop().await;
            petrel.close().await;
        });
        Self { runtime: Own(Some(runtime)), go, ends }
    }

    /// Begins with what callers ask for.
    pub(super) fn go(self) -> Going {
        self.go.send(()).expect("it waits");
        Going { _runtime: self.runtime, ends: self.ends }
    }
}

/// A runtime that does not wait for its tasks when it ends, as a process that is killed.
struct Own(Option<Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// A process that has begun with what callers ask for. It dies when it is dropped.
pub(super) struct Going {
    _runtime: Own,
    ends: JoinHandle<()>,
}

impl Going {
    /// Waits for its end.
    pub(super) async fn ended(&mut self) {
        (&mut self.ends).await.unwrap();
    }
}

/// A worker that runs.
struct Working {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Working {
    fn start(petrel: &Petrel, ledger: &Arc<Ledger>, is_first: bool) -> Self {
        let worker = worker(petrel, ledger, is_first).build().unwrap();
        let stop = CancellationToken::new();
        let shutdown = stop.clone();
        Self { stop, task: tokio::spawn(async move { worker.run(shutdown).await.unwrap() }) }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Makes all requests at the process that takes over.
pub(super) async fn take_over(petrel: &Petrel, scenario: &Scenario) {
    for (number, asked) in scenario.requests.iter().enumerate() {
        request((petrel, petrel), (number, asked), true).await;
    }
    is_over(petrel, scenario.ends).await;
}

/// Makes a request when it is time, and until it is in the log, or the case has ended.
async fn request(
    (asked, looking): (&Petrel, &Petrel),
    (number, (is_so, request)): (usize, &Asked),
    by_another: bool,
) {
    let id = FiringId::new(format!("caller-{number}")).unwrap();
    let (begun, mut last) = (Instant::now(), String::new());
    loop {
        if matches!(request, Request::Begin) {
            match ask(asked, *request, &id).await {
                Ok(()) => return,
                Err(error) => last = error.to_string(),
            }
        } else if let Ok(now) = looking.case(&workflow("steps"), &case(CASE)).await {
            let records = history(looking, "steps", &case(CASE)).await;
            let is_made = records.iter().any(|record| record.value.firing == id);
            if is_made || now.status.has_ended() || matches!(request, Request::Replace) {
                return;
            }
            if is_so(&now, by_another) {
                match ask(asked, *request, &id).await {
                    Ok(()) => return,
                    Err(error) => last = error.to_string(),
                }
            }
        }
        assert!(begun.elapsed() < LONG, "{request:?} is not made: {last}");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn until_so(looking: &Petrel, is_so: impl Fn(&Case) -> bool) {
    let begun = Instant::now();
    loop {
        match looking.case(&workflow("steps"), &case(CASE)).await {
            Ok(now) if is_so(&now) || now.status.has_ended() => return,
            Ok(_) | Err(Error::NotFound(Lookup::Case(_))) => {}
            Err(error) if error.retryable() => {}
            Err(error) => panic!("{error}"),
        }
        assert!(begun.elapsed() < LONG, "it does not come so far");
        tokio::time::sleep(AGAIN).await;
    }
}

/// Waits until the case has ended, and nothing is offered or armed in it.
async fn is_over(looking: &Petrel, ends: CaseStatus) {
    until_so(looking, |case| case.status == ends).await;
    let begun = Instant::now();
    loop {
        let left = left(looking).await;
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < LONG, "still there: {left:?}");
        tokio::time::sleep(AGAIN).await;
    }
}

/// Everything that is offered or armed in the case.
async fn left(looking: &Petrel) -> Vec<String> {
    let (of, at) = (workflow("steps"), case(CASE));
    let offered = looking.storage().offered_in(&of, &at).await.unwrap();
    let armed = looking.storage().armed_in(&of, std::slice::from_ref(&at)).await.unwrap();
    let offered = offered.iter().map(|offer| format!("{offer:?}"));
    offered.chain(armed.iter().map(|arming| format!("{arming:?}"))).collect()
}
