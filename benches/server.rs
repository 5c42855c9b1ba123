//! The operations on a real nats-server, with the raw server's own beside them.
//!
//! ```sh
//! cargo bench --bench server
//! ```

use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use mimalloc::MiMalloc;
use serde_json::json;
use stormpetrel::{
    local_server::{LocalServer, LocalServerOptions},
    models::{CaseId, PlaceId, TokenId, TransitionId, WorkflowDefinition, WorkflowId},
    petrel::{ExpectedVersion, Fire, NewCase, Petrel},
    storage::{
        Consistency, Page, ReadPath, TokenScope,
        nats::{Floor, Moved, NatsStorage, NatsStorageConfig},
    },
};
use tokio::runtime::{Builder, Runtime};

/// The allocator of `petrel`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Number of firings that a young case sees.
const YOUNG: u64 = 8;

/// Places to move between in every way, and two that only hold tokens.
fn definition() -> WorkflowDefinition {
    let arcs = |places: &[&str]| places.iter().map(|p| json!({"place": p})).collect::<Vec<_>>();
    let fork = |id: &str, from: &[&str], to: &[&str]| json!({"id": id, "inputs": arcs(from), "outputs": arcs(to)});
    let places = ["a", "b", "l", "r", "x", "y", "z", "few", "many"];
    serde_json::from_value(json!({
        "id": "bench",
        "name": "Bench",
        "initial_place": "a",
        "places": places.map(|place| json!({"id": place})),
        "transitions": [
            fork("there", &["a"], &["b"]), fork("back", &["b"], &["a"]),
            fork("split", &["a"], &["l", "r"]), fork("join", &["l", "r"], &["a"]),
            fork("triple", &["a"], &["x", "y", "z"]),
            fork("round", &["x", "y", "z"], &["y", "z", "x"]),
            fork("fill-few", &["a"], &["few"]), fork("fill-many", &["a"], &["many"])
        ]
    }))
    .unwrap()
}

struct Bench {
    runtime: Runtime,
    // Declared after the runtime that watches over it.
    _server: LocalServer,
    petrel: Petrel,
    floor: Floor,
    workflow: WorkflowId,
    next: Cell<usize>,
}

impl Bench {
    fn start() -> Self {
        // On one thread, so that no hop between threads is measured, neither of ours nor raw.
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (server, petrel, floor) = runtime.block_on(async {
            let server = LocalServer::start(LocalServerOptions::default()).await.unwrap();
            let urls = vec![server.url()];
            let settings = NatsStorageConfig { urls, ..NatsStorageConfig::development() };
            let storage = NatsStorage::connect(settings.clone()).await.unwrap();
            let petrel = Petrel::new(Arc::new(storage));
            petrel.create_workflow(definition(), ExpectedVersion::Any).await.unwrap();
            (server, petrel, Floor::connect(&settings).await.unwrap())
        });
        let workflow = definition().id;
        Self { runtime, _server: server, petrel, floor, workflow, next: Cell::new(0) }
    }

    async fn begin(&self) -> (CaseId, TokenId) {
        let data = json!({"customer": "c-1207", "amount": 120, "currency": "EUR"});
        let new = NewCase { data, ..NewCase::of(self.workflow.clone()) };
        let begun = self.petrel.create_case(new).await.unwrap();
        (begun.case.id.clone(), begun.tokens[0].id.clone())
    }

    async fn fire(&self, case: &CaseId, transition: &str) {
        let transition = TransitionId::new(transition).unwrap();
        let fire = Fire::case(self.workflow.clone(), case.clone(), transition);
        self.petrel.fire(fire).await.unwrap();
    }

    /// Time of firings in cases that have seen few: their beginnings are not counted.
    async fn young(&self, firings: u64) -> Duration {
        let mut took = Duration::ZERO;
        for round in 0..firings.div_ceil(YOUNG) {
            let (case, _) = self.begin().await;
            for step in 0..YOUNG.min(firings - round * YOUNG) {
                let begun = Instant::now();
                self.fire(&case, ["there", "back"][(step % 2) as usize]).await;
                took += begun.elapsed();
            }
        }
        took
    }

    /// Fires two transitions in turns.
    fn alternate(&self, group: &mut BenchmarkGroup<'_, WallTime>, name: &str, pair: [&str; 2]) {
        let (case, _) = self.runtime.block_on(self.begin());
        self.next.set(0);
        group.bench_function(name, |b| {
            b.to_async(&self.runtime).iter(|| {
                let step = self.next.replace(self.next.get() + 1);
                self.fire(&case, pair[step % 2])
            });
        });
    }

