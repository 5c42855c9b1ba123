//! Measurements of the engine beside the raw server and others: what `petrel bench` runs.

mod chains;
mod driver;
mod load;
mod peer;
#[cfg(feature = "peers")]
pub mod peers;
mod raw;
mod ring;
mod steps;
mod turns;

pub use load::{Load, LoadError, PeerReport, Report};
pub use peer::{FirstToken, Peer, PeerClient, PeerError, PeerFiring, PeerSetup};
pub use raw::{Flight, RawSide, Tried};
pub use steps::{Steps, StepsReport};
pub use turns::Side;
