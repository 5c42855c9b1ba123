//! One binary of integration tests, each against servers of its own.

mod cases;
mod cli;
mod failures;
mod fault_proxy;
mod graphql;
mod local_server;
mod support;
