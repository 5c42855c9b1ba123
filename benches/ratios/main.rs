//! Costs of one client's operations, as multiples of the raw server's own.
//!
//! ```sh
//! cargo bench --bench ratios
//! cargo bench --bench ratios -- --cluster 3
//! cargo bench --bench ratios -- --sync-interval always
//! cargo bench --bench ratios -- --alone
//! ```
//!
//! With `--cluster`, so many servers are one cluster, and each stream has a copy on each. One server
//! leads all streams, and the client is connected to that one: a raw publish goes to its leader, and
//! so does everything else.
//!
//! Everything is done in turns with the raw publish and the raw get, so that the noise of a machine
//! is in all of it: the medians' ratios repeat where the times do not. So each operation comes after
//! others, whose code and data the processor has in its caches then. With `--alone` each takes turns with
//! its raw operation and its same messages only, as for a client that does one thing all the time; a
//! strong get, which has no such messages, is left out then.
//!
//! The last column is the ratio to the same messages without an engine: bodies that are prepared,
//! sent under the same conditions and in the same order by the same client. Of a firing that five
//! immediate ones follow, it is the ratio to one firing.

mod servers;
mod shadow;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use bytes::Bytes;
use mimalloc::MiMalloc;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::json;
use stormpetrel::{
    local_server::LocalCluster,
    models::{
        CaseId, HISTORY_KEPT, PlaceId, TokenId, TransitionId, WorkflowDefinition, WorkflowId,
    },
    petrel::{ExpectedVersion, Fire, NewCase, Petrel},
    storage::{
        Consistency,
        nats::{Floor, NatsStorage, NatsStorageConfig},
    },
};
use uuid::Uuid;

use self::{
    servers::{lead, options, servers},
    shadow::{Began, Shadow},
};

/// The allocator of `petrel`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Number of times that everything is done.
const TURNS: usize = 3_000;

/// Number of firings that a young case sees.
const YOUNG: usize = 8;

/// Transitions that a case of one token goes there and back by.
const STEPS: [&str; 2] = ["there", "back"];

/// Operation that is measured, or that others are compared with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Publish,
    RawGet,
    Get,
    GetStrong,
    Create,
    FireYoung,
    FireOld,
    FireThree,
    /// A firing that five immediate ones follow.
    Cascade,
    /// The same messages as those of the operations above, no engine.
    SameGet,
    SameCreate,
    SameYoung,
    SameOld,
    SameThree,
}

impl Operation {
    const ALL: [Self; 14] = [
        Self::Publish,
        Self::RawGet,
        Self::Get,
        Self::GetStrong,
        Self::Create,
        Self::FireYoung,
        Self::FireOld,
        Self::FireThree,
        Self::Cascade,
        Self::SameGet,
        Self::SameCreate,
        Self::SameYoung,
        Self::SameOld,
        Self::SameThree,
    ];

    /// Operations that take turns: all of them, or each with what it is compared with.
    fn groups(alone: bool) -> Vec<Vec<Self>> {
        match alone {
            false => vec![Self::ALL.to_vec()],
            true => Self::ALL.into_iter().filter_map(Self::group).collect(),
        }
    }

    fn group(self) -> Option<Vec<Self>> {
        Some(vec![self.raw()?, self, self.same()?])
    }

    fn name(self) -> String {
        match self {
            Self::Publish => "raw publish of 800 bytes, acknowledged".to_owned(),
            Self::RawGet => "raw direct get".to_owned(),
            Self::Get => "token by workflow and id".to_owned(),
            Self::GetStrong => "the same, strong".to_owned(),
            Self::Create => "create a case with its token".to_owned(),
            Self::FireYoung => format!("fire 1 -> 1, up to {YOUNG} past transitions"),
            Self::FireOld => format!("fire 1 -> 1, {HISTORY_KEPT} past transitions"),
            Self::FireThree => "fire 3 -> 3".to_owned(),
            Self::Cascade => format!("fire 1 -> 1, {HISTORY_KEPT}, and a cascade of 5"),
            Self::SameGet => "no engine: get".to_owned(),
            Self::SameCreate => "no engine: create".to_owned(),
            Self::SameYoung => format!("no engine: 1 -> 1, up to {YOUNG}"),
            Self::SameOld => format!("no engine: 1 -> 1, {HISTORY_KEPT}"),
            Self::SameThree => "no engine: 3 -> 3".to_owned(),
        }
    }

    fn raw(self) -> Option<Self> {
        match self {
            Self::Publish | Self::RawGet => None,
            Self::Get | Self::GetStrong | Self::SameGet => Some(Self::RawGet),
            _ => Some(Self::Publish),
        }
    }

