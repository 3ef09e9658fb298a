//! What the library must reach, each beside what is compared.

use crate::runner::Results;
use crate::stacks::Name::{Closenotify, TokioRustls};
use crate::works::Work;

/// One target: a work, what is compared in it, and the bound.
#[derive(Clone, Copy)]
pub struct Target {
    /// The work.
    pub work: Work,
    /// What is compared.
    pub what: What,
    /// What the ratio of ours to tokio-rustls' must be.
    pub bound: Bound,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// CPU time of both ends.
    Cpu,
    /// Work done per second.
    Throughput,
    /// How often memory is asked for.
    Allocations,
    /// How many bytes are asked for.
    Allocated,
    /// Rust heap of a client's session.
    ClientHeap,
    /// Rust heap of a server's session.
    ServerHeap,
}

/// What a ratio must be.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// At most 1, or below this in itself: fewer bytes than one buffer that should not be asked for.
    AtMostOneOrBelow(u64),
}

/// What became of a target.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// Ours in itself.
    pub ours: f64,
    /// tokio-rustls'.
    pub theirs: f64,
    /// Ours to theirs: for times the median of the rounds' ratios.
    pub ratio: f64,
    /// Whether the bound holds.
    pub reached: bool,
}

impl Target {
    /// Whether it depends on nothing but the programs, so that one run decides it.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        !matches!(self.what, What::Cpu | What::Throughput)
    }

    /// Compares; `None` where it was not measured.
    #[must_use]
    pub fn judge(&self, results: &Results) -> Option<Verdict> {
        let ours = results.value(self.work, Closenotify, self.what)?;
        let theirs = results.value(self.work, TokioRustls, self.what)?;
        let ratio = results.ratio(self.work, Closenotify, self.what)?;
        let reached = match self.bound {
            Bound::AtMost(most) => ratio <= most,
            Bound::AtLeast(least) => ratio >= least,
            Bound::AtMostOneOrBelow(bytes) => ratio <= 1.0 || ours < bytes as f64,
        };
        Some(Verdict { ours, theirs, ratio, reached })
    }
}

/// All of them, in the order of the page.
pub const TARGETS: [Target; 16] = [
    target(Work::Bulk16K, What::Cpu, Bound::AtMost(0.80)),
    target(Work::Bulk64K, What::Cpu, Bound::AtMost(0.80)),
    target(Work::RoundTrip100, What::Cpu, Bound::AtMost(0.95)),
    target(Work::RoundTrip1K, What::Cpu, Bound::AtMost(0.95)),
    target(Work::RoundTrip16K, What::Cpu, Bound::AtMost(0.95)),
    target(Work::RoundTrip100, What::Allocations, Bound::AtMost(1.0)),
    target(Work::RoundTrip1K, What::Allocations, Bound::AtMost(1.0)),
    target(Work::RoundTrip16K, What::Allocations, Bound::AtMost(1.0)),
    target(Work::RoundTrip100, What::Allocated, Bound::AtMostOneOrBelow(LARGE)),
    target(Work::RoundTrip1K, What::Allocated, Bound::AtMostOneOrBelow(LARGE)),
    target(Work::RoundTrip16K, What::Allocated, Bound::AtMostOneOrBelow(LARGE)),
    target(Work::BothHalves, What::Throughput, Bound::AtLeast(1.3)),
    target(Work::AtRest, What::ClientHeap, Bound::AtMost(1.0)),
    target(Work::AtRest, What::ServerHeap, Bound::AtMost(1.0)),
    target(Work::HandshakeFull, What::Cpu, Bound::AtMost(1.0)),
    target(Work::HandshakeResumed, What::Cpu, Bound::AtMost(1.0)),
];

const fn target(work: Work, what: What, bound: Bound) -> Target {
    Target { work, what, bound }
}

/// A buffer of this size is one that no round trip should ask for.
const LARGE: u64 = 60_000;
