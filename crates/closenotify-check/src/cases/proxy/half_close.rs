//! Both directions end, in one order or the other.

use super::{CARRIED, FIN, WHOLE};
use crate::case::{Allowed, Case, Level};
use crate::cases::{BASE, CLOSE_NOTIFY, END};
use crate::step::{Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "proxy/half-close/both-at-once",
        requirement: "Two ends that cross come through both, behind their data",
        origin: &["H03", "R62"],
        steps: &[
            Step::Pour(&[Put::Stream(300_000), Put::CloseNotify]),
            Step::Upstream(&Step::Pour(&[Put::Stream(300_000)])),
            Step::Upstream(&Step::Fin),
            Step::Fin,
        ],
        harm: "Which of two messages is cut is left to chance",
        mend: "Let each direction end by itself, and close when both have",
        ..HALVES
    },
    Case {
        id: "proxy/half-close/upstream-first",
        requirement: "An upstream that half-closes first still gets all data of the client, and its end",
        origin: &["R22", "R62"],
        steps: &[
            Step::Upstream(&Step::Fin),
            Step::AwaitEnd,
            Step::Send(&[Put::Stream(1000)]),
            Step::Upstream(&Step::AwaitAnswer),
            Step::Wait(300),
            Step::Send(&[Put::Stream(100_000), Put::CloseNotify]),
            Step::Fin,
        ],
        harm: "One-way uploads are cut",
        mend: "Go on reading the client until its own end",
        ..HALVES
    },
    Case {
        id: "proxy/half-close/answer-comes-late",
        requirement: "An upstream that thinks for a second and a half about a half-closed request is still heard",
        origin: &["V04", "R61"],
        steps: &[
            Step::Send(&[Put::Stream(1000), Put::CloseNotify]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Wait(1500),
            Step::Upstream(&Step::Send(&[Put::Stream(1000)])),
            Step::Upstream(&Step::Fin),
        ],
        harm: "Answers that take long are lost, and only those",
        mend: "Bound a half-closed session by minutes without a byte, not by a second",
        ..HALVES
    },
    Case {
        id: "proxy/half-close/answer-in-pieces",
        requirement: "An answer to a half-closed request comes whole in pieces, also behind a pause",
        origin: &["V04", "R62"],
        steps: &[
            Step::Send(&[Put::Stream(1000), Put::CloseNotify]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Send(&[Put::Stream(1)])),
            Step::AwaitAnswer,
            Step::Wait(200),
            Step::Upstream(&Step::Send(&[Put::Stream(70_000)])),
            Step::AwaitAnswer,
            Step::Wait(200),
            Step::Upstream(&Step::Send(&[Put::Stream(1)])),
            Step::Upstream(&Step::Fin),
        ],
        harm: "Answers are cut at the first moment in which nothing is queued",
        mend: "End a half-closed session when the other direction has ended, not when it is empty",
        ..HALVES
    },
];

const HALVES: Case = Case {
    level: Level::Practice,
    clauses: &[END],
    allowed: Allowed { data: WHOLE, close: Some(CLOSE_NOTIFY), upstream_data: WHOLE, upstream_close: FIN, ..CARRIED },
    ..BASE
};
