//! Checks for an operator when something does not work. They look and change nothing.

mod level;
mod others;
mod permissions;
mod view;

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Link, NatsStorage, NatsStorageConfig, Subjects,
    codec::{add_marker_headers, view_headers},
    leader::led,
    publish::Expected,
    refusal::{NO_SPACE, NOT_FOUND},
    settings, streams,
};
use crate::{
    models::CaseId,
    storage::{Result, StorageError},
};
use permissions::{lacking, lacking_for_care, to_grant};

/// Longest times for a server to greet, and to answer one question: all of them together take
/// less than ten seconds.
const GREETS: Duration = Duration::from_secs(3);
const ANSWERS: Duration = Duration::from_millis(1_500);

/// Number of bytes that must be left on the server.
const ROOM: u64 = 1 << 20;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Name of the check.
    pub name: &'static str,
    /// Result of the check.
    pub status: CheckStatus,
    /// The finding, with advice if it is not well.
    pub detail: String,
}

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CheckStatus {
    /// All is well.
    Ok,
    /// The part works, but somebody should know.
    Warn,
    /// The part does not work.
    Fail,
}

impl NatsStorage {
    /// Looks at connection, server, JetStream, streams, permissions, space and latency, within
    /// ten seconds. Makes no stream and changes none; its writes have a condition that can't hold,
    /// but for a marker in the view that is gone after a second.
    pub async fn doctor(config: NatsStorageConfig) -> Vec<Check> {
        let config = NatsStorageConfig {
            connect_attempts: 1,
            connect_timeout: config.connect_timeout.min(GREETS),
            consumer_timeout: config.consumer_timeout.min(ANSWERS),
            deliveries: 1,
            ..config
        };
        let connected = async {
            config.validate()?;
            // The client has a limit for each address, and none for all of them.
            let connecting = tokio::time::timeout(GREETS, Link::connect(&config));
            connecting.await.unwrap_or_else(|_| {
                let reason = format!("no NATS server greets there in {GREETS:?}");
                Err(StorageError::Unavailable { reason, away_since: None })
            })
        };
        match connected.await {
            Ok(link) => Doctor { link, config }.examine().await,
            Err(error) => vec![fail("connection", advised(&error))],
        }
    }

    /// Checks that the user may publish all that serving publishes. The error names the
    /// permissions to grant. Nothing is stored.
    pub async fn check_permissions(&self) -> Result<()> {
        lacking(&self.inner().link, &self.inner().config).await
    }
}

struct Doctor {
    link: Link,
    config: NatsStorageConfig,
}

impl Doctor {
    async fn examine(&self) -> Vec<Check> {
        let info = self.link.client.server_info();
        let found = format!("{} {} at {}:{}", info.server_name, info.version, info.host, info.port);
        let mut checks = vec![ok("server", found)];
        let account = match self.ask("INFO").await {
            Ok(account) => account,
            Err(error) => {
                checks.push(fail("jetstream", jetstream_advice(&error)));
                if matches!(error, StorageError::Denied(_)) {
                    checks.push(fail("permissions", to_grant(&self.link, &self.config)));
                }
                return checks;
            }
        };
        checks.push(account_check(&account));
        let log = self.stream("log stream", &self.config.log_stream, &mut checks).await;
        let view = self.stream("marking stream", &self.config.marking_stream, &mut checks).await;
        let others = self.others(log.is_some(), &mut checks).await;
        let system = streams::prepare(&self.link, &self.config, streams::Purpose::Look).await;
        let is_ours = system.is_ok();
        match system {
            Err(error) => checks.push(fail("system", error.to_string())),
            Ok(_) => {
                let log = log.as_ref().and_then(|log| settings::differing_log(&self.config, log));
                if let Some(view) = &view {
                    checks.extend(self.view_on_disk(view).await);
                }
                let view = view.and_then(|view| settings::differing_marking(&self.config, &view));
                let differing = log.into_iter().chain(view).chain(others);
                checks.extend(differing.map(|detail| fail("settings", detail)));
            }
        }
        checks.extend(log.as_ref().filter(|_| is_ours).map(level::check));
        checks.push(self.permissions().await);
        if let Some(log) = log {
            checks.push(self.room(&account, &log, is_ours).await);
            checks.push(self.latency().await);
        }
        checks
    }

    async fn ask(&self, what: &str) -> Result<Value> {
        let answer = self.link.call(what, &Value::Null).await?;
        answer.map_err(|error| match error.is_election() {
            true => error.of_stream(what),
            false => StorageError::Stream {
                stream: what.to_owned(),
                reason: format!("{} (error {})", error.description, error.err_code),
            },
        })
    }

