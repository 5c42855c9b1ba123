//! The `petrel` binary: arguments, log, command, exit code.

// It panics where stderr can't be written, as on a full disk.
#![deny(clippy::print_stderr)]

use std::{
    io::{self, Write},
    process::ExitCode,
};

use mimalloc::MiMalloc;
use stormpetrel::cli::Cli;

/// A firing makes many small texts and maps, which this allocator is faster with.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Stack of each thread of the runtime: four times the usual. A query of GraphQL goes down as many levels as it
/// is deep, and without optimisation each takes tens of kilobytes. What is not used takes no memory.
const STACK: usize = 8 * 1024 * 1024;

fn main() -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build();
    match runtime {
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: the runtime can't begin: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    let cli = match Cli::from_arguments() {
        Ok(cli) => cli,
        Err(exit_code) => return exit_code,
    };
    if let Err(exit_code) = cli.start_log() {
        return exit_code;
    }
    cli.run().await
}
