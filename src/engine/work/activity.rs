//! Activities of a definition in the form that the engine asks.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::Value;

use super::policy::Policy;
use crate::engine::{Budget, OutputExpression, Scope, timing::written};
use crate::models::{
    Activity, ActivityDefaults, Failure, KindId, OutcomeId, Problems, QueueId, Transition,
    WorkClass,
    petri::{Way, Work},
};

/// An activity, checked.
#[derive(Debug)]
pub struct NetActivity {
    /// The queue where workers look for it.
    pub queue: QueueId,
    /// Kind of the work.
    pub kind: KindId,
    /// The longest time of one attempt.
    pub timeout: Option<TimeDelta>,
    /// The longest time of all attempts together.
    pub deadline: Option<TimeDelta>,
    /// The ways in which it may end, in the order of their ids. Empty if it ends by the transition's
    /// outputs.
    pub outcomes: Vec<NetOutcome>,
    /// The most of its items that are open in one case.
    pub max_parallel: usize,
    pub(in crate::engine) policy: Policy,
    input: Option<OutputExpression>,
    class: Class,
    /// The same as the definition says it, without the arcs of its outcomes.
    declared: Arc<Activity>,
}

/// A way in which an activity may end.
#[derive(Debug)]
pub struct NetOutcome {
    /// Its id.
    pub id: OutcomeId,
    pub(in crate::engine) output: Option<OutputExpression>,
}

/// The class of an activity's items.
#[derive(Debug)]
enum Class {
    Fixed(WorkClass),
    By(OutputExpression),
}

impl NetActivity {
    /// Reads it from a definition; each error becomes a problem under `path`. What its text tells can
    /// never succeed is refused within `budget`, if there is one.
    pub(in crate::engine) fn compile(
        transition: &Transition,
        defaults: Option<&ActivityDefaults>,
        path: &str,
        budget: Option<&Budget>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let activity = transition.activity.as_ref()?;
        if transition.auto || transition.after.is_some() || transition.at.is_some() {
            let reason = "is done by a worker, and fires neither by itself nor at a time; leave one \
                          of them out";
            problems.add(format!("{path}.activity"), reason);
        }
        let path = format!("{path}.activity");
        let none = ActivityDefaults::default();
        let defaults = defaults.unwrap_or(&none);
        let queue = activity.queue.clone().or_else(|| defaults.queue.clone());
        let kind = activity.kind.clone();
        let input = activity.input.as_ref().and_then(|source| {
            let path = format!("{path}.input");
            let input = OutputExpression::compile(source, &path, problems)?;
            if let Some(budget) = budget {
                input.refuse_no_json(&path, budget, problems);
            }
            Some(input)
        });
        let timeout = time(activity.timeout.as_ref(), &format!("{path}.timeout"), problems);
        let deadline = time(activity.deadline.as_ref(), &format!("{path}.deadline"), problems);
        if let (Some(timeout), Some(deadline)) = (timeout, deadline)
            && timeout > deadline
        {
            let reason = "is more than `deadline`, which is the time of all attempts together";
            problems.add(format!("{path}.timeout"), reason);
        }
        let at_default = |of: &Option<String>| of.as_deref().and_then(|text| written(text).ok());
        let policy = Policy::compile(
            activity.retry.as_ref(),
            defaults.retry.as_ref(),
            &format!("{path}.retry"),
            problems,
        );
        let outcomes = outcomes(activity, &path, budget, problems);
        errors(activity, &path, problems);
        let parallel = activity.max_parallel.or(defaults.max_parallel);
        check_parallel(activity.max_parallel, &format!("{path}.max_parallel"), problems);
        let class = class(activity.priority.as_ref(), &path, budget, problems);
        Some(Self {
            queue: queue.unwrap_or_else(|| QueueId::new(Activity::QUEUE).expect("it is an id")),
            // Ids of both have the same characters.
            kind: kind.or_else(|| KindId::new(transition.id.as_str()).ok())?,
            timeout: timeout.or_else(|| at_default(&defaults.timeout)),
            deadline: deadline.or_else(|| at_default(&defaults.deadline)),
            outcomes,
            max_parallel: parallel.unwrap_or(Activity::PARALLEL) as usize,
            policy,
            input,
            class,
            declared: Arc::new(activity.without_arcs()),
        })
    }

    /// The work as nets have it, in one of its ways where there are several.
    pub(in crate::engine) fn work(&self, way: Option<Way>) -> Work {
        let (queue, kind) = (self.queue.clone(), self.kind.clone());
        Work { queue, kind, way, activity: Arc::clone(&self.declared) }
    }

    /// Returns true if one of its expressions asks for the case, whose marking is that of all places.
    pub(in crate::engine) fn asks_for_case(&self) -> bool {
        matches!(&self.class, Class::By(class) if class.asks_for_case())
    }

