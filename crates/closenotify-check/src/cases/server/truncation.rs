//! A client whose TCP direction ends without a close_notify.

use crate::case::{Allowed, Case, DataSeen, Level, Need};
use crate::cases::{BASE, END, OVER};
use crate::step::{Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "server/truncation/half-request-is-not-answered",
        requirement: "Half a request with a bare FIN behind it is not answered as if it were whole",
        clauses: &[END, "RFC 9112 8"],
        origin: &["C03", "R41"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::HalfRequest]), Step::Fin],
        allowed: Allowed { data: Some(&[DataSeen::Nothing, DataSeen::Other]), ..Allowed::ANYTHING },
        harm: "Who can cut a connection decides what the request was",
        mend: "Act on a request only when its own framing says that it is whole",
        ..BASE
    },
    Case {
        id: "server/truncation/idle-session-ends",
        requirement: "A bare FIN on a session at rest ends it in time",
        level: Level::Practice,
        clauses: &[],
        origin: &["H05"],
        steps: &[Step::Wait(50), Step::Fin],
        allowed: Allowed { close: Some(OVER), in_time: true, ..Allowed::ANYTHING },
        harm: "Sessions whose client is gone stay in CLOSE_WAIT until descriptors run out",
        mend: "Take the end of TCP for the end of the session",
        ..BASE
    },
    Case {
        id: "server/truncation/inside-a-record",
        requirement: "A FIN inside a record ends the session in time",
        level: Level::Practice,
        clauses: &[END],
        origin: &["R14", "H01"],
        steps: &[Step::Send(&[Put::HalfRecord]), Step::Fin],
        allowed: Allowed { close: Some(OVER), in_time: true, ..Allowed::ANYTHING },
        harm: "A cut record leaves a session behind that nothing ends",
        mend: "Treat an end inside a record as an error, and close",
        ..BASE
    },
    Case {
        id: "server/truncation/half-record-is-quiet",
        requirement: "Half a record with a FIN behind it costs no CPU time",
        level: Level::Practice,
        clauses: &[],
        origin: &["H01", "R21"],
        needs: Need::Process,
        steps: &[Step::Send(&[Put::HalfRecord]), Step::Fin],
        allowed: Allowed { quiet: true, ..Allowed::ANYTHING },
        harm: "A connection that was cut costs a core",
        mend: "Do not read again from a transport that has ended",
        ..BASE
    },
    Case {
        id: "server/truncation/fin-is-quiet",
        requirement: "A bare FIN in the middle of a request costs no CPU time",
        level: Level::Practice,
        clauses: &[],
        origin: &["H01", "R21"],
        needs: Need::Process,
        steps: &[Step::Send(&[Put::HalfRequest]), Step::Fin],
        allowed: Allowed { quiet: true, ..Allowed::ANYTHING },
        harm: "A connection that was cut costs a core",
        mend: "Do not read again from a transport that has ended",
        ..BASE
    },
    Case {
        id: "server/truncation/reset-in-request",
        requirement: "A reset in the middle of a request leaves the server serving others",
        level: Level::Practice,
        clauses: &[],
        origin: &["V02"],
        steps: &[Step::Send(&[Put::HalfRecord]), Step::Reset],
        allowed: Allowed { alive: true, ..Allowed::ANYTHING },
        harm: "One client that resets takes the server down for all",
        mend: "Take an error of one connection for that connection's alone",
        ..BASE
    },
    Case {
        id: "server/truncation/reset-in-answer",
        requirement: "A reset in the middle of an answer leaves the server serving others",
        level: Level::Practice,
        clauses: &[],
        origin: &["R29", "R49"],
        needs: Need::LongAnswer,
        steps: &[Step::ReadSlowly(1024), Step::Send(&[Put::Request]), Step::AwaitData, Step::Reset],
        allowed: Allowed { alive: true, ..Allowed::ANYTHING },
        harm: "One client that resets takes the server down for all",
        mend: "Take an error of one connection for that connection's alone",
        ..BASE
    },
    Case {
        id: "server/truncation/reset-is-quiet",
        requirement: "A reset in the middle of an answer costs no CPU time afterwards",
        level: Level::Practice,
        clauses: &[],
        origin: &["H07"],
        needs: Need::Process,
        steps: &[Step::ReadSlowly(1024), Step::Send(&[Put::Request]), Step::AwaitData, Step::Reset],
        allowed: Allowed { quiet: true, ..Allowed::ANYTHING },
        harm: "A connection that is gone costs a core",
        mend: "End a session whose writes fail",
        ..BASE
    },
    Case {
        id: "server/truncation/close-with-answer-unread",
        requirement: "A client that closes its socket with the answer unread leaves the server serving others",
        level: Level::Practice,
        clauses: &[],
        origin: &["R29", "P01"],
        needs: Need::LongAnswer,
        steps: &[Step::StopReading, Step::Send(&[Put::Request]), Step::Wait(200), Step::Close],
        allowed: Allowed { alive: true, ..Allowed::ANYTHING },
        harm: "One user who goes away takes the server down for all",
        mend: "Take an error of one connection for that connection's alone",
        ..BASE
    },
];
