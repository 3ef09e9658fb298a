//! Streams that many programs use, each with a way to hand it to pollcheck.
//!
//! It refuses to judge: the verdict is pollcheck's, and what a finding means is on the page, `docs/pollcheck-results.md`,
//! with a test of its own in `tests/findings`.

pub mod page;
pub mod plain;
pub mod tls;

use pollcheck::{Check, Report};

/// One row of the table.
pub struct Stream {
    /// The type, as its crate names it, with what it stands on.
    pub name: &'static str,
    /// The crates whose versions the row gives, the stream's own first.
    pub crates: &'static [&'static str],
    /// Checks it.
    pub check: fn() -> Report,
}

/// All rows, in the order of the page.
pub fn all() -> Vec<Stream> {
    let mut all = plain::streams();
    all.extend(tls::streams());
    all
}

/// Fewer schedules than pollcheck's own default: each run costs a handshake.
pub fn with_handshake() -> Check {
    Check::new().depth(3).deviations(30).random_runs(10).step_bound(100_000)
}

/// Streams with deadlines need a clock to set them by; nobody drives it, so that none passes.
pub fn with_clock<T>(check: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O needs nothing of the system");
    let _entered = runtime.enter();
    check()
}
