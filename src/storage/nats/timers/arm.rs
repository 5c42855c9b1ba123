//! Arming timers, and taking them away before they are due.

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::future::join_all;
use serde_json::json;

use super::codec;
use crate::storage::{
    Arming, Result, StorageError,
    nats::{
        direct::{Asked, Query},
        publish::Expected,
        refusal::NOT_FOUND,
        store::Inner,
    },
};

/// Number of timers that are armed, or disarmed, at once.
const AT_ONCE: usize = 256;

impl Inner {
    /// Arms timers; makes their stream again if it is missing.
    pub(super) async fn arm(&self, armings: &[Arming]) -> Result<()> {
        match self.arm_at_once(armings).await {
            // Those that are stored change nothing the second time.
            Err(StorageError::Stream { .. }) if self.keep_timers().await? => {
                self.arm_at_once(armings).await
            }
            done => done,
        }
    }

    async fn arm_at_once(&self, armings: &[Arming]) -> Result<()> {
        for some in armings.chunks(AT_ONCE) {
            let armed = some.iter().map(|arming| self.read(|| self.arm_one(arming)));
            // All to their ends: one of them may be what finds out that the server is back.
            join_all(armed).await.into_iter().collect::<Result<()>>()?;
        }
        Ok(())
    }

    /// Arms one on the condition that it is not there, neither armed nor due: between the two the server
    /// leaves no moment.
    pub(super) async fn arm_one(&self, arming: &Arming) -> Result<()> {
        // The same message again would change nothing, so it may wait for the next connection.
        self.link.breaker.connected_within(self.link.timeout()).await?;
        let (subject, fence) = (self.subjects.timer(arming), self.subjects.armed_or_due(arming));
        let expected = Expected { sequence: 0, filter: Some(&fence) };
        let headers = || -> HeaderMap { codec::schedule(arming, &self.subjects) };
        let stream = &self.timers.name;
        let publish = || self.link.publish(stream, &subject, expected, headers, Bytes::new());
        match publish().await {
            Ok(_) => return Ok(()),
            Err(StorageError::LostRace { .. }) => {}
            Err(error) => return Err(error),
        }
        // It may be that of another log, which was put back, and due at another time.
        let there = self.link.get(stream, Query::Next(&fence, 1), Asked::Leader).await?;
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
        for some in armings.chunks(AT_ONCE) {
            let gone = some.iter().map(|arming| self.read(|| self.disarm_one(arming)));
            join_all(gone).await.into_iter().collect::<Result<()>>()?;
        }
        Ok(())
    }

    async fn disarm_one(&self, arming: &Arming) -> Result<()> {
        let stream = &self.timers.name;
        let filter = json!({ "filter": self.subjects.armed_or_due(arming) });
        match self.link.call(&format!("STREAM.PURGE.{stream}"), &filter).await? {
            Err(error) if error.err_code != NOT_FOUND => Err(error.of_stream(stream)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
