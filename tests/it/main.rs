//! One binary of integration tests, each against servers of its own.

mod cases;
mod cli;
mod clients;
mod fault_proxy;
mod graphql;
mod local_server;
mod program;
mod readme;
mod support;
mod timing;
