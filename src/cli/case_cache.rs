//! Memory for the cases that a process has touched.

use clap::Args;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::config::bytes;

/// Part of the memory that is taken by default, and its bounds.
const PART: u64 = 8;
const LEAST: u64 = 64 * 1024 * 1024;
const MOST: u64 = 1024 * 1024 * 1024;

/// Memory for the cases that a process has touched.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct CaseCache {
    /// Memory for the cases that were touched last, as in 256MiB; a change of any other reads it
    /// first [default: an eighth of the memory that there is, 64MiB to 1GiB]
    #[arg(long, env = "PETREL_CASE_CACHE", value_name = "BYTES", hide_env_values = true)]
    #[arg(value_parser = bytes)]
    case_cache: Option<u64>,
}

impl CaseCache {
    /// The bytes to take.
    pub(super) fn bytes(self) -> usize {
        let bytes = self.case_cache.unwrap_or_else(|| (memory() / PART).clamp(LEAST, MOST));
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// Memory of this machine, or of the control group that the process is in, in bytes; 0 where the
/// system does not say it.
fn memory() -> u64 {
    let kinds = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let Ok(system) = System::new_with_specifics(kinds) else { return 0 };
    let group = system.cgroup_limits().map(|limits| limits.total_memory);
    group.map_or(system.total_memory(), |group| group.min(system.total_memory()))
}
