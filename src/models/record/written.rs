//! Records as they are written.

use serde::{
    Serialize, Serializer,
    ser::{Error, SerializeMap},
};

use super::{
    Link, Record, Step, TokenAt, links,
    numbered::{At, ByPlace},
};
use crate::models::{TokenId, json::time};

/// The first format with the numbers of tokens in place of their ids.
const NUMBERED: u32 = 2;

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Time<'a>(
            #[serde(serialize_with = "time::serialize")] &'a chrono::DateTime<chrono::Utc>,
        );
        #[derive(Serialize)]
        struct Links<'a>(#[serde(serialize_with = "links::serialize")] &'a [Link]);

        let is_numbered = self.format >= NUMBERED;
        if is_numbered && let Some(other) = self.foreign() {
            let case = &self.case;
            return Err(S::Error::custom(format!("token {other} is none of case {case}")));
        }
        let mut to = to.serialize_map(None)?;
        to.serialize_entry("format", &self.format)?;
        to.serialize_entry("kind", &self.kind)?;
        to.serialize_entry("workflow", &self.workflow)?;
        to.serialize_entry("case", &self.case)?;
        to.serialize_entry("definition", &self.definition)?;
        to.serialize_entry("time", &Time(&self.time))?;
        some(&mut to, "by", self.by.as_ref())?;
        to.serialize_entry("firing", &self.firing)?;
        some(&mut to, "transition", self.transition.as_ref())?;
        for (name, tokens) in [
            ("consumed", &self.consumed),
            ("read", &self.read),
            ("removed", &self.removed),
            ("given", &self.given),
            ("edited", &self.edited),
        ] {
            match is_numbered {
                true => some(&mut to, name, Some(At(tokens)).filter(|at| !at.0.is_empty()))?,
                false => list(&mut to, name, tokens)?,
            }
        }
        list(&mut to, "cascade", &self.cascade)?;
        list(&mut to, "produced", &self.produced)?;
        let bases = Some(&self.history_bases).filter(|bases| !bases.is_empty());
        some(&mut to, "history_bases", bases)?;
        match is_numbered {
            true => to.serialize_entry("marking", &ByPlace(&self.marking))?,
            false => to.serialize_entry("marking", &self.marking)?,
        }
        to.serialize_entry("status", &self.status)?;
        to.serialize_entry("tokens_made", &self.tokens_made)?;
        list(&mut to, "incidents", &self.incidents)?;
        some(&mut to, "incidents_made", Some(self.incidents_made).filter(|made| *made > 0))?;
        list(&mut to, "raised", &self.raised)?;
        some(&mut to, "incident", self.incident)?;
        list(&mut to, "timers", &self.timers)?;
        some(&mut to, "timers_made", Some(self.timers_made).filter(|made| *made > 0))?;
        some(&mut to, "paused", self.paused.as_ref().map(Time))?;
        some(&mut to, "on_resume", Some(self.on_resume).filter(|way| !way.is_default()))?;
        list(&mut to, "elapsed", &self.elapsed)?;
        list(&mut to, "items", &self.items)?;
        some(&mut to, "items_made", Some(self.items_made).filter(|made| *made > 0))?;
        some(&mut to, "work", self.work.as_ref())?;
        some(&mut to, "metadata", Some(&self.metadata).filter(|notes| !notes.is_empty()))?;
        some(&mut to, "previous", self.previous)?;
        some(&mut to, "previous_hash", self.previous_hash.as_ref())?;
        some(&mut to, "request", self.request.as_ref())?;
        some(&mut to, "seed", self.seed.as_ref())?;
        some(&mut to, "links", Some(Links(&self.recent)).filter(|links| !links.0.is_empty()))?;
        some(&mut to, "page", self.page.as_ref())?;
        list(&mut to, "pages", &self.pages)?;
        some(&mut to, "unlisted", self.unlisted)?;
        some(&mut to, "tokens_hash", self.tokens_hash.as_ref())?;
        list(&mut to, "aside", &self.aside)?;
        list(&mut to, "put_aside", &self.put_aside)?;
        to.end()
    }
}

impl Record {
    /// The first token that it names which is none of its case.
    fn foreign(&self) -> Option<&TokenId> {
        let beginning = TokenId::beginning(&self.workflow, &self.case);
        let own = [&self.consumed, &self.read, &self.removed, &self.given, &self.edited];
        let steps = self.cascade.iter().flat_map(Step::tokens);
        let timers = self.timers.iter().chain(&self.elapsed).flat_map(|timer| &timer.tokens);
        let items = self.items.iter().flat_map(|item| &item.tokens);
        let named = own.into_iter().flatten().chain(steps).chain(timers).chain(items);
        let named = named.map(|TokenAt { token, .. }| token);
        let mut all = named.chain(self.marking.0.iter().map(|entry| &entry.token));
        all.find(|token| !token.as_str().starts_with(&beginning))
    }
}

/// Writes a field that is there.
fn some<M: SerializeMap>(
    to: &mut M,
    name: &'static str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| to.serialize_entry(name, &value))
}

/// Writes a list that is not empty.
fn list<M: SerializeMap>(
    to: &mut M,
    name: &'static str,
    values: &[impl Serialize],
) -> Result<(), M::Error> {
    some(to, name, Some(values).filter(|values| !values.is_empty()))
}