    async fn stream(
        &self,
        name: &'static str,
        stream: &str,
        checks: &mut Vec<Check>,
    ) -> Option<Value> {
        let answer = self.link.call(&format!("STREAM.INFO.{stream}"), &Value::Null).await;
        let info = match answer {
            Ok(Ok(info)) => info,
            // The check `system` says what that means.
            Ok(Err(error)) if error.err_code == NOT_FOUND => {
                checks.push(fail(name, format!("{stream} is missing")));
                return None;
            }
            Ok(Err(error)) => {
                checks.push(fail(name, error.of_stream(stream).to_string()));
                return None;
            }
            Err(error) => {
                checks.push(fail(name, error.to_string()));
                return None;
            }
        };
        if let Err(error) = led(stream, &info) {
            checks.push(fail(
                name,
                format!("{error}; are most of the servers of the cluster there?"),
            ));
            return None;
        }
        let (config, state) = (&info["config"], &info["state"]);
        let detail = format!(
            "{stream}: {} messages, {} bytes, {} replica(s), subjects {}",
            state["messages"], state["bytes"], config["num_replicas"], config["subjects"]
        );
        let limit = config["max_bytes"].as_f64().filter(|limit| *limit > 0.0);
        let used = state["bytes"].as_f64().unwrap_or_default();
        checks.push(match limit {
            Some(limit) if used > 0.99 * limit => fail(
                name,
                format!(
                    "{detail}; it is full, with a limit of {limit} bytes: raise it (--log-max-bytes)"
                ),
            ),
            Some(limit) if used > 0.9 * limit => warn(
                name,
                format!("{detail}; over 90 % of its limit of {limit} bytes: raise it"),
            ),
            _ if self.config.replicas.is_some_and(|asked| config["num_replicas"] != asked) => {
                self.other_replicas(name, &info, &detail)
            }
            _ if streams::is_filling(&info) => match stream == self.config.marking_stream {
                true => {
                    let filled = "it was missing and is being filled by `petrel serve`";
                    warn(name, format!("{detail}; {filled}"))
                }
                // As of every new system.
                false => {
                    let armed = "whoever serves next arms the timers of all cases in it";
                    ok(name, format!("{detail}; {armed}"))
                }
            },
            _ => ok(name, detail),
        });
        Some(info)
    }

    /// Another number of replicas is asked for than the stream has.
    fn other_replicas(&self, name: &'static str, info: &Value, detail: &str) -> Check {
        let asked = self.config.replicas.unwrap_or(1);
        if asked > 1 && info["cluster"]["name"].is_null() {
            let alone = "this server is in no cluster, so `petrel serve` fails with it";
            return fail(name, format!("{detail}; --replicas asks for {asked}, and {alone}"));
        }
        warn(
            name,
            format!(
                "{detail}; --replicas asks for {asked}: `petrel serve` and `petrel init` change \
                 that, and fail if the cluster has fewer servers with JetStream"
            ),
        )
    }

    async fn permissions(&self) -> Check {
        let name = "permissions";
        match lacking(&self.link, &self.config).await {
            Ok(()) => match lacking_for_care(&self.link, &self.config).await {
                Ok(()) => ok(name, "may publish to every subject that is needed".to_owned()),
                Err(error) => warn(
                    name,
                    format!(
                        "may serve, but not make or change its streams, so `petrel init` must be run \
                         by another user, also when the view is deleted: {error}"
                    ),
                ),
            },
            Err(error) => fail(name, error.to_string()),
        }
    }

    /// Asks for a stream that can't be made, since its subject is ours, with as many bytes as are
    /// used and some more: the server says first whether it has so many.
    async fn room(&self, account: &Value, log: &Value, is_ours: bool) -> Check {
        let name = "space";
        let used = account["storage"].as_u64().unwrap_or_default();
        let reserved = account["reserved_storage"].as_u64().unwrap_or_default();
        let taken = &log["config"]["subjects"][0];
        let probe = format!("{}_PROBE", self.config.log_stream);
        let body = json!({
            "name": probe,
            "subjects": [taken],
            "max_bytes": used.saturating_sub(reserved) + ROOM,
        });
        let answer = match taken.is_string() {
            true => self.link.call(&format!("STREAM.CREATE.{probe}"), &body).await,
            false => return warn(name, "the log has no subject".to_owned()),
        };
        match answer {
            Ok(Err(error)) if NO_SPACE.contains(&error.err_code) => fail(
                name,
                format!(
                    "{used} bytes are used, and the server has not 1 MiB more: {}; writes fail. \
                     Raise max_file of JetStream or the account's limit, or make room on the disk",
                    error.description
                ),
            ),
            Ok(Err(_)) if is_ours => match self.store_marker().await {
                Err(error @ (StorageError::Unavailable { .. } | StorageError::Full { .. })) => {
                    fail(name, format!("{used} bytes are used, and nothing is stored now: {error}"))
                }
                _ => ok(name, format!("{used} bytes are used, and at least 1 MiB is left")),
            },
            Ok(Err(_)) => ok(name, format!("{used} bytes are used, and at least 1 MiB is left")),
            Ok(Ok(_)) => fail(name, format!("the server made {probe} though its subject is taken")),
            Err(error) => warn(name, format!("could not be looked at: {error}")),
        }
    }

