//! The `petrel` binary: arguments, log, command, exit code.

// It panics where stderr can't be written, as on a full disk.
#![deny(clippy::print_stderr)]

use std::process::ExitCode;

use mimalloc::MiMalloc;
use stormpetrel::cli::Cli;

/// A firing makes many small texts and maps, which this allocator is faster with.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::from_arguments() {
        Ok(cli) => cli,
        Err(exit_code) => return exit_code,
    };
    if let Err(exit_code) = cli.start_log() {
        return exit_code;
    }
    cli.run().await
}
