//! Runs the works: each with each stack in a child process of its own, in turn, for several rounds.
//!
//! CPU time comes from the program without a counter on its heap, counts from the one with it. A round measures every
//! stack once, the first of them another one each time, so that what the machine does meanwhile meets all alike.

use crate::stacks::Name;
use crate::targets::What;
use crate::works::{Sample, Work};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What all children printed.
#[derive(Default)]
pub struct Results {
    /// Of the program that does not count: one sample a round.
    timed: BTreeMap<(Work, Name), Vec<Sample>>,
    /// Of the program that does.
    counted: BTreeMap<(Work, Name), Sample>,
}

/// How much is run.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// How many rounds of what is timed.
    pub rounds: usize,
    /// By what the counts are divided.
    pub divisor: u64,
}

impl Amount {
    /// One round of little: shows that everything runs, and counts what does not depend on the amount.
    pub const QUICK: Self = Self { rounds: 1, divisor: 20 };
}

/// Runs everything.
///
/// # Errors
///
/// When a child fails where its stack should do.
pub fn run(amount: Amount) -> io::Result<Results> {
    let mut results = Results::default();
    for (work, count) in WORKS {
        let stacks: Vec<Name> = Name::ALL.into_iter().filter(|stack| does(work, *stack)).collect();
        for stack in &stacks {
            // Counts do not grow truer by being larger.
            let sample = child("counted", work, *stack, (count / 20).max(1))?;
            results.counted.insert((work, *stack), sample);
        }
        for round in 0..amount.rounds {
            for turn in 0..stacks.len() {
                let stack = stacks[(round + turn) % stacks.len()];
                let sample = child("bench", work, stack, (count / amount.divisor).max(1))?;
                results.timed.entry((work, stack)).or_default().push(sample);
            }
        }
        eprintln!("{}: {} stacks, {} rounds", name_of(work), stacks.len(), amount.rounds);
    }
    Ok(results)
}

/// Whether a stack can do a work at all.
fn does(work: Work, stack: Name) -> bool {
    // OpenSSL's is `unsafe` in the crate openssl.
    !(work == Work::HandshakeResumed && matches!(stack, Name::TokioOpenssl | Name::Tcp))
}

fn child(program: &str, work: Work, stack: Name, count: u64) -> io::Result<Sample> {
    let mut command = Command::new(beside_us(program)?);
    if program == "bench" {
        command.arg("subject");
    }
    let (work, stack) = (name_of(work), name_of(stack));
    command.args(["--work", &work, "--stack", &stack, "--count", &count.to_string()]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let deadline = Instant::now() + LIMIT;
    // What it prints is far less than a pipe holds, so it need not be read meanwhile. std has no wait with a time limit.
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!("{work} with {stack}: not done after {} s", LIMIT.as_secs())));
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{work} with {stack}: {}\n{}", output.status, message.trim_end())));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn beside_us(program: &str) -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(program))
}

/// As the command line names it.
pub(crate) fn name_of(value: impl clap::ValueEnum) -> String {
    value.to_possible_value().expect("no value is skipped").get_name().to_owned()
}

impl Results {
    /// One value of a unit of work: the median of the rounds for what is timed. `None` where it was not measured.
    #[must_use]
    pub fn value(&self, work: Work, stack: Name, what: What) -> Option<f64> {
        self.spread(work, stack, what).map(|spread| spread[1])
    }

    /// The least, the median and the most of it.
    #[must_use]
    pub fn spread(&self, work: Work, stack: Name, what: What) -> Option<[f64; 3]> {
        Some(spread(self.values(work, stack, what)?))
    }

    /// The ratio to tokio-rustls: the median of the ratios of each round, since what the two of one round met is most alike.
    #[must_use]
    pub fn ratio(&self, work: Work, stack: Name, what: What) -> Option<f64> {
        let ours = self.values(work, stack, what)?;
        let theirs = self.values(work, Name::TokioRustls, what)?;
        Some(spread(ours.into_iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())[1])
    }

    /// The memory by which a process grew for each session, client and server. `None` where it was not measured.
    #[must_use]
    pub fn resident(&self, stack: Name) -> Option<[f64; 2]> {
        let samples = self.timed.get(&(Work::AtRest, stack))?;
        let side = |side: usize| samples.iter().filter_map(|sample| Some(sample.held?.resident[side] as f64)).collect();
        Some([spread(side(0))[1], spread(side(1))[1]])
    }

