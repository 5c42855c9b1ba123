//! Cases with work, for examples of what happens with it.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::fixture::{Run, Start};
use crate::{
    engine::{
        Act, Answered, Begin, Begun, Bounds, Budget, Claim, Refused, begin, complete, elapse, fail,
        update_data,
    },
    models::{Failure, OutcomeId, Record},
};

pub(super) fn working(transitions: Value, places: &[&str]) -> Run {
    let places: Vec<_> = places.iter().map(|id| json!({ "id": id })).collect();
    with_places(transitions, &json!(places))
}

pub(super) fn with_places(transitions: Value, places: &Value) -> Run {
    let definition = serde_json::from_value(json!({
        "id": "random", "initial_place": "p0", "places": places, "transitions": transitions
    }));
    Run::new(&Start { definition: definition.unwrap(), tokens: vec![1] })
}

/// One activity from `p0` to `end`, with these fields.
pub(super) fn one(activity: Value) -> Run {
    let transition = json!({"id": "work", "from_places": ["p0"], "to_place": "end",
        "activity": activity});
    working(json!([transition]), &["p0", "end"])
}

impl Run {
    pub(super) fn later(&self, seconds: i64) -> Act {
        let act = self.act();
        Act { now: act.now + TimeDelta::seconds(seconds), ..act }
    }

    pub(super) fn begin_at(
        &mut self,
        item: u64,
        over: Option<u64>,
        act: &Act,
    ) -> Result<Begun, Refused> {
        let budget = Budget::default();
        let bounds = Bounds::of(&budget);
        let begun = begin(
            &self.net,
            &self.case,
            Begin { item, over, got_on: false, answered: false, lease: None },
            act,
            bounds,
        )?;
        self.append(begun.record.clone());
        Ok(begun)
    }

    pub(super) fn begin(&mut self, item: u64) -> Begun {
        self.begin_at(item, None, &self.act()).unwrap()
    }

    pub(super) fn complete(&mut self, claim: Claim, result: Value) -> Result<Record, Refused> {
        self.complete_by(claim, None, result)
    }

    pub(super) fn complete_by(
        &mut self,
        claim: Claim,
        outcome: Option<&str>,
        result: Value,
    ) -> Result<Record, Refused> {
        let (budget, act) = (Budget::default(), self.act());
        let outcome = outcome.map(|id| OutcomeId::new(id).unwrap());
        let answer = Answered { outcome, result, hand_over: None };
        let bounds = Bounds::of(&budget);
        let record = complete(&self.net, &self.case, claim, answer, &act, bounds)?;
        self.append(record.clone());
        Ok(record)
    }

    pub(super) fn fail(&mut self, claim: Claim, code: &str) -> Record {
        let (budget, act) = (Budget::default(), self.act());
        let failure = Failure { code: code.to_owned(), ..Failure::default() };
        let record =
            fail(&self.net, &self.case, claim, failure, &act, Bounds::of(&budget)).unwrap();
        self.append(record.clone());
        record
    }

    pub(super) fn elapse_after(&mut self, seconds: i64) -> Option<Record> {
        let (budget, act) = (Budget::default(), self.later(seconds));
        let until = (act.now, u64::MAX);
        let record = elapse(&self.net, &self.case, until, &act, Bounds::of(&budget))?.unwrap();
        self.append(record.clone());
        Some(record)
    }

    pub(super) fn edit(&mut self, patch: &Value) {
        let (budget, act) = (Budget::default(), self.act());
        let token = self.case.marking.0[0].token.clone();
        let bounds = Bounds::of(&budget);
        let record = update_data(&self.net, &self.case, &token, patch, &act, bounds);
        self.append(record.unwrap().unwrap());
    }
}

pub(super) fn of(item: u64, claim: u64) -> Claim {
    Claim { item, number: Some(claim) }
}
