//! The inputs of activities, and of what they have where they say nothing else.

use std::collections::{BTreeMap, btree_map::Entry};

use async_graphql::{ID, InputObject};

use super::{
    arc::{OutputArcInput, outputs},
    reader::Reader,
};
use crate::models;

/// Work that a worker carries out before its transition fires.
#[derive(InputObject)]
pub(super) struct ActivityInput {
    /// The queue where workers look for it; the workflow's default, or `default`, where absent.
    queue: Option<ID>,
    /// The kind of the work, by which a worker chooses its handler; the transition's id where absent.
    kind: Option<ID>,
    /// A CEL expression that gives the input of an attempt; the data of the tokens that it takes where
    /// absent.
    input: Option<String>,
    /// The longest time of one attempt, as in `30s`; the workflow's default, or no limit, where absent.
    timeout: Option<String>,
    /// The longest time of all attempts together, as in `2h 30m`; the workflow's default, or no limit,
    /// where absent. At its end the work ends with the code `DEADLINE`.
    deadline: Option<String>,
    /// The way in which a failed attempt is tried again.
    retry: Option<RetryInput>,
    /// The class of the work: `high`, `normal` or `low`, or a CEL expression that gives one of these;
    /// `normal` where absent.
    priority: Option<String>,
    /// The ways in which it may end, each with outputs of its own. Where there are none it ends by the
    /// transition's outputs.
    outcomes: Option<Vec<OutcomeInput>>,
    /// The codes of failures that end it by an outcome, without another attempt.
    on_error: Option<Vec<ErrorOutcomeInput>>,
    /// The most of its items that are open in one case at once, 1 to 1,000; the workflow's default, or
    /// 100, where absent.
    max_parallel: Option<u32>,
}

/// A way in which an activity may end.
#[derive(InputObject)]
struct OutcomeInput {
    /// The outcome's id, unique in the activity.
    id: ID,
    /// Arcs to places.
    outputs: Option<Vec<OutputArcInput>>,
    /// Short form: the id of the place that it gives one token to.
    to_place: Option<ID>,
    /// A CEL expression that gives a map, merged into the data of the produced tokens; it sees the
    /// worker's answer as `result`. The transition's where absent.
    output: Option<String>,
}

/// A code of failures that ends an activity by an outcome.
#[derive(InputObject)]
struct ErrorOutcomeInput {
    /// The code.
    code: String,
    /// The id of the outcome.
    outcome: ID,
}

/// The way in which failed attempts are tried again.
#[derive(InputObject)]
struct RetryInput {
    /// The most attempts that may fail, 1 to 1,000; 3 where absent.
    attempts: Option<u32>,
    /// The delay before the second attempt; `1s` where absent.
    first: Option<String>,
    /// The growth of the delays, 1 to 100; 2 where absent.
    factor: Option<f64>,
    /// The longest delay; `60s` where absent.
    longest: Option<String>,
    /// True if each delay is shortened by a part of it that differs from item to item. True where absent.
    jitter: Option<bool>,
    /// The most attempts that may be lost with their workers, 1 to 1,000; 5 where absent.
    lost: Option<u32>,
    /// The codes of failures after which nothing is tried again.
    except: Option<Vec<String>>,
}

/// Defaults of a workflow's activities, for those that say nothing else.
#[derive(InputObject)]
pub(super) struct ActivityDefaultsInput {
    /// The queue where workers look for them; `default` where absent.
    queue: Option<ID>,
    /// The longest time of one attempt; no limit where absent.
    timeout: Option<String>,
    /// The longest time of all attempts together; no limit where absent.
    deadline: Option<String>,
    /// The way in which failed attempts are tried again, each of its fields by itself.
    retry: Option<RetryInput>,
    /// The most items of one activity that are open in one case at once; 100 where absent.
    max_parallel: Option<u32>,
}

impl ActivityInput {
    /// The activity; ids that can't be read are noted under `path`.
    pub(super) fn read(self, path: &str, reader: &mut Reader) -> models::Activity {
        let mut outcomes = BTreeMap::new();
        let mut numbers: BTreeMap<models::OutcomeId, usize> = BTreeMap::new();
        for (number, outcome) in self.outcomes.unwrap_or_default().into_iter().enumerate() {
            let path = format!("{path}.outcomes[{number}]");
            let id: models::OutcomeId = reader.id(&format!("{path}.id"), &outcome.id);
            let to_place = outcome.to_place;
            let read = models::Outcome {
                outputs: outputs(outcome.outputs, &path, reader),
                to_place: to_place.map(|place| reader.id(&format!("{path}.toPlace"), &place)),
                output: outcome.output,
            };
            match numbers.entry(id.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(number);
                    outcomes.insert(id, read);
                }
                Entry::Occupied(first) => {
                    let first = first.get();
                    let reason =
                        format!("{id} is the id of outcomes[{first}] already; ids are unique");
                    reader.problems.add(format!("{path}.id"), reason);
                }
            }
        }
        let mut on_error = BTreeMap::new();
        for (number, of) in self.on_error.unwrap_or_default().into_iter().enumerate() {
            let path = format!("{path}.onError[{number}]");
            let outcome = reader.id(&format!("{path}.outcome"), &of.outcome);
            match on_error.entry(of.code) {
                Entry::Vacant(entry) => {
                    entry.insert(outcome);
                }
                Entry::Occupied(entry) => {
                    let reason =
                        format!("{} is there already; each code has one outcome", entry.key());
                    reader.problems.add(format!("{path}.code"), reason);
                }
            }
        }
        models::Activity {
            queue: self.queue.map(|id| reader.id(&format!("{path}.queue"), &id)),
            kind: self.kind.map(|id| reader.id(&format!("{path}.kind"), &id)),
            input: self.input,
            timeout: self.timeout,
            deadline: self.deadline,
            retry: self.retry.map(RetryInput::read),
            priority: self.priority,
            outcomes,
            on_error,
            max_parallel: self.max_parallel,
        }
    }
}

impl ActivityDefaultsInput {
    /// The defaults; an id that can't be read is noted.
    pub(super) fn read(self, reader: &mut Reader) -> models::ActivityDefaults {
        models::ActivityDefaults {
            queue: self.queue.map(|id| reader.id("defaults.queue", &id)),
            timeout: self.timeout,
            deadline: self.deadline,
            retry: self.retry.map(RetryInput::read),
            max_parallel: self.max_parallel,
        }
    }
}

impl RetryInput {
    fn read(self) -> models::Retry {
        models::Retry {
            attempts: self.attempts,
            first: self.first,
            factor: self.factor,
            longest: self.longest,
            jitter: self.jitter,
            lost: self.lost,
            except: self.except.unwrap_or_default(),
        }
    }
}
