//! A process that serves: its tasks by name, its readiness, its shutdown.
//!
//! What lives as long as the process is one of its [`Tasks`]: its early end makes the process not
//! ready, and the shutdown waits for it. What lives as long as a request is awaited by that.

mod filling;
mod serving;
#[cfg(feature = "cli")]
mod signals;
mod tasks;

pub use serving::{Serving, ServingError};
#[cfg(feature = "cli")]
pub(crate) use signals::shutdown;
pub use tasks::{Tasks, TasksError};
