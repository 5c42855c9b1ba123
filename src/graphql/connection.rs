//! Pages as Relay connections.

use async_graphql::{
    OutputType,
    connection::{Connection as Relay, Edge, OpaqueCursor},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::storage::{Cursor, PageOf};

/// A position in a listing, as an opaque cursor.
pub(super) type Position<T> = OpaqueCursor<T>;

/// A page of a listing.
pub(super) type Connection<N, T = Cursor> = Relay<Position<T>, N>;

/// A page of the store as a connection. Whether there is a page before it is known by the
/// position that was asked for.
pub(super) fn connection<M, N: OutputType>(
    page: PageOf<M>,
    has_previous: bool,
    node: impl Fn(M) -> N,
) -> Connection<N> {
    let items = page.items.into_iter().map(|(cursor, item)| (cursor, node(item)));
    of_items(items, has_previous, page.has_next)
}

/// The same from positions and nodes.
pub(super) fn of_items<T, N>(
    items: impl IntoIterator<Item = (T, N)>,
    has_previous: bool,
    has_next: bool,
) -> Connection<N, T>
where
    T: Serialize + DeserializeOwned + Send + Sync,
    N: OutputType,
{
    let mut connection = Relay::new(has_previous, has_next);
    let edges = items.into_iter().map(|(position, node)| Edge::new(OpaqueCursor(position), node));
    connection.edges.extend(edges);
    connection
}
