//! Writes of registers made by hand, and the questions that are asked of a view again and again.

use std::sync::Arc;

use super::fixture::View;
use crate::{
    models::{LogSequence, PlaceId, Token, TokenId, ViewSequence, WorkflowId},
    storage::{
        Cursor, ListOptions, PAGE_BYTES, Page, ReadPath, RegisterVersion, Result, ViewContent,
        ViewOutcome, ViewScope, ViewWrite, WriteOptions,
    },
};

/// A condition of a write: what somebody saw, or the number of a sequence (0: nothing).
pub(super) trait Expected {
    fn version(self) -> RegisterVersion;
}

impl Expected for RegisterVersion {
    fn version(self) -> RegisterVersion {
        self
    }
}

impl Expected for ViewSequence {
    fn version(self) -> RegisterVersion {
        RegisterVersion::token(self)
    }
}

impl Expected for u64 {
    fn version(self) -> RegisterVersion {
        ViewSequence::new(self).map_or(RegisterVersion::NOTHING, RegisterVersion::token)
    }
}

/// A write that puts a token in its place.
pub(super) fn live(token: &Token, expected: impl Expected) -> ViewWrite {
    ViewWrite {
        workflow: token.workflow.clone(),
        case: token.case.clone(),
        place: token.place.clone(),
        token: token.id.clone(),
        expected: expected.version(),
        content: ViewContent::Live(Arc::new(token.clone())),
    }
}

/// A write that marks a token as gone from its place.
pub(super) fn gone(
    token: &Token,
    expected: impl Expected,
    moved_to: Option<&PlaceId>,
) -> ViewWrite {
    let revision = Some(LogSequence::after(token.nats_sequence));
    let content = ViewContent::Gone { revision, moved_to: moved_to.cloned() };
    ViewWrite { content, ..live(token, expected) }
}

/// Writes registers at the present.
pub(super) async fn attempt(view: &View, writes: Vec<ViewWrite>) -> Vec<Result<ViewOutcome>> {
    view.write_views(writes, WriteOptions::default()).await
}

/// The sequence of a write that was done.
pub(super) fn written(outcome: &Result<ViewOutcome>) -> Option<ViewSequence> {
    match outcome {
        Ok(ViewOutcome::Written(seen)) => seen.sequence(),
        _ => None,
    }
}

/// Writes one register, which must succeed; returns its sequence.
pub(super) async fn write(view: &View, write: ViewWrite) -> ViewSequence {
    match attempt(view, vec![write]).await.as_slice() {
        [outcome] if written(outcome).is_some() => written(outcome).expect("a sequence"),
        other => panic!("a write that expects the right sequence was answered {other:?}"),
    }
}

/// Moves a token to another place, as a firing does; returns it and its new sequence.
pub(super) async fn shift(
    view: &View,
    token: &Token,
    seen: impl Expected,
    to: &PlaceId,
) -> (Token, ViewSequence) {
    let moved = Token {
        place: to.clone(),
        nats_sequence: Some(LogSequence::after(token.nats_sequence)),
        ..token.clone()
    };
    let there = view.register(&token.workflow, to, &token.id).await.expect("a register");
    let writes = vec![gone(token, seen, Some(to)), live(&moved, there.version())];
    let outcomes = attempt(view, writes).await;
    match outcomes.iter().map(written).collect::<Vec<_>>()[..] {
        [Some(_), Some(sequence)] => (moved, sequence),
        ref other => panic!("a move that expects the right sequences was answered {other:?}"),
    }
}

/// Checks a read of a token that was written: it has its subject, and some time.
pub(super) fn assert_same(view: &View, read: &Token, written: &Token) {
    assert!(read.nats_timestamp.is_some(), "a read says when the server stored it: {read:?}");
    let subject = view.token_subject(&written.workflow, &written.place, &written.id);
    assert_eq!(read.nats_subject, Some(subject), "a read says where the token is");
    let plain = Token { nats_timestamp: None, nats_subject: None, ..read.clone() };
    let written = Token { nats_timestamp: None, nats_subject: None, ..written.clone() };
    assert_eq!(plain, written);
}

pub(super) fn in_workflow(workflow: &WorkflowId) -> ViewScope {
    ViewScope::Workflow(workflow.clone())
}

pub(super) fn in_place(workflow: &WorkflowId, place: &PlaceId) -> ViewScope {
    ViewScope::Place(workflow.clone(), place.clone())
}

/// These tokens in their places.
pub(super) fn these<'a>(tokens: impl IntoIterator<Item = &'a Token>) -> ViewScope {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let workflow = tokens.first().expect("a token").workflow.clone();
    let registers = tokens.iter().map(|token| (token.id.clone(), token.place.clone()));
    ViewScope::Registers(workflow, registers.collect())
}

/// A page of a listing.
pub(super) fn page(first: usize, after: Option<Cursor>, path: ReadPath) -> ListOptions {
    ListOptions { page: Page { first, after }, path: Some(path) }
}

/// A whole listing, page by page. Checks each page on the way.
pub(super) async fn all_pages(
    view: &View,
    scope: &ViewScope,
    first: usize,
    path: ReadPath,
) -> Vec<(Cursor, Token)> {
    let (mut seen, mut after): (Vec<(Cursor, Token)>, _) = (Vec::new(), None);
    loop {
        let page = view.tokens(scope, page(first, after, path)).await.expect("a page");
        let count = page.items.len();
        assert!(count <= first, "{count} tokens on a page of {first}");
        let bytes: usize = page.items.iter().map(|(_, token)| token.memory()).sum();
        let is_short = count < first && bytes < PAGE_BYTES / 2;
        assert!(!is_short || !page.has_next, "only the last page is short: {count}/{first}");
        assert!(count == 1 || bytes < PAGE_BYTES + PAGE_BYTES / 4, "a page of {bytes} bytes");
        for (cursor, token) in page.items.iter() {
            assert!(after.is_none_or(|last| *cursor > last), "positions grow");
            after = Some(*cursor);
            seen.push((*cursor, token.clone()));
        }
        assert_eq!(page.end(), page.items.last().map(|(cursor, _)| *cursor));
        if !page.has_next {
            return seen;
        }
    }
}

/// The ids of a whole listing.
pub(super) async fn ids(
    view: &View,
    scope: &ViewScope,
    first: usize,
    path: ReadPath,
) -> Vec<TokenId> {
    let pages = all_pages(view, scope, first, path).await;
    pages.into_iter().map(|(_, token)| token.id).collect()
}
