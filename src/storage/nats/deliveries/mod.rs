//! Deliveries of durable consumers: pulled, read, and answered.

mod answer;
mod pull;
mod take;

pub(super) use take::{Delivered, Source};
