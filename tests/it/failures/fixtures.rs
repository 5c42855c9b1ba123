//! Parts that the tests of failures share.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::jetstream;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use stormpetrel::{
    models::{CaseId, FiringId, PlaceId, Record, Stored, Token, TokenId, WorkflowId},
    petrel::{Change, Changed, Error, ExpectedVersion, Fire, NewCase, NewToken, Petrel},
    storage::{
        LogRange, LogScope, MAX_PAGE, Page, RegisterState, nats::NatsStorage,
        nats::NatsStorageConfig,
    },
    testing::FaultyStorage,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{case, config, definition, transition, workflow};

/// Asks until the answer is a yes, and fails the test with the last no when it takes too long.
pub(crate) async fn eventually<T, E: Display>(
    what: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(no) => assert!(begun.elapsed() < within, "{what}: not in {within:?}: {no}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Settings with which a call gives up soon, for servers that go away.
pub(crate) fn impatient(url: impl Into<String>) -> NatsStorageConfig {
    NatsStorageConfig {
        consumer_timeout: Duration::from_millis(400),
        connect_attempts: 20,
        breaker_threshold: 4,
        ..config(url)
    }
}

pub(crate) async fn connect(config: NatsStorageConfig) -> Petrel {
    Petrel::new(Arc::new(NatsStorage::connect(config).await.expect("connect")))
}

/// Cases on a storage that fails on demand.
pub(crate) async fn faulty(url: impl Into<String>) -> (FaultyStorage, Petrel) {
    let storage = NatsStorage::connect(config(url)).await.expect("connect");
    let faulty = FaultyStorage::new(Arc::new(storage));
    (faulty.clone(), Petrel::new(Arc::new(faulty)))
}

/// A reconciler that runs until it is dropped.
pub(crate) struct Reconciler {
    stop: CancellationToken,
    _task: JoinHandle<()>,
}

impl Reconciler {
    pub(crate) fn of(petrel: &Petrel) -> Self {
        let stop = CancellationToken::new();
        let (petrel, shutdown) = (petrel.clone(), stop.clone());
        Self { stop, _task: tokio::spawn(async move { petrel.run_reconciler(shutdown).await }) }
    }
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A way there and a way back; each token counts its moves.
pub(crate) async fn pendulum(petrel: &Petrel) -> WorkflowId {
    let count = "{'n': token.data.n + 1}";
    let pendulum = definition(json!({
        "id": "pendulum",
        "initial_place": "here",
        "places": [{"id": "here"}, {"id": "there"}],
        "transitions": [
            {"id": "go", "inputs": [{"place": "here"}], "outputs": [{"place": "there"}],
             "output": count},
            {"id": "return", "inputs": [{"place": "there"}], "outputs": [{"place": "here"}],
             "output": count}
        ]
    }));
    petrel.create_workflow(pendulum, ExpectedVersion::Any).await.unwrap().definition.id
}

/// A case of the pendulum, and its token.
pub(crate) async fn swing(petrel: &Petrel, id: &str) -> (CaseId, TokenId) {
    let new = NewCase {
        case: Some(case(id)),
        data: json!({"n": 0}),
        ..NewCase::of(workflow("pendulum"))
    };
    let begun = petrel.create_case(new).await.unwrap();
    (begun.case.id.clone(), begun.tokens[0].id.clone())
}

/// Another token for a case of the pendulum.
pub(crate) fn token_in(case: &CaseId) -> NewToken {
    NewToken {
        workflow: workflow("pendulum"),
        case: case.clone(),
        place: None,
        data: json!({"n": 0}),
        metadata: Default::default(),
        change: Default::default(),
    }
}

pub(crate) fn fire_once(mut fire: Fire, firing: &str) -> Fire {
    fire.change = Change { firing: Some(FiringId::new(firing).unwrap()), ..Change::default() };
    fire
}

/// Moves a case's token from its present place, and asks again with the same firing id until
/// the answer is a yes, as a careful caller does. An id that went through with the other
/// transition, unanswered, is told of as taken, and the other one is then a repetition.
pub(crate) async fn move_once(petrel: &Petrel, case: &CaseId, firing: &str) -> Changed {
    // Not `eventually`: the future of an async closure can't go to another thread.
    let begun = Instant::now();
    for name in ["go", "return"].into_iter().cycle() {
        let fire = Fire::case(workflow("pendulum"), case.clone(), transition(name));
        let no = match petrel.fire(fire_once(fire, firing)).await {
            Ok(changed) => return changed,
            Err(
                error @ (Error::NotEnabled(_) | Error::Conflict { .. } | Error::IdTaken { .. }),
            ) => error,
            Err(error) if error.retryable() => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                error
            }
            Err(error) => panic!("{firing}: {error}"),
        };
        assert!(begun.elapsed() < Duration::from_secs(60), "{firing}: not in a minute: {no}");
    }
    unreachable!("the cycle has no end")
}

/// A case's records, oldest first.
pub(crate) async fn log_of(
    petrel: &Petrel,
    workflow: &WorkflowId,
    case: &CaseId,
) -> Vec<Stored<Record>> {
    let scope = LogScope::Case(workflow.clone(), case.clone());
    petrel.storage().history(scope, LogRange::ALL).await.unwrap().try_collect().await.unwrap()
}

/// Live tokens by their places. The server's time of a view message is left out: a message
/// that is written again has another one.
pub(crate) type Tokens = BTreeMap<(WorkflowId, PlaceId, TokenId), Token>;

fn add(tokens: &mut Tokens, place: PlaceId, token: &Token) {
    let key = (token.workflow.clone(), place, token.id.clone());
    tokens.insert(key, Token { nats_timestamp: None, ..token.clone() });
}

/// The tokens that the view holds.
pub(crate) async fn in_view(petrel: &Petrel) -> Result<Tokens, Error> {
    let mut tokens = Tokens::new();
    let mut registers = petrel.storage().registers().await?;
    while let Some(register) = registers.next().await {
        let register = register?;
        let key = (register.workflow, register.place.clone(), register.token);
        tokens.remove(&key);
        if let RegisterState::Live(token) = register.state {
            add(&mut tokens, register.place, &token);
        }
    }
    Ok(tokens)
}

/// The tokens that the view must hold, by the heads of all cases.
pub(crate) async fn in_log(petrel: &Petrel) -> Result<Tokens, Error> {
    let mut tokens = Tokens::new();
    for workflow in petrel.workflows(MAX_PAGE, None).await?.0 {
        let mut page = Page { first: MAX_PAGE, after: None };
        loop {
            let found = petrel.cases(&workflow.definition.id, None, page).await?.cases;
            for (_, case) in &found.items {
                case.live_tokens().for_each(|token| add(&mut tokens, token.place.clone(), token));
            }
            page.after = found.end();
            if !found.has_next {
                break;
            }
        }
    }
    Ok(tokens)
}

/// Checks that the view agrees with the log, token by token; the error has the differences.
pub(crate) async fn view_is_the_log(petrel: &Petrel) -> Result<Tokens, String> {
    let read = async { Ok::<_, Error>((in_log(petrel).await?, in_view(petrel).await?)) };
    let (log, view) = read.await.map_err(|error| error.to_string())?;
    if log == view {
        return Ok(log);
    }
    let mut differences = Vec::new();
    for key in log.keys().chain(view.keys().filter(|key| !log.contains_key(key))) {
        let (log, view) = (log.get(key), view.get(key));
        if log != view {
            let revision = |token: Option<&Token>| token.map(|token| token.nats_sequence);
            let (log, view) = (revision(log), revision(view));
            differences.push(format!("{key:?} at {log:?} in the log and {view:?} in the view"));
        }
    }
    Err(format!("{} tokens differ: {:?}", differences.len(), &differences[..1]))
}

/// The server as an operator with the plain client sees it.
pub(crate) async fn operator(url: impl AsRef<str>) -> jetstream::Context {
    jetstream::new(async_nats::connect(url.as_ref()).await.expect("the operator connects"))
}

/// Changes fields of a stream's settings.
pub(crate) async fn edit_stream(operator: &jetstream::Context, stream: &str, fields: Value) {
    let mut settings = stream_info(operator, stream).await["config"].take();
    for (field, value) in fields.as_object().expect("fields of a stream") {
        settings[field] = value.clone();
    }
    let answer: Value =
        operator.request(format!("STREAM.UPDATE.{stream}"), &settings).await.unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
}

/// Puts an empty log with the same settings in the place of the one that is there.
pub(crate) async fn empty_log(operator: &jetstream::Context) {
    let settings = stream_info(operator, "CB_LOG").await["config"].take();
    operator.delete_stream("CB_LOG").await.unwrap();
    let answer: Value = operator.request("STREAM.CREATE.CB_LOG", &settings).await.unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
}

/// The server's description of a stream.
pub(crate) async fn stream_info(operator: &jetstream::Context, stream: &str) -> Value {
    let info: Value =
        operator.request(format!("STREAM.INFO.{stream}"), &Value::Null).await.unwrap();
    assert!(info.get("error").is_none(), "{info}");
    info
}

/// Number of messages that a stream has had.
pub(crate) async fn last_sequence(operator: &jetstream::Context, stream: &str) -> u64 {
    stream_info(operator, stream).await["state"]["last_seq"].as_u64().unwrap()
}
