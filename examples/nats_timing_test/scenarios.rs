//! The scenarios. Each writes, and reads back at once.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::try_join_all};
use serde_json::{Value, json};
use stormpetrel::{
    models::{
        CaseId, PlaceId, Token, TokenId, TransitionId, Version, WorkflowDefinition, WorkflowId,
    },
    petrel::{self, Change, Changed, ExpectedVersion, Fire, NewCase, Petrel},
    storage::{
        Consistency, ListOptions, LogScope, Page, ReadPath, StorageExt, TokenScope, nats::Floor,
    },
};

use crate::{
    Error,
    table::{RAW_GET, RAW_PUBLISH, Raw, Table},
};

const CREATE_WORKFLOW: &str = "create a workflow";
const READ_WORKFLOW: &str = "read the workflow";
const CREATE: &str = "create a token";
const GET: &str = "get a token";
const GET_STRONG: &str = "get a token, strong";
const GET_CONSUMER: &str = "get a token by consumer";
const FIRE: &str = "fire 1 -> 1";
const FIRE_AT_ONCE: &str = "fire 1 -> 1, 8 tasks at once";
const GET_AT_ONCE: &str = "get a token, 8 tasks at once";
const FIRE_THREE: &str = "fire 3 -> 3";
const EDIT: &str = "update a token's data";
const LIST: &str = "list a place of 30";
const HISTORY: &str = "history of a case";

/// Tools of the scenarios.
pub(crate) struct Bench {
    pub petrel: Petrel,
    pub floor: Floor,
    pub table: Table,
}

impl Bench {
    /// Runs all of them.
    pub(crate) async fn run(&mut self) -> Result<(), Error> {
        self.petrel.create_workflow(orders("orders")?, ExpectedVersion::Any).await?;
        self.warm_up().await?;
        println!("1  a workflow and a token, created and read back at once");
        self.create_and_read().await?;
        println!("2  200 tokens, each read back at once, and all of them again");
        self.stress().await?;
        println!("3  sequences, server times, subjects and events in every token");
        self.event_tracking().await?;
        println!("4  the tokens of places, before and after moves");
        self.places().await?;
        println!("5  500 moves on 8 tasks, and one token moved 200 times");
        self.transitions().await?;
        println!("6  tokens that a caller moves while a worker moves others of the same case");
        self.beside_a_worker().await
    }

    /// The first operations of a connection are not like the others.
    async fn warm_up(&mut self) -> Result<(), Error> {
        let mut measured = std::mem::take(&mut self.table);
        let (_, token) = self.begin(json!({})).await?;
        for step in 0..50 {
            self.raw(step).await?;
            self.fire(&token, step, FIRE).await?;
            self.read(&token, GET, Consistency::Eventual).await?;
        }
        std::mem::swap(&mut self.table, &mut measured);
        Ok(())
    }

    async fn create_and_read(&mut self) -> Result<(), Error> {
        for round in 0..50 {
            self.raw(round).await?;
            let definition = orders(&format!("orders-{round}"))?;
            let id = definition.id.clone();
            let create = self.petrel.create_workflow(definition.clone(), ExpectedVersion::New);
            self.table.time(CREATE_WORKFLOW, Raw::Publish, create).await?;
            let read = self.table.time(READ_WORKFLOW, Raw::Get, self.petrel.workflow(&id)).await?;
            let right = read.definition == definition && read.version == Version::FIRST;
            self.table.check(READ_WORKFLOW, right, || format!("{read:?}"));

            let (begun, token) = self.begin(json!({"round": round})).await?;
            let read = self.read(&token, GET, Consistency::Eventual).await?;
            self.same(GET, &begun.tokens[0], read.as_ref());
            let read = self.read(&token, GET_STRONG, Consistency::Strong).await?;
            self.same(GET_STRONG, &begun.tokens[0], read.as_ref());
        }
        Ok(())
    }

