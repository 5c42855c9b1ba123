//! Handlers on journals in memory, whose runs end at any entry.

mod answers;
mod awakeables;
mod branches;
mod crash;
mod differences;
mod every_entry;
mod fixture;
mod retries;
mod sleeps;
mod steps;
