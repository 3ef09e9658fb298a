//! What does this server, client or proxy do when a TLS session ends?
//!
//! [Cases](Case) are data: what is done to the subject, step by step, and what it is allowed to do then, with the clause
//! that says so. A run drives them with the probe and turns what was seen into [`Outcome`]s; reports print them.
//!
//! Four things that it refuses to do: to call a reset a close, to call a timeout a failure where the case is not about time,
//! to pass where nothing matched, and to share code with the streams that it may be pointed at.

pub mod case;
pub mod expect;
pub mod outcome;
pub mod report;
pub mod step;
pub mod summary;

pub use case::{Allowed, Case, DataSeen, Ending, Level, Need, Subject};
pub use expect::{Deviation, Deviations, ExpectError};
pub use outcome::{Outcome, Run, Verdict};
pub use summary::{Counts, Decision, Judged, Ruling, Strictness};