    fn writes(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("write");
        let body = || Bytes::from(vec![b'x'; 800]);
        let (place, token) = (PlaceId::new("a").unwrap(), TokenId::new("raw-1").unwrap());
        let case = CaseId::new("raw").unwrap();
        group.bench_function("raw publish, acknowledged", |b| {
            b.to_async(&self.runtime).iter(|| self.floor.publish(&case, body()));
        });
        let record = body();
        let (arrived, to) = (token.clone(), PlaceId::new("b").unwrap());
        let moved = [Moved { token, arrived, from: place, to, body: body() }];
        group.bench_function("raw, three publishes sent together", |b| {
            b.to_async(&self.runtime).iter(|| self.floor.firing(&case, &record, &moved));
        });
        group.bench_function("create", |b| b.to_async(&self.runtime).iter(|| self.begin()));
        group.bench_function("fire 1->1, a young case", |b| {
            b.to_async(&self.runtime).iter_custom(|firings| self.young(firings));
        });
        self.alternate(&mut group, "fire 1->1, 64 past transitions", ["there", "back"]);
        // The join and the split of one case take turns, so each is measured with the other.
        self.alternate(&mut group, "fire 1->2 split and 2->1 join", ["split", "join"]);
        let (case, _) = self.runtime.block_on(self.begin());
        self.runtime.block_on(self.fire(&case, "triple"));
        group.bench_function("fire 3->3", |b| {
            b.to_async(&self.runtime).iter(|| self.fire(&case, "round"));
        });
        group.finish();
    }

    fn reads(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("read");
        let (case, token) = self.runtime.block_on(self.begin());
        let (place, raw) = (PlaceId::new("a").unwrap(), TokenId::new("raw-2").unwrap());
        let put = self.floor.put(&place, &raw, Bytes::from(vec![b'x'; 400]));
        self.runtime.block_on(put).unwrap();
        group.bench_function("raw direct get", |b| {
            b.to_async(&self.runtime).iter(|| self.floor.get(&place, &raw));
        });
        for (name, consistency) in
            [("get by id", Consistency::Eventual), ("get by id, strong", Consistency::Strong)]
        {
            group.bench_function(name, |b| {
                b.to_async(&self.runtime)
                    .iter(|| self.petrel.token(Some(&self.workflow), &token, consistency));
            });
        }
        group.bench_function("get by id alone", |b| {
            b.to_async(&self.runtime)
                .iter(|| self.petrel.token(None, &token, Consistency::Eventual));
        });
        group.bench_function("get by id, by consumer", |b| {
            let storage = self.petrel.storage();
            b.to_async(&self.runtime)
                .iter(|| storage.token(&self.workflow, &token, ReadPath::Consumer.into()));
        });
        self.runtime.block_on(async {
            for step in 0..20 {
                self.fire(&case, ["there", "back"][step % 2]).await;
            }
        });
        group.bench_function("history of 21 records", |b| {
            let page = Page { first: 100, after: None };
            b.to_async(&self.runtime).iter(|| self.petrel.history(&self.workflow, &case, page));
        });
        group.finish();
    }

    fn listings(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("list");
        for (place, transition, count) in [("few", "fill-few", 10), ("many", "fill-many", 1_000)] {
            let place = PlaceId::new(place).unwrap();
            self.runtime.block_on(async {
                for number in 0..count {
                    let (case, _) = self.begin().await;
                    self.fire(&case, transition).await;
                    let token = TokenId::new(format!("raw-{number}")).unwrap();
                    let body = Bytes::from(vec![b'x'; 600]);
                    self.floor.put(&place, &token, body).await.unwrap();
                }
            });
            group.bench_function(format!("raw multi_last of {count}"), |b| {
                b.to_async(&self.runtime).iter(|| self.floor.list(&place));
            });
            let workflow = self.workflow.clone();
            let scope = TokenScope { workflow, place: Some(place.clone()), case: None };
            let page = Page { first: 1_000, after: None };
            group.bench_function(format!("place of {count}"), |b| {
                b.to_async(&self.runtime).iter(|| async {
                    let tokens = self.petrel.tokens(&scope, page).await.unwrap();
                    assert_eq!(tokens.items.len(), count);
                });
            });
        }
        group.finish();
    }
}

fn benches(criterion: &mut Criterion) {
    let bench = Bench::start();
    bench.writes(criterion);
    bench.reads(criterion);
    bench.listings(criterion);
}

criterion_group! {
    name = server;
    config = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = benches
}
criterion_main!(server);
