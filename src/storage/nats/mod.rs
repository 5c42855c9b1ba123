//! Storage in NATS JetStream. The only place, with the local server's launcher, that names
//! async-nats.

mod breaker;
mod codec;
mod config;
mod direct;
mod doctor;
mod feed;
mod floor;
mod link;
mod log;
mod marking;
#[doc(hidden)]
pub mod messages;
mod store;
mod streams;
mod subjects;

pub use config::{Auth, NatsStorageConfig, Tls};
pub use doctor::{Check, CheckStatus};
pub use floor::{Floor, Moved, Sequences};
pub use store::NatsStorage;

use link::Link;
use subjects::Subjects;
