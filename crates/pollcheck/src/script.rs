//! What a transport returns in place of its own answer: faults of a link, and the steps of a transport driven by hand.
//!
//! Everything here is data. [`Transport`](crate::Transport) carries it out, and both forms report what was never used,
//! so that a test of a fault can prove that it tested anything.

use std::fmt;
use std::io;

use crate::history::{Op, Side};

/// What a transport returns from one call in place of its own answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// `Pending`; the transport wakes when the executor finds nothing better to do.
    Pend,
    /// One byte at most, of a read or a write.
    Short,
    /// An error, now and at every later call: a read's for reading, any other's for all of writing.
    Fail(io::ErrorKind),
    /// `Ok(0)` of a write, now and at every later one.
    Zero,
    /// The end, at this read and every later one, whatever the peer still had to send.
    Eof,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pend => f.write_str("pending"),
            Self::Short => f.write_str("one byte"),
            Self::Fail(kind) => write!(f, "error: {kind}"),
            Self::Zero => f.write_str("zero bytes"),
            Self::Eof => f.write_str("the end"),
        }
    }
}

/// Faults of a link, each tied to one call of one method of one end.
///
/// The calls of each method are counted from 0. A fault whose call is never made is reported as unused.
#[derive(Clone, Debug, Default)]
pub struct Script(Vec<Planned>);

#[derive(Clone, Debug)]
struct Planned {
    side: Side,
    op: Op,
    call: usize,
    fault: Fault,
    hit: bool,
}

impl Script {
    /// A link without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes call number `call` of `op` at `side` return `fault`.
    ///
    /// # Panics
    ///
    /// When the method cannot return that: `Zero` is a write's, `Eof` a read's, `Short` either's.
    #[must_use]
    pub fn fault(mut self, side: Side, op: Op, call: usize, fault: Fault) -> Self {
        let possible = match fault {
            Fault::Pend | Fault::Fail(_) => true,
            Fault::Short => matches!(op, Op::Read | Op::Write),
            Fault::Zero => op == Op::Write,
            Fault::Eof => op == Op::Read,
        };
        assert!(possible, "a {op} cannot return {fault}");
        self.0.push(Planned { side, op, call, fault, hit: false });
        self
    }

    /// The faults whose call was not made, in words.
    pub(crate) fn unused(&self) -> Vec<String> {
        let unused = self.0.iter().filter(|planned| !planned.hit);
        unused.map(|planned| format!("{} {} {}: {}", planned.side, planned.op, planned.call, planned.fault)).collect()
    }

    /// Whether a fault that changes what a right stream answers was met.
    pub(crate) fn has_hit(&self, wanted: impl Fn(Side, Op, Fault) -> bool) -> bool {
        self.0.iter().any(|planned| planned.hit && wanted(planned.side, planned.op, planned.fault))
    }

    pub(crate) fn hit(&mut self, side: Side, op: Op, call: usize) -> Option<Fault> {
        let planned = self.0.iter_mut().find(|planned| (planned.side, planned.op, planned.call) == (side, op, call))?;
        planned.hit = true;
        Some(planned.fault)
    }
}

/// What the next reads of a transport driven by hand return.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadStep {
    /// These bytes, in as many reads as the reader's buffer makes of them; a read never crosses into the next step.
    Data(Vec<u8>),
    /// `Pending`, until [`Handle::release_read`](crate::Handle::release_read).
    Pending,
    /// The end, at this and every later read.
    Eof,
    /// An error, once.
    Error(io::ErrorKind),
}

impl fmt::Display for ReadStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => write!(f, "{} bytes", data.len()),
            Self::Pending => f.write_str("pending"),
            Self::Eof => f.write_str("the end"),
            Self::Error(kind) => write!(f, "error: {kind}"),
        }
    }
}

/// What one write returns. Without a step every byte is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteStep {
    /// Takes up to so many bytes, at least one.
    Accept(usize),
    /// `Pending`, until [`Handle::release_write`](crate::Handle::release_write).
    Pending,
    /// `Ok(0)`, once.
    Zero,
    /// An error, once.
    Error(io::ErrorKind),
}

impl fmt::Display for WriteStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept(most) => write!(f, "at most {most} bytes"),
            Self::Pending => f.write_str("pending"),
            Self::Zero => f.write_str("zero bytes"),
            Self::Error(kind) => write!(f, "error: {kind}"),
        }
    }
}

/// What one flush or shutdown returns. Without a step it is `Ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DoneStep {
    /// `Ok`, once: to place a later step.
    Ready,
    /// `Pending`, until [`Handle::release_flush`](crate::Handle::release_flush) or
    /// [`Handle::release_shutdown`](crate::Handle::release_shutdown).
    Pending,
    /// An error, once.
    Error(io::ErrorKind),
}

impl fmt::Display for DoneStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("done"),
            Self::Pending => f.write_str("pending"),
            Self::Error(kind) => write!(f, "error: {kind}"),
        }
    }
}
