//! A client that answers, beats and gives back with claims that count no more. All of it has to be refused.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::json;
use stormpetrel::{
    engine::Answered,
    models::{Failure, OutcomeId},
    petrel::{Change, Error, Petrel, Standing},
    storage::{Beat, BeatSequence, StorageError},
};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::follower::Past;

/// Name under which it writes, if anything of it were written.
pub(crate) const NAME: &str = "intruder";

/// Wait before another try of what was not answered.
const AGAIN: Duration = Duration::from_millis(200);

/// Time between two attempts that have ended by their answers; of the lost ones it takes all.
const ENDED_EVERY: Duration = Duration::from_millis(500);

/// A beat that nobody has written.
const NO_BEAT: BeatSequence = BeatSequence(1 << 60);

/// A thing that it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trial {
    Completion,
    Failure,
    GiveBack,
    /// The question that a worker asks before each sign of life.
    Standing,
    /// A sign of life on a condition that does not hold.
    Beat,
}

impl Trial {
    pub(crate) const ALL: [Self; 5] =
        [Self::Completion, Self::Failure, Self::GiveBack, Self::Standing, Self::Beat];

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Completion => "completions",
            Self::Failure => "failures",
            Self::GiveBack => "give-backs",
            Self::Standing => "questions before a beat",
            Self::Beat => "beats",
        }
    }
}

/// Numbers of what it tried.
#[derive(Debug, Default)]
pub(crate) struct Intrusions {
    /// Refused, by trial and reason.
    pub refused: BTreeMap<(Trial, String), u64>,
    /// Those among them of lost attempts whose items others had.
    pub of_lost: u64,
    /// Trials that were not refused, or for another reason than they should be.
    pub faults: Vec<String>,
}

impl Intrusions {
    /// Number of those that were refused.
    pub(crate) fn total(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// Tries everything with each lost claim, and with some that have ended, until `stop`.
pub(crate) async fn intrude(
    petrel: &Petrel,
    mut past: mpsc::Receiver<Past>,
    stop: &CancellationToken,
) -> Intrusions {
    let (mut all, mut last) = (Intrusions::default(), None);
    loop {
        // Cancel-safe.
        let over = tokio::select! {
            over = past.recv() => over,
            () = stop.cancelled() => None,
        };
        let Some(over) = over else { return all };
        if !over.is_lost {
            if last.is_some_and(|last: Instant| last.elapsed() < ENDED_EVERY) {
                continue;
            }
            last = Some(Instant::now());
        }
        for trial in Trial::ALL {
            let refused = tokio::select! {
                refused = refusal(petrel, &over, trial) => refused,
                () = stop.cancelled() => return all,
            };
            match refused {
                Ok(reason) => {
                    *all.refused.entry((trial, reason)).or_default() += 1;
                    all.of_lost += u64::from(over.is_lost);
                }
                Err(fault) => {
                    let (work, claim, sequence) = (&over.work, over.claim, over.sequence);
                    let fault = format!(
                        "{} of claim {claim}, which is over by record {sequence}, of {work}: {fault}",
                        trial.as_str()
                    );
                    all.faults.push(fault);
                }
            }
        }
    }
}

/// Tries one thing until it is answered. Returns the reason of its refusal; the error says what happened
/// instead.
async fn refusal(petrel: &Petrel, past: &Past, trial: Trial) -> Result<String, String> {
    loop {
        let error = match attempt(petrel, past, trial).await {
            Ok(Tried::Refused(reason)) => return Ok(reason),
            Ok(Tried::Happened(what)) => return Err(what),
            Err(error) => error,
        };
        if error.retryable() {
            sleep(AGAIN).await;
            continue;
        }
        return match &error {
            Error::Work(_) | Error::WrongStatus { .. } | Error::IdTaken { .. } => {
                Ok(error.code().to_owned())
            }
            _ => Err(error.to_string()),
        };
    }
}

/// The answer to a trial, in words.
enum Tried {
    Refused(String),
    Happened(String),
}

/// Tries one thing once.
async fn attempt(petrel: &Petrel, past: &Past, trial: Trial) -> Result<Tried, Error> {
    let Past { work, claim, transition, .. } = past;
    let (claim, claimed) = (*claim, Some(*claim));
    let change = Change { by: Some(NAME.to_owned()), ..Change::default() };
    let stored = match trial {
        Trial::Completion => {
            let outcome = match transition.as_str() {
                "reserve" => OutcomeId::new("reserved").ok(),
                "charge" => OutcomeId::new("charged").ok(),
                _ => None,
            };
            let result = json!({ "receipt": NAME });
            let answer = Answered { outcome, result, hand_over: None };
            petrel.complete_work(work, claimed, answer, change).await?
        }
        Trial::Failure => {
            let code = "INTRUDED".to_owned();
            let failure = Failure { code, is_final: true, ..Failure::default() };
            petrel.fail_work(work, claimed, failure, change).await?
        }
        Trial::GiveBack => petrel.release_work(work, claimed, change).await?,
        Trial::Standing => {
            let standing = petrel.work_standing(work, claim).await?;
            let name = format!("{standing:?}");
            return Ok(match standing {
                Standing::Lost | Standing::Withdrawn => Tried::Refused(name),
                _ => Tried::Happened(format!("it was told {name}")),
            });
        }
        Trial::Beat => {
            let (workflow, case) = (work.workflow.clone(), work.case.clone());
            let (holder, worker) = (work.item.to_string(), NAME.to_owned());
            let beat = Beat { workflow, case, item: work.item, claim, holder, worker };
            let life = Duration::from_secs(1);
            return match petrel.storage().beat(&beat, life, Some(NO_BEAT)).await {
                Ok(sequence) => Ok(Tried::Happened(format!("it was stored at {sequence}"))),
                Err(StorageError::LostRace { .. }) => Ok(Tried::Refused("LOST_RACE".to_owned())),
                Err(error) => Err(error.into()),
            };
        }
    };
    Ok(Tried::Happened(format!("it was answered with record {}", stored.record.sequence)))
}
