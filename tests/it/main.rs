//! One binary of integration tests, each against servers of its own.

mod audit;
mod backup;
mod cases;
mod cli;
mod clients;
mod conformance;
mod corpus;
mod failures;
mod fault_proxy;
mod graphql;
mod large_cases;
mod layering;
mod listings;
mod local_server;
mod once;
mod pnml;
mod program;
mod read_paths;
mod readable;
mod readme;
mod soundness;
mod state_space;
mod stored_format;
mod structure;
mod support;
mod timing;
