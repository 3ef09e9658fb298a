//! What a client does.
//!
//! Where a case asks for an error, any exit status but 0 is one; where it asks for success, 0 is.

mod alert;
mod behind;
mod close;
mod end;
mod handshake;
mod key_update;
mod quiet;
mod time;
mod truncation;

use crate::case::{Case, DataSeen};

pub(super) fn all() -> Vec<&'static Case> {
    [
        end::CASES,
        truncation::CASES,
        behind::CASES,
        alert::CASES,
        key_update::CASES,
        close::CASES,
        time::CASES,
        handshake::CASES,
        quiet::CASES,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The command says that all is well.
const SUCCESS: Option<&[DataSeen]> = Some(&[DataSeen::TakenAsWhole]);
/// The command says that something is wrong.
const REFUSED: Option<&[DataSeen]> = Some(&[DataSeen::Refused]);

const HTTP_INCOMPLETE: &str = "RFC 9112 8";
const HTTP_LENGTH: &str = "RFC 9112 6.3";
const TLS_ALERTS: &str = "RFC 9846 6";
const TLS_KEY_UPDATE: &str = "RFC 9846 4.7.3";
