//! A client that goes without saying that it has sent everything.

use super::{CARRIED, RESET, WHOLE};
use crate::case::{Allowed, Case, Level};
use crate::cases::{BASE, END, ERROR, NO_CLOSE_NOTIFY};
use crate::step::{Put, Step};
use closenotify_probe::alert;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "proxy/cut/fin-without-close-notify",
        requirement: "A client's FIN without a close_notify is a reset at the upstream, which can so tell that something may be missing",
        origin: &["C03", "R41", "V08"],
        steps: &[Step::Send(&[Put::Stream(1000)]), Step::Upstream(&Step::AwaitAnswer), Step::Fin],
        ..CUT
    },
    Case {
        id: "proxy/cut/fin-inside-a-record",
        requirement: "A client's FIN inside a record is a reset at the upstream",
        origin: &["R14", "C03"],
        steps: &[
            Step::Send(&[Put::Stream(1000)]),
            Step::Upstream(&Step::AwaitAnswer),
            Step::Send(&[Put::HalfRecord]),
            Step::Fin,
        ],
        ..CUT
    },
    Case {
        id: "proxy/cut/reset",
        requirement: "A client's reset is a reset at the upstream",
        clauses: &[],
        origin: &["V03", "R41"],
        steps: &[Step::Send(&[Put::Stream(1000)]), Step::Upstream(&Step::AwaitAnswer), Step::Reset],
        ..CUT
    },
    Case {
        id: "proxy/cut/fatal-alert",
        requirement: "A client's fatal alert is a reset at the upstream",
        clauses: &[ERROR],
        origin: &["R45", "C03"],
        steps: &[
            Step::Send(&[Put::Stream(1000)]),
            Step::Upstream(&Step::AwaitAnswer),
            Step::Send(&[Put::Alert(2, alert::INTERNAL_ERROR)]),
        ],
        ..CUT
    },
    Case {
        id: "proxy/cut/broken-seal",
        requirement: "A record that does not open is a reset at the upstream, and no close_notify to the client",
        clauses: &[ERROR],
        origin: &["R41", "V06"],
        steps: &[Step::Send(&[Put::Stream(1000)]), Step::Upstream(&Step::AwaitAnswer), Step::Send(&[Put::Garbled])],
        allowed: Allowed { close: Some(NO_CLOSE_NOTIFY), upstream_data: WHOLE, upstream_close: RESET, ..CARRIED },
        ..CUT
    },
    Case {
        id: "proxy/cut/reset-while-the-answer-flows",
        requirement: "A client's reset while the answer flows is a reset at the upstream, and others are served",
        clauses: &[],
        origin: &["V02", "R29"],
        steps: &[
            Step::Upstream(&Step::Pour(&[Put::Stream(4_000_000)])),
            Step::AwaitData,
            Step::StopReading,
            Step::Wait(100),
            Step::Reset,
        ],
        allowed: Allowed { upstream_close: RESET, alive: true, ..CARRIED },
        harm: "The upstream goes on with work that nobody waits for, or takes the session for a good one",
        mend: "End both connections of a session when either of them fails",
        ..CUT
    },
    Case {
        id: "proxy/cut/reset-of-a-silent-session",
        requirement: "A client's reset while nothing flows is told to the upstream at once",
        clauses: &[],
        origin: &["R61", "H05"],
        steps: &[Step::Wait(50), Step::Reset],
        allowed: Allowed { upstream_data: WHOLE, upstream_close: RESET, ..CARRIED },
        harm: "Upstream connections of clients that are gone pile up",
        mend: "End the upstream connection when the client's fails",
        ..CUT
    },
];

const CUT: Case = Case {
    level: Level::Practice,
    clauses: &[END],
    allowed: Allowed { upstream_data: WHOLE, upstream_close: RESET, ..CARRIED },
    harm: "The upstream takes half of a message for the whole, and whoever can cut a connection decides what it was",
    mend: "Reset the upstream connection (SO_LINGER 0) where the client's ended otherwise than by a close_notify",
    ..BASE
};
