//! `petrel bench`.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::{
    answer::Answer,
    bar::seen,
    case_cache::CaseCache,
    cluster::Cluster,
    connection,
    failure::Failure,
    peers::{Peers, StartedPeers},
    table::Table,
};
use crate::{
    bench::{Load, PeerReport, RawSide, Report, Side, Steps, StepsReport},
    config::{Config, duration},
    local_server::{LocalCluster, Store, SyncInterval},
    petrel::Petrel,
    storage::nats::{Floor, NatsStorage, NatsStorageConfig},
};

/// The side with the engine's messages, and the one with no more of them in flight than it has.
const GUARDED: &str = "the same messages and batches, no engine";
const WAITING: &str = "the same, as many in flight as the engine";

/// Measure firings a second beside the raw server
///
/// Many clients move tokens, each in cases of its own. In turns with them, the raw server stores
/// the same bytes, made beforehand: as one plain publish a firing (the record); as three (the
/// record, an empty message at the old place, the token at the new one), sent together and then
/// acknowledged; and as the engine's own messages, with its conditions, order and batches
/// (--group-commit), but without its decisions: the server's own speed with these guarantees. The
/// machine's noise is in all of them.
///
/// The raw server has as many firings in flight, through as many connections, as it is fastest
/// with: once, twice and four times the clients are tried, and one, two and four connections, twice
/// for a quarter of a turn each. The engine's messages are stored a second time with no more in
/// flight than the engine has, one firing of each client. With one client all have one, and the
/// ratios are those of the times.
///
/// Without --nats-url, on a NATS server of its own with a temporary folder, or on a cluster of
/// them (--cluster 3), where the streams of all sides have replicas. On a server of yours, it makes streams of its own and leaves them there: it prints their names.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Number of clients that fire at once
    #[arg(long, default_value = "64", value_name = "N")]
    clients: NonZeroUsize,
    /// Number of cases that they fire in; at least one a client
    #[arg(long, default_value = "1024", value_name = "N")]
    cases: NonZeroUsize,
    /// Number of times that they take turns
    #[arg(long, default_value = "5", value_name = "N")]
    rounds: NonZeroUsize,
    /// Length of a turn
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = duration)]
    turn: Duration,
    /// Measure chains of so many activities instead, done by a worker: one case at a time, 64 and
    /// 1,024 at once
    #[arg(long, value_name = "N", conflicts_with_all = ["clients", "cases"])]
    steps: Option<NonZeroUsize>,
    #[command(flatten)]
    cluster: Cluster,
    #[command(flatten)]
    case_cache: CaseCache,
    #[command(flatten)]
    peers: Peers,
}

