//! Servers with the numbers of records that the rows are measured with.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use async_nats::{
    Client,
    jetstream::{self, stream::Stream},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use stormpetrel::{
    local_server::{LocalServer, LocalServerOptions, Store},
    models::{
        CaseId, FiringId, LogSequence, PlaceId, TokenId, TransitionId, WorkflowDefinition,
        WorkflowId,
    },
    petrel::{Change, ExpectedVersion, Fire, NewCase, Petrel},
    storage::{
        Cursor, Page, Storage,
        nats::{NatsStorage, NatsStorageConfig},
    },
};

use super::Error;

/// Number of records of each case.
const OF_A_CASE: usize = 10;

/// Number of tokens in the place of few.
const FEW: usize = 10;

/// Number of cases that are filled together, so that their records lie mixed in the log, and
/// the process that fills them still knows each.
const TOGETHER: usize = 8_000;

/// Number of changes that are under way at once while filling.
const AT_ONCE: usize = 256;

/// A server with a number of records.
pub(crate) struct Site {
    pub size: usize,
    server: LocalServer,
    pub petrel: Petrel,
    pub workflow: WorkflowId,
    /// Stream of the log, without an engine.
    pub log: Stream,
    /// Stream of the view, without an engine.
    pub view: Stream,
    /// Connection without an engine.
    pub client: Client,
    /// Number of cases that have been handed out to be changed.
    used: AtomicUsize,
}

impl Site {
    /// Starts a server and fills it, unless its folder is full from an earlier run.
    pub(crate) async fn open(size: usize, folder: Option<&Path>) -> Result<Self, Error> {
        let server = serve(folder, &format!("{size}")).await?;
        let petrel = connect(&server).await?;
        let workflow = WorkflowId::new("growth")?;
        let settings = settings(&server);
        let client = async_nats::connect(&settings.urls[0]).await?;
        let raw = jetstream::new(client.clone());
        let log = raw.get_stream(&settings.log_stream).await?;
        let view = raw.get_stream(&settings.marking_stream).await?;
        let used = AtomicUsize::new(0);
        let site = Self { size, server, petrel, workflow, log, view, client, used };
        let there =
            site.petrel.storage().last_sequence().await?.map_or(0, LogSequence::get) as usize;
        let begun = Instant::now();
        if there < size {
            if there > 0 {
                return Err(format!("{size}: only {there} records there; remove its folder").into());
            }
            site.fill().await?;
        }
        let last = site.petrel.storage().last_sequence().await?.map_or(0, LogSequence::get);
        println!("{size} records: {last} there after {:.0} s", begun.elapsed().as_secs_f64());
        Ok(site)
    }

    async fn fill(&self) -> Result<(), Error> {
        self.petrel.create_workflow(definition()?, ExpectedVersion::Any).await?;
        let numbers: Vec<_> = (0..self.count()).collect();
        for together in numbers.chunks(TOGETHER) {
            for round in 0..OF_A_CASE {
                stream::iter(together)
                    .map(|number| self.step(*number, round))
                    .buffer_unordered(AT_ONCE)
                    .try_collect::<()>()
                    .await?;
            }
        }
        Ok(())
    }

    async fn step(&self, number: usize, round: usize) -> Result<(), Error> {
        if round == 0 {
            let place = (number < FEW).then(|| PlaceId::new("few")).transpose()?;
            return self.create(&self.petrel, self.case(number), place).await;
        }
        let transition = match number {
            number if number < FEW => "nudge",
            number if round + 1 == OF_A_CASE && number % 2 == 1 => "end",
            _ => "tick",
        };
        let fire = Fire::case(self.workflow.clone(), self.case(number), id(transition));
        self.petrel.fire(fire).await?;
        Ok(())
    }

    pub(crate) async fn create(
        &self,
        petrel: &Petrel,
        case: CaseId,
        place: Option<PlaceId>,
    ) -> Result<(), Error> {
        let data = json!({"customer": "c-1207", "amount": 120, "currency": "EUR"});
        let case = Some(case);
        petrel
            .create_case(NewCase { data, case, place, ..NewCase::of(self.workflow.clone()) })
            .await?;
        Ok(())
    }

