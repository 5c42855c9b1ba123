//! Connections: limits of their number and of their times, and the choice of the one that has to
//! go when one more comes.

mod accept;
mod seats;
mod stream;

pub(super) use accept::serve;
pub(super) use seats::{Seat, Seats};