impl Bench {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        let mut settings = config.storage()?;
        let servers = self.cluster.servers(config)?;
        let own = match config.names_a_server() {
            true => None,
            false => tokio::select! {
                started = local(config, servers) => Some(started?),
                () = shutdown.cancelled() => return Err(Failure::interrupted()),
            },
        };
        match &own {
            Some(local) => {
                settings.urls = local.urls();
                settings.replicas = connection::replicas(config, local);
            }
            None => settings = settings.apart("bench"),
        }
        let bar = seen(config, ProgressBar::new(0));
        let on_disk = own.as_ref().map(|_| syncs_always(config));
        let work = async {
            if let Some(steps) = self.steps {
                return self.measure_steps(steps.get(), &settings, bar).await;
            }
            let peers = self.peers.start(self.clients.get()).await?;
            let report = self.measure(&settings, &peers, on_disk, bar).await;
            peers.stop().await?;
            Ok(answer(&report?))
        };
        let result = tokio::select! {
            result = work => result,
            // What has been started stops when it is dropped.
            () = shutdown.cancelled() => Err(Failure::interrupted()),
        };
        let left = own.is_none().then(|| streams(&settings));
        if let Some(local) = own {
            local.stop().await?;
        }
        let mut answer = with_left(result?, left.as_deref());
        if servers > 1 {
            let replicas = settings.replicas.unwrap_or(1);
            let on = format!("{servers} servers, streams with {replicas} replicas; ");
            answer.text.insert_str(0, &on);
            answer.json["servers"] = json!(servers);
            answer.json["replicas"] = json!(replicas);
        }
        Ok(answer)
    }

    async fn measure_steps(
        &self,
        steps: usize,
        settings: &NatsStorageConfig,
        bar: ProgressBar,
    ) -> Result<Answer, Failure> {
        let storage = NatsStorage::connect(settings.clone()).await?;
        let petrel = Petrel::new(Arc::new(storage)).with_case_cache(self.case_cache.bytes());
        let floor = Floor::connect(settings).await?;
        let (cases, rounds) = (vec![1, 64, 1_024], self.rounds.get());
        let measurement = Steps { steps, cases, rounds, turn: self.turn };
        let progress = |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        };
        let reports = measurement.run(&petrel, &floor, progress).await;
        bar.finish_and_clear();
        petrel.close().await;
        Ok(steps_answer(&reports?))
    }

    async fn measure(
        &self,
        settings: &NatsStorageConfig,
        peers: &StartedPeers,
        on_disk: Option<bool>,
        bar: ProgressBar,
    ) -> Result<Report, Failure> {
        let storage = NatsStorage::connect(settings.clone()).await?;
        let petrel = Petrel::new(Arc::new(storage)).with_case_cache(self.case_cache.bytes());
        let load = Load {
            clients: self.clients.get(),
            cases: self.cases.get(),
            rounds: self.rounds.get(),
            turn: self.turn,
            on_disk,
            peers: peers.peers.clone(),
        };
        let mut connections = Vec::new();
        for _ in 0..load.connections() {
            // The first one makes the streams.
            connections.push(Floor::connect(settings).await?);
        }
        let progress = |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        };
        let report = load.run(&petrel, &connections, progress).await;
        bar.finish_and_clear();
        petrel.close().await;
        Ok(report?)
    }
}

/// Servers with temporary folders: the measured cases must not stay among the user's.
async fn local(config: &Config, servers: usize) -> Result<LocalCluster, Failure> {
    Ok(LocalCluster::start(servers, config.local_server(Store::Temporary)).await?)
}

/// Returns true if the server of the command's own has a change on disk before it acknowledges
/// it.
fn syncs_always(config: &Config) -> bool {
    config.sync_interval == Some(SyncInterval::Always)
}

fn streams(settings: &NatsStorageConfig) -> Vec<String> {
    settings.streams().into_iter().chain(Floor::streams(settings)).collect()
}

/// The answer, with the streams that are left on the server.
fn with_left(mut answer: Answer, left: Option<&[String]>) -> Answer {
    if let Some(left) = left {
        answer.text.push_str("left on the server, for you to remove:\n");
        for stream in left {
            answer.text.push_str(&format!("  nats stream rm {stream}\n"));
        }
    }
    answer.json["streams_left"] = json!(left.unwrap_or_default());
    answer
}

fn answer(report: &Report) -> Answer {
    let raw = [
        (GUARDED, &report.guarded, report.ratio_to_guarded),
        (WAITING, &report.waiting, report.ratio_to_waiting),
        ("three plain publishes", &report.floor, report.ratio),
        ("one plain publish", &report.publish, report.ratio_to_publish),
    ];
    let mut table = Table::new(&[
        "",
        "IN FLIGHT",
        "CONNECTIONS",
        "FIRINGS/S",
        "P50 MS",
        "P99 MS",
        "OF EACH TURN",
    ]);
    let Report { clients, cases, engine, .. } = report;
    table.row(row("engine", *clients, "1", engine));
    for (name, RawSide { side, flight, .. }, _) in raw {
        table.row(row(name, flight.in_flight, &flight.connections.to_string(), side));
    }
    for peer in &report.peers {
        table.row(row(&peer.setup.to_string(), *clients, "", &peer.side));
    }
    let mut text = format!("{clients} clients, {cases} cases\n{table}");
    // One client's rate is nothing but its time.
    let compared = |name: &str, ratio: f64, side: &Side| match clients {
        1 => format!("engine / {name}, P50: {:.2}", engine.p50_ms / side.p50_ms),
        _ => format!("engine / {name}: {ratio:.2}"),
    };
    for (name, raw, ratio) in raw {
        text.push_str(&format!("{}\n", compared(name, ratio, &raw.side)));
    }
    if *clients > 1 {
        let ratio = report.guarded_ratio;
        text.push_str(&format!("{GUARDED} / three plain publishes: {ratio:.2}\n"));
        let ratio = report.waiting_ratio;
        text.push_str(&format!("{WAITING} / {GUARDED}: {ratio:.2}\n"));
    }
    for peer in &report.peers {
        let compared = compared(&peer.setup.to_string(), peer.ratio, &peer.side);
        text.push_str(&format!("{compared} ({})\n", durability(peer)));
    }
    Answer::new(json!(report), text)
}

