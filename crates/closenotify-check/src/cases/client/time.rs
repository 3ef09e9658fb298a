//! Answers after which the server says nothing more: the client must be done all the same.

use super::{REFUSED, SUCCESS};
use crate::case::{Allowed, Case, Level, Need};
use crate::cases::BASE;
use crate::step::{Framing, Part, Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "client/time/length-then-silence",
        requirement: "An answer that is whole by its Content-Length is enough, though the server does not end the connection",
        clauses: &["RFC 9112 6.3"],
        origin: &["P05", "L14"],
        needs: Need::Http,
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Length, Part::Whole)])],
        ..IN_TIME
    },
    Case {
        id: "client/time/length-last-then-silence",
        requirement: "The same where the answer said Connection: close",
        clauses: &["RFC 9112 6.3"],
        origin: &["P05", "C04"],
        needs: Need::Http,
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::LengthLast, Part::Whole)])],
        ..IN_TIME
    },
    Case {
        id: "client/time/chunked-then-silence",
        requirement: "An answer whose last chunk came is enough, though the server does not end the connection",
        clauses: &["RFC 9112 7.1"],
        origin: &["P05", "C06"],
        needs: Need::Http,
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Chunked, Part::Whole)])],
        ..IN_TIME
    },
    Case {
        id: "client/time/framed-then-close-notify",
        requirement: "A close_notify behind a framed answer is not waited beyond, though TCP stays open",
        origin: &["P05", "L14"],
        needs: Need::Http,
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::LengthLast, Part::Whole), Put::CloseNotify])],
        ..IN_TIME
    },
    Case {
        id: "client/time/close-notify-and-tcp-open",
        requirement: "A close_notify ends an answer that only the end frames, though TCP stays open",
        clauses: &["RFC 9846 6"],
        origin: &["L18", "J02"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify])],
        ..IN_TIME
    },
    Case {
        id: "client/time/late-close-notify-and-tcp-open",
        requirement: "The same where the close_notify comes in a segment of its own",
        clauses: &["RFC 9846 6"],
        origin: &["L18", "J02"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole)]),
            Step::Wait(150),
            Step::Send(&[Put::CloseNotify]),
        ],
        ..IN_TIME
    },
    Case {
        id: "client/time/cut-by-close-notify-and-tcp-open",
        requirement: "A close_notify that cuts an answer is an error at once, though TCP stays open",
        origin: &["R47", "L02"],
        needs: Need::Http,
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Length, Part::Half), Put::CloseNotify])],
        allowed: Allowed { data: REFUSED, in_time: true, ..Allowed::ANYTHING },
        ..IN_TIME
    },
    Case {
        id: "client/time/close-notify-instead-of-an-answer-and-tcp-open",
        requirement: "A close_notify in place of an answer is an error at once, though TCP stays open",
        origin: &["C07", "L02"],
        needs: Need::Http,
        steps: &[Step::AwaitRequest, Step::Send(&[Put::CloseNotify])],
        allowed: Allowed { data: REFUSED, in_time: true, ..Allowed::ANYTHING },
        ..IN_TIME
    },
];

const IN_TIME: Case = Case {
    level: Level::Practice,
    allowed: Allowed { data: SUCCESS, in_time: true, ..Allowed::ANYTHING },
    harm: "A server that holds its connection holds the client, which has long had all that it will get",
    mend: "Be done where the answer's framing or a close_notify says so; bound every wait of a close by time",
    ..BASE
};
