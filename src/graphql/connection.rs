//! Pages as Relay connections.

use async_graphql::{
    OutputType,
    connection::{Connection as Relay, Edge, EmptyFields, OpaqueCursor},
};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::storage::{Cursor, PageOf};

/// A position in a listing, as an opaque cursor that has the mark of its listing.
pub(super) type Position<T> = OpaqueCursor<(String, T)>;

/// A page of a listing.
pub(super) type Connection<N, T = Cursor> = Relay<Position<T>, N, EmptyFields>;

/// A listing, by its name and its arguments. Its cursors are no others' cursors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing(String);

impl Listing {
    /// The listing `name` with these arguments, in a fixed order; an absent one is empty.
    pub(super) fn new(name: &str, arguments: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix(name);
        for argument in arguments {
            // No argument has a newline.
            hash.update("\n");
            hash.update(argument);
        }
        Self(hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A position in the listing.
    pub(super) fn position<T>(&self, at: T) -> Position<T> {
        OpaqueCursor((self.0.clone(), at))
    }

    /// The mark of the listing in its cursors.
    pub(super) fn mark(&self) -> &str {
        &self.0
    }
}

/// A page of the store as a connection. `has_previous` is true if a position was asked for.
pub(super) fn connection<M, N: OutputType>(
    listing: &Listing,
    page: PageOf<M>,
    has_previous: bool,
    node: impl Fn(M) -> N,
) -> Connection<N> {
    let items = page.items.into_iter().map(|(cursor, item)| (cursor, node(item)));
    of_items(listing, items, has_previous, page.has_next)
}

/// The same from positions and nodes.
pub(super) fn of_items<T, N>(
    listing: &Listing,
    items: impl IntoIterator<Item = (T, N)>,
    has_previous: bool,
    has_next: bool,
) -> Connection<N, T>
where
    T: Serialize + DeserializeOwned + Send + Sync,
    N: OutputType,
{
    let mut connection = Relay::new(has_previous, has_next);
    let edges = items.into_iter().map(|(at, node)| Edge::new(listing.position(at), node));
    connection.edges.extend(edges);
    connection
}
