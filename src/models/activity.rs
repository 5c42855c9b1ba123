//! Activities: transitions that fire when a worker has done something, as a definition says them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{KindId, OutcomeId, OutputArc, PlaceId, QueueId, wait};

/// Work that a worker carries out before its transition fires. Its tokens stay where they are
/// meanwhile.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Activity {
    /// The queue where workers look for it; the workflow's default, or `default`, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["payments"])))]
    pub queue: Option<QueueId>,
    /// Kind of the work, by which a worker chooses its handler; the transition's id where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["charge-card"])))]
    pub kind: Option<KindId>,
    /// A CEL expression over `token`, `tokens`, `case` and `data` that gives the input of an attempt;
    /// the data of the tokens that it takes, merged in arc order, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["{'amount': token.data.amount}"])))]
    pub input: Option<String>,
    /// The longest time of one attempt, such as `30s` or `2h 30m`; the workflow's default, or no limit,
    /// where absent. A number is one of seconds.
    #[serde(default, deserialize_with = "wait::deserialize_span")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "wait::span_schema"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// The longest time of all attempts together, with the waits between them, since the work was
    /// offered; the workflow's default, or no limit, where absent. At its end the work ends with the
    /// code `DEADLINE`.
    #[serde(default, deserialize_with = "wait::deserialize_span")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "wait::span_schema"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// The way in which a failed attempt is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Class of the work: `high`, `normal` or `low`, or a CEL expression over the tokens that gives one
    /// of these as a text; `normal` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["high", "token.data.rank"])))]
    pub priority: Option<String>,
    /// The ways in which it may end, each with outputs of its own. Where there are none it ends by the
    /// transition's outputs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<OutcomeId, Outcome>,
    /// Codes of failures that end it by an outcome, without another attempt: each with the outcome's
    /// id. A deadline that passes has the code `DEADLINE`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"NO_STOCK": "refused"}])))]
    pub on_error: BTreeMap<String, OutcomeId>,
    /// The most of its items that are open in one case at once, 1 to 1,000; the workflow's default, or
    /// 100, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
    pub max_parallel: Option<u32>,
}

impl Activity {
    /// The queue where nothing says another one.
    pub const QUEUE: &str = "default";

    /// Number of items of one activity that are open in a case where the definition says nothing.
    pub const PARALLEL: u32 = 100;

    /// The most that a definition may allow.
    pub const MOST_PARALLEL: u32 = 1_000;

    /// The same without the arcs of its outcomes, for nets, which have arcs themselves.
    #[must_use]
    pub fn without_arcs(&self) -> Self {
        let mut activity = self.clone();
        for outcome in activity.outcomes.values_mut() {
            *outcome = Outcome { output: outcome.output.take(), ..Outcome::default() };
        }
        activity
    }
}

/// A way in which an activity may end.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Arcs to places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputArc>,
    /// Short form: gives one token to this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_place: Option<PlaceId>,
    /// A CEL expression that gives a map, merged into the data of the produced tokens; it sees the
    /// worker's answer as `result`. The transition's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// The way in which failed attempts are tried again. Each delay is as many times the one before as
/// `factor` says, and at most `longest`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The most attempts that may fail, 1 to 1,000; 3 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
    pub attempts: Option<u32>,
    /// Delay before the second attempt; `1s` where absent.
    #[serde(default, deserialize_with = "wait::deserialize_span")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "wait::span_schema"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Growth of the delays, 1 to 100; 2 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100)))]
    pub factor: Option<f64>,
    /// The longest delay; `60s` where absent.
    #[serde(default, deserialize_with = "wait::deserialize_span")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "wait::span_schema"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest: Option<String>,
    /// Shortens each delay by a part of it that differs from item to item, so that what failed together
    /// is not tried again together; true where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<bool>,
    /// The most attempts that may be lost with their workers, 1 to 1,000; 5 where absent. They do not
    /// count as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
    pub lost: Option<u32>,
    /// Codes of failures after which nothing is tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(inner(length(min = 1)), extend("examples" = [["NO_STOCK"]])))]
    pub except: Vec<String>,
}

/// Defaults of a workflow's activities, for those that say nothing else.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ActivityDefaults {
    /// The queue of activities that name none; `default` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["payments"])))]
    pub queue: Option<QueueId>,
    /// The longest time of one attempt of activities that name none, such as `30s`; no limit where absent.
    #[serde(default, deserialize_with = "wait::deserialize_span")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "wait::span_schema"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// The longest time of all attempts together of activities that name none; no limit where absent.
    #[serde(default, deserialize_with = "wait::deserialize_span")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "wait::span_schema"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// The way in which failed attempts are tried again; of each activity every field that it leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The most items of one activity that are open in one case at once, of activities that name no number:
    /// 1 to 1,000; 100 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
    pub max_parallel: Option<u32>,
}
