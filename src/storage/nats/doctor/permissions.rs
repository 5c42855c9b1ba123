//! Permissions that serving needs, and those of them that a user lacks.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::storage::{
    Result, StorageError,
    nats::{
        Link, NatsStorageConfig, Subjects, publish::Expected, streams::acknowledges_before_disk,
    },
};

/// A sequence that no subject has, so that a write on the condition of it can't succeed.
const IMPOSSIBLE: u64 = 9_007_199_254_740_991;

/// Beginning of the subjects by which deliveries are acknowledged.
const ACKNOWLEDGEMENTS: &str = "$JS.ACK";

/// Advice with the permissions of a user who serves.
pub(super) fn to_grant(link: &Link, config: &NatsStorageConfig) -> String {
    let (prefix, api, inbox) = (&config.prefix, &link.api, config.inbox());
    format!(
        "grant this user: publish [\"{prefix}.workflows.>\", \"{prefix}.queues.>\", \"{prefix}.views.>\", \
         \"{prefix}.timers.>\", \"{prefix}.work.>\", \"{prefix}.open.>\", \"{prefix}.beats.>\", \"{api}.>\", \"{ACKNOWLEDGEMENTS}.>\"], subscribe [\"{inbox}.>\"]"
    )
}

/// Publishes to every subject that serving publishes to, on a condition that can't hold, and asks
/// for something that is not there, or can't be done, by every subject that reading asks by. A refusal for another reason than a permission is left to other checks.
pub(super) async fn lacking(link: &Link, config: &NatsStorageConfig) -> Result<()> {
    let streams = config.streams();
    let [log, view, timers, work, beats] = &streams;
    let subjects = Subjects::new(&config.prefix);
    let owners: [_; 9] = [log, log, log, log, view, timers, work, work, beats];
    let mut writes: Vec<_> = owners.into_iter().zip(subjects.of_no_workflow()).collect();
    let info = link.call(&format!("STREAM.INFO.{view}"), &Value::Null).await;
    if info.is_ok_and(|info| info.is_ok_and(|info| acknowledges_before_disk(&info))) {
        writes.push((view, subjects.checkpoint()));
    }
    let writes = writes.into_iter().map(|(stream, subject)| async move {
        let expected = Expected { sequence: IMPOSSIBLE, filter: None };
        let headers = async_nats::HeaderMap::new;
        link.publish(stream, &subject, expected, headers, Vec::new().into()).await.map(|_| ())
    });
    let reads = streams.iter().flat_map(|stream| {
        let last = json!({ "last_by_subj": "petrel-doctor" });
        [
            (format!("DIRECT.GET.{stream}"), last.clone()),
            (format!("STREAM.MSG.GET.{stream}"), last),
            // Without a configuration none is made.
            (format!("CONSUMER.CREATE.{stream}"), json!({})),
            (format!("CONSUMER.MSG.NEXT.{stream}.petrel-doctor"), json!({})),
            (format!("CONSUMER.DELETE.{stream}.petrel-doctor"), json!({})),
        ]
    });
    let names = ("STREAM.NAMES".to_owned(), json!({ "subject": "petrel-doctor" }));
    let others = of_others([timers, work, beats], &subjects);
    let reads = asked(link, reads.chain([names]).chain(others));
    let nobody = format!("{ACKNOWLEDGEMENTS}.{timers}.petrel-doctor.1.1.1.0.0");
    let acknowledged = async { link.request(nobody, None, "+ACK".into()).await.map(drop) };
    let (written, read, acknowledged) = tokio::join!(join_all(writes), reads, acknowledged);
    refused(written.into_iter().chain(read).chain([acknowledged]), link, config)
}

/// Requests about timers, open work and beats beside those about every stream: each is of something that is
/// not there.
fn of_others(
    [timers, work, beats]: [&String; 3],
    subjects: &Subjects,
) -> impl Iterator<Item = (String, Value)> {
    let [.., timer, offer, _, beat] = subjects.of_no_workflow();
    let consumers = [(timers, subjects.all_due()), (work, offer.clone())];
    let consumers = consumers.into_iter().flat_map(|(stream, filter)| {
        [
            // Without a configuration none is made.
            (format!("CONSUMER.CREATE.{stream}.petrel-doctor.{filter}"), json!({})),
            (format!("CONSUMER.INFO.{stream}.petrel-doctor"), Value::Null),
            (format!("CONSUMER.PAUSE.{stream}.petrel-doctor"), json!({})),
            // The first sequence is 1.
            (format!("STREAM.MSG.DELETE.{stream}"), json!({ "seq": 0 })),
        ]
    });
    let purges = [(timers, timer), (work, offer), (beats, beat)];
    let purges = purges
        .map(|(stream, subject)| (format!("STREAM.PURGE.{stream}"), json!({ "filter": subject })));
    let names = (format!("CONSUMER.LIST.{work}"), json!({ "offset": u32::MAX }));
    consumers.chain(purges).chain([names])
}

/// The same for making and changing the streams, which serving does only where they are missing or
/// have other settings.
pub(super) async fn lacking_for_care(link: &Link, config: &NatsStorageConfig) -> Result<()> {
    let streams = config.streams();
    let requests = streams.iter().flat_map(|stream| {
        // A stream of another name than the subject's is neither made nor changed.
        ["STREAM.CREATE", "STREAM.UPDATE"]
            .map(|what| (format!("{what}.{stream}"), json!({ "name": "petrel-doctor" })))
    });
    refused(asked(link, requests).await, link, config)
}

/// Makes requests of JetStream, each by its subject and its body.
async fn asked(link: &Link, all: impl IntoIterator<Item = (String, Value)>) -> Vec<Result<()>> {
    let asked = all.into_iter().map(|(what, body)| async move {
        let subject = format!("{}.{what}", link.api);
        link.request(subject, None, body.to_string().into()).await.map(|_| ())
    });
    join_all(asked).await
}

/// The permissions that were refused, as one error.
fn refused(
    tried: impl IntoIterator<Item = Result<()>>,
    link: &Link,
    config: &NatsStorageConfig,
) -> Result<()> {
    let refused = tried.into_iter().filter_map(|tried| match tried {
        Err(StorageError::Denied(what)) => Some(what),
        _ => None,
    });
    let refused: Vec<String> = refused.collect();
    match refused.is_empty() {
        true => Ok(()),
        false => {
            Err(StorageError::Denied(format!("{}; {}", refused.join("; "), to_grant(link, config))))
        }
    }
}