    /// How many rounds were run.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.timed.values().map(Vec::len).max().unwrap_or(0)
    }

    fn values(&self, work: Work, stack: Name, what: What) -> Option<Vec<f64>> {
        let key = &(work, stack);
        let of_timed = |value: fn(&Sample) -> f64| Some(self.timed.get(key)?.iter().map(value).collect());
        let of_counted = |value: fn(&Sample) -> Option<f64>| Some(vec![value(self.counted.get(key)?)?]);
        match what {
            What::Cpu => of_timed(|sample| sample.used.cpu.as_secs_f64() / sample.count as f64),
            What::Throughput => of_timed(|sample| sample.count as f64 / sample.used.wall.as_secs_f64()),
            // What is asked for once, as the buffers of the work, is not of a unit.
            What::Allocations => of_counted(|sample| Some((sample.used.allocations / sample.count) as f64)),
            What::Allocated => of_counted(|sample| Some((sample.used.allocated / sample.count) as f64)),
            What::ClientHeap => of_counted(|sample| Some(sample.held?.heap[0] as f64)),
            What::ServerHeap => of_counted(|sample| Some(sample.held?.heap[1] as f64)),
        }
    }
}

/// The least, the median and the most.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

/// Far more than any child takes, on a machine that does other things, too.
const LIMIT: Duration = Duration::from_secs(180);

/// Each work, and how much of it one child does.
const WORKS: [(Work, u64); 9] = [
    (Work::Bulk16K, 1000),
    (Work::Bulk64K, 1000),
    (Work::RoundTrip100, 20_000),
    (Work::RoundTrip1K, 20_000),
    (Work::RoundTrip16K, 10_000),
    (Work::BothHalves, 1000),
    (Work::HandshakeFull, 1000),
    (Work::HandshakeResumed, 1000),
    (Work::AtRest, 500),
];

#[cfg(test)]
mod tests {
    use super::{Name, Results, Sample, What, Work};
    use crate::meter::Used;
    use crate::targets::{Bound, Target};
    use std::time::Duration;

    fn sample(cpu: u64, allocations: u64, allocated: u64) -> Sample {
        let used = Used { cpu: Duration::from_secs(cpu), wall: Duration::from_secs(1), allocations, allocated };
        Sample { count: 10, used, held: None }
    }

    /// Bulk, ours and tokio-rustls', the rounds' CPU seconds.
    fn timed(ours: &[u64], theirs: &[u64]) -> Results {
        let mut results = Results::default();
        for (stack, rounds) in [(Name::Closenotify, ours), (Name::TokioRustls, theirs)] {
            let samples = rounds.iter().map(|cpu| sample(*cpu, 0, 0)).collect();
            results.timed.insert((Work::Bulk16K, stack), samples);
        }
        results
    }

    #[test]
    fn median_lies_between_least_and_most() {
        let results = timed(&[50, 10, 20], &[1, 1, 1]);
        assert_eq!(results.spread(Work::Bulk16K, Name::Closenotify, What::Cpu), Some([1.0, 2.0, 5.0]));
    }

    #[test]
    fn a_ratio_compares_the_two_of_one_round() {
        // The machine was three times slower in the second round: the ratio of each round is a half all the same.
        let results = timed(&[10, 30, 10], &[20, 60, 20]);
        assert_eq!(results.ratio(Work::Bulk16K, Name::Closenotify, What::Cpu), Some(0.5));
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let target = Target { work: Work::BothHalves, what: What::Throughput, bound: Bound::AtLeast(1.3) };
        assert!(target.judge(&timed(&[1], &[1])).is_none());
    }

    #[test]
    fn a_target_is_reached_at_its_bound_and_missed_above() {
        let target = Target { work: Work::Bulk16K, what: What::Cpu, bound: Bound::AtMost(0.75) };
        let reached = |ours| target.judge(&timed(&[ours], &[40])).map(|verdict| verdict.reached);
        assert_eq!((reached(30), reached(31)), (Some(true), Some(false)));
    }

    #[test]
    fn bytes_below_one_large_buffer_are_enough() {
        let reached = |allocated| {
            let mut results = Results::default();
            results.counted.insert((Work::RoundTrip100, Name::Closenotify), sample(0, 40, allocated));
            results.counted.insert((Work::RoundTrip100, Name::TokioRustls), sample(0, 40, 5_000));
            let bound = Bound::AtMostOneOrBelow(60_000);
            let target = Target { work: Work::RoundTrip100, what: What::Allocated, bound };
            target.judge(&results).map(|verdict| verdict.reached)
        };
        assert_eq!((reached(599_990), reached(600_000)), (Some(true), Some(false)));
    }
}
