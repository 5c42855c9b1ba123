//! The judgement of a run: waits for what is left to be done, and checks everything.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context;
use stormpetrel::audit::{AuditScope, AuditWatcher, Finding};
use tokio::time::{Instant, sleep};

use crate::{
    activities,
    checks::Evidence,
    intruder::Intrusions,
    ledger::{Executions, Names},
    log_facts::LogFacts,
    options::Options,
    processes::Workers,
    report::times,
    run::Soak,
};

/// Longest time for the queue to be empty once every case has settled, and the time between two looks.
const QUEUE_EMPTIES: Duration = Duration::from_secs(120);
const SAY_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Soak {
    /// Waits until nothing is left in the queue, ends the workers, and checks everything.
    pub(crate) async fn judge(
        &mut self,
        options: &Options,
        folder: &Path,
        intrusions: Intrusions,
    ) -> anyhow::Result<()> {
        let driver = Arc::clone(&self.driver);
        let petrel = &driver.petrel;
        let left = self.left_in_queue().await?;
        let fault = (left > 0).then(|| format!("{left} messages are left"));
        self.report.check("the queue is empty once every case has settled", left, fault);
        self.workers.stop().await;
        self.caught_up(options.patience).await?;
        println!("auditing");
        self.check_audit().await?;
        println!("reading the log and the ledger");
        let mut names = Names::default();
        let log = LogFacts::read(petrel, &driver.workflow, &mut names).await?;
        let ledger = Executions::read(&Workers::ledger(folder), &mut names)?;
        let evidence =
            Evidence { planned: options.cases(), log: &log, ledger: &ledger, names: &names };
        evidence.check_cases(&mut self.report);
        evidence.check_ledger(&mut self.report);
        self.numbers(options, &log, &ledger);
        let least = options.losses();
        let fault = (log.lost < least).then(|| "that is too few for a trial".to_owned());
        let seen = format!("{}, at least {least}", log.lost);
        self.report.check("enough attempts were lost", seen, fault);
        self.check_intrusions(options, intrusions, &log);
        let faults = driver.counts.faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.report.check("no begin and no decision was refused", log.cases.len(), faults);
        Ok(())
    }

    /// Number of messages that the queue has still got when it should be empty.
    async fn left_in_queue(&self) -> anyhow::Result<u64> {
        let (begun, queue) = (Instant::now(), activities::queue()?);
        loop {
            let state = self.driver.petrel.storage().queue(&queue).await?;
            let left = state.classes.iter().map(|class| class.waiting + class.in_flight).sum();
            if left == 0 || begun.elapsed() > QUEUE_EMPTIES {
                return Ok(left);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Audits the log and the view, by replay, and asks what the audits of the process that serves have found.
    async fn check_audit(&mut self) -> anyhow::Result<()> {
        let petrel = &self.driver.petrel;
        let heard = Heard::default();
        let begun = Instant::now();
        let scope = AuditScope { replay: true, ..AuditScope::default() };
        let audited = petrel.audit(&scope, &heard).await?;
        let seen = format!(
            "{} cases, {} records, {} tokens, in {:.0} s",
            audited.cases,
            audited.replayed,
            audited.tokens,
            begun.elapsed().as_secs_f64()
        );
        let findings = heard.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.report.check("the audit finds nothing", seen, findings);
        let rebuilt = petrel.rebuild(&|_, _| {}).await?;
        let wrong = rebuilt.mended + rebuilt.failed + rebuilt.ahead + rebuilt.unknown;
        let fault = (wrong > 0).then(|| format!("{rebuilt:?}"));
        self.report.check("the view is the log", format!("{} cases", rebuilt.cases), fault);
        let (http, server) = (&self.driver.http, &self.driver.server);
        let metrics = http.get(format!("http://{server}/metrics")).send().await?.text().await?;
        let of = |name: &'static str| metrics.lines().filter(move |line| line.starts_with(name));
        let found = of("petrel_audit_found_total").filter(|line| !line.ends_with(" 0"));
        let audits = of("petrel_audits_total").collect::<Vec<_>>().join(", ");
        let ready = http.get(format!("http://{server}/readyz")).send().await?.status();
        let unready = (!ready.is_success()).then(|| format!("/readyz answers {ready}"));
        let faults = found.map(ToOwned::to_owned).chain(unready);
        self.report.check("the process that serves found nothing and is ready", audits, faults);
        Ok(())
    }

    /// Waits until the process that serves has looked at the views of all that the kills may have taken.
    async fn caught_up(&mut self, patience: Duration) -> anyhow::Result<()> {
        let (begun, mut said) = (Instant::now(), None);
        let lag = loop {
            let lag = self.reconciler_lag().await?;
            if lag == 0 || begun.elapsed() >= patience {
                break lag;
            }
            if said.is_none_or(|at: Instant| at.elapsed() > SAY_EVERY) {
                println!("the reconciler has {lag} records left");
                said = Some(Instant::now());
            }
            sleep(LOOK_EVERY).await;
        };
        let seen = format!("{:.0} s after the end", begun.elapsed().as_secs_f64());
        let fault = (lag > 0).then(|| format!("{lag} records are left to be looked at"));
        self.report.check("the reconciler has come through", seen, fault);
        Ok(())
    }

    async fn reconciler_lag(&self) -> anyhow::Result<u64> {
        let (http, server) = (&self.driver.http, &self.driver.server);
        let metrics = http.get(format!("http://{server}/metrics")).send().await?.text().await?;
        let lag =
            metrics.lines().find_map(|line| line.strip_prefix("petrel_reconciler_lag_records "));
        Ok(lag.context("no metric of the reconciler")?.trim().parse()?)
    }

    /// Checks that nothing of the intruder's was taken.
    fn check_intrusions(&mut self, options: &Options, intrusions: Intrusions, log: &LogFacts) {
        let total = intrusions.total();
        for ((trial, reason), count) in &intrusions.refused {
            self.report.number(format!("refused {}, {reason}", trial.as_str()), count);
        }
        self.report.number("of them with claims that were lost", intrusions.of_lost);
        let written = log.cases.iter().filter(|(_, case)| case.is_intruded);
        let written =
            written.map(|(number, _)| format!("case s-{number} has a record of the intruder"));
        let least = options.refusals();
        let few = (total < least).then(|| format!("{least} are needed"));
        let faults = intrusions.faults.into_iter().chain(written).chain(few);
        self.report.check("what claims that are past sent was refused", total, faults);
    }

    /// Notes the numbers of the run.
    fn numbers(&mut self, options: &Options, log: &LogFacts, ledger: &Executions) {
        let (report, counts) = (&mut self.report, &self.driver.counts);
        let (minutes, rate) = (options.minutes, options.rate);
        report.number("load", format!("{minutes} min at {rate} cases/s"));
        report.number("cases", log.cases.len());
        report.number("records", log.records);
        report.number("begins that were tried again", counts.begun_again.load(Relaxed));
        let waits = counts.waits.lock().unwrap_or_else(PoisonError::into_inner).clone();
        report.number("from due to begun", times(waits));
        let decided = (counts.decided.load(Relaxed), counts.decided_again.load(Relaxed));
        report
            .number("decisions, and tries of them again", format!("{}, {}", decided.0, decided.1));
        let ended = log.cases.values().filter(|case| case.status.has_ended());
        let lasted = ended.map(|case| (case.at - case.created).num_milliseconds());
        let lasted = lasted.map(|millis| u32::try_from(millis).unwrap_or(0));
        report.number("from begun to ended", times(lasted.collect()));
        report.number("workers killed", self.workers.kills);
        let longest = self.nats.away.iter().max().copied().unwrap_or_default();
        let away = format!("{}, longest away {longest:.1?}", self.nats.away.len());
        report.number("nats-server killed", away);
        report.number("claims", log.claims.len());
        report.number("of them by hand-over", log.handed_over);
        report.number("attempts lost", log.lost);
        report.number("attempts failed", format!("{:?}", log.failed));
        let unended = ledger.of.values().filter(|of| of.ends.is_empty()).count();
        report.number(
            "executions, and those that were broken off",
            format!("{}, {unended}", ledger.of.len()),
        );
        let twice = ledger.repeated();
        report.number("items that were carried out to the end twice or more", twice);
    }
}

/// Faults that an audit told of.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn add(&self, fault: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }
}

impl AuditWatcher for Heard {
    fn found(&self, finding: Finding) {
        self.add(format!("{finding:?}"));
    }

    fn unchecked(&self, reason: &str) {
        self.add(format!("not checked: {reason}"));
    }

    fn noted(&self, notice: &str) {
        self.add(notice.to_owned());
    }

    fn progress(&self, _: u64, _: u64) {}
}
