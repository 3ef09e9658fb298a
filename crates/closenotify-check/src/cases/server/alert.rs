//! Alerts other than a plain close_notify, and what must cause one.

use crate::case::{Allowed, Case, DataSeen, Level, Need};
use crate::cases::{ALERT, BASE, CLOSE_NOTIFY, END, ERROR, GIVEN_UP, NO_CLOSE_NOTIFY, OVER, TLS12, TLS13};
use crate::step::{Put, Step};
use closenotify_probe::alert;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "server/alert/fatal-ends-the-session",
        requirement: "A fatal alert ends the connection at once, in both directions",
        clauses: &[ERROR, "RFC 5246 7.2.2"],
        origin: &["R45"],
        steps: &[Step::Wait(50), Step::Send(&[Put::Alert(2, alert::INTERNAL_ERROR)])],
        allowed: Allowed { close: Some(OVER), in_time: true, ..Allowed::ANYTHING },
        harm: "A session that one side has given up lives on at the other",
        mend: "Close the connection when a fatal alert arrives",
        ..BASE
    },
    Case {
        id: "server/alert/fatal-behind-half-a-request",
        requirement: "After a fatal alert no data is sent any more",
        clauses: &["RFC 9846 6", ERROR],
        origin: &["R45", "L04"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::HalfRequest, Put::Alert(2, alert::INTERNAL_ERROR), Put::OtherHalf])],
        allowed: Allowed { data: Some(&[DataSeen::Nothing]), ..Allowed::ANYTHING },
        harm: "A request that was given up is acted on",
        mend: "Stop reading and writing at a fatal alert",
        ..BASE
    },
    Case {
        id: "server/alert/unknown-is-an-error",
        requirement: "An alert whose description is unknown is treated as an error",
        clauses: &["RFC 9846 6"],
        versions: TLS13,
        steps: &[Step::Wait(50), Step::Send(&[Put::Alert(2, 199)])],
        allowed: Allowed { close: Some(OVER), in_time: true, ..Allowed::ANYTHING },
        harm: "Errors that are newer than the server are passed over",
        mend: "Take every alert but close_notify and user_canceled for an error",
        ..BASE
    },
    Case {
        id: "server/alert/warning-level-error-is-an-error",
        requirement: "In TLS 1.3 the level of an alert means nothing: an error with level warning is an error",
        clauses: &["RFC 9846 6"],
        versions: TLS13,
        steps: &[Step::Wait(50), Step::Send(&[Put::Alert(1, alert::INTERNAL_ERROR)])],
        allowed: Allowed { close: Some(OVER), in_time: true, ..Allowed::ANYTHING },
        harm: "A session that one side has given up lives on at the other",
        mend: "Decide by the description, not by the level",
        ..BASE
    },
    Case {
        id: "server/alert/user-canceled-then-close-notify",
        requirement: "user_canceled with a close_notify behind it is an orderly end",
        level: Level::Should,
        clauses: &[END],
        origin: &["O13", "L10"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::Alert(1, alert::USER_CANCELED), Put::CloseNotify])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "Clients that send it with every close (older JDKs) lose their answers",
        mend: "Pass over user_canceled and read on until the close_notify",
        ..BASE
    },
    Case {
        id: "server/alert/close-notify-at-level-fatal",
        requirement: "In TLS 1.3 a close_notify at level fatal is a close_notify",
        clauses: &["RFC 9846 6"],
        origin: &["L05"],
        versions: TLS13,
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::Alert(2, alert::CLOSE_NOTIFY)])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "Orderly ends of some clients are logged as attacks, and their answers are lost",
        mend: "Decide by the description, not by the level",
        ..BASE
    },
    Case {
        id: "server/alert/split-over-two-records",
        requirement: "In TLS 1.3 an alert that is split over two records is an error",
        clauses: &["RFC 9846 5.1"],
        versions: TLS13,
        steps: &[Step::Wait(50), Step::Send(&[Put::Record(21, &[1]), Put::Record(21, &[0])])],
        allowed: Allowed { close: Some(GIVEN_UP), in_time: true, ..Allowed::ANYTHING },
        harm: "Peers disagree on where a session ended",
        mend: "Take one whole alert from one record, and treat anything else as an error",
        ..BASE
    },
    Case {
        id: "server/alert/two-in-one-record",
        requirement: "In TLS 1.3 two alerts in one record are an error",
        clauses: &["RFC 9846 5.1"],
        versions: TLS13,
        steps: &[Step::Wait(50), Step::Send(&[Put::Record(21, &[1, 0, 1, 0])])],
        allowed: Allowed { close: Some(GIVEN_UP), in_time: true, ..Allowed::ANYTHING },
        harm: "Peers disagree on where a session ended",
        mend: "Take one whole alert from one record, and treat anything else as an error",
        ..BASE
    },
    Case {
        id: "server/alert/empty",
        requirement: "In TLS 1.3 an alert record without content is an error",
        clauses: &["RFC 9846 5.1", "RFC 9846 5.4"],
        versions: TLS13,
        steps: &[Step::Wait(50), Step::Send(&[Put::Record(21, &[])])],
        allowed: Allowed { close: Some(GIVEN_UP), in_time: true, ..Allowed::ANYTHING },
        harm: "Records without content can be sent for ever at no cost",
        mend: "End the connection with unexpected_message",
        ..BASE
    },
    Case {
        id: "server/alert/no-renegotiation-is-a-warning",
        requirement: "In TLS 1.2 a warning does not end the session",
        level: Level::Should,
        clauses: &["RFC 5246 7.2.2"],
        origin: &["O17"],
        versions: TLS12,
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Alert(1, alert::NO_RENEGOTIATION), Put::Request, Put::CloseNotify])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), ..Allowed::ANYTHING },
        harm: "Harmless warnings cost users their answers",
        mend: "Pass over warnings, a bounded number of them",
    },
    Case {
        id: "server/alert/bad-seal",
        requirement: "A record whose seal is broken ends the session with bad_record_mac, and nothing claims an orderly end",
        clauses: &["RFC 9846 5.2", ERROR],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::HalfRequest, Put::Garbled])],
        allowed: Allowed {
            data: Some(&[DataSeen::Nothing]),
            close: Some(ALERT),
            alerts: &[alert::BAD_RECORD_MAC],
            ..Allowed::ANYTHING
        },
        harm: "An attack on the stream looks like an orderly end",
        mend: "Send a fatal bad_record_mac and close",
        ..BASE
    },
    Case {
        id: "server/alert/no-close-notify-after-an-error",
        requirement: "A server that fails does not end its direction with a close_notify as if all were well",
        clauses: &[END, ERROR],
        origin: &["L04"],
        steps: &[Step::Wait(50), Step::Send(&[Put::Garbled])],
        allowed: Allowed { close: Some(NO_CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "The client takes what it has for whole",
        mend: "Send the alert of the error only",
        ..BASE
    },
    Case {
        id: "server/alert/unsealed-close-notify",
        requirement: "A close_notify that is not sealed is an error, not an end",
        clauses: &["RFC 9846 5.2", "RFC 9846 6"],
        origin: &["R11", "L06"],
        steps: &[Step::Wait(50), Step::Send(&[Put::Clear(21, &[1, 0])])],
        allowed: Allowed { close: Some(NO_CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "Anyone on the path can end the session and have it taken for whole",
        mend: "Refuse records that are not sealed once the keys are there",
        ..BASE
    },
    Case {
        id: "server/alert/unexpected-message",
        requirement: "A handshake message that has no place in a session ends it with an error",
        clauses: &["RFC 9846 4", ERROR],
        versions: TLS13,
        steps: &[Step::Wait(50), Step::Send(&[Put::Record(22, b"\x0e\0\0\0")])],
        allowed: Allowed { close: Some(GIVEN_UP), in_time: true, ..Allowed::ANYTHING },
        harm: "The two ends go on with different pictures of the session",
        mend: "Send unexpected_message and close",
        ..BASE
    },
    Case {
        id: "server/alert/silence-behind-it-is-quiet",
        requirement: "A fatal alert with the connection left open costs no CPU time",
        level: Level::Practice,
        clauses: &[],
        origin: &["R12"],
        needs: Need::Process,
        steps: &[Step::Send(&[Put::HalfRequest, Put::Alert(2, alert::INTERNAL_ERROR)])],
        allowed: Allowed { quiet: true, ..Allowed::ANYTHING },
        harm: "A client that failed costs a core",
        mend: "End a session whose reads fail",
        ..BASE
    },
];
