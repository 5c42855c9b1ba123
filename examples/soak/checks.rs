//! Checks of what the log and the ledger say.

use stormpetrel::models::IncidentCode;

use crate::{
    activities::{BANK_AWAY, FAILING_TENTHS, fails},
    case_facts::CaseFacts,
    ledger::{ClaimId, Execution, Executions, Names},
    log_facts::{Claim, End, LogFacts},
    orders,
    report::Report,
};

/// Failed attempts after which charging is an incident, by the sample.
const ATTEMPTS: u32 = 5;

/// Lost attempts after which any item is one, by default.
const LOST: usize = 5;

/// Code of an attempt that took longer than its activity allows: its handler may not have ended.
const TIMEOUT: &str = "TIMEOUT";

/// All that is compared.
pub(crate) struct Evidence<'a> {
    pub planned: u32,
    pub log: &'a LogFacts,
    pub ledger: &'a Executions,
    pub names: &'a Names,
}

impl Evidence<'_> {
    /// Checks the cases.
    pub(crate) fn check_cases(&self, report: &mut Report) {
        let cases = &self.log.cases;
        let missing = (0..self.planned).filter(|number| !cases.contains_key(number));
        let missing = missing.map(|number| format!("case s-{number} is not in the log"));
        report.check("every case that was begun is in the log", cases.len(), missing);
        let open = self.each(|_, case| {
            (!case.status.has_ended() && !case.is_stopped).then(|| match &case.waits_for[..] {
                [] => "is open and waits for nothing".to_owned(),
                waits => format!("is open and waits for {}", waits.join(" and ")),
            })
        });
        let stopped = cases.values().filter(|case| case.is_stopped && !case.status.has_ended());
        let seen = format!("{} with an incident", stopped.count());
        report.check("every case has ended or stands with an incident", seen, open);
        let twice = self.each(|_, case| {
            let twice = case.fired.iter().find(|(_, count)| **count > 1)?;
            Some(format!("fired {} {} times", twice.0, twice.1))
        });
        let fired: u64 =
            cases.values().flat_map(|case| case.fired.values()).map(|n| u64::from(*n)).sum();
        report.check("no transition of a case fired twice", format!("{fired} firings"), twice);
        let late = cases.values().filter(|case| case.is_late).count();
        let wrong = self.each(|number, case| {
            if !case.status.has_ended() {
                return None;
            }
            let end = match case.is_late {
                true => orders::End::Cancelled,
                false => orders::end(number),
            };
            let is_right = matches!(&case.places[..], [place] if place == end.place());
            (!is_right).then(|| format!("is in {:?} and not in {}", case.places, end.place()))
        });
        let seen = format!("{late} cancelled by the deadline of charging");
        report.check("every case has ended as its order says", seen, wrong);
        self.check_incidents(report);
    }

    /// Checks that each incident has its cause in the log, and that there are not too many.
    fn check_incidents(&self, report: &mut Report) {
        let mut unexplained = Vec::new();
        let (mut failed, mut lost) = (0u64, 0u64);
        for (number, case) in &self.log.cases {
            for (code, item) in &case.incidents {
                let ends: Vec<_> = self.ends_of(*number, item.unwrap_or(0)).collect();
                let is_explained = match code {
                    IncidentCode::WorkFailed => {
                        failed += 1;
                        let failures = ends.iter().filter(|(_, by)| *by == BANK_AWAY);
                        failures.count() >= ATTEMPTS as usize
                    }
                    IncidentCode::WorkLost => {
                        lost += 1;
                        // The last of them is the one that the incident itself tells of.
                        ends.iter().filter(|(_, by)| *by == "lost").count() + 1 >= LOST
                    }
                    _ => false,
                };
                if !is_explained {
                    let code = code.as_str();
                    unexplained
                        .push(format!("case s-{number}, item {item:?}: {code} after {ends:?}"));
                }
            }
        }
        let charged = self.log.cases.iter().filter(|(number, case)| {
            case.fired.contains_key("small") || orders::decision(**number) == Some("approve")
        });
        let charged = charged.filter(|(number, _)| !orders::has_expired(**number)).count();
        let expected = charged as f64 * (FAILING_TENTHS as f64 / 10.0).powi(ATTEMPTS as i32);
        if is_too_many(failed, expected, 3.0) {
            unexplained.push(format!("{failed} failed too often, and {expected:.0} were expected"));
        }
        // As if each loss were by chance alone.
        let (claims, losses) = (self.log.claims.len().max(1) as f64, self.log.lost as f64);
        let unlucky = claims * (losses / claims).powi(LOST as i32);
        if is_too_many(lost, unlucky, 1.0) {
            unexplained.push(format!("{lost} lost too often, and {unlucky:.3} were expected"));
        }
        let seen = format!(
            "{failed} failed too often, {expected:.0} expected; {lost} lost too often, {unlucky:.3} \
             expected"
        );
        report.check("every incident has its cause in the log", seen, unexplained);
    }

    /// The claims of an item that have ended, each with its end in a word.
    fn ends_of(&self, number: u32, item: u64) -> impl Iterator<Item = (u64, &str)> {
        let claims = (1..).map(move |claim| (claim, self.log.claims.get(&(number, item, claim))));
        let claims = claims.map_while(|(claim, of)| Some((claim, of?)));
        claims.flat_map(move |(claim, of)| of.ends.iter().map(move |end| (claim, self.word(*end))))
    }

    fn word(&self, end: End) -> &str {
        match end {
            End::Lost => "lost",
            End::Released => "released",
            End::Answered(by) => self.names.text(by),
        }
    }

    /// Checks that the ledger agrees with the log.
    pub(crate) fn check_ledger(&self, report: &mut Report) {
        let odd = self.ledger.odd.iter().chain(&self.log.odd).cloned();
        report.check(
            "the log and the ledger can be read",
            format!("{} records", self.log.records),
            odd,
        );
        let twice = self.ledger.of.iter().filter(|(_, of)| of.begun != 1 || of.ends.len() > 1);
        let twice = twice.map(|(id, of)| {
            format!("{}: begun {} times, ended {} times", claim(id), of.begun, of.ends.len())
        });
        let executions = format!("{} executions", self.ledger.of.len());
        report.check("no claim was executed twice", executions, twice);
        let strange = self.ledger.of.iter().filter_map(|(id, of)| {
            let Some(known) = self.log.claims.get(id) else {
                return Some(format!("{}: no record names it", claim(id)));
            };
            let (log, ledger) = (self.names.text(known.worker), self.names.text(of.worker));
            (log != ledger).then(|| format!("{}: of {log}, executed by {ledger}", claim(id)))
        });
        let claims = format!("{} claims", self.log.claims.len());
        report.check("every execution is a claim that a record names", claims, strange);
        let several = self.log.claims.iter().filter(|(_, of)| of.ends.len() > 1);
        let several = several.map(|(id, of)| {
            let ends: Vec<_> = of.ends.iter().map(|end| self.word(*end)).collect();
            format!("{}: {}", claim(id), ends.join(", "))
        });
        let lost = format!("{} lost", self.log.lost);
        report.check("every claim has one end at most", lost, several);
        let (mut answered, mut wrong) = (0u64, Vec::new());
        for (id, of) in &self.log.claims {
            for end in &of.ends {
                let End::Answered(by) = end else { continue };
                answered += 1;
                if let Some(fault) = self.unlike(*by, self.ledger.of.get(id)) {
                    wrong.push(format!("{}: {fault}", claim(id)));
                }
            }
        }
        let seen = format!("{answered} answers");
        report.check("every answer is what its worker did", seen, wrong);
        let unlucky = self.log.claims.iter().filter(|(id, of)| self.is_no_bad_luck(id, of));
        let unlucky = unlucky.map(|(id, _)| format!("{}: {BANK_AWAY} by no chance", claim(id)));
        report.check("only what was to fail has failed", format!("{:?}", self.log.failed), unlucky);
    }

    /// The difference between an answer in the log and an execution in the ledger.
    fn unlike(&self, by: u32, execution: Option<&Execution>) -> Option<String> {
        let by = self.names.text(by);
        let Some(execution) = execution else {
            return Some(format!("answered by {by}, and never executed"));
        };
        match execution.ends[..] {
            [] if by == TIMEOUT => None,
            [] => Some(format!("answered by {by}, and its execution did not end")),
            [ended, ..] if self.names.text(ended) == by || by == TIMEOUT => None,
            [ended, ..] => {
                Some(format!("answered by {by}, executed as {}", self.names.text(ended)))
            }
        }
    }

    fn is_no_bad_luck(&self, (number, _, claim): &ClaimId, of: &Claim) -> bool {
        let is_away =
            |end: &End| matches!(end, End::Answered(by) if self.names.text(*by) == BANK_AWAY);
        let case = orders::case(*number);
        of.ends.iter().any(is_away) && case.is_ok_and(|case| !fails(&case, *claim))
    }

    fn each(&self, fault: impl Fn(u32, &CaseFacts) -> Option<String>) -> Vec<String> {
        let found = self.log.cases.iter().filter_map(|(number, case)| {
            let fault = fault(*number, case)?;
            Some(format!("case s-{number} (record {}): {fault}", case.last))
        });
        found.collect()
    }
}

/// Returns true if a number is more than chance gives where so many are expected.
fn is_too_many(number: u64, expected: f64, at_least: f64) -> bool {
    number as f64 > expected + 5.0 * expected.sqrt() + at_least
}

/// A claim in words.
fn claim((number, item, claim): &ClaimId) -> String {
    format!("case s-{number}, item {item}, claim {claim}")
}
