//! Arming timers, and taking them away before they are due.

use async_nats::HeaderMap;
use bytes::Bytes;

use super::codec;
use crate::storage::{
    Arming, Result, StorageError,
    nats::{
        direct::{Asked, Query},
        publish::Expected,
        store::Inner,
    },
};

impl Inner {
    /// Arms timers; makes their stream again if it is missing. Those that are stored change nothing the
    /// second time.
    pub(super) async fn arm(&self, armings: &[Arming]) -> Result<()> {
        let stream = &self.timers.stream;
        self.for_each(stream, armings, |arming| self.arm_one(arming)).await
    }

    /// Arms one on the condition that it is not there, neither armed nor due: between the two the server
    /// leaves no moment.
    pub(super) async fn arm_one(&self, arming: &Arming) -> Result<()> {
        let (subject, fence) = (self.subjects.timer(arming), self.subjects.armed_or_due(arming));
        let expected = Expected { sequence: 0, filter: Some(&fence) };
        let headers = || -> HeaderMap { codec::schedule(arming, &self.subjects) };
        let stream = &self.timers.stream;
        let publish = || self.store_other(stream, &subject, expected, headers, Bytes::new());
        match publish().await {
            Ok(_) => return Ok(()),
            Err(StorageError::LostRace { .. }) => {}
            Err(error) => return Err(error),
        }
        // It may be that of another log, which was put back, and due at another time.
        let there = self.link.get(&stream.name, Query::Next(&fence, 1), Asked::Leader).await?;
        let there = there.and_then(|there| codec::decode(&there, &self.subjects).ok());
        if there.is_none_or(|there| there.due == arming.due) {
            return Ok(());
        }
        self.disarm_one(arming).await?;
        match publish().await {
            Ok(_) | Err(StorageError::LostRace { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes timers away, those that have come due too. A plain publish over a schedule is no way to do
    /// it: after a crash of the server the schedule is there again.
    pub(super) async fn disarm(&self, armings: &[Arming]) -> Result<()> {
        self.for_each_once(armings, |arming| self.disarm_one(arming)).await.map(drop)
    }

    async fn disarm_one(&self, arming: &Arming) -> Result<()> {
        self.purge(&self.timers.stream, &self.subjects.armed_or_due(arming)).await
    }
}
