//! Answers that are whole: success must be reported, with all of the body.

use super::{HTTP_INCOMPLETE, SUCCESS, TLS_ALERTS};
use crate::case::{Allowed, Case, Level, Need};
use crate::cases::{BASE, HTTP_END, TLS13};
use crate::step::{Framing, Part, Put, Step};
use closenotify_probe::Stop;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "client/end/length",
        requirement: "An answer with a Content-Length and a close_notify behind it is taken for whole",
        clauses: &["RFC 9112 6.3"],
        origin: &["L18", "L19"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Whole), Put::CloseNotify]),
            Step::Fin,
        ],
        ..WHOLE
    },
    Case {
        id: "client/end/length-last",
        requirement: "The same where the answer says Connection: close",
        clauses: &["RFC 9112 6.3"],
        origin: &["J07"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::LengthLast, Part::Whole), Put::CloseNotify]),
            Step::Fin,
        ],
        ..WHOLE
    },
    Case {
        id: "client/end/chunked",
        requirement: "A chunked answer and a close_notify behind it are taken for whole",
        clauses: &["RFC 9112 7.1"],
        origin: &["R18", "L19"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Chunked, Part::Whole), Put::CloseNotify]),
            Step::Fin,
        ],
        ..WHOLE
    },
    Case {
        id: "client/end/framed-by-the-end",
        requirement: "An answer that only the end of the connection frames is whole where a close_notify ends it",
        needs: Need::Tls,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify]),
            Step::Fin,
        ],
        origin: &["R15", "O01"],
        ..BY_THE_END
    },
    Case {
        id: "client/end/close-notify-in-its-own-segment",
        requirement: "A close_notify that comes some time behind the data ends the answer",
        origin: &["L02"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole)]),
            Step::Wait(150),
            Step::Send(&[Put::CloseNotify]),
            Step::Fin,
        ],
        ..BY_THE_END
    },
    Case {
        id: "client/end/several-records-at-once",
        requirement: "Nothing is lost where several records and the close_notify come in one segment",
        origin: &["R40", "L19"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Answer(Framing::Close, Part::Half),
                Put::Answer(Framing::Close, Part::OtherHalf),
                Put::CloseNotify,
            ]),
            Step::Fin,
        ],
        ..BY_THE_END
    },
    Case {
        id: "client/end/empty-records",
        requirement: "Records of data with nothing in them are passed over",
        level: Level::Practice,
        clauses: &["RFC 9846 5.1"],
        origin: &["R33", "C10"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Record(23, b""),
                Put::Answer(Framing::Close, Part::Half),
                Put::Record(23, b""),
                Put::Answer(Framing::Close, Part::OtherHalf),
                Put::Record(23, b""),
                Put::CloseNotify,
            ]),
            Step::Fin,
        ],
        harm: "A sender may use empty records, and the answer is taken for cut or ended there",
        mend: "Do not take a read of no bytes for the end; ask TLS whether a close_notify came",
        ..BY_THE_END
    },
    Case {
        id: "client/end/tickets-in-one-segment-with-it",
        requirement: "Tickets, the answer and the close_notify in one segment are taken apart",
        clauses: &[TLS_ALERTS, "RFC 9846 4.7.1"],
        origin: &["O07", "R40"],
        versions: TLS13,
        steps: &[
            Step::Handshake(Stop::HoldLast),
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify]),
            Step::Fin,
        ],
        ..BY_THE_END
    },
    Case {
        id: "client/end/ticket-behind-the-answer",
        requirement: "A ticket between the answer and the close_notify changes nothing",
        clauses: &[TLS_ALERTS, "RFC 9846 4.7.1"],
        origin: &["O07", "R54"],
        versions: TLS13,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::Record(22, TICKET), Put::CloseNotify]),
            Step::Fin,
        ],
        ..BY_THE_END
    },
    Case {
        id: "client/end/length-without-close-notify",
        requirement: "An answer that is whole by its Content-Length is whole without a close_notify too",
        level: Level::Should,
        clauses: &[HTTP_END],
        origin: &["R15", "L16"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Length, Part::Whole)]), Step::Fin],
        ..FRAMED
    },
    Case {
        id: "client/end/length-last-without-close-notify",
        requirement: "The same where the answer says Connection: close",
        level: Level::Should,
        clauses: &[HTTP_END],
        origin: &["R15", "L16"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::LengthLast, Part::Whole)]), Step::Fin],
        ..FRAMED
    },
    Case {
        id: "client/end/chunked-without-close-notify",
        requirement: "An answer whose last chunk came is whole without a close_notify too",
        level: Level::Should,
        clauses: &[HTTP_END],
        origin: &["R18"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Chunked, Part::Whole)]), Step::Fin],
        ..FRAMED
    },
    Case {
        id: "client/end/cut-record-behind-the-answer",
        requirement: "An answer that is whole by its Content-Length is whole though the record behind it is cut",
        level: Level::Should,
        clauses: &[HTTP_END],
        origin: &["L16"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Whole), Put::HalfRecord]),
            Step::Fin,
        ],
        ..FRAMED
    },
    Case {
        id: "client/end/reset-behind-the-answer",
        requirement: "An answer that is whole by its Content-Length is whole though a reset follows",
        origin: &["V03", "L17"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Whole)]),
            Step::Wait(150),
            Step::Reset,
        ],
        ..FRAMED
    },
    Case {
        id: "client/end/alert-behind-the-answer",
        requirement: "An answer that is whole by its Content-Length is whole though a fatal alert follows",
        origin: &["R54"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Whole), Put::Alert(2, 80)]),
            Step::Fin,
        ],
        ..FRAMED
    },
    Case {
        id: "client/end/reset-behind-close-notify",
        requirement: "An answer that a close_notify ended is whole though a reset follows",
        level: Level::Practice,
        clauses: &[HTTP_INCOMPLETE],
        origin: &["L17", "V03"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify]),
            Step::Wait(150),
            Step::Reset,
        ],
        ..BY_THE_END
    },
];

const WHOLE: Case = Case {
    level: Level::Practice,
    needs: Need::Http,
    allowed: Allowed { data: SUCCESS, ..Allowed::ANYTHING },
    harm: "Good answers are thrown away, or lose their last bytes",
    mend: "Deliver all data in front of the close_notify before its end is told",
    ..BASE
};

/// RFC 9846 6: the end of data is shown to the application; RFC 9112 8: the answer is considered complete then.
const BY_THE_END: Case = Case {
    level: Level::Should,
    clauses: &[TLS_ALERTS, HTTP_INCOMPLETE],
    needs: Need::Tls,
    harm: "Good answers are thrown away, or lose their last bytes",
    mend: "Take a close_notify for the end of data, behind all data in front of it",
    ..WHOLE
};

const FRAMED: Case = Case {
    harm: "Whole answers of the many servers that close without close_notify are reported as errors, or fetched again",
    mend: "Stop reading where the answer's own framing says that it is whole",
    ..WHOLE
};

/// A NewSessionTicket: lifetime, age_add, nonce, ticket, extensions.
pub(super) const TICKET: &[u8] =
    &[4, 0, 0, 22, 0, 0, 14, 16, 1, 2, 3, 4, 1, 9, 0, 8, b't', b'i', b'c', b'k', b'e', b't', b' ', b'1', 0, 0];
