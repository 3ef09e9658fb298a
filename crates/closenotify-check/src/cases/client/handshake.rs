//! A server that ends during the handshake, or where its first answer is due.

use super::REFUSED;
use crate::case::{Allowed, Case, Level, Need};
use crate::cases::{BASE, END, ERROR, TLS12, TLS13};
use crate::step::{Put, Step};
use closenotify_probe::{Stop, alert};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "client/handshake/fin-after-hello",
        requirement: "A FIN behind the ClientHello is an error in time",
        origin: &["R13", "O03"],
        steps: &[Step::Handshake(Stop::Hello), Step::Fin],
        ..NO_SESSION
    },
    Case {
        id: "client/handshake/reset-after-hello",
        requirement: "A reset behind the ClientHello is an error in time",
        origin: &["H01"],
        steps: &[Step::Handshake(Stop::Hello), Step::Reset],
        ..NO_SESSION
    },
    Case {
        id: "client/handshake/close-notify-after-hello",
        requirement: "A close_notify behind the ClientHello is an error in time, though TCP stays open",
        clauses: &[END],
        origin: &["R10", "R11"],
        steps: &[Step::Handshake(Stop::Hello), Step::Send(&[Put::CloseNotify])],
        ..NO_SESSION
    },
    Case {
        id: "client/handshake/alert-after-hello",
        requirement: "A fatal alert behind the ClientHello is an error in time, though TCP stays open",
        level: Level::Must,
        clauses: &[ERROR],
        origin: &["R10"],
        steps: &[Step::Handshake(Stop::Hello), Step::Send(&[Put::Alert(2, alert::INTERNAL_ERROR)])],
        ..NO_SESSION
    },
    Case {
        id: "client/handshake/plain-http",
        requirement: "Plain text in place of a ServerHello is an error in time",
        origin: &["R58"],
        steps: &[
            Step::Handshake(Stop::Hello),
            Step::Send(&[Put::Raw(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")]),
        ],
        ..NO_SESSION
    },
    Case {
        id: "client/handshake/fin-before-finished",
        requirement: "A FIN where the server's Finished is due is an error in time",
        origin: &["R13", "O03"],
        versions: TLS12,
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Fin],
        ..NO_SESSION
    },
    Case {
        id: "client/handshake/reset-before-finished",
        requirement: "A reset where the server's Finished is due is an error in time",
        origin: &["H01"],
        versions: TLS12,
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Reset],
        ..NO_SESSION
    },
    Case {
        id: "client/handshake/close-notify-before-finished",
        requirement: "A close_notify where the server's Finished is due is an error in time, though TCP stays open",
        clauses: &[END],
        origin: &["R11", "O16"],
        versions: TLS12,
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Send(&[Put::CloseNotify])],
        ..NO_SESSION
    },
    Case {
        id: "client/handshake/alert-before-finished",
        requirement: "A fatal alert where the server's Finished is due is an error in time, though TCP stays open",
        level: Level::Must,
        clauses: &[ERROR],
        origin: &["R54"],
        versions: TLS12,
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Send(&[Put::Alert(2, 80)])],
        ..NO_SESSION
    },
    Case {
        id: "client/handshake/close-notify-with-finished",
        requirement: "A close_notify in one segment with the server's Finished, in place of an answer, is an error in time",
        clauses: &[END],
        origin: &["L18"],
        versions: TLS12,
        needs: Need::Http,
        steps: &[Step::Handshake(Stop::HoldLast), Step::Send(&[Put::CloseNotify])],
        ..NO_SESSION
    },
    Case {
        id: "client/handshake/close-notify-behind-finished",
        requirement: "A close_notify right behind the server's Finished, in place of an answer, is an error in time",
        clauses: &[END],
        origin: &["L18"],
        versions: TLS13,
        needs: Need::Http,
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Send(&[Put::CloseNotify])],
        ..NO_SESSION
    },
    Case {
        id: "client/handshake/fin-behind-finished",
        requirement: "A FIN right behind the server's Finished is an error in time",
        origin: &["R54"],
        versions: TLS13,
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Fin],
        ..NO_SESSION
    },
];

const NO_SESSION: Case = Case {
    level: Level::Practice,
    allowed: Allowed { data: REFUSED, in_time: true, ..Allowed::ANYTHING },
    harm: "A session that never was counts as an empty answer, or is waited for without end",
    mend: "Treat every end of the server in the handshake as an error of that connection",
    ..BASE
};
