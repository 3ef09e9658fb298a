//! A client that says that it has sent everything.

use super::{CARRIED, FIN, WHOLE};
use crate::case::{Allowed, Case, Level};
use crate::cases::{BASE, CLOSE_NOTIFY, END, END_12};
use crate::step::{Put, Step};
use closenotify_probe::alert;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "proxy/client-end/close-notify-is-fin",
        requirement: "A client's close_notify is a FIN at the upstream, and the answer that follows still comes whole",
        origin: &["V01", "N10", "R62"],
        steps: &[
            Step::Send(&[Put::Stream(1000)]),
            Step::Send(&[Put::CloseNotify]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Send(&[Put::Stream(101_000)])),
            Step::Upstream(&Step::Fin),
        ],
        ..ENDED
    },
    Case {
        id: "proxy/client-end/close-notify-and-fin",
        requirement: "The same where a FIN follows the close_notify",
        origin: &["V04", "V08", "R62"],
        steps: &[
            Step::Send(&[Put::Stream(1000)]),
            Step::Send(&[Put::CloseNotify]),
            Step::Fin,
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Send(&[Put::Stream(101_000)])),
            Step::Upstream(&Step::Fin),
        ],
        ..ENDED
    },
    Case {
        id: "proxy/client-end/one-byte-in-one-segment",
        requirement: "One byte with the close_notify in one segment comes before the FIN",
        origin: &["R40", "H03", "J04"],
        steps: &[
            Step::Send(&[Put::Stream(1), Put::CloseNotify]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Send(&[Put::Stream(1000)])),
            Step::Upstream(&Step::Fin),
        ],
        harm: "Whether a request comes through depends on how the network cuts the stream",
        mend: "Pass on all data in front of a close_notify before its FIN",
        ..ENDED
    },
    Case {
        id: "proxy/client-end/in-the-first-segment",
        requirement: "A request that comes whole with its close_notify and FIN, before the upstream is reached, comes through",
        origin: &["L19", "J04", "V04"],
        steps: &[
            Step::Send(&[Put::Token, Put::Stream(1000), Put::CloseNotify]),
            Step::Fin,
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Send(&[Put::Stream(1000)])),
            Step::Upstream(&Step::Fin),
        ],
        harm: "A client that asks and half-closes at once gets no answer, or none now and then",
        mend: "Keep what came while the upstream was being reached, its end too",
        ..ENDED
    },
    Case {
        id: "proxy/client-end/while-the-answer-flows",
        requirement: "A close_notify that comes while the answer flows is carried on, and does not cut the answer",
        origin: &["V01", "R47", "P04"],
        steps: &[
            Step::Upstream(&Step::Pour(&[Put::Stream(4_000_000)])),
            Step::AwaitData,
            Step::Send(&[Put::Stream(1000), Put::CloseNotify]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Fin),
        ],
        allowed: CAME_THROUGH,
        ..ENDED
    },
    Case {
        id: "proxy/client-end/long-upload-slow-upstream",
        requirement: "The FIN comes behind all data, also where the upstream reads late",
        origin: &["H03", "V05"],
        steps: &[
            Step::Upstream(&Step::StopReading),
            Step::Pour(&[Put::Stream(6_000_000), Put::CloseNotify]),
            Step::Wait(400),
            Step::Upstream(&Step::ReadOn),
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Send(&[Put::Stream(1000)])),
            Step::Upstream(&Step::Fin),
        ],
        allowed: CAME_THROUGH,
        harm: "Long uploads are cut where short ones come through, and look whole",
        mend: "Let an end wait behind the data that is still to be written",
        ..ENDED
    },
    Case {
        id: "proxy/client-end/bytes-behind",
        requirement: "Bytes behind a close_notify neither come to the upstream nor harm the answer",
        origin: &["R01", "R04", "R02"],
        steps: &[
            Step::Send(&[Put::Stream(1000), Put::CloseNotify, Put::Raw(b"trailing bytes")]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Send(&[Put::Stream(1000)])),
            Step::Upstream(&Step::Fin),
        ],
        harm: "A clean session becomes an error, and its answer is lost",
        mend: "Stop looking at the client's bytes behind its close_notify",
        ..ENDED
    },
    Case {
        id: "proxy/client-end/data-behind-is-not-passed-on",
        requirement: "Data that is sealed behind a close_notify does not come to the upstream",
        level: Level::Must,
        clauses: &[END, "RFC 8446 6.1", END_12],
        origin: &["R03"],
        steps: &[Step::Send(&[Put::Stream(1000), Put::CloseNotify, Put::Filler(1000)]), Step::Wait(100)],
        allowed: Allowed { upstream_data: WHOLE, ..Allowed::ANYTHING },
        harm: "The upstream acts on what was not part of the message",
        mend: "Drop all that is behind a close_notify",
        ..ENDED
    },
    Case {
        id: "proxy/client-end/data-behind-keeps-the-answer",
        requirement: "The same, and the answer still comes whole",
        origin: &["R03", "R04"],
        steps: &[
            Step::Send(&[Put::Stream(1000), Put::CloseNotify, Put::Filler(1000)]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Send(&[Put::Stream(1000)])),
            Step::Upstream(&Step::Fin),
        ],
        harm: "A clean session becomes an error, and its answer is lost",
        mend: "Drop all that is behind a close_notify, and take it for no error",
        ..ENDED
    },
    Case {
        id: "proxy/client-end/user-canceled",
        requirement: "user_canceled is no end: what follows it, a close_notify, is",
        level: Level::Should,
        origin: &["O13", "L10"],
        steps: &[
            Step::Send(&[Put::Stream(1000), Put::Alert(1, alert::USER_CANCELED)]),
            Step::Send(&[Put::CloseNotify]),
            Step::Upstream(&Step::AwaitEnd),
            Step::Upstream(&Step::Send(&[Put::Stream(1000)])),
            Step::Upstream(&Step::Fin),
        ],
        harm: "Sessions that clients end in an orderly way count as broken, and are cut",
        mend: "Read on behind user_canceled until the close_notify",
        ..ENDED
    },
];

const ENDED: Case = Case {
    level: Level::Practice,
    clauses: &[END],
    allowed: Allowed { in_time: true, ..CAME_THROUGH },
    harm: "Clients that say that their request is whole get no answer, or half of one",
    mend: "Take a close_notify for the end of one direction: shut down the writing side of the upstream, and go on reading it",
    ..BASE
};

const CAME_THROUGH: Allowed = Allowed {
    data: WHOLE,
    close: Some(CLOSE_NOTIFY),
    upstream_data: WHOLE,
    upstream_close: FIN,
    in_time: false,
    ..CARRIED
};
