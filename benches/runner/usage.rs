//! What a process has cost so far: processor time and memory, as Linux counts them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Linux tells processor time to other processes in hundredths of a second, on every machine.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time of this process, to the nanosecond, of the threads that live.
pub(crate) fn own_time() -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        // A thread may end while it is looked at.
        let Ok(stat) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanoseconds += stat.split(' ').next().context("schedstat")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Processor time of another process.
pub(crate) fn time_of(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold spaces.
    let fields = stat.rsplit_once(')').context("no such process")?.1;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Memory of a process in KiB: what it holds now, and the most it has held.
pub(crate) fn memory_of(pid: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let both = field("VmRSS:").zip(field("VmHWM:"));
    both.context("no memory in the status of the process")
}