    /// Stores a marker in the view, of a token of no workflow, that is gone after a second. Whether a
    /// disk takes what is written can't be told otherwise: the server's accounts know nothing of what
    /// others put there, and conditions that can't hold are looked at before it writes.
    async fn store_marker(&self) -> Result<()> {
        let [_, _, _, _, token, ..] = Subjects::new(&self.config.prefix).of_no_workflow();
        let case = CaseId::new("none").map_err(|problem| StorageError::Stream {
            stream: self.config.marking_stream.clone(),
            reason: problem.to_string(),
        })?;
        let headers = || {
            let mut headers = view_headers(&case, None, 0);
            add_marker_headers(&mut headers, None, Duration::from_secs(1));
            headers
        };
        let (view, empty) = (&self.config.marking_stream, Expected { sequence: 0, filter: None });
        match self.link.publish(view, &token, empty, headers, Vec::new().into()).await {
            // Another doctor was here a moment ago.
            Ok(_) | Err(StorageError::LostRace { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn latency(&self) -> Check {
        let mut times = Vec::new();
        let stream = &self.config.log_stream;
        for _ in 0..20 {
            let begun = Instant::now();
            if let Err(error) = self.ask(&format!("STREAM.INFO.{stream}")).await {
                return fail("latency", error.to_string());
            }
            times.push(begun.elapsed());
            if times.iter().sum::<Duration>() > ANSWERS {
                break;
            }
        }
        times.sort();
        let median = times[times.len() / 2].as_secs_f64() * 1_000.0;
        let status = if median < 50.0 { CheckStatus::Ok } else { CheckStatus::Warn };
        let detail = format!("{median:.2} ms for a request (median of {})", times.len());
        Check { name: "latency", status, detail }
    }
}

fn account_check(account: &Value) -> Check {
    let name = "jetstream";
    let (streams, used) = (&account["streams"], account["storage"].as_f64().unwrap_or_default());
    let detail = format!("{streams} streams, {used} bytes on disk in this account");
    let limit = account["limits"]["max_storage"].as_f64().filter(|limit| *limit > 0.0);
    match limit {
        Some(limit) if used >= 0.99 * limit => fail(
            name,
            format!("{detail}; its limit of {limit} bytes is reached, writes fail: raise it"),
        ),
        Some(limit) if used > 0.9 * limit => {
            warn(name, format!("{detail}; over 90 % of its limit of {limit} bytes: raise it"))
        }
        _ => ok(name, detail),
    }
}

fn jetstream_advice(error: &StorageError) -> String {
    match error {
        StorageError::Denied(_) => error.to_string(),
        StorageError::Unavailable { .. } => format!(
            "{error}; is the server overloaded or frozen? In a cluster: are most of its servers \
             there, and is a leader being elected, which takes seconds?"
        ),
        _ => format!(
            "{error}; turn JetStream on: `jetstream {{ store_dir: … }}` in the server's \
             configuration (or `nats-server -js`), and `jetstream: enabled` for the account; \
             behind a leaf node, name its domain (--domain)"
        ),
    }
}

/// A connection's error, with advice.
fn advised(error: &StorageError) -> String {
    let advice = match error {
        StorageError::Unavailable { .. } => {
            "is the address right (--nats-url, NATS_URL), does a nats-server listen there, and is \
             the way to it open?"
        }
        StorageError::Denied(_) => {
            "look at the login (--nats-user and --nats-password, --nats-token, --nats-creds, \
             --nats-nkey)"
        }
        _ => return error.to_string(),
    };
    format!("{error}; {advice}")
}

fn ok(name: &'static str, detail: String) -> Check {
    Check { name, status: CheckStatus::Ok, detail }
}

fn warn(name: &'static str, detail: String) -> Check {
    Check { name, status: CheckStatus::Warn, detail }
}

fn fail(name: &'static str, detail: String) -> Check {
    Check { name, status: CheckStatus::Fail, detail }
}
