//! Permissions that serving needs, and those of them that a user lacks.

use futures::future::join_all;
use serde_json::json;

use super::{Link, NatsStorageConfig, Subjects, publish::Expected};
use crate::storage::{Result, StorageError};

/// A sequence that no subject has, so that a write on the condition of it can't succeed.
const IMPOSSIBLE: u64 = 9_007_199_254_740_991;

/// Advice with the permissions of a user who serves.
pub fn to_grant(link: &Link, config: &NatsStorageConfig) -> String {
    let (prefix, api, inbox) = (&config.prefix, &link.api, config.inbox());
    format!(
        "grant this user: publish [\"{prefix}.workflows.>\", \"{api}.>\"], subscribe \
         [\"{inbox}.>\"]"
    )
}

/// Publishes to every subject that serving publishes to, on a condition that can't hold, and asks
/// for something that is not there, or can't be done, by every subject that reading and the care of
/// the streams ask by. A refusal for another reason than a permission is left to other checks.
pub async fn lacking(link: &Link, config: &NatsStorageConfig) -> Result<()> {
    let (log, view) = (&config.log_stream, &config.marking_stream);
    let [definition, fired, lifecycle, token] = Subjects::new(&config.prefix).of_no_workflow();
    let writes = [(log, definition), (log, fired), (log, lifecycle), (view, token)];
    let writes = writes.map(|(stream, subject)| async move {
        let expected = Expected { sequence: IMPOSSIBLE, filter: None };
        let headers = async_nats::HeaderMap::new;
        link.publish(stream, subject, expected, headers, Vec::new().into()).await.map(|_| ())
    });
    let reads = [log, view].into_iter().flat_map(|stream| {
        let last = json!({ "last_by_subj": "petrel-doctor" });
        [
            (format!("DIRECT.GET.{stream}"), last.clone()),
            (format!("STREAM.MSG.GET.{stream}"), last),
            // Without a configuration none is made.
            (format!("CONSUMER.CREATE.{stream}"), json!({})),
            (format!("CONSUMER.MSG.NEXT.{stream}.petrel-doctor"), json!({})),
            (format!("CONSUMER.DELETE.{stream}.petrel-doctor"), json!({})),
            // A stream of another name than the subject's is neither made nor changed.
            (format!("STREAM.CREATE.{stream}"), json!({ "name": "petrel-doctor" })),
            (format!("STREAM.UPDATE.{stream}"), json!({ "name": "petrel-doctor" })),
        ]
    });
    let names = ("STREAM.NAMES".to_owned(), json!({ "subject": "petrel-doctor" }));
    let reads = reads.chain([names]);
    let reads = reads.map(|(what, body)| async move {
        let subject = format!("{}.{what}", link.api);
        link.request(subject, None, body.to_string().into()).await.map(|_| ())
    });
    let (written, read) = tokio::join!(join_all(writes), join_all(reads));
    let refused: Vec<String> = written
        .into_iter()
        .chain(read)
        .filter_map(|tried| match tried {
            Err(StorageError::Denied(what)) => Some(what),
            _ => None,
        })
        .collect();
    match refused.is_empty() {
        true => Ok(()),
        false => {
            Err(StorageError::Denied(format!("{}; {}", refused.join("; "), to_grant(link, config))))
        }
    }
}
