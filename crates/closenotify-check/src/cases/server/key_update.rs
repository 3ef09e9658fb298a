//! KeyUpdates around the end of a session (RFC 9846 section 4.7.3).

use crate::case::{Allowed, Also, Case, DataSeen, Level, Need};
use crate::cases::{BASE, CLOSE_NOTIFY, END, GIVEN_UP, TLS13};
use crate::step::{Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "server/key-update/answered-before-data",
        requirement: "A KeyUpdate that asks for one is answered by one before the next data",
        origin: &["R38", "R46"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::KeyUpdate(true), Put::Request, Put::CloseNotify])],
        allowed: Allowed {
            data: Some(&[DataSeen::Whole]),
            close: Some(CLOSE_NOTIFY),
            also: &[Also::KeyUpdateAnswered],
            ..Allowed::ANYTHING
        },
        ..KEYS
    },
    Case {
        id: "server/key-update/idle",
        requirement: "A KeyUpdate that asks for one is answered on a session at rest",
        level: Level::Practice,
        origin: &["R38"],
        steps: &[Step::Wait(50), Step::Send(&[Put::KeyUpdate(true)]), Step::Wait(400), Step::Send(&[Put::CloseNotify])],
        allowed: Allowed { also: &[Also::KeyUpdateAnswered], ..Allowed::ANYTHING },
        ..KEYS
    },
    Case {
        id: "server/key-update/not-requested",
        requirement: "A KeyUpdate that asks for none is followed, and the session goes on",
        origin: &["R46"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::KeyUpdate(false), Put::Request, Put::CloseNotify])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        ..KEYS
    },
    Case {
        id: "server/key-update/while-closing",
        requirement: "A KeyUpdate right in front of the close_notify does not cost the answer",
        origin: &["O18"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::KeyUpdate(true), Put::CloseNotify])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        ..KEYS
    },
    Case {
        id: "server/key-update/after-its-close-notify",
        requirement: "A KeyUpdate that comes when the server has sent its close_notify is not answered with data or an error",
        origin: &["O18"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::Request]), Step::AwaitEnd, Step::Send(&[Put::KeyUpdate(true), Put::CloseNotify])],
        allowed: Allowed {
            close: Some(CLOSE_NOTIFY),
            also: &[Also::NothingBehind, Also::OneCloseNotify],
            ..Allowed::ANYTHING
        },
        ..KEYS
    },
    Case {
        id: "server/key-update/bad-value",
        requirement: "A KeyUpdate with an unknown value ends the session with an error",
        clauses: &["RFC 9846 4.7.3"],
        steps: &[Step::Wait(50), Step::Send(&[Put::Record(22, b"\x18\0\0\x01\x02")])],
        allowed: Allowed { close: Some(GIVEN_UP), in_time: true, ..Allowed::ANYTHING },
        ..KEYS
    },
];

const KEYS: Case = Case {
    clauses: &["RFC 9846 4.7.3", END],
    versions: TLS13,
    harm: "Long sessions break at the moment when a peer renews its keys",
    mend: "Handle post-handshake messages on every read, also while closing",
    ..BASE
};