    /// Number of cases that it was filled with.
    pub(crate) fn count(&self) -> usize {
        self.size / OF_A_CASE
    }

    pub(crate) fn case(&self, number: usize) -> CaseId {
        CaseId::new(format!("k{number}")).unwrap()
    }

    pub(crate) fn token(&self, number: usize) -> TokenId {
        TokenId::of_case(&self.workflow.tag(), &self.case(number), 1)
    }

    /// A log sequence with as many new cases before it as after it, or nearly so.
    pub(crate) fn middle(&self) -> u64 {
        let middle = if self.count() <= TOGETHER { self.count() } else { self.size } / 2;
        middle as u64
    }

    /// A page of tokens with as many filled in before it as after it, or nearly so.
    pub(crate) fn middle_of_the_view(&self) -> Page {
        Page { first: 10, after: Some(Cursor(self.size as u64 / 2)) }
    }

    /// A number of a case that runs, spread over all of them.
    pub(crate) fn some(&self, turn: usize) -> usize {
        let running = (self.count() - FEW) / 2;
        FEW + 2 * ((turn * 7_919) % running)
    }

    /// A number of a case that has ended, spread over all of them.
    pub(crate) fn ended(&self, turn: usize) -> usize {
        self.some(turn) + 1
    }

    /// A case that runs and that nobody was given before, as long as there are any.
    pub(crate) fn untouched(&self) -> CaseId {
        self.case(self.some(self.used.fetch_add(1, Ordering::Relaxed) + 13))
    }

    /// A process that has touched no case yet, on the connection that is there.
    pub(crate) fn fresh(&self) -> Petrel {
        Petrel::new(Arc::clone(self.petrel.storage()))
    }

    /// A process that has just started.
    pub(crate) async fn started(&self) -> Result<Petrel, Error> {
        connect(&self.server).await
    }

    /// A change that is possible as often as one likes.
    pub(crate) fn tick(&self, case: CaseId) -> Fire {
        tick(&self.workflow, case)
    }

    pub(crate) async fn close(self) -> Result<(), Error> {
        self.petrel.close().await;
        self.server.stop().await?;
        Ok(())
    }
}

/// A firing of `tick` under an id that nobody has used.
pub(crate) fn tick(workflow: &WorkflowId, case: CaseId) -> Fire {
    let firing = FiringId::new(format!("f-{:016x}", rand::random::<u64>())).unwrap();
    let change = Change { firing: Some(firing), ..Change::default() };
    Fire { change, ..Fire::case(workflow.clone(), case, id("tick")) }
}

pub(crate) fn id(transition: &str) -> TransitionId {
    TransitionId::new(transition).unwrap()
}

/// A server with its data in `folder`, if there is one.
pub(crate) async fn serve(folder: Option<&Path>, name: &str) -> Result<LocalServer, Error> {
    let store = folder.map_or(Store::Temporary, |folder| Store::Kept(folder.join(name)));
    Ok(LocalServer::start(LocalServerOptions { store, ..Default::default() }).await?)
}

fn settings(server: &LocalServer) -> NatsStorageConfig {
    NatsStorageConfig { urls: vec![server.url()], ..NatsStorageConfig::development() }
}

pub(crate) async fn connect(server: &LocalServer) -> Result<Petrel, Error> {
    let settings = settings(server);
    let storage: Arc<dyn Storage> = Arc::new(NatsStorage::connect(settings).await?);
    Ok(Petrel::new(storage))
}

pub(crate) fn definition() -> Result<WorkflowDefinition, Error> {
    let fires =
        |id: &str, from: &str, to: &str| json!({"id": id, "from_places": [from], "to_place": to});
    Ok(serde_json::from_value(json!({
        "id": "growth",
        "initial_place": "a",
        "places": [{"id": "a"}, {"id": "few"}, {"id": "done"}],
        "transitions": [
            fires("tick", "a", "a"), fires("aside", "a", "few"), fires("nudge", "few", "few"), fires("end", "a", "done")
        ]
    }))?)
}
