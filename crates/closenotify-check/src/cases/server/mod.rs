//! What a server does.

mod alert;
mod behind;
mod end;
mod half_close;
mod handshake;
mod key_update;
mod truncation;

use crate::case::Case;

pub(super) fn all() -> Vec<&'static Case> {
    [end::CASES, half_close::CASES, behind::CASES, truncation::CASES, alert::CASES, key_update::CASES, handshake::CASES]
        .into_iter()
        .flatten()
        .collect()
}
