//! Workers: processes, or parts of them, that carry out the work of activities.
//!
//! A [`Worker`] takes items from its queues, begins each with a record in the case's log, runs the handler
//! of its kind, and answers with another record, in which the activity fires. Any number of workers share
//! a queue. An item may be carried out twice, if a worker dies or is cut off; its effect on the case
//! happens once.

mod answer;
mod attempt;
mod begin;
mod book;
mod builder;
mod carry;
mod command;
mod draw;
mod error;
mod handler;
mod lease;
mod operation_error;
mod queue;

pub use attempt::{Attempt, StopReason};
pub(crate) use builder::FUNCTION;
pub use builder::{QueueOptions, Worker, WorkerBuilder};
pub use command::CommandHandler;
pub use error::{WorkError, WorkerError};
pub use handler::Done;
pub(crate) use handler::{input_refused, panicked};
pub use operation_error::OperationError;
