//! A client that ends during the handshake.

use crate::case::{Allowed, Case, Level, Need};
use crate::cases::{BASE, CLOSE_NOTIFY, END, ERROR, OVER};
use crate::step::{Put, Step};
use closenotify_probe::{Stop, alert};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "server/handshake/fin-inside-hello",
        requirement: "A FIN inside the ClientHello ends the connection in time",
        origin: &["R13", "R24"],
        steps: &[Step::Handshake(Stop::InsideHello(60)), Step::Fin],
        ..GONE
    },
    Case {
        id: "server/handshake/fin-after-hello",
        requirement: "A FIN behind the ClientHello ends the connection in time",
        origin: &["R13"],
        steps: &[Step::Handshake(Stop::Hello), Step::Fin],
        ..GONE
    },
    Case {
        id: "server/handshake/close-notify-after-hello",
        requirement: "A close_notify behind the ClientHello ends the connection in time",
        clauses: &[END],
        origin: &["R10"],
        steps: &[Step::Handshake(Stop::Hello), Step::Send(&[Put::CloseNotify])],
        ..GONE
    },
    Case {
        id: "server/handshake/alert-after-hello",
        requirement: "A fatal alert behind the ClientHello ends the connection in time",
        level: Level::Must,
        clauses: &[ERROR],
        origin: &["R10"],
        steps: &[Step::Handshake(Stop::Hello), Step::Send(&[Put::Alert(2, alert::INTERNAL_ERROR)])],
        ..GONE
    },
    Case {
        id: "server/handshake/fin-before-finished",
        requirement: "A FIN where the client's Finished is due ends the connection in time",
        origin: &["R13"],
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Fin],
        ..GONE
    },
    Case {
        id: "server/handshake/close-notify-before-finished",
        requirement: "A close_notify where the client's Finished is due ends the connection in time",
        clauses: &[END],
        origin: &["R10", "O16"],
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Send(&[Put::CloseNotify])],
        ..GONE
    },
    Case {
        id: "server/handshake/alert-before-finished",
        requirement: "A fatal alert where the client's Finished is due ends the connection in time",
        level: Level::Must,
        clauses: &[ERROR],
        origin: &["R54"],
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Send(&[Put::Alert(2, 42)])],
        ..GONE
    },
    Case {
        id: "server/handshake/close-notify-with-finished",
        requirement: "A close_notify in one segment with the client's Finished is answered by one",
        level: Level::Must,
        clauses: &[END],
        origin: &["L18"],
        steps: &[Step::Handshake(Stop::HoldLast), Step::Send(&[Put::CloseNotify])],
        allowed: Allowed { close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "The end of a very short session is lost",
        mend: "Look at what is behind the Finished before waiting for more",
        ..BASE
    },
    Case {
        id: "server/handshake/request-with-finished",
        requirement: "A request and a close_notify in one segment with the client's Finished are answered",
        level: Level::Practice,
        clauses: &[END],
        origin: &["R40", "L18"],
        needs: Need::Answer,
        steps: &[Step::Handshake(Stop::HoldLast), Step::Send(&[Put::Request, Put::CloseNotify])],
        allowed: Allowed {
            data: Some(&[crate::case::DataSeen::Whole]),
            close: Some(CLOSE_NOTIFY),
            ..Allowed::ANYTHING
        },
        harm: "The fastest clients get no answer",
        mend: "Look at what is behind the Finished before waiting for more",
        ..BASE
    },
    Case {
        id: "server/handshake/plain-http",
        requirement: "Plain text in place of a handshake ends the connection in time",
        origin: &["R58"],
        steps: &[Step::NoHandshake, Step::Send(&[Put::Raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")])],
        ..GONE
    },
    Case {
        id: "server/handshake/reset-after-hello",
        requirement: "A reset behind the ClientHello leaves the server serving others",
        origin: &["H01"],
        steps: &[Step::Handshake(Stop::Hello), Step::Reset],
        allowed: Allowed { alive: true, ..Allowed::ANYTHING },
        harm: "One client that resets takes the server down for all",
        mend: "Take an error of one handshake for that connection's alone",
        ..GONE
    },
    Case {
        id: "server/handshake/silence-is-quiet",
        requirement: "Half a ClientHello and silence cost no CPU time",
        needs: Need::Process,
        origin: &["R24", "R58"],
        steps: &[Step::Handshake(Stop::InsideHello(60))],
        allowed: Allowed { quiet: true, ..Allowed::ANYTHING },
        harm: "One client that stops in its handshake costs a core",
        mend: "Wait for the socket to be readable, and do nothing else",
        ..GONE
    },
    Case {
        id: "server/handshake/close-notify-is-quiet",
        requirement: "A close_notify in the handshake with the connection left open costs no CPU time",
        needs: Need::Process,
        origin: &["R10"],
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Send(&[Put::CloseNotify])],
        allowed: Allowed { quiet: true, ..Allowed::ANYTHING },
        harm: "One client that gives up in its handshake costs a core",
        mend: "End a handshake at a close_notify",
        ..GONE
    },
];

const GONE: Case = Case {
    level: Level::Practice,
    allowed: Allowed { close: Some(OVER), in_time: true, ..Allowed::ANYTHING },
    harm: "Clients that go away in the handshake leave connections behind until descriptors run out",
    mend: "Treat every end of a client in the handshake as an error of that connection, and close it",
    ..BASE
};
