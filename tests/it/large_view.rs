//! Listings of a view with more tokens than the server answers for at once.

use std::collections::BTreeMap;

use async_nats::{HeaderMap, jetstream};
use bytes::Bytes;
use futures::{StreamExt, future::try_join_all};
use serde_json::json;
use stormpetrel::{
    models::{PlaceId, Token},
    petrel::Petrel,
    storage::{Cursor, ListOptions, Page, ReadPath, StorageExt, TokenScope},
};

use crate::support::{begin, place, system, workflow};

const TOKENS: usize = 17_000;

/// Tokens of the view by sequence, as a plain client wrote them, each with its place and id.
type Written = BTreeMap<u64, (PlaceId, String)>;

/// Copies of a token: many in one place, few in another. Some are overwritten, and the old
/// version stays, as after a crash of the server; some are gone, and leave a marker.
async fn fill(operator: &jetstream::Context, token: &Token) -> Written {
    let stream = operator.get_stream("CB_MARKING").await.unwrap();
    let message =
        stream.get_last_raw_message_by_subject(token.nats_subject.as_ref().unwrap()).await.unwrap();
    let body = String::from_utf8(message.payload.to_vec()).unwrap();
    let mut last: BTreeMap<String, (u64, PlaceId, bool)> = BTreeMap::new();
    let of = |n: usize| {
        let place = place(if n.is_multiple_of(400) { "review" } else { "draft" });
        let id = format!("copy-{n}");
        let subject = format!("cb.workflows.orders.places.{place}.tokens.{id}");
        (place, id, subject)
    };
    let again: Vec<usize> = (0..TOKENS).filter(|n| n % 1_200 == 0 || n % 997 == 0).collect();
    // What is sent together may be stored in another order: a round has each token once.
    let rounds: [Vec<(usize, u32)>; 3] = [
        (0..TOKENS).map(|n| (n, 7)).collect(),
        again.iter().map(|n| (*n, 8)).collect(),
        (0..TOKENS).filter(|n| n % 1_600 == 0).map(|n| (n, 0)).collect(),
    ];
    for batch in rounds.iter().flat_map(|round| round.chunks(500)) {
        let sent = batch.iter().map(|(n, revision)| {
            let (place, id, subject) = of(*n);
            let mut headers = HeaderMap::new();
            let by = if *revision == 0 { 9 } else { *revision };
            headers.insert("Petrel-Revision", by.to_string());
            let body = match revision {
                0 => Bytes::new(),
                _ => Bytes::from(
                    body.replace(token.id.as_str(), &id)
                        .replace("\"draft\"", &format!("\"{place}\"")),
                ),
            };
            let (live, key) = (!body.is_empty(), subject.clone());
            async move {
                let sent = operator.publish_with_headers(subject, headers, body).await?;
                Ok::<_, async_nats::Error>((key, (sent.await?.sequence, place, live)))
            }
        });
        for (subject, written) in try_join_all(sent).await.unwrap() {
            last.insert(subject, written);
        }
    }
    let live = last.into_iter().filter(|(_, (_, _, live))| *live);
    live.map(|(subject, (sequence, place, _))| (sequence, (place, subject))).collect()
}

async fn page(
    petrel: &Petrel,
    only: Option<&PlaceId>,
    page: Page,
    path: ReadPath,
) -> (Vec<(u64, String)>, bool) {
    let scope = TokenScope { workflow: workflow("orders"), place: only.cloned(), case: None };
    let found =
        petrel.storage().tokens_in(&scope, ListOptions { page, path: Some(path) }).await.unwrap();
    let items = found.items.into_iter();
    (items.map(|(Cursor(at), token)| (at, token.nats_subject.unwrap())).collect(), found.has_next)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_large_view_have_each_token_once_where_it_was_written_last() {
    let (server, petrel) = system().await;
    let (begun, _) = begin(&petrel, json!({})).await;
    let token = &begun.tokens[0];
    let operator = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let mut written = fill(&operator, token).await;
    written.insert(1, (token.place.clone(), token.nats_subject.clone().unwrap()));
    let (draft, review) = (place("draft"), place("review"));
    for (only, sizes) in
        [(None, [1_000, 700]), (Some(&draft), [1_000, 997]), (Some(&review), [1, 10])]
    {
        let of_place = written.iter().filter(|(_, (at, _))| only.is_none_or(|only| at == only));
        let expected: Vec<_> = of_place.map(|(at, (_, subject))| (*at, subject.clone())).collect();
        for first in sizes {
            let (mut after, mut listed) = (None, Vec::new());
            loop {
                let (items, more) =
                    page(&petrel, only, Page { first, after }, ReadPath::Direct).await;
                after = items.last().map(|(at, _)| Cursor(*at));
                listed.extend(items);
                if !more {
                    break;
                }
            }
            assert_eq!(listed.len(), expected.len(), "{only:?} by {first}");
            assert!(listed == expected, "{only:?} by {first}");
        }
        for after in [None, Some(Cursor(9_000))] {
            let asked = Page { first: 30, after };
            let direct = page(&petrel, only, asked, ReadPath::Direct).await;
            assert_eq!(page(&petrel, only, asked, ReadPath::Consumer).await, direct, "{only:?}");
        }
    }
    // The last page says nothing of the length of a listing: the server is not asked for all of
    // it at once after it.
    let client = async_nats::connect(server.url()).await.unwrap();
    let asked_at = "$JS.API.DIRECT.GET.CB_MARKING";
    let mut asked = client.subscribe(asked_at).await.unwrap();
    client.flush().await.unwrap();
    let last = *written.keys().next_back().unwrap();
    for after in [Some(Cursor(last - 30)), None] {
        let asked = Page { first: 100, after };
        assert_eq!(page(&petrel, None, asked, ReadPath::Direct).await.1, after.is_none());
    }
    client.publish(asked_at, "the end".into()).await.unwrap();
    let everything = "\"cb.workflows.orders.places.*.tokens.*\"";
    while let Some(request) = asked.next().await {
        let request = String::from_utf8(request.payload.to_vec()).unwrap();
        if request == "the end" {
            break;
        }
        let at_once = request.contains("multi_last") && request.contains(everything);
        assert!(!at_once, "{request}");
    }
}
