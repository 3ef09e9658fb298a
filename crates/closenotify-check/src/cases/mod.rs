//! All cases, by subject and topic.
//!
//! An id never changes its meaning: files of known deviations name it.

mod client;
mod proxy;
mod server;

use crate::case::{Allowed, Case, Ending, Level, Need, Subject};
use closenotify_probe::Version;

/// The cases for a subject, in the order in which they are reported.
#[must_use]
pub fn of(subject: Subject) -> Vec<&'static Case> {
    match subject {
        Subject::Server => server::all(),
        Subject::Client => client::all(),
        Subject::Proxy => proxy::all(),
    }
}

/// What most cases have in common.
const BASE: Case = Case {
    id: "",
    requirement: "",
    level: Level::Must,
    clauses: &[],
    origin: &[],
    versions: BOTH,
    needs: Need::Tls,
    steps: &[],
    allowed: Allowed::ANYTHING,
    harm: "",
    mend: "",
};

const BOTH: &[Version] = &Version::ALL;
const TLS12: &[Version] = &[Version::Tls12];
const TLS13: &[Version] = &[Version::Tls13];

/// The direction ended with a close_notify. What TCP did behind it is not asked.
const CLOSE_NOTIFY: &[Ending] = &[Ending::CloseNotifyFin, Ending::CloseNotifyOpen, Ending::CloseNotifyReset];
/// The connection was given up after an error.
const GIVEN_UP: &[Ending] = &[Ending::AlertFin, Ending::AlertOpen, Ending::AlertReset, Ending::Fin, Ending::Reset];
/// The error was told before the connection was given up.
const ALERT: &[Ending] = &[Ending::AlertFin, Ending::AlertOpen, Ending::AlertReset];
/// The connection is over, however.
const OVER: &[Ending] = &[
    Ending::CloseNotifyFin,
    Ending::CloseNotifyReset,
    Ending::AlertFin,
    Ending::AlertReset,
    Ending::Fin,
    Ending::Reset,
];
/// Anything but an answer that claims to be an orderly end.
const NO_CLOSE_NOTIFY: &[Ending] =
    &[Ending::AlertFin, Ending::AlertOpen, Ending::AlertReset, Ending::Fin, Ending::Reset];

const END: &str = "RFC 9846 6.1";
const ERROR: &str = "RFC 9846 6.2";
const END_12: &str = "RFC 5246 7.2.1";
const HTTP_END: &str = "RFC 9112 9.8";
