//! The sixth scenario: a worker moves tokens of the cases that a caller changes and reads.

use std::time::Duration;

use serde_json::{Value, json};
use stormpetrel::{
    models::{CaseStatus, KindId, QueueId, TransitionId, WorkflowDefinition},
    petrel::{ExpectedVersion, Fire, NewCase},
    storage::{Consistency, ListOptions, Page, ReadPath, StorageExt, TokenScope},
    worker::{Attempt, QueueOptions, WorkError, Worker},
};
use tokio_util::sync::CancellationToken;

use crate::{Error, scenarios::Bench, table::Raw};

const FIRE_BESIDE: &str = "fire beside a worker";
const GET_BESIDE: &str = "get a token beside a worker";
const AWAIT: &str = "create, and await five steps";
const GET_DONE: &str = "get what a worker has made";
const LIST_DONE: &str = "list what workers have made";

/// Number of cases, and of the caller's moves in each.
const CASES: usize = 40;
const MOVES: usize = 12;

impl Bench {
    /// A caller moves one token of a case while a worker moves the other. What the caller is answered is in
    /// the view at once; and so is all that the case has come to, for one who has waited for its end.
    pub(crate) async fn beside_a_worker(&mut self) -> Result<(), Error> {
        self.petrel.create_workflow(worked()?, ExpectedVersion::New).await?;
        let stop = CancellationToken::new();
        let worker = Worker::builder(self.petrel.clone())
            .queue(QueueOptions::new(QueueId::new("default")?))
            .handle(KindId::new("step")?, |_: Attempt, input: Value| async move {
                let done = input["done"].as_u64().unwrap_or_default() + 1;
                Ok::<_, WorkError>(json!({ "done": done }))
            })
            .build()?;
        let stopped = stop.clone();
        let working = tokio::spawn(async move { worker.run(stopped).await });
        for round in 0..CASES {
            self.case_beside(round).await?;
            self.raw(round).await?;
        }
        stop.cancel();
        working.await??;
        Ok(())
    }

    async fn case_beside(&mut self, round: usize) -> Result<(), Error> {
        let workflow = worked()?.id;
        let new = NewCase { data: json!({ "round": round }), ..NewCase::of(workflow.clone()) };
        let begun = std::time::Instant::now();
        let created = self.petrel.create_case(new).await?;
        let case = created.case.id.clone();
        // The case begins with both tokens: the worker has one of them from now on.
        let own = created.tokens.iter().find(|token| token.place.as_str() == "idle");
        let mut own = own.ok_or("a token for the caller")?.id.clone();
        for step in 0..MOVES {
            let transition = TransitionId::new(["forth", "back"][step % 2])?;
            let fire = Fire::token(own.clone(), transition);
            let fired = self.table.time(FIRE_BESIDE, Raw::Publish, self.petrel.fire(fire)).await?;
            own = fired.tokens[0].id.clone();
            for consistency in [Consistency::Eventual, Consistency::Strong] {
                let read = self.petrel.token(Some(&workflow), &own, consistency);
                let read = self.table.time(GET_BESIDE, Raw::Get, read).await.ok();
                self.same(GET_BESIDE, &fired.tokens[0], read.as_ref());
            }
            let storage = self.petrel.storage();
            let read = storage.token(&workflow, &own, ReadPath::Consumer.into()).await?;
            self.same(GET_BESIDE, &fired.tokens[0], read.as_ref());
        }
        // The caller's token is taken with the worker's when that has come through.
        let limit = Duration::from_secs(60);
        let ended = self.petrel.await_case(&workflow, &case, limit).await?;
        self.table.note(AWAIT, Raw::Publish, begun.elapsed());
        let has_ended = ended.status == CaseStatus::Completed;
        self.table.check(AWAIT, has_ended, || format!("{:?}", ended.status));
        let made = ended.live_tokens().next().ok_or("a token at the end")?.clone();
        for consistency in [Consistency::Eventual, Consistency::Strong] {
            let read = self.petrel.token(Some(&workflow), &made.id, consistency);
            let read = self.table.time(GET_DONE, Raw::Get, read).await.ok();
            self.same(GET_DONE, &made, read.as_ref());
            let is_done = read.is_some_and(|read| read.data["done"] == 5);
            self.table.check(GET_DONE, is_done, || format!("{made:?}"));
        }
        let scope = TokenScope { workflow, place: Some(made.place.clone()), case: None };
        let page = Page { first: 100, after: None };
        let listed = self.table.time(LIST_DONE, Raw::Get, self.petrel.tokens(&scope, page)).await?;
        let storage = self.petrel.storage();
        let path = Some(ReadPath::Consumer);
        let consumer = storage.tokens_in(&scope, ListOptions { page, path }).await?;
        for listed in [listed, consumer] {
            let right = listed.items.len() == round + 1
                && listed.items.iter().any(|(_, token)| token.id == made.id);
            self.table.check(LIST_DONE, right, || format!("{} listed", listed.items.len()));
        }
        Ok(())
    }
}

/// Five steps of a worker, and a token beside that a caller moves to and fro until both are joined.
fn worked() -> Result<WorkflowDefinition, Error> {
    let step = |number: usize| {
        json!({ "id": format!("step{number}"), "from_places": [format!("p{number}")],
            "to_place": format!("p{}", number + 1), "activity": { "kind": "step" } })
    };
    let mut transitions: Vec<_> = (0..5).map(step).collect();
    transitions.extend([
        json!({ "id": "begin", "from_places": ["start"], "auto": true,
            "outputs": [{ "place": "p0" }, { "place": "idle" }] }),
        json!({ "id": "forth", "from_places": ["idle"], "to_place": "busy" }),
        json!({ "id": "back", "from_places": ["busy"], "to_place": "idle",
            "output": "{'moves': (has(token.data.moves) ? token.data.moves : 0) + 1}" }),
        json!({ "id": "join", "inputs": [{ "place": "p5" }, { "place": "idle" }], "auto": true,
            "outputs": [{ "place": "done" }],
            "conditions": [format!("has(tokens[1].data.moves) && tokens[1].data.moves == {}", MOVES / 2)],
            "output": "{'done': tokens[0].data.done}" }),
    ]);
    let places = ["start", "p0", "p1", "p2", "p3", "p4", "p5", "idle", "busy", "done"];
    let places = places.map(|id| json!({ "id": id }));
    Ok(serde_json::from_value(json!({
        "id": "worked", "initial_place": "start", "places": places, "transitions": transitions
    }))?)
}
