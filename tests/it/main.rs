//! The integration tests, in one binary so that they link once.

mod fault_proxy;
mod local_server;
