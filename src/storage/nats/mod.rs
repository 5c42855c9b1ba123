//! Storage in NATS JetStream. The only place, with the local server's launcher, that names
//! async-nats.

mod beats;
mod case_log;
mod checkpoint;
mod codec;
mod config;
mod deliveries;
mod doctor;
mod feed;
mod floor;
mod health;
mod journals;
mod listing;
mod log;
mod marking;
#[doc(hidden)]
pub mod messages;
mod other_streams;
mod presence;
mod registers;
mod seen;
mod store;
mod streams;
mod subjects;
mod timers;
mod token_view;
mod walk;
mod work;

pub use super::nats_link::address::Auth;
pub use config::{GroupCommit, NatsStorageConfig, Tls};
pub use doctor::{Check, CheckStatus};
pub use floor::{Floor, Moved, Sequences};
pub use store::NatsStorage;
use streams::settings;

pub use streams::Filling;

use super::nats_link::{
    Link, address, append, branch, decoding, direct, group, leader, link, options, publish, refusal,
};
use seen::Seen;
use subjects::Subjects;
