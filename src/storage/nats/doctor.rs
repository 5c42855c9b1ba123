//! What an operator wants to know when something does not work.

use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use super::NatsStorage;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it is.
    pub status: CheckStatus,
    /// What was found and, where it is not well, what to do.
    pub detail: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Well.
    Ok,
    /// Works, but somebody should know.
    Warn,
    /// Does not work.
    Fail,
}

impl NatsStorage {
    /// Looks at the server, JetStream, both streams, durability and latency.
    pub async fn doctor(&self) -> Vec<Check> {
        let inner = self.inner();
        let info = inner.link.client.server_info();
        let mut checks = vec![Check {
            name: "server",
            status: CheckStatus::Ok,
            detail: format!("{} {} at {}:{}", info.server_name, info.version, info.host, info.port),
        }];
        checks.push(match inner.link.call("INFO", &Value::Null).await {
            Ok(Ok(account)) => Check {
                name: "jetstream",
                status: CheckStatus::Ok,
                detail: format!(
                    "{} streams, {} bytes on disk in this account",
                    account["streams"], account["storage"]
                ),
            },
            Ok(Err(error)) => fail("jetstream", error.description),
            Err(error) => fail("jetstream", error.to_string()),
        });
        for (name, stream) in [
            ("log stream", &inner.config.log_stream),
            ("marking stream", &inner.config.marking_stream),
        ] {
            checks.push(self.check_stream(name, stream).await);
        }
        checks.push(self.check_latency().await);
        checks
    }

    async fn check_stream(&self, name: &'static str, stream: &str) -> Check {
        let answer = self.inner().link.call(&format!("STREAM.INFO.{stream}"), &Value::Null).await;
        let info = match answer {
            Ok(Ok(info)) => info,
            Ok(Err(error)) => {
                let detail = format!("{stream}: {}; restart to make it", error.description);
                return fail(name, detail);
            }
            Err(error) => return fail(name, error.to_string()),
        };
        let (config, state) = (&info["config"], &info["state"]);
        let detail = format!(
            "{stream}: {} messages, {} bytes, {} replica(s), subjects {}",
            state["messages"], state["bytes"], config["num_replicas"], config["subjects"]
        );
        let limit = config["max_bytes"].as_f64().filter(|limit| *limit > 0.0);
        let used = state["bytes"].as_f64().unwrap_or_default();
        match limit {
            Some(limit) if used > 0.9 * limit => Check {
                name,
                status: CheckStatus::Warn,
                detail: format!("{detail}; over 90 % of its limit of {limit} bytes: raise it"),
            },
            _ => Check { name, status: CheckStatus::Ok, detail },
        }
    }

    async fn check_latency(&self) -> Check {
        let mut times = Vec::new();
        for _ in 0..20 {
            let begun = Instant::now();
            if let Err(error) = self.inner().stream_state(&self.inner().config.log_stream).await {
                return fail("latency", error.to_string());
            }
            times.push(begun.elapsed());
        }
        times.sort();
        let median = times[times.len() / 2].as_secs_f64() * 1_000.0;
        let status = if median < 50.0 { CheckStatus::Ok } else { CheckStatus::Warn };
        let detail = format!("{median:.2} ms for a request (median of {})", times.len());
        Check { name: "latency", status, detail }
    }
}

fn fail(name: &'static str, detail: String) -> Check {
    Check { name, status: CheckStatus::Fail, detail }
}
