//! Load: many clients that fire at once, beside the raw server and others under the same load.

use std::{sync::Arc, time::Duration};

use futures::future::try_join_all;
use serde::Serialize;
use serde_json::json;

use super::{
    driver::{Driver, Kind, Ring},
    peer::{Peer, PeerError, PeerSetup},
    turns::{Side, Turns},
};
use crate::{
    petrel::{self, ExpectedVersion, NewCase, Petrel},
    storage::nats::Floor,
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
    /// Number of times that the sides take turns.
    pub rounds: usize,
    /// Length of each turn.
    pub turn: Duration,
    /// True if the engine's server has a change on disk before it acknowledges it; `None` if
    /// that is not known.
    pub on_disk: Option<bool>,
    /// Other systems that take turns, too.
    pub peers: Vec<Arc<dyn Peer>>,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            clients: 64,
            cases: 1_024,
            rounds: 5,
            turn: Duration::from_secs(2),
            on_disk: None,
            peers: Vec::new(),
        }
    }
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
    /// The other systems.
    pub peers: Vec<PeerReport>,
}

/// Results of a peer.
#[derive(Debug, Clone, Serialize)]
pub struct PeerReport {
    /// The peer.
    #[serde(flatten)]
    pub setup: PeerSetup,
    /// Its speed.
    #[serde(flatten)]
    pub side: Side,
    /// The median over the rounds of the engine's rate, divided by the peer's in the same
    /// round.
    pub ratio: f64,
    /// True if both or neither have a firing on disk before it is acknowledged; `None` if that
    /// is not known of the engine's server.
    pub equal_durability: Option<bool>,
}

/// Reason that a load could not be carried to its end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine or its server.
    #[error(transparent)]
    Engine(#[from] petrel::Error),
    /// A peer.
    #[error(transparent)]
    Peer(#[from] PeerError),
}

impl Load {
    /// Creates the cases, lets the sides take turns, and reports the speed of each.
    /// `progress` is called with the number of turns done and the number of all turns.
    pub async fn run(
        &self,
        petrel: &Petrel,
        floor: &Floor,
        progress: impl Fn(u64, u64),
    ) -> Result<Report, LoadError> {
        let clients = self.clients.max(1);
        let all = self.cases.max(clients);
        let rounds = self.rounds.max(1);
        let mut drivers = self.drivers(petrel, floor, clients, all).await?;
        let kinds = Kind::OWN.into_iter().chain((0..self.peers.len()).map(Kind::Peer));
        let mut sides: Vec<_> = kinds.map(|kind| (kind, Turns::new())).collect();
        let (mut done, turns) = (0, rounds * sides.len());
        for _ in 0..rounds {
            for driver in &mut drivers {
                driver.take_sizes().await?;
            }
            for (kind, turns_of) in &mut sides {
                progress(done as u64, turns as u64);
                drivers = turns_of.take(drivers, self.turn, *kind).await?;
                done += 1;
            }
        }
        progress(done as u64, turns as u64);
        let mut sides = sides.into_iter().map(|(_, turns)| turns);
        let (Some(floor), Some(guarded), Some(engine)) = (sides.next(), sides.next(), sides.next())
        else {
            unreachable!("these come before the peers")
        };
        let peers = self.peers.iter().zip(sides);
        Ok(Report {
            clients,
            cases: all,
            ratio: engine.ratio(&floor),
            ratio_to_guarded: engine.ratio(&guarded),
            guarded_ratio: guarded.ratio(&floor),
            peers: peers.map(|(peer, turns)| self.peer_report(&**peer, turns, &engine)).collect(),
            engine: engine.side(),
            guarded: guarded.side(),
            floor: floor.side(),
        })
    }

    fn peer_report(&self, peer: &dyn Peer, turns: Turns, engine: &Turns) -> PeerReport {
        let setup = peer.setup();
        let equal_durability = self.on_disk.map(|on_disk| on_disk == setup.on_disk);
        let ratio = engine.ratio(&turns);
        PeerReport { setup, side: turns.side(), ratio, equal_durability }
    }

    async fn drivers(
        &self,
        petrel: &Petrel,
        floor: &Floor,
        clients: usize,
        all: usize,
    ) -> Result<Vec<Driver>, LoadError> {
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
        let mut drivers: Vec<_> = (0..clients).map(|_| Driver::new(petrel, floor, &ring)).collect();
        for (number, changed) in begun.iter().enumerate() {
            let (case, token) = (changed.case.id.clone(), changed.tokens[0].id.clone());
            drivers[number % clients].take_case(case, token);
        }
        for peer in &self.peers {
            for driver in &mut drivers {
                driver.take_peer(peer.client(&driver.first_tokens()).await?);
            }
        }
        // One firing each, so that the first round knows what a firing stores.
        for some in drivers.chunks_mut(CREATED_AT_ONCE) {
            try_join_all(some.iter_mut().map(Driver::fire)).await?;
        }
        Ok(drivers)
    }
}