    async fn stress(&mut self) -> Result<(), Error> {
        let mut all = Vec::new();
        for number in 0..200 {
            let (begun, token) = self.begin(json!({"number": number})).await?;
            let read = self.read(&token, GET, Consistency::Eventual).await?;
            self.same(GET, &begun.tokens[0], read.as_ref());
            self.raw(number).await?;
            all.push(begun.tokens[0].clone());
        }
        for (number, token) in all.iter().enumerate() {
            let read = self.read(&token.id, GET, Consistency::Eventual).await?;
            self.same(GET, token, read.as_ref());
            let read = self.read(&token.id, GET_STRONG, Consistency::Strong).await?;
            self.same(GET_STRONG, token, read.as_ref());
            let read =
                self.petrel.storage().token(&token.workflow, &token.id, ReadPath::Consumer.into());
            let read = self.table.time(GET_CONSUMER, Raw::Get, read).await?;
            self.same(GET_CONSUMER, token, read.as_ref());
            self.raw(number).await?;
        }
        Ok(())
    }

    async fn event_tracking(&mut self) -> Result<(), Error> {
        for number in 0..20 {
            let (begun, token) = self.begin(json!({"number": number})).await?;
            let scope = LogScope::Case(begun.case.workflow.clone(), begun.case.id.clone());
            let from = Some(begun.record.sequence.into());
            let events = self.petrel.watch(scope, from).await?;
            let mut sequences = vec![begun.record.sequence];
            for step in 0..4 {
                let fired = self.fire(&token, step, FIRE).await?;
                sequences.push(fired.record.sequence);
            }
            let patch = json!({"checked": true});
            let edit = self.petrel.update_token_data(None, &token, patch, Change::default());
            let edited = self.table.time(EDIT, Raw::Publish, edit).await?;
            sequences.push(edited.record.sequence);

            let rising = sequences.windows(2).all(|pair| pair[0] < pair[1]);
            self.table.check(EDIT, rising, || format!("sequences {sequences:?}"));
            let read = self.read(&token, GET, Consistency::Eventual).await?;
            self.same(GET, &edited.tokens[0], read.as_ref());
            let complete = read.as_ref().is_some_and(|read| {
                let passed: Vec<_> =
                    read.history.iter().filter_map(|passed| passed.sequence).collect();
                let place = PlaceId::new("draft").ok();
                place.is_some_and(|place| {
                    let subject =
                        self.petrel.storage().token_subject(&read.workflow, &place, &token);
                    read.nats_subject.as_deref() == Some(&subject)
                }) && read.history_total == 4
                    && passed == sequences[1..5]
                    && read.data == json!({"number": number, "checked": true})
            });
            self.table.check(GET, complete, || format!("{read:?}"));

            let page = Page { first: 100, after: None };
            let history = self.petrel.history(&begun.case.workflow, &begun.case.id, page);
            let history = self.table.time(HISTORY, Raw::Get, history).await?;
            let logged: Vec<_> = history.items.iter().map(|(_, one)| one.sequence).collect();
            self.table.check(HISTORY, logged == sequences, || format!("{logged:?}"));
            let seen = events.take(sequences.len()).map_ok(|event| event.sequence);
            let seen = tokio::time::timeout(Duration::from_secs(10), seen.try_collect::<Vec<_>>());
            let seen = seen.await??;
            self.table.check(HISTORY, seen == sequences, || format!("events {seen:?}"));
        }
        Ok(())
    }

    async fn places(&mut self) -> Result<(), Error> {
        let workflow = orders("places")?;
        let id = workflow.id.clone();
        self.petrel.create_workflow(workflow, ExpectedVersion::New).await?;
        let mut all = Vec::new();
        for _ in 0..30 {
            all.push(self.petrel.create_case(NewCase::of(id.clone())).await?.tokens[0].id.clone());
        }
        let mut moved = BTreeSet::new();
        for number in 0..=all.len() {
            let unmoved = all.iter().filter(|token| !moved.contains(*token)).cloned().collect();
            self.list(&id, "draft", &unmoved).await?;
            self.list(&id, "review", &moved).await?;
            self.raw(number).await?;
            if let Some(token) = all.get(number) {
                self.fire(token, 0, FIRE).await?;
                moved.insert(token.clone());
            }
        }
        Ok(())
    }

