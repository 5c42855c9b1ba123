//! Clients of durable functions: those who begin them, and wait for what they return.

mod error;
mod invocation;
mod start;

pub use error::InvokeError;
pub use invocation::{Invocation, InvocationStatus};
pub use start::{Invoke, Start};
