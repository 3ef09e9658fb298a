//! Bytes behind the server's close_notify: they must change nothing, and cost nothing.

use super::{REFUSED, SUCCESS};
use crate::case::{Allowed, Case, Level, Need};
use crate::cases::{BASE, END, TLS13};
use crate::step::{Framing, Part, Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "client/behind/one-byte",
        requirement: "One byte behind the close_notify does not change that the answer is whole",
        origin: &["R01", "R02"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify, Put::Raw(b"\0")]),
            Step::Fin,
        ],
        ..IGNORED
    },
    Case {
        id: "client/behind/half-record",
        requirement: "Half a record behind the close_notify is ignored",
        origin: &["R04"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify, Put::HalfRecord]),
            Step::Fin,
        ],
        ..IGNORED
    },
    Case {
        id: "client/behind/data-record",
        requirement: "A record of data behind the close_notify is not delivered",
        origin: &["R03", "P06"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify, Put::Filler(100)]),
            Step::Fin,
        ],
        ..IGNORED
    },
    Case {
        id: "client/behind/plain-text",
        requirement: "Plain text behind the close_notify is ignored",
        origin: &["R07", "R04"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Answer(Framing::Close, Part::Whole),
                Put::CloseNotify,
                Put::Raw(b"this is not TLS any more\r\n"),
            ]),
            Step::Fin,
        ],
        ..IGNORED
    },
    Case {
        id: "client/behind/second-close-notify",
        requirement: "A second close_notify is ignored",
        origin: &["L11"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify, Put::CloseNotify]),
            Step::Fin,
        ],
        ..IGNORED
    },
    Case {
        id: "client/behind/fatal-alert",
        requirement: "A fatal alert behind the close_notify does not change that the answer is whole",
        origin: &["V03"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify, Put::Alert(2, 80)]),
            Step::Fin,
        ],
        ..IGNORED
    },
    Case {
        id: "client/behind/key-update",
        requirement: "A KeyUpdate behind the close_notify is ignored",
        origin: &["O18"],
        versions: TLS13,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify, Put::KeyUpdate(true)]),
            Step::Fin,
        ],
        ..IGNORED
    },
    Case {
        id: "client/behind/rest-of-the-length",
        requirement: "Data behind the close_notify does not complete an answer that was short of its Content-Length",
        origin: &["R03"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Answer(Framing::Length, Part::Half),
                Put::CloseNotify,
                Put::Answer(Framing::Length, Part::OtherHalf),
            ]),
            Step::Fin,
        ],
        ..INCOMPLETE
    },
    Case {
        id: "client/behind/last-chunk",
        requirement: "A last chunk behind the close_notify does not complete an answer",
        origin: &["R03"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Answer(Framing::Chunked, Part::Unfinished),
                Put::CloseNotify,
                Put::Answer(Framing::Chunked, Part::Finish),
            ]),
            Step::Fin,
        ],
        ..INCOMPLETE
    },
    Case {
        id: "client/behind/one-byte-ends-in-time",
        requirement: "A close_notify with a byte behind it ends the answer in time, though TCP stays open",
        level: Level::Practice,
        origin: &["R01", "L18"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify, Put::Raw(b"\0")]),
        ],
        allowed: Allowed { data: SUCCESS, in_time: true, ..Allowed::ANYTHING },
        harm: "One byte keeps a client waiting for an end that it has already been told",
        mend: "Take a close_notify for the end, whatever is behind it",
        ..BASE
    },
    Case {
        id: "client/behind/one-byte-behind-a-cut-answer",
        requirement: "An answer that is cut by a close_notify with a byte behind it is an error in time, though TCP stays open",
        level: Level::Practice,
        origin: &["R01", "R47"],
        needs: Need::Http,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Half), Put::CloseNotify, Put::Raw(b"\0")]),
        ],
        allowed: Allowed { data: REFUSED, in_time: true, ..Allowed::ANYTHING },
        harm: "One byte keeps a client waiting for an end that it has already been told",
        mend: "Take a close_notify for the end, whatever is behind it",
        ..BASE
    },
];

const IGNORED: Case = Case {
    clauses: &[END],
    allowed: Allowed { data: SUCCESS, ..Allowed::ANYTHING },
    harm: "Whether an answer counts depends on bytes that mean nothing",
    mend: "Stop reading TLS at a close_notify; what is behind it is counted at most",
    ..BASE
};

const INCOMPLETE: Case = Case {
    clauses: &[END, "RFC 9112 8"],
    needs: Need::Http,
    allowed: Allowed { data: REFUSED, ..Allowed::ANYTHING },
    harm: "What comes after the end of a session is acted on, though the server said that nothing comes",
    mend: "Stop reading TLS at a close_notify",
    ..BASE
};
