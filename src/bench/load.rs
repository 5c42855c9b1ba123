//! Load: many clients that fire at once, beside the raw server under the same load.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::json;

use crate::{
    models::{CaseId, PlaceId, TokenId, TransitionId, WorkflowDefinition, WorkflowId},
    petrel::{ExpectedVersion, Fire, NewCase, Petrel, Result},
    storage::{
        Consistency, ReadPath,
        nats::{Floor, Moved, Sequences},
    },
};

/// Number of cases that are created at once before the load begins.
const CREATED_AT_ONCE: usize = 64;

/// Settings of one load.
#[derive(Debug, Clone)]
pub struct Load {
    /// Number of clients that fire at once, each in cases of its own.
    pub clients: usize,
    /// Number of cases; at least one a client.
    pub cases: usize,
    /// Number of times that the three sides take turns.
    pub rounds: usize,
    /// Length of each turn.
    pub turn: Duration,
}

impl Default for Load {
    fn default() -> Self {
        Self { clients: 64, cases: 1_024, rounds: 5, turn: Duration::from_secs(2) }
    }
}

/// Results of one side over its turns.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// Firings a second, of each turn in order.
    pub rates: Vec<f64>,
    /// The median of the rates.
    pub rate: f64,
    /// Longest time of the faster half of the firings, in milliseconds.
    pub p50_ms: f64,
    /// Longest time of the fastest 99 % of the firings, in milliseconds.
    pub p99_ms: f64,
}

/// Results of a load.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Number of clients.
    pub clients: usize,
    /// Number of cases.
    pub cases: usize,
    /// The engine: one token moved in each firing.
    pub engine: Side,
    /// The same messages with the same conditions, in the same order, and no engine.
    pub guarded: Side,
    /// Three plain publishes of the same sizes for each firing, sent together.
    pub floor: Side,
    /// The median over the rounds of the engine's rate, divided by the floor's in the same
    /// round.
    pub ratio: f64,
    /// The same, divided by the rate of the same messages without an engine.
    pub ratio_to_guarded: f64,
    /// The rate of the same messages without an engine, divided by the floor's: the ratio that
    /// an engine without any cost would reach.
    pub guarded_ratio: f64,
}

impl Load {
    /// Creates the cases, lets the three sides take turns, and reports the speed of each.
    /// `progress` is called with the number of turns done and the number of all turns.
    pub async fn run(
        &self,
        petrel: &Petrel,
        floor: &Floor,
        progress: impl Fn(u64, u64),
    ) -> Result<Report> {
        let clients = self.clients.max(1);
        let all = self.cases.max(clients);
        let rounds = self.rounds.max(1);
        let mut drivers = self.drivers(petrel, floor, clients, all).await?;
        let mut sides = Kind::ALL.map(|kind| (kind, Turns::new()));
        let (mut done, turns) = (0, rounds * sides.len());
        for _ in 0..rounds {
            self.take_sizes(petrel, &mut drivers).await?;
            for (kind, turns_of) in &mut sides {
                progress(done as u64, turns as u64);
                drivers = turns_of.take(drivers, self.turn, *kind).await?;
                done += 1;
            }
        }
        progress(done as u64, turns as u64);
        let [floor, guarded, engine] = sides.map(|(_, turns)| turns);
        Ok(Report {
            clients,
            cases: all,
            ratio: engine.ratio(&floor),
            ratio_to_guarded: engine.ratio(&guarded),
            guarded_ratio: guarded.ratio(&floor),
            engine: engine.side(),
            guarded: guarded.side(),
            floor: floor.side(),
        })
    }

    async fn drivers(
        &self,
        petrel: &Petrel,
        floor: &Floor,
        clients: usize,
        all: usize,
    ) -> Result<Vec<Driver>> {
        let ring = Arc::new(Ring::new()?);
        let definition = ring.definition();
        petrel.create_workflow(definition, ExpectedVersion::Any).await?;
        let mut begun = Vec::with_capacity(all);
        while begun.len() < all {
            let some = CREATED_AT_ONCE.min(all - begun.len());
            let data = json!({"customer": "c-1207", "amount": 120, "currency": "EUR"});
            let new = NewCase { data, ..NewCase::of(ring.workflow.clone()) };
            begun.extend(try_join_all((0..some).map(|_| petrel.create_case(new.clone()))).await?);
        }
        let driver = Driver {
            petrel: petrel.clone(),
            floor: floor.clone(),
            ring,
            record: Bytes::new(),
            token: Bytes::new(),
            mine: Vec::new(),
            steps: [0; Kind::ALL.len()],
        };
        let mut drivers = vec![driver; clients];
        for (number, changed) in begun.iter().enumerate() {
            let (case, token) = (changed.case.id.clone(), changed.tokens[0].id.clone());
            drivers[number % clients].mine.push(Mine { case, token, last: Sequences::default() });
        }
        // One firing each, so that the first round knows what a firing stores.
        for some in drivers.chunks_mut(CREATED_AT_ONCE) {
            try_join_all(some.iter_mut().map(Driver::fire)).await?;
        }
        Ok(drivers)
    }

    /// Tells the drivers the sizes of the messages that a firing stores by now. A token that
    /// has moved more carries a longer history.
    async fn take_sizes(&self, petrel: &Petrel, drivers: &mut [Driver]) -> Result<()> {
        let json = |written: serde_json::Result<Vec<u8>>| Bytes::from(written.unwrap_or_default());
        for driver in drivers {
            let Mine { case, token, .. } = &driver.mine[0];
            let storage = petrel.storage();
            let workflow = &driver.ring.workflow;
            if let Some(head) = storage.head(workflow, case, Consistency::Strong).await? {
                driver.record = json(serde_json::to_vec(&head.value));
            }
            if let Some(token) = storage.token(workflow, token, ReadPath::Direct.into()).await? {
                driver.token = json(serde_json::to_vec(&token));
            }
        }
        Ok(())
    }
}

