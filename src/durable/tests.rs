//! Handlers on journals in memory, whose runs end at any entry.

mod awakeables;
mod branches;
mod differences;
mod every_entry;
mod fixture;
mod retries;
mod sleeps;
mod steps;
