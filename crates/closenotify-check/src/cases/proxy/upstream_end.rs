//! An upstream that ends its direction, or goes.

use super::{CARRIED, FIN, WHOLE};
use crate::case::{Allowed, Also, Case, DataSeen, Ending, Level};
use crate::cases::{BASE, CLOSE_NOTIFY, END, END_12, NO_CLOSE_NOTIFY};
use crate::step::{Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "proxy/upstream-end/fin-is-close-notify",
        requirement: "An upstream's FIN is a close_notify to the client, behind all data",
        level: Level::Must,
        clauses: &[END, END_12],
        origin: &["L15", "R59", "N02"],
        steps: &[Step::Upstream(&Step::Send(&[Put::Stream(1_000_000)])), Step::Upstream(&Step::Fin)],
        allowed: Allowed { data: WHOLE, close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        ..ANSWERED
    },
    Case {
        id: "proxy/upstream-end/one-close-notify",
        requirement: "The close_notify has the level warning, comes once, and nothing comes behind it",
        level: Level::Must,
        clauses: &[END],
        origin: &["R06", "L05", "R09"],
        steps: &[
            Step::Upstream(&Step::Send(&[Put::Stream(1000)])),
            Step::Upstream(&Step::Fin),
            Step::AwaitEnd,
            Step::Send(&[Put::CloseNotify]),
            Step::Wait(100),
        ],
        allowed: Allowed {
            also: &[Also::OneCloseNotify, Also::NothingBehind, Also::WarningLevel, Also::WholeRecords],
            ..Allowed::ANYTHING
        },
        harm: "Clients take what comes behind the end for an error, or do not see the end",
        mend: "Remember that the close_notify was sent, and send nothing behind it",
        ..ANSWERED
    },
    Case {
        id: "proxy/upstream-end/one-byte-and-fin",
        requirement: "One byte with the FIN at once behind it comes before the close_notify",
        origin: &["H03", "N07", "J04"],
        steps: &[Step::Upstream(&Step::Send(&[Put::Stream(1)])), Step::Upstream(&Step::Fin)],
        harm: "Whether an answer comes through depends on how the network cuts the stream",
        mend: "Read until the upstream's end before the end is passed on",
        ..ANSWERED
    },
    Case {
        id: "proxy/upstream-end/no-byte",
        requirement: "An upstream that ends without a byte is a close_notify to the client",
        origin: &["L15", "J02"],
        steps: &[Step::Upstream(&Step::Fin)],
        ..ANSWERED
    },
    Case {
        id: "proxy/upstream-end/other-direction-stays-open",
        requirement: "An upstream's FIN ends only its direction: what the client still sends comes through, and its end too",
        origin: &["R22", "R62", "N10"],
        steps: &[
            Step::Upstream(&Step::Send(&[Put::Stream(1000)])),
            Step::Upstream(&Step::Fin),
            Step::AwaitEnd,
            Step::Wait(100),
            Step::Send(&[Put::Stream(100_000)]),
            Step::Upstream(&Step::AwaitAnswer),
            Step::Send(&[Put::CloseNotify]),
        ],
        allowed: Allowed { upstream_data: WHOLE, upstream_close: FIN, ..PASSED_ON },
        harm: "An upload to a server that answers early is cut",
        mend: "Go on reading the client until its own end",
        ..ANSWERED
    },
    Case {
        id: "proxy/upstream-end/answer-while-the-client-uploads",
        requirement: "An answer that ends while the client still uploads comes whole, and so does the upload",
        origin: &["N04", "N09", "R28"],
        steps: &[
            Step::Upstream(&Step::StopReading),
            Step::Pour(&[Put::Stream(1_600_000), Put::CloseNotify]),
            Step::Upstream(&Step::Send(&[Put::Stream(200_000)])),
            Step::Upstream(&Step::Fin),
            Step::AwaitEnd,
            Step::Upstream(&Step::ReadOn),
        ],
        allowed: Allowed { upstream_data: WHOLE, upstream_close: FIN, in_time: false, ..PASSED_ON },
        harm: "A server that answers before it has read everything is not heard",
        mend: "Send a close_notify and a FIN, and read on until the client has ended",
        ..ANSWERED
    },
    Case {
        id: "proxy/upstream-end/answer-of-a-gone-upstream",
        requirement: "A whole answer arrives and looks whole, though its upstream is gone while the client still uploads",
        origin: &["N04", "R28", "N09"],
        steps: &[
            Step::StopReading,
            Step::Upstream(&Step::Send(&[Put::Stream(200_000)])),
            Step::Upstream(&Step::Close),
            Step::Wait(100),
            Step::Pour(&[Put::Stream(1_600_000)]),
            Step::Wait(300),
            Step::ReadOn,
        ],
        allowed: Allowed { in_time: false, ..PASSED_ON },
        harm: "The kernel answers unread uploads with a reset, which throws away the rest of an answer that was sent",
        mend: "Read the client on and discard, within bounds, before its socket is closed (lingering close)",
        ..ANSWERED
    },
    Case {
        id: "proxy/upstream-end/late-reader",
        requirement: "A long answer that has ended comes whole to a client that reads late",
        origin: &["V05", "R57", "H03"],
        steps: &[
            Step::StopReading,
            Step::Upstream(&Step::Pour(&[Put::Stream(6_000_000)])),
            Step::Upstream(&Step::Fin),
            Step::Wait(800),
            Step::ReadOn,
        ],
        allowed: Allowed { in_time: false, ..PASSED_ON },
        harm: "Long answers are cut for clients on slow lines",
        mend: "Let the close_notify and the close wait behind the data that is still to be written",
        ..ANSWERED
    },
    Case {
        id: "proxy/upstream-end/slow-reader",
        requirement: "A client that reads slowly gets all of an answer, and its own half-close comes through meanwhile",
        origin: &["V04", "V05", "R62"],
        steps: &[
            Step::ReadSlowly(16 * 1024),
            Step::Upstream(&Step::Pour(&[Put::Stream(2_000_000)])),
            Step::Send(&[Put::Stream(1000), Put::CloseNotify]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Wait(300),
            Step::Upstream(&Step::Fin),
            Step::ReadOn,
        ],
        allowed: Allowed { upstream_data: WHOLE, upstream_close: FIN, in_time: false, ..PASSED_ON },
        harm: "Long answers are cut for clients on slow lines",
        mend: "Hold back the upstream while the client does not read, and forget nothing",
        ..ANSWERED
    },
    Case {
        id: "proxy/upstream-end/reset",
        requirement: "An upstream's reset is no close_notify to the client, behind what had arrived",
        clauses: &[END],
        origin: &["H20", "R14"],
        steps: &[Step::Upstream(&Step::Send(&[Put::Stream(1000)])), Step::AwaitAnswer, Step::Upstream(&Step::Reset)],
        allowed: Allowed { data: WHOLE, close: Some(NO_CLOSE_NOTIFY), ..CARRIED },
        ..LOST
    },
    Case {
        id: "proxy/upstream-end/reset-behind-unread-answer",
        requirement: "A reset in the middle of an answer that the client has not read yet is no close_notify either",
        clauses: &[END],
        origin: &["H20", "H03"],
        steps: &[
            Step::StopReading,
            Step::Upstream(&Step::Pour(&[Put::Stream(8_000_000)])),
            Step::Wait(300),
            Step::Upstream(&Step::Reset),
            Step::Wait(100),
            Step::ReadOn,
        ],
        allowed: Allowed {
            data: Some(&[DataSeen::Cut, DataSeen::Nothing, DataSeen::Whole]),
            close: Some(NO_CLOSE_NOTIFY),
            ..CARRIED
        },
        ..LOST
    },
    Case {
        id: "proxy/upstream-end/reset-of-a-half-closed-session",
        requirement: "An upstream's reset instead of an answer to a half-closed client is no close_notify",
        clauses: &[END],
        origin: &["H20", "L17"],
        steps: &[
            Step::Send(&[Put::Stream(1000), Put::CloseNotify]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Reset),
        ],
        allowed: Allowed { data: WHOLE, close: Some(NO_CLOSE_NOTIFY), ..CARRIED },
        ..LOST
    },
    Case {
        id: "proxy/upstream-end/tcp-ends-too",
        requirement: "When both directions have ended the proxy ends the client's TCP connection, though the client keeps it open",
        origin: &["P05", "R61", "H05"],
        steps: &[
            Step::Send(&[Put::Stream(1000), Put::CloseNotify]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Send(&[Put::Stream(1000)])),
            Step::Upstream(&Step::Fin),
        ],
        allowed: Allowed { data: WHOLE, close: Some(&[Ending::CloseNotifyFin, Ending::CloseNotifyReset]), ..CARRIED },
        harm: "Connections that are over stay in the table until descriptors run out",
        mend: "Close both sockets when both directions have ended",
        ..ANSWERED
    },
];

const PASSED_ON: Allowed = Allowed { data: WHOLE, close: Some(CLOSE_NOTIFY), ..CARRIED };

const ANSWERED: Case = Case {
    level: Level::Practice,
    clauses: &[END],
    allowed: PASSED_ON,
    harm: "Clients cannot tell a whole answer from a cut one, and refuse it or ask again",
    mend: "Send a close_notify when the upstream has ended its direction, then a FIN",
    ..BASE
};

const LOST: Case = Case {
    harm: "A cut answer looks whole to the client, and is taken for it",
    mend: "Reset the client's connection, without a close_notify, behind what had arrived from an upstream that failed",
    ..ANSWERED
};
