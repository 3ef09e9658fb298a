//! Answers that are cut: an error must be reported, whatever TLS and TCP say about the end.

use super::{HTTP_INCOMPLETE, HTTP_LENGTH, REFUSED};
use crate::case::{Allowed, Case, Level, Need};
use crate::cases::{BASE, END, HTTP_END};
use crate::step::{Framing, Part, Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "client/truncation/length-fin",
        requirement: "An answer that a bare FIN cuts short of its Content-Length is reported as an error",
        origin: &["R14", "R41"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Length, Part::Half)]), Step::Fin],
        ..SHORT
    },
    Case {
        id: "client/truncation/length-one-byte-short",
        requirement: "One byte that is missing is missed",
        origin: &["R14", "R41"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::LengthLast, Part::Unfinished)]), Step::Fin],
        ..SHORT
    },
    Case {
        id: "client/truncation/length-close-notify",
        requirement: "A close_notify does not make an answer whole that is shorter than its Content-Length",
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Half), Put::CloseNotify]),
            Step::Fin,
        ],
        ..SHORT
    },
    Case {
        id: "client/truncation/length-reset",
        requirement: "An answer that a reset cuts short of its Content-Length is reported as an error",
        origin: &["H20"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Half)]),
            Step::Wait(150),
            Step::Reset,
        ],
        ..SHORT
    },
    Case {
        id: "client/truncation/length-inside-a-record",
        requirement: "A FIN inside a record, short of the Content-Length, is reported as an error",
        origin: &["R14"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Half), Put::HalfRecord]),
            Step::Fin,
        ],
        ..SHORT
    },
    Case {
        id: "client/truncation/chunked-fin",
        requirement: "A chunked answer whose last chunk is missing is reported as an error at a bare FIN",
        origin: &["R14", "R41"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Chunked, Part::Unfinished)]), Step::Fin],
        ..UNCHUNKED
    },
    Case {
        id: "client/truncation/chunked-close-notify",
        requirement: "A close_notify does not stand for the last chunk",
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Chunked, Part::Unfinished), Put::CloseNotify]),
            Step::Fin,
        ],
        ..UNCHUNKED
    },
    Case {
        id: "client/truncation/inside-a-chunk",
        requirement: "A chunked answer that ends inside a chunk is reported as an error",
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Chunked, Part::Half), Put::CloseNotify]),
            Step::Fin,
        ],
        ..UNCHUNKED
    },
    Case {
        id: "client/truncation/bare-fin",
        requirement: "An answer that only the end frames is reported as incomplete where the end is a bare FIN",
        origin: &["R14", "L20", "C08"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Close, Part::Whole)]), Step::Fin],
        ..NO_END
    },
    Case {
        id: "client/truncation/inside-a-record",
        requirement: "An answer that only the end frames is reported as incomplete where a FIN cuts a record",
        origin: &["R14", "R42"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Half), Put::HalfRecord]),
            Step::Fin,
        ],
        ..NO_END
    },
    Case {
        id: "client/truncation/reset",
        requirement: "An answer that only the end frames is reported as incomplete where the end is a reset",
        origin: &["H20"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Half)]),
            Step::Wait(150),
            Step::Reset,
        ],
        ..NO_END
    },
    Case {
        id: "client/truncation/inside-the-head",
        requirement: "An answer that ends inside its head is reported as an error, close_notify or not",
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::HalfHead), Put::CloseNotify]),
            Step::Fin,
        ],
        harm: "An answer whose meaning is not known is taken for a good one",
        mend: "Take a head for whole only with the empty line behind it",
        ..SHORT
    },
    Case {
        id: "client/truncation/close-notify-instead-of-an-answer",
        requirement: "A close_notify in place of an answer is reported as an error",
        origin: &["C07"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::CloseNotify]), Step::Fin],
        ..UNANSWERED
    },
    Case {
        id: "client/truncation/fin-instead-of-an-answer",
        requirement: "A bare FIN in place of an answer is reported as an error",
        origin: &["C07"],
        steps: &[Step::AwaitRequest, Step::Fin],
        ..UNANSWERED
    },
    Case {
        id: "client/truncation/reset-instead-of-an-answer",
        requirement: "A reset in place of an answer is reported as an error",
        origin: &["R54"],
        steps: &[Step::AwaitRequest, Step::Reset],
        ..UNANSWERED
    },
];

const SHORT: Case = Case {
    clauses: &[HTTP_LENGTH, HTTP_INCOMPLETE],
    needs: Need::Http,
    allowed: Allowed { data: REFUSED, ..Allowed::ANYTHING },
    harm: "A file that was cut on the way is stored and used as if it were whole",
    mend: "Count the body against its Content-Length, and report an error when bytes are missing at the end",
    ..BASE
};

const UNCHUNKED: Case = Case {
    clauses: &["RFC 9112 7.1", HTTP_INCOMPLETE],
    mend: "Take a chunked body for whole only behind its last chunk",
    ..SHORT
};

const NO_END: Case = Case {
    clauses: &[END, HTTP_INCOMPLETE, HTTP_END],
    needs: Need::Tls,
    harm: "Whoever can end a TCP connection decides how much of the answer there is, and nobody notices",
    mend: "Report an error where the end is not a close_notify and no length says that all has come",
    ..SHORT
};

const UNANSWERED: Case = Case {
    level: Level::Must,
    clauses: &[HTTP_INCOMPLETE],
    harm: "A request that nobody answered is taken for one that was",
    mend: "Report an error where the connection ends in front of the answer",
    ..SHORT
};
