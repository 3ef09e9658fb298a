//! One call gives a verdict on the poll contract of a stream type.
//!
//! `AsyncRead` and `AsyncWrite` are small traits with a long contract: whoever answers `Pending` owes a wake, an end
//! stays the end, a shutdown flushes, what a dropped future did not report has not happened. The compiler sees none of
//! it, and ordinary tests see little, because an ordinary executor polls so often that a lost wake is covered up.
//!
//! ```
//! let report = pollcheck::check(|transport| tokio::io::BufStream::new(transport));
//! report.assert_clean();
//! ```
//!
//! [`check`] wraps a simulated transport into the stream under test again and again, drives it on a [`Strict`]
//! executor under many schedules, and gives a [`Report`]: each [`Rule`] that was broken, the sentence of the
//! documentation that it rests on, and the shortest history of polls, wakes and bytes that leads there. It works under
//! a plain `#[test]`, needs no runtime, and does the same again with the same seed.
//!
//! - [`check`] is for wrappers that leave bytes as they are;
//! - [`check_pair`] for everything else, as a pair whose ends talk to each other;
//! - [`Check`] for the settings, for streams that begin with a handshake, and for real sockets;
//! - [`Strict`] for tests that drive a stream by hand: over a [`Transport`] whose far end the test holds ([`Handle`]),
//!   or over a link with the faults of a [`Script`]; [`CountingWaker`] for those that make each poll themselves;
//! - [`meter`] for production: it counts polls that move nothing, and reports a spin.
//!
//! It refuses to know any protocol: no TLS, no HTTP, nothing beyond the two traits. It judges what can be seen from
//! outside a stream. A poll that never returns and never calls its transport hangs the test; only the test's own time
//! limit ends that.
//!
//! # What is counted
//!
//! Every wake is seen, with the number of the poll that its waker came from. Clones and drops of wakers are seen as the
//! number of clones alive after each poll and each event: a clone that is made and dropped within one poll leaves no
//! trace, and needs none.

mod check;
mod endpoint;
mod executor;
mod handle;
mod history;
pub mod meter;
mod port;
mod report;
mod rules;
mod scenario;
mod schedule;
mod script;
mod search;
mod transport;
mod waker;
mod world;

pub use check::{Check, check, check_pair};
pub use executor::{Outcome, Strict, TaskHandle};
pub use handle::{Handle, Polls};
pub use history::{Event, Half, History, Op, Seen, Side, Worth};
pub use report::{Explored, Report, Violation};
pub use rules::Rule;
pub use scenario::Woken;
pub use script::{DoneStep, Fault, ReadStep, Script, WriteStep};
pub use transport::{ReadHalf, Transport, WriteHalf};
pub use waker::CountingWaker;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
