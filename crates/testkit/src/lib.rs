//! What the tests of this workspace share: certificates, real peers, and pollcheck's executor and transport.
//!
//! It depends on neither `closenotify-core` nor `closenotify`: what tests them must not share their bugs. A failure inside
//! it is a failure of the test that called it, so its functions panic rather than return errors.

pub mod book;
pub mod browser;
pub mod certs;
pub mod client;
pub mod net;
pub mod peers;
pub mod plain;
pub mod prometheus;
pub mod report;
pub mod tickets;

/// The strict executor and the counting waker, which are pollcheck's.
pub mod executor {
    pub use pollcheck::{CountingWaker, Outcome, Strict, TaskHandle};
}

/// The transport that a test drives by hand, which is pollcheck's.
pub mod transport {
    pub use pollcheck::{DoneStep, Handle, Op, Polls, ReadStep, WriteStep};
    pub use pollcheck::{ReadHalf as ScriptedRead, Transport as Scripted, WriteHalf as ScriptedWrite};
}
