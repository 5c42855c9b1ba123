//! What durable consumers give out: pulled, read, and answered.

mod answer;
mod pull;
mod take;

pub(super) use take::{Delivered, Source};