    /// The same messages without an engine; of a cascade, one firing.
    fn same(self) -> Option<Self> {
        match self {
            Self::Get => Some(Self::SameGet),
            Self::Create => Some(Self::SameCreate),
            Self::FireYoung => Some(Self::SameYoung),
            Self::FireOld => Some(Self::SameOld),
            Self::FireThree => Some(Self::SameThree),
            Self::Cascade => Some(Self::FireOld),
            _ => None,
        }
    }
}

fn definition() -> WorkflowDefinition {
    let arcs = |places: &[&str]| places.iter().map(|p| json!({"place": p})).collect::<Vec<_>>();
    let fires = |id: &str, from: &[&str], to: &[&str]| json!({"id": id, "inputs": arcs(from), "outputs": arcs(to)});
    let auto = |id: &str, from: &str, to: &str| json!({"id": id, "from_places": [from], "to_place": to, "auto": true});
    let places = ["a", "b", "x", "y", "z", "c1", "c2", "c3", "c4", "c5"];
    let places = places.map(|place| json!({"id": place}));
    serde_json::from_value(json!({
        "id": "ratios", "initial_place": "a",
        "places": places,
        "transitions": [
            fires("there", &["a"], &["b"]), fires("back", &["b"], &["a"]),
            fires("triple", &["a"], &["x", "y", "z"]),
            fires("round", &["x", "y", "z"], &["y", "z", "x"]),
            fires("along", &["a"], &["c1"]), auto("s1", "c1", "c2"), auto("s2", "c2", "c3"),
            auto("s3", "c3", "c4"), auto("s4", "c4", "c5"), auto("s5", "c5", "b")
        ]
    }))
    .unwrap()
}

struct Ratios {
    petrel: Petrel,
    floor: Floor,
    workflow: WorkflowId,
    /// Times in milliseconds.
    times: BTreeMap<Operation, Vec<f64>>,
}

impl Ratios {
    async fn time<T>(&mut self, operation: Operation, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = work.await;
        let took = begun.elapsed().as_secs_f64() * 1_000.0;
        self.times.entry(operation).or_default().push(took);
        done
    }

    fn begin(&self) -> impl Future<Output = Began> + use<> {
        let data = json!({"customer": "c-1207", "amount": 120, "currency": "EUR"});
        let new = NewCase { data, ..NewCase::of(self.workflow.clone()) };
        let petrel = self.petrel.clone();
        async move {
            let begun = petrel.create_case(new).await.unwrap();
            let tokens = begun.tokens.iter().map(|token| token.id.clone()).collect();
            Began { case: begun.case.id.clone(), tokens }
        }
    }

    fn fire(&self, case: &CaseId, transition: &str) -> impl Future<Output = Vec<TokenId>> + use<> {
        let transition = TransitionId::new(transition).unwrap();
        let fire = Fire::case(self.workflow.clone(), case.clone(), transition);
        let petrel = self.petrel.clone();
        async move {
            let fired = petrel.fire(fire).await.unwrap();
            fired.tokens.iter().map(|token| token.id.clone()).collect()
        }
    }

    fn get(&self, token: &TokenId, consistency: Consistency) -> impl Future<Output = ()> + use<> {
        let (petrel, workflow, token) = (self.petrel.clone(), self.workflow.clone(), token.clone());
        async move {
            petrel.token(Some(&workflow), &token, consistency).await.unwrap();
        }
    }

    /// The messages of the shadow's next firing.
    async fn same(&mut self, operation: Operation, shadow: &mut Shadow) {
        let (floor, moves) = (self.floor.clone(), shadow.moves());
        let Shadow { case, record, last, .. } = shadow;
        self.time(operation, floor.guarded(case, record, &moves, last)).await.unwrap();
    }

    /// A case whose token has as many past transitions as it keeps.
    async fn aged(&self) -> Began {
        let begun = self.begin().await;
        for step in 0..HISTORY_KEPT {
            self.fire(&begun.case, STEPS[step % 2]).await;
        }
        begun
    }

