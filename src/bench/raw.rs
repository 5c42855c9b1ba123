//! The raw server: the messages of firings without the engine, with as many under way at once as
//! helps it most.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use super::{
    driver::Driver,
    load::LoadError,
    peer::FirstToken,
    ring::{Bodies, Ring},
    turns::{Side, Turns},
};
use crate::{
    petrel,
    storage::nats::{Floor, Sequences},
};

/// Multiples of the clients' number that are tried, and numbers of connections, up to the most.
const MULTIPLES: [usize; 3] = [1, 2, MOST];
const CONNECTIONS: [usize; 3] = [1, 2, MOST];
pub(super) const MOST: usize = 4;

/// Number of times that each of them is tried, and the part of a turn that it has each time.
const TRIED_TIMES: usize = 2;
const TRIED_FOR: u32 = 4;

/// The messages that stand for a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Messages {
    /// The record alone.
    One,
    /// The record, an empty message and the token, sent together.
    Three,
    /// Those of the engine, with its conditions, batches and order.
    Guarded,
}

/// Number of firings that are under way at once, and of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Flight {
    /// Number of firings.
    pub in_flight: usize,
    /// Number of connections that they share.
    pub connections: usize,
}

/// A flight that was tried for parts of a turn.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Tried {
    /// The flight.
    #[serde(flatten)]
    pub flight: Flight,
    /// Firings a second.
    pub rate: f64,
}

/// Results of the raw server.
#[derive(Debug, Clone, Serialize)]
pub struct RawSide {
    /// Its speed.
    #[serde(flatten)]
    pub side: Side,
    /// The flight with which it was measured: the fastest that was tried, or the engine's.
    #[serde(flatten)]
    pub flight: Flight,
    /// All that were tried; none with one client, or where it is the engine's.
    pub tried: Vec<Tried>,
}

/// A side of the raw server.
#[derive(Debug)]
pub(super) struct Raw {
    messages: Messages,
    connections: Vec<Floor>,
    ring: Arc<Ring>,
    cases: Vec<RawCase>,
    flight: Flight,
    tried: Vec<Tried>,
    pub(super) turns: Turns,
}

/// A case, and what the next firing in it expects.
#[derive(Debug)]
struct RawCase {
    first: FirstToken,
    last: Sequences,
    steps: usize,
}

impl Raw {
    pub(super) fn new(
        messages: Messages,
        connections: &[Floor],
        ring: &Arc<Ring>,
        cases: &[FirstToken],
        clients: usize,
    ) -> Self {
        // Without a condition, several may be under way in one case.
        let most = match messages {
            Messages::Guarded => cases.len(),
            Messages::One | Messages::Three => cases.len().max(clients * MOST),
        };
        let begun = |first: &FirstToken| RawCase {
            first: first.clone(),
            last: Sequences::default(),
            steps: 0,
        };
        Self {
            messages,
            connections: connections.to_vec(),
            ring: Arc::clone(ring),
            cases: cases.iter().cycle().take(most).map(begun).collect(),
            flight: Flight { in_flight: clients, connections: 1 },
            tried: Vec::new(),
            turns: Turns::default(),
        }
    }

    /// Tries what may be faster than one firing of each client and one connection, and keeps the
    /// fastest. One client's is always one: its time is measured.
    pub(super) async fn try_flights(
        &mut self,
        turn: Duration,
        bodies: &Bodies,
    ) -> Result<(), LoadError> {
        let clients = self.flight.in_flight;
        if clients == 1 {
            return Ok(());
        }
        let (connections, cases) = (self.connections.len(), self.cases.len());
        let flights = CONNECTIONS.into_iter().flat_map(|connections| {
            MULTIPLES.map(|times| Flight { in_flight: times * clients, connections })
        });
        let possible =
            flights.filter(|flight| flight.connections <= connections && flight.in_flight <= cases);
        let mut tried: Vec<_> = possible.map(|flight| Tried { flight, rate: 0.0 }).collect();
        for _ in 0..TRIED_TIMES {
            for Tried { flight, rate } in &mut tried {
                let mut turns = Turns::default();
                self.fly(*flight, turn / TRIED_FOR, bodies, &mut turns).await?;
                // Their mean: the disk gives a short part luck now and then.
                *rate += turns.side().rate / TRIED_TIMES as f64;
            }
        }
        let fastest = tried.iter().max_by(|one, other| one.rate.total_cmp(&other.rate));
        self.flight = fastest.map_or(self.flight, |tried| tried.flight);
        self.tried = tried;
        Ok(())
    }

    /// A turn that does not count, as long as all that [`try_flights`](Self::try_flights) takes:
    /// its cases and its batches have a history then, as those of the others. With one client none
    /// is tried.
    pub(super) async fn warm(&mut self, turn: Duration, bodies: &Bodies) -> Result<(), LoadError> {
        if self.flight.in_flight == 1 {
            return Ok(());
        }
        let flights = MULTIPLES.len() * CONNECTIONS.len() * TRIED_TIMES;
        let long = turn * flights as u32 / TRIED_FOR;
        self.fly(self.flight, long, bodies, &mut Turns::default()).await
    }

    pub(super) async fn take(&mut self, turn: Duration, bodies: &Bodies) -> Result<(), LoadError> {
        let mut turns = std::mem::take(&mut self.turns);
        self.fly(self.flight, turn, bodies, &mut turns).await?;
        self.turns = turns;
        Ok(())
    }

    async fn fly(
        &mut self,
        Flight { in_flight, connections }: Flight,
        turn: Duration,
        bodies: &Bodies,
        turns: &mut Turns,
    ) -> Result<(), LoadError> {
        let driver = |number: usize| RawDriver {
            messages: self.messages,
            floor: self.connections[number % connections].clone(),
            ring: Arc::clone(&self.ring),
            bodies: bodies.clone(),
            cases: Vec::new(),
            next: 0,
        };
        let mut drivers: Vec<_> = (0..in_flight).map(driver).collect();
        for (number, case) in self.cases.drain(..).enumerate() {
            drivers[number % in_flight].cases.push(case);
        }
        let drivers = turns.take(drivers, turn).await?;
        self.cases = drivers.into_iter().flat_map(|driver| driver.cases).collect();
        Ok(())
    }

    pub(super) fn side(self) -> RawSide {
        RawSide { side: self.turns.side(), flight: self.flight, tried: self.tried }
    }
}

/// One firing after the other through one connection.
#[derive(Debug)]
struct RawDriver {
    messages: Messages,
    floor: Floor,
    ring: Arc<Ring>,
    bodies: Bodies,
    cases: Vec<RawCase>,
    next: usize,
}

impl Driver for RawDriver {
    async fn fire(&mut self) -> Result<(), LoadError> {
        Ok(self.store().await?)
    }
}

impl RawDriver {
    async fn store(&mut self) -> petrel::Result<()> {
        let Self { messages, floor, ring, bodies, cases, next } = self;
        let number = *next % cases.len();
        *next += 1;
        let RawCase { first, last, steps } = &mut cases[number];
        let record = bodies.record(*steps);
        let moved = || ring.moved(first, *steps, bodies);
        match messages {
            Messages::One => {
                floor.publish(&first.case, record).await?;
            }
            Messages::Three => floor.firing(&first.case, &record, &[moved()]).await?,
            Messages::Guarded => floor.guarded(&first.case, &record, &[moved()], last).await?,
        }
        *steps += 1;
        Ok(())
    }
}