    async fn transitions(&mut self) -> Result<(), Error> {
        let tasks = (0..8).map(|task| {
            let (petrel, floor) = (self.petrel.clone(), self.floor.clone());
            let mut own = Self { petrel, floor, table: Table::default() };
            // 500 in all.
            let moves = if task < 4 { 63 } else { 62 };
            tokio::spawn(async move {
                let (_, token) = own.begin(json!({"task": task})).await?;
                for step in 0..moves {
                    let fired = own.fire(&token, step, FIRE_AT_ONCE).await?;
                    let read = own.read(&token, GET_AT_ONCE, Consistency::Eventual).await?;
                    own.same(GET_AT_ONCE, &fired.tokens[0], read.as_ref());
                }
                Ok::<_, Error>(own.table)
            })
        });
        for table in try_join_all(tasks.collect::<Vec<_>>()).await? {
            self.table.add(table?);
        }
        let (_, token) = self.begin(json!({})).await?;
        for step in 0..200 {
            let fired = self.fire(&token, step, FIRE).await?;
            for (name, consistency) in
                [(GET, Consistency::Eventual), (GET_STRONG, Consistency::Strong)]
            {
                let read = self.read(&token, name, consistency).await?;
                self.same(name, &fired.tokens[0], read.as_ref());
            }
            self.raw(step).await?;
        }
        self.three_at_once().await
    }

    /// Three tokens taken and three given, in one firing.
    async fn three_at_once(&mut self) -> Result<(), Error> {
        let workflow = WorkflowId::new("triple")?;
        self.petrel.create_workflow(triple()?, ExpectedVersion::New).await?;
        let begun = self.petrel.create_case(NewCase::of(workflow.clone())).await?;
        let case = begun.case.id.clone();
        let fire = |id: &str| {
            let transition = TransitionId::new(id)?;
            Ok::<_, Error>(Fire::case(workflow.clone(), case.clone(), transition))
        };
        self.petrel.fire(fire("begin")?).await?;
        for step in 0..100 {
            let fire = fire(["forth", "back"][step % 2])?;
            let fired = self.table.time(FIRE_THREE, Raw::Publish, self.petrel.fire(fire)).await?;
            let to = ["d", "e", "f", "a", "b", "c"].map(PlaceId::new);
            for (made, place) in fired.tokens.iter().zip(&to[step % 2 * 3..]) {
                let read = self.read(&made.id, GET, Consistency::Eventual).await?;
                self.same(GET, made, read.as_ref());
                let there = read.as_ref().map(|read| &read.place);
                self.table.check(FIRE_THREE, there == place.as_ref().ok(), || format!("{read:?}"));
            }
            self.raw(step).await?;
        }
        Ok(())
    }

    async fn begin(&mut self, data: Value) -> Result<(Changed, TokenId), Error> {
        let new = NewCase { data, ..NewCase::of(WorkflowId::new("orders")?) };
        let begun = self.table.time(CREATE, Raw::Publish, self.petrel.create_case(new)).await?;
        let token = begun.tokens[0].id.clone();
        Ok((begun, token))
    }

    /// Moves a token there and back.
    async fn fire(
        &mut self,
        token: &TokenId,
        step: usize,
        name: &'static str,
    ) -> Result<Changed, Error> {
        let transition = TransitionId::new(["submit", "reject"][step % 2])?;
        let fire = self.petrel.fire(Fire::token(token.clone(), transition));
        Ok(self.table.time(name, Raw::Publish, fire).await?)
    }

