//! One binary of integration tests, each against servers of its own.

mod audit;
mod cases;
mod cli;
mod clients;
mod conformance;
mod corpus;
mod failures;
mod fault_proxy;
mod graphql;
mod large_view;
mod layering;
mod local_server;
mod pnml;
mod program;
mod read_paths;
mod readme;
mod soundness;
mod state_space;
mod stored_format;
mod structure;
mod support;
mod timing;
