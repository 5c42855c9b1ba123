//! Connections: how many there may be, how long they may take, and who has to go when one more
//! comes.

mod accept;
mod seats;
mod stream;

pub(super) use accept::serve;
pub(super) use seats::{Seat, Seats};