    /// Does these operations in turns, in each turn in another order.
    async fn measure(&mut self, mut order: Vec<Operation>) {
        let (old, long) = (self.aged().await, self.aged().await);
        let mut three = self.begin().await;
        three.tokens = self.fire(&three.case, "triple").await;
        let (place, raw) = (PlaceId::new("a").unwrap(), TokenId::new("raw").unwrap());
        let (floor, case) = (self.floor.clone(), CaseId::new("raw").unwrap());
        floor.put(&place, &raw, Bytes::from(vec![b'x'; 400])).await.unwrap();
        // As large as the one that the engine reads.
        let same = TokenId::new("same").unwrap();
        let body = Bytes::from(vec![b'x'; 800]);
        let mut begun = self.begin().await;
        let mut young = begun.clone();
        let petrel = self.petrel.clone();
        let mut shadows = [&["a", "b"][..], &["a", "b"], &["x", "y", "z"]].map(Shadow::new);
        let mut new = Shadow::new(&["a"]);
        new.take_sizes(&petrel, &begun).await;
        let mut random = StdRng::seed_from_u64(1);
        for turn in 0..TURNS {
            if turn % YOUNG == YOUNG / 2 || turn == 0 {
                for (shadow, engine) in shadows.iter_mut().zip([&young, &old, &three]) {
                    shadow.take_sizes(&petrel, engine).await;
                }
                floor.put(&place, &same, shadows[0].tokens[0].clone()).await.unwrap();
            }
            // Each leaves the server some work, so each is to come after each other one.
            order.shuffle(&mut random);
            let step = STEPS[turn % 2];
            for &operation in &order {
                match operation {
                    Operation::Publish => {
                        self.time(operation, floor.publish(&case, body.clone())).await.unwrap();
                    }
                    Operation::RawGet => {
                        self.time(operation, floor.get(&place, &raw)).await.unwrap();
                    }
                    Operation::Get => {
                        self.time(operation, self.get(&young.tokens[0], Consistency::Eventual))
                            .await;
                    }
                    Operation::GetStrong => {
                        self.time(operation, self.get(&young.tokens[0], Consistency::Strong)).await;
                    }
                    Operation::Create => begun = self.time(operation, self.begin()).await,
                    Operation::FireYoung => {
                        self.time(operation, self.fire(&young.case, step)).await;
                    }
                    Operation::FireOld => {
                        self.time(operation, self.fire(&old.case, step)).await;
                    }
                    Operation::FireThree => {
                        three.tokens = self.time(operation, self.fire(&three.case, "round")).await;
                    }
                    Operation::Cascade => {
                        self.time(operation, self.fire(&long.case, "along")).await;
                        self.fire(&long.case, "back").await;
                    }
                    Operation::SameGet => {
                        self.time(operation, floor.get_anywhere(&same)).await.unwrap();
                    }
                    Operation::SameCreate => {
                        let case = CaseId::new(format!("shadow-{}", Uuid::now_v7())).unwrap();
                        let token = TokenId::new(format!("{case}-1")).unwrap();
                        let (record, body) = (&new.record, &new.tokens[0]);
                        let begin = floor.begin(&case, record, (&token, &place), body);
                        self.time(operation, begin).await.unwrap();
                    }
                    Operation::SameYoung => self.same(operation, &mut shadows[0]).await,
                    Operation::SameOld => self.same(operation, &mut shadows[1]).await,
                    Operation::SameThree => self.same(operation, &mut shadows[2]).await,
                }
            }
            if (turn + 1) % YOUNG == 0 {
                if !order.contains(&Operation::Create) {
                    begun = self.begin().await;
                }
                young = begun.clone();
                shadows[0] = Shadow::new(&["a", "b"]);
                shadows[0].take_sizes(&petrel, &young).await;
            }
        }
    }

    fn print(&mut self) {
        let median = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let mut times = std::mem::take(&mut self.times);
        let medians: BTreeMap<_, _> =
            times.iter_mut().map(|(operation, times)| (*operation, median(times))).collect();
        println!();
        for (operation, time) in &medians {
            let to = |other: Option<Operation>| {
                let other = other.and_then(|other| medians.get(&other));
                other.map(|other| format!("{:.2}", time / other)).unwrap_or_default()
            };
            let (raw, same) = (to(operation.raw()), to(operation.same()));
            println!("{:<42} {time:.3} ms {raw:>6} {same:>6}", operation.name());
        }
    }
}

fn main() {
    // On one thread, so that no hop between threads is measured, neither of ours nor raw.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let size = servers();
        let cluster = LocalCluster::start(size, options()).await.unwrap();
        let first = &cluster.servers()[0];
        let settings = NatsStorageConfig {
            urls: vec![first.url()],
            replicas: (size > 1).then_some(size),
            ..NatsStorageConfig::development()
        };
        let storage = NatsStorage::connect(settings.clone()).await.unwrap();
        let petrel = Petrel::new(Arc::new(storage));
        petrel.create_workflow(definition(), ExpectedVersion::Any).await.unwrap();
        let floor = Floor::connect(&settings).await.unwrap();
        if size > 1 {
            lead(&settings, first.name()).await;
            println!("{size} servers, and as many replicas");
        }
        let (workflow, times) = (definition().id, BTreeMap::new());
        let mut ratios = Ratios { petrel, floor, workflow, times };
        println!(
            "{TURNS} turns, medians; as multiples of the raw operation, and of the same\n\
             messages without an engine"
        );
        for operations in Operation::groups(std::env::args().any(|flag| flag == "--alone")) {
            ratios.measure(operations).await;
            ratios.print();
        }
        cluster.stop().await.unwrap();
    });
}
