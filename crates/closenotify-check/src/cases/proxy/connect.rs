//! Sessions whose upstream is not reached, or whose client goes before it is.

use super::{CARRIED, FIN, WHOLE};
use crate::case::{Allowed, Case, Ending, Level};
use crate::cases::{BASE, END, NO_CLOSE_NOTIFY, OVER};
use crate::step::{Put, Step};
use closenotify_probe::Stop;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "proxy/connect/refused",
        requirement: "Where the upstream cannot be reached the client gets no close_notify, and later sessions are served",
        level: Level::Practice,
        clauses: &[END],
        origin: &["R14", "H20"],
        steps: &[Step::RefuseUpstream, Step::Send(&[Put::Stream(1000)]), Step::AwaitEnd],
        allowed: Allowed { close: Some(NO_CLOSE_NOTIFY), alive: true, ..Allowed::ANYTHING },
        harm: "An upstream that is down looks like one with an empty answer",
        mend: "Reset the client's connection, or send a fatal alert, where the upstream cannot be reached",
        ..BASE
    },
    Case {
        id: "proxy/connect/client-leaves-in-the-handshake",
        requirement: "A client that leaves inside the handshake leaves no connection behind on either side",
        origin: &["R13", "R58", "R24"],
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Fin],
        ..LEFT
    },
    Case {
        id: "proxy/connect/client-leaves-inside-its-hello",
        requirement: "The same where the ClientHello is not whole",
        origin: &["R24", "R58"],
        steps: &[Step::Handshake(Stop::InsideHello(40)), Step::Fin],
        ..LEFT
    },
    Case {
        id: "proxy/connect/client-resets-in-the-handshake",
        requirement: "A client that resets inside the handshake leaves no upstream connection behind, and others are served",
        origin: &["R13", "V02"],
        steps: &[Step::Handshake(Stop::BeforeFinished), Step::Reset],
        allowed: Allowed { upstream_data: WHOLE, upstream_close: ENDED, alive: true, ..CARRIED },
        ..LEFT
    },
];

const ENDED: Option<&[Ending]> = FIN;

const LEFT: Case = Case {
    level: Level::Practice,
    clauses: &[],
    allowed: Allowed { close: Some(OVER), upstream_data: WHOLE, upstream_close: ENDED, ..CARRIED },
    harm: "Connections of clients that are gone pile up, here and at the upstream",
    mend: "End both connections when a handshake fails",
    ..BASE
};