/// The workflow under load: two places and a transition each way.
#[derive(Debug)]
struct Ring {
    workflow: WorkflowId,
    places: [PlaceId; 2],
    transitions: [TransitionId; 2],
}

impl Ring {
    fn new() -> Result<Self> {
        Ok(Self {
            workflow: WorkflowId::new("ring")?,
            places: [PlaceId::new("here")?, PlaceId::new("there")?],
            transitions: [TransitionId::new("go")?, TransitionId::new("return")?],
        })
    }

    fn definition(&self) -> WorkflowDefinition {
        let ([here, there], [go, back]) = (&self.places, &self.transitions);
        let definition = json!({
            "id": self.workflow,
            "name": "Ring",
            "initial_place": here,
            "places": [{"id": here}, {"id": there}],
            "transitions": [
                {"id": go, "from_places": [here], "to_place": there},
                {"id": back, "from_places": [there], "to_place": here}
            ]
        });
        serde_json::from_value(definition)
            .unwrap_or_else(|error| unreachable!("a constant: {error}"))
    }

    /// The firing of a case that has made so many steps.
    fn fire(&self, case: &CaseId, steps: usize) -> Fire {
        let transition = self.transitions[steps % 2].clone();
        Fire::case(self.workflow.clone(), case.clone(), transition)
    }
}

/// One client.
#[derive(Debug, Clone)]
struct Driver {
    petrel: Petrel,
    floor: Floor,
    ring: Arc<Ring>,
    record: Bytes,
    token: Bytes,
    mine: Vec<Mine>,
    /// Number of steps that it has made on each side.
    steps: [usize; Kind::ALL.len()],
}

/// One of a client's cases.
#[derive(Debug, Clone)]
struct Mine {
    case: CaseId,
    token: TokenId,
    last: Sequences,
}

/// The sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Floor,
    Guarded,
    Engine,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Floor, Self::Guarded, Self::Engine];
}

impl Driver {
    /// Fires in its cases, one after the other, until the time is up.
    async fn drive(mut self, kind: Kind, until: Instant) -> Result<(Self, Histogram<u64>)> {
        let mut times = histogram();
        loop {
            let begun = Instant::now();
            if begun >= until {
                return Ok((self, times));
            }
            match kind {
                Kind::Engine => self.fire().await?,
                Kind::Floor | Kind::Guarded => self.publish(kind).await?,
            }
            let nanoseconds = begun.elapsed().as_nanos();
            times.saturating_record(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        }
    }

    /// Its next case on a side, and the number of steps made there. Counts this step.
    fn next(&mut self, kind: Kind) -> (usize, usize) {
        let steps = &mut self.steps[kind as usize];
        let next = (*steps % self.mine.len(), *steps / self.mine.len());
        *steps += 1;
        next
    }

    async fn fire(&mut self) -> Result<()> {
        let (mine, steps) = self.next(Kind::Engine);
        self.petrel.fire(self.ring.fire(&self.mine[mine].case, steps)).await?;
        Ok(())
    }

    /// Stores the messages of a firing, without the engine.
    async fn publish(&mut self, kind: Kind) -> Result<()> {
        let (mine, steps) = self.next(kind);
        let [from, to] = [steps % 2, (steps + 1) % 2].map(|place| self.ring.places[place].clone());
        let Mine { case, token, last } = &mut self.mine[mine];
        let moved = Moved { token: token.clone(), from, to, body: self.token.clone() };
        match kind {
            Kind::Guarded => self.floor.guarded(case, &self.record, &moved, last).await?,
            _ => self.floor.firing(case, &self.record, &[moved]).await?,
        }
        Ok(())
    }
}

/// The turns of one side.
#[derive(Debug)]
struct Turns {
    rates: Vec<f64>,
    times: Histogram<u64>,
}

impl Turns {
    fn new() -> Self {
        Self { rates: Vec::new(), times: histogram() }
    }

    async fn take(
        &mut self,
        drivers: Vec<Driver>,
        turn: Duration,
        kind: Kind,
    ) -> Result<Vec<Driver>> {
        let begun = Instant::now();
        let tasks = drivers.into_iter().map(|one| tokio::spawn(one.drive(kind, begun + turn)));
        let mut drivers = Vec::new();
        let mut done = 0;
        for ended in join_all(tasks).await {
            let (driver, times) = match ended {
                Ok(driven) => driven?,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            done += times.len();
            self.times += times;
            drivers.push(driver);
        }
        self.rates.push(done as f64 / begun.elapsed().as_secs_f64());
        Ok(drivers)
    }

    /// The median over the rounds of this side's rate, divided by the other's.
    fn ratio(&self, other: &Self) -> f64 {
        let pairs = self.rates.iter().zip(&other.rates);
        median(pairs.map(|(this, other)| this / other).collect())
    }

    fn side(self) -> Side {
        let milliseconds = |quantile| self.times.value_at_quantile(quantile) as f64 / 1e6;
        let (p50_ms, p99_ms) = (milliseconds(0.5), milliseconds(0.99));
        Side { rate: median(self.rates.clone()), rates: self.rates, p50_ms, p99_ms }
    }
}

/// Histogram of nanoseconds up to a minute, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 3)
        .unwrap_or_else(|error| unreachable!("these bounds are allowed: {error}"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