    /// The input of an attempt; `data` is the data of the tokens that it takes, merged.
    ///
    /// # Errors
    ///
    /// The reason in words that there is none.
    pub(in crate::engine) fn input(&self, scope: &Scope<'_>, data: Value) -> Result<Value, String> {
        match &self.input {
            Some(input) => input.value(scope, &data).map_err(|error| error.to_string()),
            None => Ok(data),
        }
    }

    /// The class of an item; `data` is the data of the tokens that it takes, merged.
    ///
    /// # Errors
    ///
    /// The reason in words that there is none.
    pub(in crate::engine) fn class(
        &self,
        scope: &Scope<'_>,
        data: impl FnOnce() -> Value,
    ) -> Result<WorkClass, String> {
        let expression = match &self.class {
            Class::Fixed(class) => return Ok(*class),
            Class::By(expression) => expression,
        };
        let value = expression.value(scope, &data()).map_err(|error| error.to_string())?;
        let class = value.as_str().and_then(WorkClass::named);
        class.ok_or_else(|| format!("gave {value}, and not high, normal or low"))
    }

    /// The outcome to which a failure's code is mapped.
    pub(in crate::engine) fn outcome_of(&self, code: &str) -> Option<&OutcomeId> {
        self.declared.on_error.get(code)
    }
}

fn time(text: Option<&String>, path: &str, problems: &mut Problems) -> Option<TimeDelta> {
    match written(text?) {
        Ok(span) if span > TimeDelta::zero() => Some(span),
        Ok(_) => {
            problems.add(path, "must be more than nothing, or absent");
            None
        }
        Err(reason) => {
            problems.add(path, reason);
            None
        }
    }
}

fn check_parallel(most: Option<u32>, path: &str, problems: &mut Problems) {
    let limit = Activity::MOST_PARALLEL;
    if most.is_some_and(|most| !(1..=limit).contains(&most)) {
        problems.add(path, format!("must be 1 to {limit}, or absent"));
    }
}

/// Checks the defaults of a workflow by themselves.
pub(in crate::engine) fn check_defaults(
    defaults: Option<&ActivityDefaults>,
    problems: &mut Problems,
) {
    let Some(defaults) = defaults else { return };
    time(defaults.timeout.as_ref(), "defaults.timeout", problems);
    time(defaults.deadline.as_ref(), "defaults.deadline", problems);
    Policy::compile(defaults.retry.as_ref(), None, "defaults.retry", problems);
    check_parallel(defaults.max_parallel, "defaults.max_parallel", problems);
}

fn outcomes(
    activity: &Activity,
    path: &str,
    budget: Option<&Budget>,
    problems: &mut Problems,
) -> Vec<NetOutcome> {
    let outcome = |(id, of): (&OutcomeId, &crate::models::Outcome)| {
        let path = format!("{path}.outcomes.{id}.output");
        let output = of.output.as_ref().and_then(|source| {
            let output = OutputExpression::compile_answer(source, &path, problems)?;
            if let Some(budget) = budget {
                output.refuse_futile(&path, budget, problems);
            }
            output.refuse_passing(&path, problems);
            Some(output)
        });
        NetOutcome { id: id.clone(), output }
    };
    activity.outcomes.iter().map(outcome).collect()
}

/// Checks the codes that are mapped, and those after which nothing is tried again.
fn errors(activity: &Activity, path: &str, problems: &mut Problems) {
    let named: Vec<_> = activity.outcomes.keys().map(OutcomeId::as_str).collect();
    for (code, outcome) in &activity.on_error {
        let path = format!("{path}.on_error.{code}");
        if let Some(reason) = wrong_code(code) {
            problems.add(path, reason);
        } else if !activity.outcomes.contains_key(outcome) {
            let reason = match named.is_empty() {
                true => {
                    format!("{outcome} is no outcome of this activity: it has none; add `outcomes`")
                }
                false => {
                    let named = named.join(", ");
                    format!("{outcome} is no outcome of this activity; it has {named}")
                }
            };
            problems.add(path, reason);
        }
    }
}

/// The fault of a text that is no code of a failure.
pub fn wrong_code(code: &str) -> Option<String> {
    let most = Failure::LONGEST_CODE;
    if code.is_empty() || code.len() > most {
        return Some(format!("a code has 1 to {most} bytes, and this one {}", code.len()));
    }
    let odd = code.chars().find(|c| c.is_control())?;
    Some(format!("a code has no control characters, and this one has {odd:?}"))
}

fn class(
    source: Option<&String>,
    path: &str,
    budget: Option<&Budget>,
    problems: &mut Problems,
) -> Class {
    let normal = Class::Fixed(WorkClass::Normal);
    let Some(source) = source else { return normal };
    if let Some(class) = WorkClass::named(source.trim()) {
        return Class::Fixed(class);
    }
    let path = format!("{path}.priority");
    let Some(expression) = OutputExpression::compile(source, &path, problems) else {
        return normal;
    };
    if let Some(budget) = budget {
        expression.refuse_no_json(&path, budget, problems);
    }
    expression.refuse_passing(&path, problems);
    Class::By(expression)
}
