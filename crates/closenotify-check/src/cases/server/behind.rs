//! Bytes behind the client's close_notify: what took a large edge proxy down.

use crate::case::{Allowed, Case, DataSeen, Ending, Level, Need};
use crate::cases::{BASE, CLOSE_NOTIFY, END, TLS13};
use crate::step::{Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "server/behind/one-byte",
        requirement: "One byte behind a close_notify does not change what comes of the session",
        clauses: &[END],
        origin: &["R01", "R02"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::CloseNotify, Put::Raw(b"\0")])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        ..IGNORED
    },
    Case {
        id: "server/behind/one-byte-is-quiet",
        requirement: "One byte behind a close_notify costs no CPU time while the connection stays open",
        level: Level::Practice,
        clauses: &[],
        origin: &["R01", "R21"],
        needs: Need::Process,
        steps: &[Step::Send(&[Put::HalfRequest, Put::CloseNotify, Put::Raw(b"\0")])],
        allowed: Allowed { quiet: true, ..Allowed::ANYTHING },
        harm: "One segment from anyone costs a core; enough of them take the server down, as happened in 2025",
        mend: "Do not read what is behind a close_notify as TLS; do not wake a task that cannot make progress",
        ..BASE
    },
    Case {
        id: "server/behind/half-record",
        requirement: "Half a record behind a close_notify is ignored",
        clauses: &[END],
        origin: &["R04"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::CloseNotify, Put::HalfRecord]), Step::Fin],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        ..IGNORED
    },
    Case {
        id: "server/behind/data-record",
        requirement: "A record of data behind a close_notify is ignored",
        clauses: &[END],
        origin: &["R03", "P06"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::CloseNotify, Put::Filler(100)])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        ..IGNORED
    },
    Case {
        id: "server/behind/second-request",
        requirement: "A request behind a close_notify is not answered",
        clauses: &[END],
        origin: &["R03"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::KeptRequest, Put::CloseNotify, Put::Request])],
        allowed: Allowed { data: Some(&[DataSeen::Whole, DataSeen::Nothing]), ..Allowed::ANYTHING },
        harm: "What comes after the end of a session is acted on, though the peer said that nothing comes",
        mend: "Stop reading TLS at a close_notify",
        ..BASE
    },
    Case {
        id: "server/behind/handshake-message",
        requirement: "A handshake message behind a close_notify is ignored",
        clauses: &[END],
        origin: &["R04"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::CloseNotify, Put::Record(22, b"\x0e\0\0\0")])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        ..IGNORED
    },
    Case {
        id: "server/behind/plain-text",
        requirement: "Plain text behind a close_notify is ignored where TCP does not go on without TLS",
        clauses: &[END],
        origin: &["R07", "F01"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::CloseNotify, Put::Raw(b"QUIT\r\nthis is not TLS any more\r\n")])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        ..IGNORED
    },
    Case {
        id: "server/behind/second-close-notify",
        requirement: "A second close_notify is ignored",
        clauses: &[END],
        origin: &["L11"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::CloseNotify, Put::CloseNotify])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        ..IGNORED
    },
    Case {
        id: "server/behind/fatal-alert",
        requirement: "A fatal alert behind a close_notify does not change what comes of the session",
        clauses: &[END],
        origin: &["V03"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::CloseNotify, Put::Alert(2, 80)])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        ..IGNORED
    },
    Case {
        id: "server/behind/key-update",
        requirement: "A KeyUpdate behind a close_notify is ignored",
        clauses: &[END],
        origin: &["O18"],
        versions: TLS13,
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::CloseNotify, Put::KeyUpdate(true)])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        ..IGNORED
    },
    Case {
        id: "server/behind/later-segment",
        requirement: "Bytes that come some time behind a close_notify are ignored too",
        clauses: &[END],
        origin: &["N04", "N09"],
        needs: Need::LongAnswer,
        steps: &[
            Step::StopReading,
            Step::Send(&[Put::Request, Put::CloseNotify]),
            Step::Wait(200),
            Step::Send(&[Put::Raw(b"\0\0\0\0\0\0\0\0")]),
            Step::Wait(200),
            Step::ReadOn,
        ],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "Late bytes of a client make the kernel reset the connection, and the rest of the answer is lost",
        mend: "Read on and discard until the answer is out",
        ..BASE
    },
    Case {
        id: "server/behind/idle-session-is-closed",
        requirement: "A session at rest is ended by a close_notify with a byte behind it, in time",
        level: Level::Practice,
        clauses: &[END],
        origin: &["R01"],
        steps: &[Step::Wait(50), Step::Send(&[Put::CloseNotify, Put::Raw(b"\0")])],
        allowed: Allowed { close: Some(ENDED), in_time: true, ..Allowed::ANYTHING },
        harm: "One byte keeps a dead session alive",
        mend: "Take a close_notify for the end, whatever is behind it",
        ..BASE
    },
    Case {
        id: "server/behind/half-request-stays-unanswered",
        requirement: "Half a request is not completed by a record behind the close_notify",
        clauses: &[END],
        origin: &["R03"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::HalfRequest, Put::CloseNotify, Put::OtherHalf])],
        allowed: Allowed { data: Some(&[DataSeen::Nothing, DataSeen::Other]), ..Allowed::ANYTHING },
        harm: "Who can append records behind the end decides what the request was",
        mend: "Stop reading TLS at a close_notify",
        ..BASE
    },
];

const IGNORED: Case = Case {
    harm: "Whether a client gets its answer depends on bytes that mean nothing",
    mend: "Stop reading TLS at a close_notify; what is behind it is counted at most",
    ..BASE
};

/// The server has ended its direction or all of it.
const ENDED: &[Ending] = &[
    Ending::CloseNotifyFin,
    Ending::CloseNotifyReset,
    Ending::CloseNotifyOpen,
    Ending::Fin,
    Ending::Reset,
    Ending::AlertFin,
    Ending::AlertReset,
];
