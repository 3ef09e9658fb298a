//! The CPU time that a client takes while the server says nothing more.

use crate::case::{Allowed, Case, Level, Need};
use crate::cases::BASE;
use crate::step::{Framing, Part, Put, Step};
use closenotify_probe::Stop;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "client/quiet/byte-behind-close-notify",
        requirement: "One byte behind a close_notify that cuts the answer costs no CPU time while TCP stays open",
        origin: &["R01", "R21"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Half), Put::CloseNotify, Put::Raw(b"\0")]),
        ],
        harm: "One byte costs a core until somebody ends the client",
        mend: "Do not read what is behind a close_notify as TLS; do not wake a task that cannot make progress",
        ..AT_REST
    },
    Case {
        id: "client/quiet/close-notify",
        requirement: "A close_notify that cuts the answer costs no CPU time while TCP stays open",
        origin: &["R47", "J06"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Length, Part::Half), Put::CloseNotify])],
        ..AT_REST
    },
    Case {
        id: "client/quiet/fin",
        requirement: "A bare FIN inside the answer costs no CPU time",
        origin: &["H01", "R21"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Length, Part::Half)]), Step::Fin],
        ..AT_REST
    },
    Case {
        id: "client/quiet/fin-inside-a-record",
        requirement: "A FIN inside a record costs no CPU time",
        origin: &["H01"],
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Half), Put::HalfRecord]),
            Step::Fin,
        ],
        ..AT_REST
    },
    Case {
        id: "client/quiet/silence-in-the-answer",
        requirement: "An answer that stops in the middle costs no CPU time while the client waits",
        origin: &["H02"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Length, Part::Half)])],
        ..AT_REST
    },
    Case {
        id: "client/quiet/half-a-record",
        requirement: "Half a record costs no CPU time while the client waits for the rest",
        origin: &["H07"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Length, Part::Half), Put::HalfRecord])],
        ..AT_REST
    },
    Case {
        id: "client/quiet/silence-behind-the-answer",
        requirement: "A whole answer with nothing behind it costs no CPU time",
        origin: &["R12", "H02"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::LengthLast, Part::Whole)])],
        ..AT_REST
    },
    Case {
        id: "client/quiet/silence-in-the-handshake",
        requirement: "A server that says nothing to the ClientHello costs no CPU time",
        origin: &["R24"],
        steps: &[Step::Handshake(Stop::Hello)],
        ..AT_REST
    },
    Case {
        id: "client/quiet/fin-in-the-handshake",
        requirement: "A FIN behind the ClientHello costs no CPU time",
        origin: &["R13"],
        steps: &[Step::Handshake(Stop::Hello), Step::Fin],
        ..AT_REST
    },
    Case {
        id: "client/quiet/close-notify-in-the-handshake",
        requirement: "A close_notify behind the ClientHello costs no CPU time while TCP stays open",
        origin: &["R10"],
        steps: &[Step::Handshake(Stop::Hello), Step::Send(&[Put::CloseNotify])],
        ..AT_REST
    },
];

const AT_REST: Case = Case {
    level: Level::Practice,
    clauses: &[],
    needs: Need::Process,
    allowed: Allowed { quiet: true, ..Allowed::ANYTHING },
    harm: "One server that stops costs a core until somebody ends the client",
    mend: "Wait for the socket to be readable, and take every end of it for the end",
    ..BASE
};
