//! What the process has used up to now: CPU time, wall time, heap, resident memory; and the core that a thread is pinned to.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use stats_alloc::INSTRUMENTED_SYSTEM;
use std::fs;
use std::ops::Sub;
use std::time::{Duration, Instant};

/// A reading of the clocks and counters; the difference of two is what lay between them.
#[derive(Clone, Copy)]
pub struct Meter {
    cpu: Duration,
    wall: Instant,
    heap: Heap,
}

/// What a measurement used.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Used {
    /// CPU time of all threads, in the kernel too.
    pub cpu: Duration,
    /// Time that passed.
    pub wall: Duration,
    /// How often memory was asked for, reallocations included; 0 in a program that does not count.
    pub allocations: u64,
    /// How many bytes were asked for.
    pub allocated: u64,
}

/// What the Rust allocator has given and taken back.
#[derive(Clone, Copy)]
struct Heap {
    allocations: u64,
    allocated: u64,
}

impl Meter {
    /// Reads them now.
    #[must_use]
    pub fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = Duration::try_from(cpu).expect("a CPU clock starts at zero");
        let stats = INSTRUMENTED_SYSTEM.stats();
        let heap = Heap {
            allocations: (stats.allocations + stats.reallocations) as u64,
            // A reallocation that grows is in here with what it grew by.
            allocated: stats.bytes_allocated as u64,
        };
        Self { cpu, wall: Instant::now(), heap }
    }
}

impl Sub for Meter {
    type Output = Used;

    fn sub(self, before: Self) -> Used {
        Used {
            cpu: self.cpu - before.cpu,
            wall: self.wall - before.wall,
            allocations: self.heap.allocations - before.heap.allocations,
            allocated: self.heap.allocated - before.heap.allocated,
        }
    }
}

/// Bytes of the Rust heap in use; 0 in a program that does not count.
#[must_use]
pub fn heap_in_use() -> u64 {
    let stats = INSTRUMENTED_SYSTEM.stats();
    (stats.bytes_allocated - stats.bytes_deallocated) as u64
}

/// Bytes of the process in memory, as the kernel counts them.
#[must_use]
pub fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux has /proc");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the second number of statm is the resident pages") * rustix::param::page_size() as u64
}

/// The cores that this process may use, at most two of them.
#[must_use]
pub fn cores() -> Vec<usize> {
    let allowed = sched_getaffinity(None).expect("a process may ask for its own cores");
    (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).take(2).collect()
}

/// Pins the calling thread, and the threads that it starts later, to a core.
pub fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).expect("the core is one of those that we may use");
}
