//! The process itself, under the names that every Prometheus client uses.
//!
//! It reads `/proc/self` when somebody asks; what cannot be read keeps its last value.

use std::fs;

use prometheus::core::Collector;

use super::{Counter, Gauge, Opts, Registry, registered};

#[derive(Debug)]
pub(super) struct Process {
    cpu: Counter,
    start: Gauge,
    resident: Gauge,
    open_files: Gauge,
    max_files: Gauge,
}

impl Process {
    pub(super) fn new(registry: &Registry) -> Self {
        let gauge = |name, help| plain(registry, Gauge::with_opts(Opts::new(name, help)));
        Self {
            cpu: {
                let name = "process_cpu_seconds_total";
                plain(registry, Counter::with_opts(Opts::new(name, "Total user and system CPU time spent in seconds.")))
            },
            start: gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
            resident: gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
            open_files: gauge("process_open_fds", "Number of open file descriptors."),
            max_files: gauge("process_max_fds", "Maximum number of open file descriptors."),
        }
    }

    /// Reads what is true now.
    pub(super) fn look(&self) {
        if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
            let ticks = rustix::param::clock_ticks_per_second() as f64;
            self.cpu.inc_by((stat.cpu_ticks as f64 / ticks - self.cpu.get()).max(0.0));
            self.resident.set((stat.resident_pages * rustix::param::page_size() as u64) as f64);
            if let Some(boot) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time) {
                self.start.set(boot as f64 + stat.start_ticks as f64 / ticks);
            }
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            // Not the one that the directory is read through.
            self.open_files.set(files.count().saturating_sub(1) as f64);
        }
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        self.max_files.set(most.map_or(f64::INFINITY, |most| most as f64));
    }
}

fn plain<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    registered(registry, made)
}

/// What is used of `/proc/self/stat`; proc(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    start_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name, in parentheses, may hold anything. After it comes field 3.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, start_ticks: field(22)?, resident_pages: field(24)? })
    }
}

fn boot_time(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_strange_name_is_read_right() {
        let text = "1 (a) S (b) S 1 1 1 0 -1 0 0 0 0 0 21 12 0 0 20 0 4 0 5000 99 77 18446744073709551615 0";
        assert_eq!(Stat::parse(text), Some(Stat { cpu_ticks: 33, start_ticks: 5000, resident_pages: 77 }));
        assert_eq!(Stat::parse("nothing"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000));
    }

    #[test]
    fn this_process_has_values() {
        let process = Process::new(&Registry::new());
        process.look();
        for gauge in [&process.start, &process.resident, &process.open_files, &process.max_files] {
            assert!(gauge.get() > 0.0, "{gauge:?}");
        }
    }
}
