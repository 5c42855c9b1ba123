//! Durable handlers: functions whose steps are journaled, so that after any failure they go on from the last one.
//!
//! A handler gets a [`Context`]. What it does outside goes through [`Context::step`]: the result is an entry of the
//! item's journal before the handler sees it, and another run of the handler, in this process or another one, gets it
//! from there. So the code between its steps has to do the same each time that it gets the same results: what differs
//! from run to run (the time, chance) comes from the context as well.

mod answer;
mod answer_id;
mod awakeable;
mod beside;
mod branches;
mod client;
mod context;
mod environment;
mod error;
mod finite;
mod function;
mod journal;
mod past;
mod random;
mod run;
mod settle;
mod sleep;
mod step;
#[cfg(test)]
mod tests;
mod waits;
mod worker;

pub use answer::{AnswerError, Answered};
pub use awakeable::Awakeable;
pub use branches::{Map, NotEnough, Select};
pub use client::{Invocation, InvocationStatus, Invoke, InvokeError, Start};
pub use context::Context;
pub use random::Seeded;
pub use settle::{SettleError, Settlement};
pub use step::Step;

pub use crate::worker::OperationError;
