//! One binary of integration tests, each against servers of its own.

mod audit;
mod backup;
mod bounded;
mod cascade;
mod cases;
mod circles;
mod cli;
mod clients;
mod conformance;
mod corpus;
mod ending;
mod failures;
mod fault_proxy;
mod graphql;
mod large_cases;
mod large_records;
mod large_view;
mod layering;
mod licences;
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
mod strangers;
mod structure;
mod supervision;
mod support;
mod timers;
mod timing;
<<<<<<< HEAD
mod work;
=======
mod work_storage;
>>>>>>> f0db782 (Streams of work and beats are told of wherever the timers' is)
