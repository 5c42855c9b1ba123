//! A soak of workers: the sample `order` at a steady rate, while workers and nats-server are killed.
//!
//! ```sh
//! cargo run --release --example soak -- --minutes 20
//! ```
//!
//! It starts nats-server, a process that serves and two workers by itself, kills workers and nats-server all
//! the time, and checks at the end that each case went its way once. What the workers do outside of the engine
//! stands in a ledger of their own, which has to agree with the log. `docs/soak.md` has the details. The exit
//! code is 0 only if every check is fine; the folder with data, ledger and logs stays only otherwise.

mod activities;
mod case_facts;
mod checks;
mod driver;
mod follower;
mod intruder;
mod judge;
mod ledger;
mod log_facts;
mod nats;
mod options;
mod orders;
mod processes;
mod report;
mod roles;
mod run;

use std::process::ExitCode;

use clap::Parser;

use options::{Options, Role};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let fine = match &options.role {
        Some(Role::Server(server)) => roles::serve(server).await.map(|()| true),
        Some(Role::Worker(worker)) => roles::work(worker).await.map(|()| true),
        None => run::run(&options).await,
    };
    let code = match fine {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            eprintln!("error: {error:#}");
            1
        }
    };
    // The thread that reads a role's standard input would be waited for.
    std::process::exit(code)
}