fn steps_answer(reports: &[StepsReport]) -> Answer {
    let mut table = Table::new(&["CASES", "", "STEPS/S", "P50 MS", "P99 MS", "OF EACH TURN"]);
    let mut ratios = String::new();
    for report in reports {
        let sides = [
            ("worker, handed over", &report.handed_over),
            ("worker, through the queue", &report.queued),
            ("appends alone", &report.appends),
            ("appends and a queue", &report.messages),
        ];
        for (name, side) in sides {
            let steps = report.steps as f64;
            let rates = side.rates.iter().map(|rate| format!("{:.0}", rate * steps));
            table.row([
                report.cases.to_string(),
                name.to_owned(),
                format!("{:.0}", side.rate * steps),
                format!("{:.3}", side.p50_ms),
                format!("{:.3}", side.p99_ms),
                rates.collect::<Vec<_>>().join(" "),
            ]);
        }
        let StepsReport { cases, handed_over, publish, appends, .. } = report;
        match cases {
            1 => ratios.push_str(&format!(
                "one case at a time: {:.3} ms handed over, {:.1} x a plain publish ({:.3} ms), {:.2} x \
                 appends alone\n",
                handed_over.p50_ms,
                handed_over.p50_ms / publish.p50_ms,
                publish.p50_ms,
                handed_over.p50_ms / appends.p50_ms,
            )),
            _ => ratios.push_str(&format!(
                "{cases} at once: handed over / appends alone: {:.2}; queue / appends and a queue: {:.2}\n",
                report.handed_over_ratio, report.queued_ratio
            )),
        }
        let [handed, queued] = report.log_bytes;
        ratios.push_str(&format!("  bytes of the log a step: {handed:.0} and {queued:.0}\n"));
    }
    let steps = reports.first().map_or(0, |report| report.steps);
    let text = format!("chains of {steps} activities\n{table}{ratios}");
    Answer::new(json!({ "steps": reports }), text)
}

fn row(name: &str, in_flight: usize, connections: &str, side: &Side) -> [String; 7] {
    let rates = side.rates.iter().map(|rate| format!("{rate:.0}")).collect::<Vec<_>>();
    [
        name.to_owned(),
        in_flight.to_string(),
        connections.to_owned(),
        format!("{:.0}", side.rate),
        format!("{:.3}", side.p50_ms),
        format!("{:.3}", side.p99_ms),
        rates.join(" "),
    ]
}

/// Tells if the engine and a peer have the same durability.
fn durability(peer: &PeerReport) -> &'static str {
    match (peer.equal_durability, peer.setup.on_disk) {
        (Some(true), true) => "equal durability: both wait for the disk",
        (Some(true), false) => "equal durability: neither waits for the disk",
        (Some(false), true) => "not equal: it waits for the disk, the engine's server does not",
        (Some(false), false) => "not equal: the engine's server waits for the disk, it does not",
        (None, true) => "equal durability if the NATS server syncs always",
        (None, false) => "equal durability if the NATS server syncs at intervals",
    }
}
