//! `petrel doctor`.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::{
    answer::Answer,
    connection::{self, Server},
    failure::Failure,
    table::Table,
};
use crate::{
    config::Config,
    petrel::Petrel,
    storage::nats::{Check, CheckStatus, NatsStorage},
};

/// Check the connection, the server, the streams and their durability
///
/// Each check is ok, a warning or a failure, with advice. The exit code is 1 if one fails.
#[derive(Debug, Args)]
pub(super) struct Doctor {}

impl Doctor {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        // Wrong settings are wrong usage and no finding.
        let server = tokio::select! {
            server = Server::find(config) => server?,
            () = shutdown.cancelled() => return Err(Failure::interrupted()),
        };
        let mut checks = vec![ok("which server", server.origin())];
        let durability = server.durability(config);
        let found = NatsStorage::doctor(server.settings(config)?).await;
        let is_well = found.iter().all(|check| check.status != CheckStatus::Fail);
        checks.extend(found);
        if is_well {
            let storage = NatsStorage::connect_to_existing(server.settings(config)?).await?;
            checks.extend(definitions(&Petrel::new(Arc::new(storage))).await);
        }
        server.stop().await?;
        checks.extend(durability.map(|durability| ok("durability", durability)));
        Ok(answer(&checks))
    }
}

/// Check of the definitions that can't be read. Faults of the streams are left to the other
/// checks.
async fn definitions(petrel: &Petrel) -> Option<Check> {
    let name = "definitions";
    match petrel.unusable_definitions(None).await {
        Ok(complaints) if complaints.is_empty() => {
            Some(ok(name, "the last version of each can be used".to_owned()))
        }
        Ok(complaints) => {
            let (status, detail) = (CheckStatus::Warn, complaints.join("; "));
            Some(Check { name, status, detail })
        }
        Err(_) => None,
    }
}

fn ok(name: &'static str, detail: String) -> Check {
    Check { name, status: CheckStatus::Ok, detail }
}

fn answer(checks: &[Check]) -> Answer {
    let mut table = Table::new(&["", "CHECK", "FOUND"]);
    for Check { name, status, detail } in checks {
        table.row([word(*status).to_owned(), (*name).to_owned(), detail.clone()]);
    }
    let failed = checks.iter().filter(|check| check.status == CheckStatus::Fail).count();
    let healthy = failed == 0;
    let mut answer =
        Answer::new(json!({ "healthy": healthy, "checks": checks }), table.to_string());
    if !healthy {
        let checks = if failed == 1 { "check" } else { "checks" };
        answer.complaints.push(Failure::invalid(format!("{failed} {checks} failed")));
    }
    answer
}

fn word(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Ok => "ok",
        CheckStatus::Warn => "warn",
        CheckStatus::Fail => "FAIL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_is_told_and_makes_the_command_fail() {
        let missing = "missing".to_owned();
        let checks = [
            ok("which server", "here".to_owned()),
            Check { name: "log stream", status: CheckStatus::Fail, detail: missing },
        ];
        let answer = answer(&checks);
        insta::assert_snapshot!(answer.text, @r"
              CHECK         FOUND
        ok    which server  here
        FAIL  log stream    missing
        ");
        assert_eq!(answer.json["healthy"], false);
        assert_eq!(answer.complaints.len(), 1);
    }
}
