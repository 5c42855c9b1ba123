//! Health of the store, by what the server says of its streams.

use std::time::Instant;

use serde_json::Value;

use super::{settings, store::Inner, streams};
use crate::storage::{Health, Result};

impl Inner {
    pub(super) async fn health(&self) -> Health {
        let begun = Instant::now();
        let server_version = self.link.client.try_server_info().map(|info| info.version);
        let log_info = match self.stream_info_led(&self.config.log_stream).await {
            Ok(info) => info,
            Err(error) => {
                let (away_since, problem) =
                    (self.link.breaker.away_since(), Some(error.to_string()));
                return Health { server_version, away_since, problem, ..Health::default() };
            }
        };
        let round_trip_ms = Some(begun.elapsed().as_secs_f64() * 1_000.0);
        let view = self.stream_info_led(&self.config.marking_stream).await;
        let log = &log_info["state"];
        let number = |state: &Value, field: &str| state[field].as_u64();
        Health {
            connected: view.is_ok(),
            round_trip_ms,
            server_version,
            away_since: None,
            log_messages: number(log, "messages"),
            log_bytes: number(log, "bytes"),
            view_messages: view.as_ref().ok().and_then(|info| number(&info["state"], "messages")),
            problem: self.problem(&log_info, view).await,
        }
    }

    async fn problem(&self, log: &Value, view: Result<Value>) -> Option<String> {
        let view = match view {
            Ok(view) => view,
            Err(error) => return Some(error.to_string()),
        };
        if streams::is_filling(&view) {
            return Some(format!(
                "stream {} was missing and is being filled from the log; until that is done, \
                 listings and eventual reads lack tokens",
                self.config.marking_stream
            ));
        }
        let mut others = None;
        for stream in [&self.timers.stream, &self.work.stream, &self.beats] {
            others = others.or(self.problem_of(stream).await);
        }
        settings::differing_log(&self.config, log)
            .or_else(|| settings::differing_marking(&self.config, &view))
            .or(others)
            .or_else(|| self.link.refused_writes().values().next().cloned())
    }
}
