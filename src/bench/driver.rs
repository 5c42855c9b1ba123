//! The clients under load, and the sides that they take turns on.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use serde_json::json;

use super::{
    load::LoadError,
    peer::{FirstToken, PeerClient, PeerFiring},
    turns::histogram,
};
use crate::{
    models::{CaseId, PlaceId, TokenId, TransitionId, WorkflowDefinition, WorkflowId},
    petrel::{self, Fire, Petrel},
    storage::{
        Consistency, ReadPath,
        nats::{Floor, Moved, Sequences},
    },
};

/// The workflow under load: two places and a transition each way.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) workflow: WorkflowId,
    places: [PlaceId; 2],
    transitions: [TransitionId; 2],
}

impl Ring {
    pub(super) fn new() -> petrel::Result<Self> {
        Ok(Self {
            workflow: WorkflowId::new("ring")?,
            places: [PlaceId::new("here")?, PlaceId::new("there")?],
            transitions: [TransitionId::new("go")?, TransitionId::new("return")?],
        })
    }

    pub(super) fn definition(&self) -> WorkflowDefinition {
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

/// The sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Floor,
    Guarded,
    Engine,
    /// The peer with this number.
    Peer(usize),
}

impl Kind {
    /// The engine and the raw server, in the order of their turns. Peers follow.
    pub(super) const OWN: [Self; 3] = [Self::Floor, Self::Guarded, Self::Engine];

    /// Its number among the sides.
    fn number(self) -> usize {
        match self {
            Self::Floor => 0,
            Self::Guarded => 1,
            Self::Engine => 2,
            Self::Peer(number) => Self::OWN.len() + number,
        }
    }
}

/// One client.
#[derive(Debug)]
pub(super) struct Driver {
    petrel: Petrel,
    floor: Floor,
    ring: Arc<Ring>,
    record: Bytes,
    token: Bytes,
    mine: Vec<Mine>,
    /// Its client of each peer.
    peers: Vec<Box<dyn PeerClient>>,
    /// Number of steps that it has made on each side.
    steps: Vec<usize>,
}

/// One of a client's cases.
#[derive(Debug, Clone)]
struct Mine {
    case: CaseId,
    token: TokenId,
    last: Sequences,
}

impl Driver {
    pub(super) fn new(petrel: &Petrel, floor: &Floor, ring: &Arc<Ring>) -> Self {
        Self {
            petrel: petrel.clone(),
            floor: floor.clone(),
            ring: Arc::clone(ring),
            record: Bytes::new(),
            token: Bytes::new(),
            mine: Vec::new(),
            peers: Vec::new(),
            steps: vec![0; Kind::OWN.len()],
        }
    }

    /// Gives it a case that has just begun.
    pub(super) fn take_case(&mut self, case: CaseId, token: TokenId) {
        self.mine.push(Mine { case, token, last: Sequences::default() });
    }

    /// The tokens that its cases have begun with.
    pub(super) fn first_tokens(&self) -> Vec<FirstToken> {
        let place = &self.ring.places[0];
        let first = |Mine { case, token, .. }: &Mine| FirstToken {
            case: case.clone(),
            token: token.clone(),
            place: place.clone(),
        };
        self.mine.iter().map(first).collect()
    }

    /// Gives it a client of the next peer.
    pub(super) fn take_peer(&mut self, client: Box<dyn PeerClient>) {
        self.peers.push(client);
        self.steps.push(0);
    }

    /// Reads the sizes of the messages that a firing stores by now. A token that has moved
    /// more carries a longer history.
    pub(super) async fn take_sizes(&mut self) -> petrel::Result<()> {
        let json = |written: serde_json::Result<Vec<u8>>| Bytes::from(written.unwrap_or_default());
        let Mine { case, token, .. } = &self.mine[0];
        let (storage, workflow) = (self.petrel.storage(), &self.ring.workflow);
        if let Some(head) = storage.head(workflow, case, Consistency::Strong).await? {
            self.record = json(serde_json::to_vec(&head.value));
        }
        if let Some(token) = storage.token(workflow, token, ReadPath::Direct.into()).await? {
            self.token = json(serde_json::to_vec(&token));
        }
        Ok(())
    }

    /// Fires in its cases, one after the other, until the time is up.
    pub(super) async fn drive(
        mut self,
        kind: Kind,
        until: Instant,
    ) -> Result<(Self, Histogram<u64>), LoadError> {
        let mut times = histogram();
        loop {
            let begun = Instant::now();
            if begun >= until {
                return Ok((self, times));
            }
            match kind {
                Kind::Engine => self.fire().await?,
                Kind::Floor | Kind::Guarded => self.publish(kind).await?,
                Kind::Peer(number) => self.fire_at(number).await?,
            }
            let nanoseconds = begun.elapsed().as_nanos();
            times.saturating_record(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        }
    }

    /// Its next case on a side, and the number of steps made there. Counts this step.
    fn next(&mut self, kind: Kind) -> (usize, usize) {
        let steps = &mut self.steps[kind.number()];
        let next = (*steps % self.mine.len(), *steps / self.mine.len());
        *steps += 1;
        next
    }

    /// The move of a case's token in the step after so many.
    fn moved(&self, mine: usize, steps: usize) -> Moved {
        let [from, to] = [steps % 2, (steps + 1) % 2].map(|place| self.ring.places[place].clone());
        Moved { token: self.mine[mine].token.clone(), from, to, body: self.token.clone() }
    }

    /// Fires with the engine.
    pub(super) async fn fire(&mut self) -> petrel::Result<()> {
        let (mine, steps) = self.next(Kind::Engine);
        self.petrel.fire(self.ring.fire(&self.mine[mine].case, steps)).await?;
        Ok(())
    }

    /// Stores the messages of a firing, without the engine.
    async fn publish(&mut self, kind: Kind) -> petrel::Result<()> {
        let (mine, steps) = self.next(kind);
        let moved = self.moved(mine, steps);
        let Mine { case, last, .. } = &mut self.mine[mine];
        match kind {
            Kind::Guarded => self.floor.guarded(case, &self.record, &[moved], last).await?,
            _ => self.floor.firing(case, &self.record, &[moved]).await?,
        }
        Ok(())
    }

    /// Fires at a peer.
    async fn fire_at(&mut self, peer: usize) -> Result<(), LoadError> {
        let (mine, steps) = self.next(Kind::Peer(peer));
        let firing = PeerFiring {
            case: self.mine[mine].case.clone(),
            transition: self.ring.transitions[steps % 2].clone(),
            moved: self.moved(mine, steps),
            record: self.record.clone(),
        };
        Ok(self.peers[peer].fire(firing).await?)
    }
}
