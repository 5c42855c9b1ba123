//! What has come due and was acknowledged, and is there all the same: by the hand of an operator, or by a
//! crash of a machine that took the deletion and left the acknowledgement. The consumer never gives it out
//! again, and it would not let its timer be armed again.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{codec, consumer::CONSUMER};
use crate::storage::{
    Result,
    nats::{
        direct::{Asked, Query},
        store::Inner,
    },
};

/// Time between two looks of a process.
const EVERY: Duration = Duration::from_secs(60);

/// Most messages of one look.
const AT_ONCE: usize = 256;

impl Inner {
    /// Puts strays back, if nobody here has looked for them lately.
    pub(super) async fn look_for_strays(&self) {
        {
            let mut looked = self.timers.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|at| at.elapsed() < EVERY) {
                return;
            }
            *looked = Some(Instant::now());
        }
        if let Err(error) = self.put_strays_back().await {
            tracing::debug!(%error, "the timers that were acknowledged by others can't be looked for");
        }
    }

    /// Arms again what stands below the consumer's floor: all of that was acknowledged, and whoever settles
    /// deletes before.
    async fn put_strays_back(&self) -> Result<()> {
        let (stream, all_due) = (&self.timers.stream.name, self.subjects.all_due());
        let info =
            self.link.call(&format!("CONSUMER.INFO.{stream}.{CONSUMER}"), &Value::Null).await?;
        let floor = info.ok().and_then(|info| info["ack_floor"]["stream_seq"].as_u64());
        let (floor, mut from) = (floor.unwrap_or_default(), 1);
        for _ in 0..AT_ONCE {
            // By the leader: elsewhere the deletion may be on its way.
            let found = self.link.get(stream, Query::Next(&all_due, from), Asked::Leader).await?;
            let Some(message) = found.filter(|found| found.sequence <= floor) else { break };
            from = message.sequence + 1;
            // What is no timer stays.
            if let Ok(arming) = codec::decode(&message, &self.subjects)
                && self.delete(stream, message.sequence).await?
            {
                let (subject, sequence) = (&message.subject, message.sequence);
                tracing::warn!(
                    stream,
                    subject,
                    sequence,
                    "it was acknowledged and not settled; it comes again"
                );
                self.arm_one(&arming).await?;
            }
        }
        Ok(())
    }
}
