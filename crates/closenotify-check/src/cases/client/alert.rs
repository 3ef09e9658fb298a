//! Alerts in the answer: errors end it, a close_notify by any name ends it in order, and what is not sealed means nothing.

use super::{REFUSED, SUCCESS, TLS_ALERTS};
use crate::case::{Allowed, Case, Level, Need};
use crate::cases::{ALERT, BASE, END, ERROR, GIVEN_UP, TLS12, TLS13};
use crate::step::{Framing, Part, Put, Step};
use closenotify_probe::alert;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "client/alert/fatal-in-the-answer",
        requirement: "A fatal alert inside an answer is reported as an error",
        clauses: &[TLS_ALERTS, ERROR, "RFC 9112 8"],
        origin: &["R54"],
        needs: Need::Http,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Half), Put::Alert(2, alert::INTERNAL_ERROR)]),
            Step::Fin,
        ],
        ..CUT
    },
    Case {
        id: "client/alert/fatal-instead-of-close-notify",
        requirement: "An answer that only the end frames is incomplete where the end is a fatal alert",
        clauses: &[TLS_ALERTS, ERROR, "RFC 9112 8"],
        origin: &["R45", "R54"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::Alert(2, alert::INTERNAL_ERROR)]),
            Step::Fin,
        ],
        ..CUT
    },
    Case {
        id: "client/alert/unknown-is-an-error",
        requirement: "In TLS 1.3 an alert of an unknown kind is an error",
        clauses: &[TLS_ALERTS],
        versions: TLS13,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::Alert(1, 123), Put::CloseNotify]),
            Step::Fin,
        ],
        ..CUT
    },
    Case {
        id: "client/alert/warning-level-error-is-an-error",
        requirement: "In TLS 1.3 the level of an alert means nothing: an error with level warning is an error",
        clauses: &[TLS_ALERTS],
        versions: TLS13,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Answer(Framing::Close, Part::Whole),
                Put::Alert(1, alert::INTERNAL_ERROR),
                Put::CloseNotify,
            ]),
            Step::Fin,
        ],
        mend: "Decide by the description, not by the level",
        ..CUT
    },
    Case {
        id: "client/alert/close-notify-at-level-fatal",
        requirement: "In TLS 1.3 a close_notify at level fatal is a close_notify",
        level: Level::May,
        clauses: &[TLS_ALERTS],
        origin: &["L05"],
        versions: TLS13,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::Alert(2, alert::CLOSE_NOTIFY)]),
            Step::Fin,
        ],
        allowed: Allowed { data: SUCCESS, ..Allowed::ANYTHING },
        harm: "Whole answers of servers with this old fault are thrown away",
        mend: "Decide by the description, not by the level",
        ..BASE
    },
    Case {
        id: "client/alert/user-canceled-then-close-notify",
        requirement: "A user_canceled in front of the close_notify is passed over",
        level: Level::Should,
        clauses: &[END],
        origin: &["O13", "L10"],
        versions: TLS13,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Answer(Framing::Close, Part::Whole),
                Put::Alert(1, alert::USER_CANCELED),
                Put::CloseNotify,
            ]),
            Step::Fin,
        ],
        allowed: Allowed { data: SUCCESS, ..Allowed::ANYTHING },
        harm: "The orderly end of a peer that announces it is reported as an error",
        mend: "Read on at a user_canceled until the close_notify",
        ..BASE
    },
    Case {
        id: "client/alert/user-canceled-alone-is-no-end",
        requirement: "A user_canceled without a close_notify behind it does not end an answer that only the end frames",
        clauses: &[END, "RFC 9112 8"],
        origin: &["L10", "O13"],
        versions: TLS13,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::Alert(1, alert::USER_CANCELED)]),
            Step::Fin,
        ],
        ..CUT
    },
    Case {
        id: "client/alert/warning-is-passed-over",
        requirement: "A warning of TLS 1.2 inside an answer changes nothing",
        level: Level::Practice,
        clauses: &["RFC 5246 7.2.2"],
        versions: TLS12,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Answer(Framing::Close, Part::Half),
                Put::Alert(1, UNRECOGNIZED_NAME),
                Put::Answer(Framing::Close, Part::OtherHalf),
                Put::CloseNotify,
            ]),
            Step::Fin,
        ],
        allowed: Allowed { data: SUCCESS, ..Allowed::ANYTHING },
        harm: "A word that asks for nothing ends the session",
        mend: "Let a warning pass, and count how many come",
        ..BASE
    },
    Case {
        id: "client/alert/unsealed-close-notify",
        requirement: "A close_notify that is not sealed does not end an answer that only the end frames",
        clauses: &["RFC 9846 5.2", TLS_ALERTS],
        origin: &["L06", "R11"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Answer(Framing::Close, Part::Half),
                Put::Clear(21, &[alert::WARNING, alert::CLOSE_NOTIFY]),
            ]),
            Step::Fin,
        ],
        harm: "Anyone on the way can cut an answer and make it look whole",
        mend: "Behind the handshake, take no alert that is not sealed",
        ..CUT
    },
    Case {
        id: "client/alert/bad-seal",
        requirement: "A record with a broken seal ends the session with bad_record_mac, and is reported as an error",
        clauses: &["RFC 9846 5.2", ERROR],
        origin: &["R04"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Half), Put::Garbled, Put::CloseNotify]),
            Step::Fin,
        ],
        allowed: Allowed { data: REFUSED, close: Some(ALERT), alerts: &[alert::BAD_RECORD_MAC], ..Allowed::ANYTHING },
        harm: "An answer that was tampered with is taken for a good one, or the server is not told why the client left",
        mend: "End the session at the first record that does not open, with the alert",
        ..BASE
    },
    Case {
        id: "client/alert/gives-up-at-a-fatal-one",
        requirement: "A fatal alert with TCP left open makes the client close at once",
        clauses: &[ERROR],
        origin: &["L04", "R45"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Half), Put::Alert(2, alert::INTERNAL_ERROR)]),
        ],
        allowed: Allowed { data: REFUSED, in_time: true, ..Allowed::ANYTHING },
        harm: "The client waits for an answer from a session that is dead",
        mend: "Take a fatal alert for the end of both directions, and close",
        ..BASE
    },
    Case {
        id: "client/alert/no-close-notify-behind-a-fatal-one",
        requirement: "A client that got a fatal alert says nothing more, not even close_notify",
        level: Level::Practice,
        clauses: &[ERROR],
        origin: &["L04"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Close, Part::Half), Put::Alert(2, alert::INTERNAL_ERROR)]),
            Step::Fin,
        ],
        allowed: Allowed { close: Some(GIVEN_UP), ..Allowed::ANYTHING },
        harm: "A session that failed looks as if it had ended in order, and may be resumed",
        mend: "Close the socket behind a fatal alert without a shutdown of TLS",
        ..BASE
    },
];

const CUT: Case = Case {
    allowed: Allowed { data: REFUSED, ..Allowed::ANYTHING },
    harm: "An answer that the server itself gave up is taken for whole",
    mend: "Take every alert but a close_notify for an error of the answer under way",
    ..BASE
};

/// A warning that servers of TLS 1.2 did send, and that asks for nothing.
const UNRECOGNIZED_NAME: u8 = 112;
