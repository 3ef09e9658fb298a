//! Sessions in which nothing happens any more, and the CPU time that they take.

use crate::case::{Allowed, Case, Level, Need};
use crate::cases::BASE;
use crate::step::{Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "proxy/quiet/half-closed",
        requirement: "A half-closed session whose upstream is silent costs no CPU time",
        origin: &["J01", "J06", "R61"],
        steps: &[Step::Send(&[Put::Stream(1000), Put::CloseNotify]), Step::Upstream(&Step::AwaitEnd)],
        ..QUIET
    },
    Case {
        id: "proxy/quiet/half-closed-with-fin",
        requirement: "The same where the client has sent a FIN too",
        origin: &["R21", "H02"],
        steps: &[Step::Send(&[Put::Stream(1000), Put::CloseNotify]), Step::Fin, Step::Upstream(&Step::AwaitEnd)],
        ..QUIET
    },
    Case {
        id: "proxy/quiet/one-byte-behind",
        requirement: "One byte behind a close_notify, in one segment with it, costs no CPU time",
        origin: &["R01", "R35"],
        steps: &[Step::Send(&[Put::Stream(1000), Put::CloseNotify, Put::Raw(&[0])]), Step::Upstream(&Step::AwaitEnd)],
        ..QUIET
    },
    Case {
        id: "proxy/quiet/byte-behind-later",
        requirement: "A byte that comes later behind a close_notify costs no CPU time",
        origin: &["R01", "R05", "H07"],
        steps: &[
            Step::Send(&[Put::Stream(1000), Put::CloseNotify]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Send(&[Put::Raw(&[0])]),
        ],
        ..QUIET
    },
    Case {
        id: "proxy/quiet/fin-inside-a-record",
        requirement: "A FIN inside a record costs no CPU time",
        origin: &["H01", "R21"],
        steps: &[
            Step::Send(&[Put::Stream(1000)]),
            Step::Send(&[Put::HalfRecord]),
            Step::Fin,
            Step::Upstream(&Step::AwaitEnd),
        ],
        ..QUIET
    },
    Case {
        id: "proxy/quiet/fin-while-the-answer-is-stuck",
        requirement: "A client that has ended and does not read a long answer costs no CPU time",
        origin: &["R21", "H07", "R61"],
        steps: &[
            Step::StopReading,
            Step::Upstream(&Step::Pour(&[Put::Stream(6_000_000)])),
            Step::Wait(400),
            Step::Send(&[Put::Stream(1000), Put::CloseNotify]),
            Step::Fin,
            Step::Upstream(&Step::AwaitEnd),
        ],
        ..QUIET
    },
    Case {
        id: "proxy/quiet/upstream-ended",
        requirement: "A session whose upstream has ended, and whose client is silent, costs no CPU time",
        origin: &["J06", "H05", "R61"],
        steps: &[Step::Upstream(&Step::Send(&[Put::Stream(1000)])), Step::Upstream(&Step::Fin), Step::AwaitEnd],
        ..QUIET
    },
    Case {
        id: "proxy/quiet/reset-behind-close-notify",
        requirement: "A client that resets behind its close_notify, with the upstream silent, costs no CPU time",
        origin: &["V02", "V03", "H07"],
        steps: &[Step::Send(&[Put::Stream(1000), Put::CloseNotify]), Step::Upstream(&Step::AwaitEnd), Step::Reset],
        ..QUIET
    },
    Case {
        id: "proxy/quiet/upload-is-stuck",
        requirement: "An upload that the upstream does not read, with its end behind it, costs no CPU time",
        origin: &["H07", "H02"],
        steps: &[
            Step::Upstream(&Step::StopReading),
            Step::Pour(&[Put::Stream(6_000_000), Put::CloseNotify]),
            Step::Upstream(&Step::Fin),
            Step::AwaitEnd,
        ],
        ..QUIET
    },
];

const QUIET: Case = Case {
    level: Level::Practice,
    clauses: &[],
    needs: Need::Process,
    allowed: Allowed { quiet: true, ..Allowed::ANYTHING },
    harm: "One session costs a core until someone restarts the proxy",
    mend: "Stop asking for the readiness of a direction that has ended, and never wake without new information",
    ..BASE
};
