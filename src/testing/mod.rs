//! Tools of tests: here, and not behind `cfg(test)`, so that implementors of the storage trait
//! can use them too.

mod clock;
mod cluster;
pub mod conformance;
mod faulty;
mod proxy;
mod server;
mod stopping;

pub use clock::ManualClock;
pub use cluster::TestCluster;
pub use faulty::FaultyStorage;
pub use proxy::FaultProxy;
pub use server::TestServer;
pub use stopping::{Stop, StoppingProxy};
