//! Storage in NATS JetStream. The only place, with the local server's launcher, that names
//! async-nats.

mod address;
mod branch;
mod breaker;
mod codec;
mod config;
mod direct;
mod doctor;
mod feed;
mod floor;
mod interruption;
mod leader;
mod link;
mod listing;
mod log;
mod marking;
#[doc(hidden)]
pub mod messages;
mod options;
mod permissions;
mod publish;
mod refusal;
mod registers;
mod seen;
mod settings;
mod store;
mod streams;
mod subjects;
mod walk;

pub use config::{Auth, NatsStorageConfig, Tls};
pub use doctor::{Check, CheckStatus};
pub use floor::{Floor, Moved, Sequences};
pub use store::NatsStorage;
pub use streams::Filling;

use link::Link;
use seen::Seen;
use subjects::Subjects;
