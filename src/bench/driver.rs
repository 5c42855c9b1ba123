//! The clients under load: each fires in cases of its own, one after the other.

use std::sync::Arc;

use super::{
    load::LoadError,
    peer::{FirstToken, PeerClient},
    ring::{Bodies, Ring},
};
use crate::petrel::Petrel;

/// One of those that fire at once.
pub(super) trait Driver: Send + 'static {
    /// Fires once, and waits for the acknowledgement.
    fn fire(&mut self) -> impl Future<Output = Result<(), LoadError>> + Send;
}

/// Cases that are given steps in turns.
#[derive(Debug, Clone)]
pub(super) struct Mine {
    ring: Arc<Ring>,
    cases: Vec<FirstToken>,
    steps: usize,
}

impl Mine {
    /// Deals the cases to so many clients.
    pub(super) fn deal(ring: &Arc<Ring>, cases: &[FirstToken], clients: usize) -> Vec<Self> {
        let each = |client| {
            let cases = cases.iter().skip(client).step_by(clients).cloned().collect();
            Self { ring: Arc::clone(ring), cases, steps: 0 }
        };
        (0..clients).map(each).collect()
    }

    pub(super) fn cases(&self) -> &[FirstToken] {
        &self.cases
    }

    /// The next case, and the number of steps that it has made. Counts this step.
    fn next(&mut self) -> (&FirstToken, usize) {
        let (next, steps) = (self.steps % self.cases.len(), self.steps / self.cases.len());
        self.steps += 1;
        (&self.cases[next], steps)
    }
}

/// One client of the engine.
#[derive(Debug)]
pub(super) struct EngineDriver {
    pub(super) petrel: Petrel,
    pub(super) mine: Mine,
}

impl Driver for EngineDriver {
    async fn fire(&mut self) -> Result<(), LoadError> {
        let ring = Arc::clone(&self.mine.ring);
        let (first, steps) = self.mine.next();
        self.petrel.fire(ring.fire(first, steps)).await?;
        Ok(())
    }
}

/// One client of a peer.
#[derive(Debug)]
pub(super) struct PeerDriver {
    pub(super) client: Box<dyn PeerClient>,
    pub(super) mine: Mine,
    pub(super) bodies: Bodies,
}

impl Driver for PeerDriver {
    async fn fire(&mut self) -> Result<(), LoadError> {
        let ring = Arc::clone(&self.mine.ring);
        let (first, steps) = self.mine.next();
        Ok(self.client.fire(ring.firing(first, steps, &self.bodies)).await?)
    }
}
