//! Activities of transitions, as their definitions say them.

use async_graphql::{ID, SimpleObject};

use super::transition::{OutputArc, output_arcs};
use crate::{graphql::scalars::int, models};

/// Work that a worker carries out before its transition fires. A field that is null is not in the
/// definition: the workflow's `defaults` hold, or what is said there.
#[derive(SimpleObject)]
pub(super) struct Activity {
    /// The queue where workers look for it.
    queue: Option<ID>,
    /// The kind of the work, by which a worker chooses its handler; the transition's id where null.
    kind: Option<ID>,
    /// The CEL expression of an attempt's input; the data of the tokens that it takes where null.
    input: Option<String>,
    /// The longest time of one attempt, as in `30s`.
    timeout: Option<String>,
    /// The longest time of all attempts together, as in `2h 30m`.
    deadline: Option<String>,
    /// The way in which a failed attempt is tried again.
    retry: Option<Retry>,
    /// The class of the work, or the CEL expression that gives it; `normal` where null.
    priority: Option<String>,
    /// The ways in which it may end, by their ids. Empty if it ends by the transition's outputs.
    outcomes: Vec<Outcome>,
    /// The codes of failures that end it by an outcome, without another attempt.
    on_error: Vec<ErrorOutcome>,
    /// The most of its items that are open in one case at once.
    max_parallel: Option<i32>,
}

/// A way in which an activity may end.
#[derive(SimpleObject)]
struct Outcome {
    /// The outcome's id, unique in the activity.
    id: ID,
    /// Arcs to places.
    outputs: Vec<OutputArc>,
    /// Short form: the id of the place that it gives one token to.
    to_place: Option<ID>,
    /// The CEL expression of a map that is merged into the data of the produced tokens; the
    /// transition's where null.
    output: Option<String>,
}

/// A code of failures that ends an activity by an outcome.
#[derive(SimpleObject)]
struct ErrorOutcome {
    /// The code.
    code: String,
    /// The id of the outcome.
    outcome: ID,
}

/// The way in which failed attempts are tried again.
#[derive(SimpleObject)]
struct Retry {
    /// The most attempts that may fail; 3 where nothing says another number.
    attempts: Option<i32>,
    /// The delay before the second attempt; `1s` where nothing says another one.
    first: Option<String>,
    /// The growth of the delays; 2 where nothing says another one.
    factor: Option<f64>,
    /// The longest delay; `60s` where nothing says another one.
    longest: Option<String>,
    /// True if each delay is shortened by a part of it that differs from item to item; true where
    /// nothing says otherwise.
    jitter: Option<bool>,
    /// The most attempts that may be lost with their workers; 5 where nothing says another number.
    lost: Option<i32>,
    /// The codes of failures after which nothing is tried again.
    except: Vec<String>,
}

/// Defaults of a workflow's activities, for those that say nothing else.
#[derive(SimpleObject)]
pub(super) struct ActivityDefaults {
    /// The queue where workers look for them; `default` where null.
    queue: Option<ID>,
    /// The longest time of one attempt; no limit where null.
    timeout: Option<String>,
    /// The longest time of all attempts together; no limit where null.
    deadline: Option<String>,
    /// The way in which failed attempts are tried again, each of its fields by itself.
    retry: Option<Retry>,
    /// The most items of one activity that are open in one case at once; 100 where null.
    max_parallel: Option<i32>,
}

fn count(of: Option<u32>) -> Option<i32> {
    of.map(|of| int(of.into()))
}

impl From<&models::Activity> for Activity {
    fn from(of: &models::Activity) -> Self {
        let outcome = |(id, of): (&models::OutcomeId, &models::Outcome)| Outcome {
            id: ID::from(id),
            outputs: output_arcs(&of.outputs),
            to_place: of.to_place.as_ref().map(ID::from),
            output: of.output.clone(),
        };
        let error = |(code, outcome): (&String, &models::OutcomeId)| ErrorOutcome {
            code: code.clone(),
            outcome: ID::from(outcome),
        };
        Self {
            queue: of.queue.as_ref().map(ID::from),
            kind: of.kind.as_ref().map(ID::from),
            input: of.input.clone(),
            timeout: of.timeout.clone(),
            deadline: of.deadline.clone(),
            retry: of.retry.as_ref().map(Retry::from),
            priority: of.priority.clone(),
            outcomes: of.outcomes.iter().map(outcome).collect(),
            on_error: of.on_error.iter().map(error).collect(),
            max_parallel: count(of.max_parallel),
        }
    }
}

impl From<&models::Retry> for Retry {
    fn from(of: &models::Retry) -> Self {
        Self {
            attempts: count(of.attempts),
            first: of.first.clone(),
            factor: of.factor,
            longest: of.longest.clone(),
            jitter: of.jitter,
            lost: count(of.lost),
            except: of.except.clone(),
        }
    }
}

impl From<&models::ActivityDefaults> for ActivityDefaults {
    fn from(of: &models::ActivityDefaults) -> Self {
        Self {
            queue: of.queue.as_ref().map(ID::from),
            timeout: of.timeout.clone(),
            deadline: of.deadline.clone(),
            retry: of.retry.as_ref().map(Retry::from),
            max_parallel: count(of.max_parallel),
        }
    }
}
