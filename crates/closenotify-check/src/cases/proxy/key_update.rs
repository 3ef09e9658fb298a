//! KeyUpdates of the client while the answer flows (RFC 9846 section 4.7.3).

use super::{FIN, WHOLE};
use crate::case::{Allowed, Also, Case};
use crate::cases::{BASE, CLOSE_NOTIFY, END, TLS13};
use crate::step::{Put, Step};

pub(super) const CASES: &[Case] = &[Case {
    id: "proxy/key-update/while-the-answer-flows",
    requirement: "A KeyUpdate that asks for one is answered before more data, and both directions end as if it had not been",
    clauses: &["RFC 9846 4.7.3", "RFC 8446 4.6.3", END],
    origin: &["R38", "R46", "O18"],
    versions: TLS13,
    steps: &[
        Step::Upstream(&Step::Pour(&[Put::Stream(2_000_000)])),
        Step::AwaitData,
        Step::Send(&[Put::KeyUpdate(true), Put::Stream(1000)]),
        Step::Upstream(&Step::AwaitAnswer),
        Step::Upstream(&Step::Send(&[Put::Stream(1000)])),
        Step::Send(&[Put::CloseNotify]),
        Step::Upstream(&Step::AwaitEnd),
        Step::Upstream(&Step::Fin),
    ],
    allowed: Allowed {
        data: WHOLE,
        close: Some(CLOSE_NOTIFY),
        upstream_data: WHOLE,
        upstream_close: FIN,
        also: &[Also::KeyUpdateAnswered],
        ..Allowed::ANYTHING
    },
    harm: "Long sessions break when their keys are changed",
    mend: "Answer a KeyUpdate with the next record, whichever direction is busy",
    ..BASE
}];
