//! One binary of integration tests, each against servers of its own.

mod cases;
mod cli;
mod conformance;
mod clients;
mod fault_proxy;
mod graphql;
mod layering;
mod local_server;
mod read_paths;
mod stored_format;
mod program;
mod readme;
mod support;
mod timing;
