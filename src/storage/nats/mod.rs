//! Storage in NATS JetStream. The only place, with the local server's launcher, that names
//! async-nats.

mod branch;
mod codec;
mod config;
pub(in crate::storage) mod decoding;
pub(in crate::storage) mod direct;
mod doctor;
mod feed;
mod floor;
mod listing;
mod log;
mod marking;
#[doc(hidden)]
pub mod messages;
mod permissions;
mod registers;
mod seen;
mod settings;
mod store;
mod streams;
mod subjects;
mod walk;

pub use super::nats_link::address::Auth;
pub use config::{NatsStorageConfig, Tls};
pub use doctor::{Check, CheckStatus};
pub use floor::{Floor, Moved, Sequences};
pub use store::NatsStorage;
pub use streams::Filling;

use super::nats_link::{Link, address, leader, link, publish, refusal};
use seen::Seen;
use subjects::Subjects;