    async fn read(
        &mut self,
        token: &TokenId,
        name: &'static str,
        consistency: Consistency,
    ) -> Result<Option<Token>, Error> {
        // A token's id leads to its workflow; the callers measured here know both.
        let (case, tag) = token.case().ok_or("a token id of the engine")?;
        let known = ["orders", "triple", "places"].map(WorkflowId::new);
        let workflow = known.into_iter().flatten().find(|workflow| workflow.tag() == tag);
        let workflow = workflow.ok_or_else(|| format!("a known workflow of case {case}"))?;
        let read = self.petrel.token(Some(&workflow), token, consistency);
        match self.table.time(name, Raw::Get, read).await {
            Ok(read) => Ok(Some(read)),
            // A missing token is a wrong answer, and not the end of the run.
            Err(petrel::Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks that a read gave just the token that the write had answered.
    pub(crate) fn same(&mut self, name: &'static str, written: &Token, read: Option<&Token>) {
        let right = read.is_some_and(|read| {
            let timed = read.nats_timestamp.is_some();
            let written = Token { nats_timestamp: read.nats_timestamp, ..written.clone() };
            timed && *read == written
        });
        self.table.check(name, right, || format!("wrote {written:?}, read {read:?}"));
    }

    async fn list(
        &mut self,
        workflow: &WorkflowId,
        place: &str,
        expected: &BTreeSet<TokenId>,
    ) -> Result<(), Error> {
        let place = Some(PlaceId::new(place)?);
        let scope = TokenScope { workflow: workflow.clone(), place, case: None };
        let page = Page { first: 100, after: None };
        let listed = self.table.time(LIST, Raw::Get, self.petrel.tokens(&scope, page)).await?;
        let consumer = self
            .petrel
            .storage()
            .tokens_in(&scope, ListOptions { page, path: Some(ReadPath::Consumer) })
            .await?;
        for listed in [listed, consumer] {
            let seen: BTreeSet<_> =
                listed.items.iter().map(|(_, token)| token.id.clone()).collect();
            let right = seen == *expected && listed.items.len() == expected.len();
            self.table.check(LIST, right, || format!("{seen:?} and not {expected:?}"));
        }
        Ok(())
    }

    /// A raw publish and a raw direct get, of messages like the engine's, in between.
    pub(crate) async fn raw(&mut self, number: usize) -> Result<(), Error> {
        let body = || Bytes::from(vec![b'x'; 800]);
        let (place, token) = (PlaceId::new("raw")?, TokenId::new(format!("raw-{number}"))?);
        self.floor.put(&place, &token, body()).await?;
        let case = CaseId::new(format!("raw-{number}"))?;
        let publish = self.floor.publish(&case, body());
        self.table.time(RAW_PUBLISH, Raw::Publish, publish).await?;
        self.table.time(RAW_GET, Raw::Get, self.floor.get(&place, &token)).await?;
        Ok(())
    }
}

fn orders(id: &str) -> Result<WorkflowDefinition, Error> {
    Ok(serde_json::from_value(json!({
        "id": id,
        "name": "Orders",
        "initial_place": "draft",
        "places": [{"id": "draft"}, {"id": "review"}],
        "transitions": [
            {"id": "submit", "from_places": ["draft"], "to_place": "review"},
            {"id": "reject", "from_places": ["review"], "to_place": "draft"}
        ]
    }))?)
}

fn triple() -> Result<WorkflowDefinition, Error> {
    let arcs = |places: [&str; 3]| places.map(|place| json!({"place": place}));
    let (near, far) = (arcs(["a", "b", "c"]), arcs(["d", "e", "f"]));
    let places = ["start", "a", "b", "c", "d", "e", "f"].map(|place| json!({"id": place}));
    Ok(serde_json::from_value(json!({
        "id": "triple",
        "name": "Triple",
        "initial_place": "start",
        "places": places,
        "transitions": [
            {"id": "begin", "inputs": [{"place": "start"}], "outputs": near},
            {"id": "forth", "inputs": near, "outputs": far},
            {"id": "back", "inputs": far, "outputs": near}
        ]
    }))?)
}
