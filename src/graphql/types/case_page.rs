//! Pages of cases.

use std::sync::Arc;

use async_graphql::{
    ID, SimpleObject,
    connection::{CursorType, Edge, EmptyFields, PageInfo},
};

use super::Case;
use crate::{
    graphql::connection::{Listing, Position},
    petrel::CasePage,
    storage::Cursor,
};

/// A page of cases. Those that can't be read take as much of it as the others.
#[derive(SimpleObject)]
pub(crate) struct CaseConnection {
    /// The position of the page. Its end may be that of a case that can't be read.
    pub page_info: PageInfo,
    /// The cases that can be read, each with its position.
    pub edges: Vec<Edge<Position<Cursor>, Case, EmptyFields>>,
    /// The same without their positions.
    pub nodes: Vec<Case>,
    /// Ids of the cases of the page that can't be read; `case` gives the reason.
    pub unreadable: Vec<ID>,
}

impl CaseConnection {
    /// A page of a listing. `has_previous` is true if a position was asked for.
    pub(crate) fn of(listing: &Listing, page: CasePage, has_previous: bool) -> Self {
        let cases = page.cases.items.iter().map(|(at, _)| *at);
        let all = cases.chain(page.unreadable.iter().map(|(at, _)| *at));
        let cursor = |at: Cursor| listing.position(at).encode_cursor();
        let page_info = PageInfo {
            has_previous_page: has_previous,
            has_next_page: page.cases.has_next,
            start_cursor: all.min().map(cursor),
            end_cursor: page.end().map(cursor),
        };
        let cases = page.cases.items;
        let nodes = cases.iter().map(|(_, case)| Case::from(Arc::clone(case))).collect();
        let edge = |(at, case)| Edge::new(listing.position(at), Case::from(case));
        let unreadable = page.unreadable.into_iter().map(|(_, case)| case.as_str().into());
        Self {
            page_info,
            nodes,
            edges: cases.into_iter().map(edge).collect(),
            unreadable: unreadable.collect(),
        }
    }
}
