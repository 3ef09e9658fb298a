//! What does this server, client or proxy do when a TLS session ends?
//!
//! [Cases](Case) are data: what is done to the subject, step by step, and what it is allowed to do then, with the clause
//! that says so. A run drives them with the probe and turns what was seen into [`Outcome`]s; reports print them.
//!
//! Four things that it refuses to do: to call a reset a close, to call a timeout a failure where the case is not about time,
//! to pass where nothing matched, and to share code with the streams that it may be pointed at.

mod answer;
mod app;
pub mod case;
mod cases;
mod client;
mod drive;
mod error;
pub mod expect;
mod judge;
pub mod outcome;
pub mod process;
mod proxy;
pub mod report;
mod run;
mod server;
pub mod step;
pub mod summary;

pub use app::App;
pub use case::{Allowed, Also, Case, DataSeen, Ending, Level, Need, Subject};
pub use cases::of as cases_of;
pub use client::{Client, Output, check_client};
pub use error::{CheckError, CheckErrorKind};
pub use expect::{Deviation, Deviations, ExpectError};
pub use outcome::{Outcome, Run, Verdict};
pub use proxy::{Proxy, Upstream, check_proxy};
pub use run::{Options, Silent, Watcher, select};
pub use server::{Server, check_server};
pub use summary::{Counts, Decision, Judged, Ruling, Strictness};
