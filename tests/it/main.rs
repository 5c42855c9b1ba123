//! The integration tests, in one binary so that they link once.

mod cli;
mod fault_proxy;
mod local_server;
