//! What a proxy carries from one side to the other.

mod client_end;
mod connect;
mod cut;
mod half_close;
mod key_update;
mod quiet;
mod upstream_end;

use crate::case::{Allowed, Case, DataSeen, Ending};

pub(super) fn all() -> Vec<&'static Case> {
    [
        client_end::CASES,
        cut::CASES,
        upstream_end::CASES,
        half_close::CASES,
        key_update::CASES,
        connect::CASES,
        quiet::CASES,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An end that is not carried on is a failure, not a matter of patience.
const CARRIED: Allowed = Allowed { in_time: true, ..Allowed::ANYTHING };
const WHOLE: Option<&[DataSeen]> = Some(&[DataSeen::Whole]);
/// What a plain connection says where all that was sent is whole.
const FIN: Option<&[Ending]> = Some(&[Ending::Fin]);
/// What it says where something is missing.
const RESET: Option<&[Ending]> = Some(&[Ending::Reset]);
