//! Load: many clients that fire at once, beside the raw server and others under the same load.

use std::{sync::Arc, time::Duration};

use futures::future::try_join_all;
use rand::seq::SliceRandom;
use serde::Serialize;
use serde_json::json;

use super::{
    driver::{EngineDriver, Mine, PeerDriver},
    peer::{FirstToken, Peer, PeerError, PeerSetup},
    raw::{MOST, Messages, Raw, RawSide},
    ring::{Bodies, Ring},
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
    /// The same messages with the same conditions, in the same order and batches, and no engine.
    pub guarded: RawSide,
    /// The same with no more in flight than the engine has: one firing of each client, and one
    /// connection.
    pub waiting: RawSide,
    /// Three plain publishes of the same sizes for each firing, sent together.
    pub floor: RawSide,
    /// One plain publish of the record for each firing.
    pub publish: RawSide,
    /// The median over the rounds of the engine's rate, divided by the floor's in the same
    /// round.
    pub ratio: f64,
    /// The same, divided by the rate of the same messages without an engine.
    pub ratio_to_guarded: f64,
    /// The same, divided by the rate of those with no more in flight than the engine has.
    pub ratio_to_waiting: f64,
    /// The same, divided by the rate of one plain publish.
    pub ratio_to_publish: f64,
    /// The rate of the same messages without an engine, divided by the floor's: the ratio that
    /// an engine without any cost would reach.
    pub guarded_ratio: f64,
    /// The rate of `waiting`, divided by that of `guarded`: the ratio that an engine without any
    /// cost would reach, since its clients wait for their own firings.
    pub waiting_ratio: f64,
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
    /// Number of connections that the raw server is tried with at most. One client waits for one
    /// firing, and more have nothing to do.
    pub fn connections(&self) -> usize {
        if self.clients <= 1 { 1 } else { MOST }
    }

    /// Creates the cases, lets the sides take turns, and reports the speed of each. The raw server
    /// is reached by as many of `connections` as are fastest; there is at least one. `progress` is
    /// called with the number of turns done and the number of all turns.
    pub async fn run(
        &self,
        petrel: &Petrel,
        connections: &[Floor],
        progress: impl Fn(u64, u64),
    ) -> Result<Report, LoadError> {
        let clients = self.clients.max(1);
        let cases = self.cases.max(clients);
        let rounds = self.rounds.max(1);
        let ring = Arc::new(Ring::new()?);
        let firsts = create(petrel, &ring, cases).await?;
        let mine = Mine::deal(&ring, &firsts, clients);
        let mut peers = self.peer_drivers(&mine).await?;
        let driver = |mine| EngineDriver { petrel: petrel.clone(), mine };
        let mut drivers: Vec<_> = mine.into_iter().map(driver).collect();
        let mut engine = Turns::default();
        // A turn that does not count: the raw server is tried with tokens that have a history.
        drivers = Turns::default().take(drivers, self.turn).await?;
        let raw =
            |messages, through: &[Floor]| Raw::new(messages, through, &ring, &firsts, clients);
        let tried = [Messages::One, Messages::Three, Messages::Guarded];
        let mut tried = tried.map(|messages| raw(messages, connections));
        let apart = connections[0].apart().map_err(petrel::Error::from)?;
        let mut waiting = raw(Messages::Guarded, &[apart]);
        let sides = 1 + tried.len() + 1 + peers.len();
        let (mut done, all) = (0, tried.len() + 1 + rounds * sides);
        let mut step = || {
            progress(done, all as u64);
            done += 1;
        };
        let mut bodies = ring.bodies(petrel, &firsts[0]).await?;
        for side in &mut tried {
            step();
            side.try_flights(self.turn, &bodies).await?;
        }
        step();
        waiting.warm(self.turn, &bodies).await?;
        let [publish, floor, guarded] = tried;
        let mut raw = [publish, floor, guarded, waiting];
        let mut order: Vec<_> = (0..sides).collect();
        for _ in 0..rounds {
            // The disk may be busy yet with what the one before wrote; so each comes after each.
            order.shuffle(&mut rand::rng());
            for &side in &order {
                step();
                if side == 0 {
                    drivers = engine.take(drivers, self.turn).await?;
                } else if let Some(raw) = raw.get_mut(side - 1) {
                    raw.take(self.turn, &bodies).await?;
                } else {
                    let (of_peer, turns) = &mut peers[side - 1 - raw.len()];
                    of_peer.iter_mut().for_each(|driver| driver.bodies = bodies.clone());
                    *of_peer = turns.take(std::mem::take(of_peer), self.turn).await?;
                }
            }
            bodies = ring.bodies(petrel, &firsts[0]).await?;
        }
        step();
        let peers = peers.into_iter().map(|(_, turns)| turns).collect();
        Ok(self.report((clients, cases), engine, raw, peers))
    }

    fn report(
        &self,
        (clients, cases): (usize, usize),
        engine: Turns,
        [publish, floor, guarded, waiting]: [Raw; 4],
        peers: Vec<Turns>,
    ) -> Report {
        let peers = self.peers.iter().zip(peers);
        Report {
            clients,
            cases,
            ratio: engine.ratio(&floor.turns),
            ratio_to_guarded: engine.ratio(&guarded.turns),
            ratio_to_waiting: engine.ratio(&waiting.turns),
            ratio_to_publish: engine.ratio(&publish.turns),
            guarded_ratio: guarded.turns.ratio(&floor.turns),
            waiting_ratio: waiting.turns.ratio(&guarded.turns),
            peers: peers.map(|(peer, turns)| self.peer_report(&**peer, turns, &engine)).collect(),
            engine: engine.side(),
            guarded: guarded.side(),
            waiting: waiting.side(),
            floor: floor.side(),
            publish: publish.side(),
        }
    }

    fn peer_report(&self, peer: &dyn Peer, turns: Turns, engine: &Turns) -> PeerReport {
        let setup = peer.setup();
        let equal_durability = self.on_disk.map(|on_disk| on_disk == setup.on_disk);
        let ratio = engine.ratio(&turns);
        PeerReport { setup, side: turns.side(), ratio, equal_durability }
    }

    /// The clients of each peer.
    async fn peer_drivers(
        &self,
        clients: &[Mine],
    ) -> Result<Vec<(Vec<PeerDriver>, Turns)>, LoadError> {
        let mut peers = Vec::new();
        for peer in &self.peers {
            let mut drivers = Vec::new();
            for mine in clients {
                let client = peer.client(mine.cases()).await?;
                drivers.push(PeerDriver { client, mine: mine.clone(), bodies: Bodies::default() });
            }
            peers.push((drivers, Turns::default()));
        }
        Ok(peers)
    }
}

/// Creates so many cases.
async fn create(petrel: &Petrel, ring: &Ring, all: usize) -> petrel::Result<Vec<FirstToken>> {
    petrel.create_workflow(ring.definition(), ExpectedVersion::Any).await?;
    let mut begun = Vec::with_capacity(all);
    while begun.len() < all {
        let some = CREATED_AT_ONCE.min(all - begun.len());
        let data = json!({"customer": "c-1207", "amount": 120, "currency": "EUR"});
        let new = NewCase { data, ..NewCase::of(ring.workflow.clone()) };
        let created = try_join_all((0..some).map(|_| petrel.create_case(new.clone()))).await?;
        begun.extend(created.iter().map(|begun| ring.first(begun)));
    }
    Ok(begun)
}
