//! A run from its start to its report.

use std::{path::Path, sync::Arc, time::Duration};

use stormpetrel::{
    models::WorkflowDefinition,
    petrel::{ExpectedVersion, Petrel},
    storage::{QueueSettings, nats::NatsStorage},
};
use tempfile::TempDir;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    activities,
    driver::{Counts, Driver},
    intruder::{Intrusions, intrude},
    nats::Nats,
    options::Options,
    processes::{Process, Workers, server},
    report::Report,
    roles::settings,
};

/// The sample, as `petrel dev` loads it.
const SAMPLE: &str = include_str!("../../samples/order.yaml");

/// Lost attempts that the intruder has not got to yet, at most.
const PAST_KEPT: usize = 100_000;

/// Time between two lines of progress.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Runs the soak. Returns true if every check is fine.
pub(crate) async fn run(options: &Options) -> anyhow::Result<bool> {
    let mut folder = tempfile::Builder::new();
    folder.prefix("petrel-soak-");
    let folder = match &options.folder {
        Some(parent) => folder.tempdir_in(parent)?,
        None => folder.tempdir()?,
    };
    let fine = soak(options, folder.path()).await;
    if matches!(fine, Ok(true)) && !options.keep {
        folder.close()?;
    } else {
        println!("\ndata, ledger and logs are in {}", TempDir::keep(folder).display());
    }
    fine
}

async fn soak(options: &Options, folder: &Path) -> anyhow::Result<bool> {
    let nats = Nats::start(folder).await?;
    println!("nats-server {} at {}; folder {}", nats.version(), nats.url(), folder.display());
    let storage = NatsStorage::connect(settings(&nats.url())).await?;
    let petrel = Petrel::new(Arc::new(storage));
    let sample: WorkflowDefinition = serde_saphyr::from_str(SAMPLE)?;
    let workflow = sample.id.clone();
    petrel.create_workflow(sample, ExpectedVersion::New).await?;
    let queue = QueueSettings { ack_wait: options.ack_wait, ..QueueSettings::default() };
    petrel.storage().set_queue(&activities::queue()?, queue, None).await?;
    let (server, address) = server(&nats.url(), folder).await?;
    let workers = Workers::start(&nats.url(), folder)?;
    let driver = Driver {
        petrel: petrel.clone(),
        workflow,
        server: address,
        http: reqwest::Client::new(),
        follower: Arc::default(),
        counts: Counts::default(),
    };
    let mut soak =
        Soak { nats, server, workers, driver: Arc::new(driver), report: Report::default() };
    let begun = Instant::now();
    let intrusions = soak.load(options).await?;
    soak.report.number("load and settling", format!("{:.0} s", begun.elapsed().as_secs_f64()));
    soak.judge(options, folder, intrusions).await?;
    let Soak { nats, server, workers, mut report, .. } = soak;
    let failed = server.stop().await.err().map(|error| error.to_string());
    let faults = workers.faults.into_iter().chain(failed);
    report.check(
        "every process ended by a kill, or in order when it was told",
        workers.kills,
        faults,
    );
    nats.stop().await?;
    report.print();
    Ok(report.is_fine())
}

/// The parts of a run.
pub(crate) struct Soak {
    pub nats: Nats,
    pub server: Process,
    pub workers: Workers,
    pub driver: Arc<Driver>,
    pub report: Report,
}

impl Soak {
    /// Begins the cases while workers and nats-server are killed, and waits until all have settled.
    async fn load(&mut self, options: &Options) -> anyhow::Result<Intrusions> {
        let Self { nats, server, workers, driver, report } = self;
        let (follower, petrel) = (Arc::clone(&driver.follower), driver.petrel.clone());
        let (past, pasts) = mpsc::channel(PAST_KEPT);
        let [peace, given_up, end] = [(); 3].map(|()| CancellationToken::new());
        let driving = async {
            driver.run(options.cases(), options.rate, &given_up).await;
            anyhow::Ok(())
        };
        // The load ends with its time, and the driver when what it asked for was answered.
        let lasting = async {
            sleep(options.load()).await;
            peace.cancel();
            println!("the load has ended, and nothing is killed any more");
            let mut progress = follower.progress();
            let settled = progress.wait_for(|progress| {
                progress.begun >= u64::from(options.cases()) && progress.is_settled()
            });
            let is_settled = timeout(options.patience, settled).await.is_ok();
            given_up.cancel();
            let left = if is_settled { Vec::new() } else { follower.open() };
            let faults = left.iter().map(|number| format!("case s-{number}"));
            let faults: Vec<_> = match (is_settled, left.len()) {
                (false, 0) => vec!["not every case has begun".to_owned()],
                _ => faults.collect(),
            };
            let seen = format!("{:?} given", options.patience);
            report.check("every case settled in time once the load had ended", seen, faults);
            end.cancel();
            anyhow::Ok(())
        };
        let following = async {
            follower.run(&petrel, &driver.workflow, &past, &end).await;
            anyhow::Ok(())
        };
        let intruding = async { anyhow::Ok(intrude(&petrel, pasts, &end).await) };
        let saying = async {
            let mut ticks = interval(SAY_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let begun = Instant::now();
            loop {
                tokio::select! {
                    () = end.cancelled() => return anyhow::Ok(()),
                    _ = ticks.tick() => {}
                }
                let now = *follower.progress().borrow();
                println!(
                    "{:>5.0} s: {} begun, {} open, {} with an incident, {} attempts lost",
                    begun.elapsed().as_secs_f64(),
                    now.begun,
                    now.open,
                    now.stopped,
                    now.lost
                );
            }
        };
        let killing = async { Ok(nats.kill_until(peace.clone(), options.kill_nats_every).await?) };
        let others = workers.kill_until(peace.clone(), options.kill_worker_every);
        let serving = async {
            tokio::select! {
                () = end.cancelled() => Ok(()),
                ended = server.ended() => anyhow::bail!("the server ended by itself: {}", ended?),
            }
        };
        let all = tokio::try_join!(
            driving, lasting, following, intruding, saying, killing, others, serving
        );
        let (_, _, _, intrusions, ..) = all?;
        Ok(intrusions)
    }
}
