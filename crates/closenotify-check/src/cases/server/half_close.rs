//! A client that ends its direction and waits for the answer.

use crate::case::{Allowed, Also, Case, DataSeen, Level, Need};
use crate::cases::{BASE, CLOSE_NOTIFY, END, END_12, HTTP_END, OVER};
use crate::step::{Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "server/half-close/answer-survives",
        requirement: "A client's close_notify ends only the client's direction: the answer still comes, whole",
        level: Level::Practice,
        clauses: &[END],
        origin: &["V01", "L01", "R50"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request]), Step::Send(&[Put::CloseNotify])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "Clients that say that their request is whole get no answer, half of one, or one that they cannot take for whole",
        mend: "Take a close_notify for the end of input, not of the connection, and send one of your own before the FIN",
        ..BASE
    },
    Case {
        id: "server/half-close/same-segment",
        requirement: "A close_notify in one segment with the request does not cost the answer",
        level: Level::Practice,
        clauses: &[END],
        origin: &["R40", "L19", "J04"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::CloseNotify])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "Whether an answer comes depends on how the network cuts the stream",
        mend: "Deliver all data in front of a close_notify before the end is told, answer, and send a close_notify",
        ..BASE
    },
    Case {
        id: "server/half-close/with-fin",
        requirement: "A close_notify and a FIN behind the request do not cost the answer",
        level: Level::Practice,
        clauses: &[END],
        origin: &["R50", "V04", "V08"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::CloseNotify]), Step::Fin],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "A client that half-closes TCP as well loses its answer",
        mend: "Take a FIN for the end of the client's direction alone, answer, and send a close_notify",
        ..BASE
    },
    Case {
        id: "server/half-close/long-answer-slow-reader",
        requirement: "A long answer still comes whole when the client half-closed and reads slowly",
        level: Level::Practice,
        clauses: &[END],
        origin: &["V04", "R62"],
        needs: Need::LongAnswer,
        steps: &[
            Step::StopReading,
            Step::Send(&[Put::Request, Put::CloseNotify]),
            Step::Fin,
            Step::Wait(900),
            Step::ReadOn,
        ],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "Long answers are cut where short ones come through, which nobody notices in tests",
        mend: "Send the close_notify when the answer is written and flushed, not when the input has ended, and not never",
        ..BASE
    },
    Case {
        id: "server/half-close/in-the-middle-of-the-answer",
        requirement: "A close_notify that comes while the answer flows does not cut it",
        level: Level::Practice,
        clauses: &[END],
        origin: &["R47", "P04"],
        needs: Need::LongAnswer,
        steps: &[
            Step::ReadSlowly(1024),
            Step::Send(&[Put::Request]),
            Step::AwaitData,
            Step::Send(&[Put::CloseNotify]),
            Step::Wait(200),
            Step::ReadOn,
        ],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "A client that closes early by good manners loses the rest of its answer",
        mend: "Go on writing after the peer's close_notify, and send your own behind the answer",
        ..BASE
    },
    Case {
        id: "server/half-close/idle-session-is-closed",
        requirement: "A close_notify on a session at rest is answered by the server's own, and the connection ends",
        clauses: &[END, END_12],
        origin: &["R27", "R39"],
        steps: &[Step::Wait(50), Step::Send(&[Put::CloseNotify])],
        allowed: Allowed { close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "The client cannot tell an orderly end from an attack, and waits",
        mend: "When input ends and nothing is to be said, send a close_notify and close",
        ..BASE
    },
    Case {
        id: "server/half-close/idle-session-with-fin",
        requirement: "A close_notify and FIN on a session at rest end the connection in time",
        level: Level::Practice,
        clauses: &[END],
        origin: &["H05", "P03"],
        steps: &[Step::Wait(50), Step::Send(&[Put::CloseNotify]), Step::Fin],
        allowed: Allowed { close: Some(OVER), in_time: true, ..Allowed::ANYTHING },
        harm: "Sessions whose client is gone stay in CLOSE_WAIT",
        mend: "Close when input has ended and nothing is to be said",
        ..BASE
    },
    Case {
        id: "server/half-close/kept-session-is-closed",
        requirement: "A close_notify after a whole exchange on a connection that is kept open ends it in an orderly way",
        clauses: &[END, HTTP_END],
        origin: &["R16", "R53"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::KeptRequest]), Step::AwaitAnswer, Step::Send(&[Put::CloseNotify])],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "Clients that close idle connections log errors, and pools take healthy servers for broken ones",
        mend: "Send a close_notify before the socket is closed on every path, also where the client closed first",
        ..BASE
    },
    Case {
        id: "server/half-close/one-close-notify",
        requirement: "A server that answers a close_notify sends no more than one, and no data behind it",
        clauses: &[END],
        origin: &["R06", "L07"],
        steps: &[Step::Send(&[Put::CloseNotify]), Step::AwaitEnd, Step::Wait(100)],
        allowed: Allowed {
            also: &[Also::OneCloseNotify, Also::NothingBehind, Also::WarningLevel],
            ..Allowed::ANYTHING
        },
        harm: "What comes behind a close_notify is lost, or is taken for an error",
        mend: "Remember that the close_notify was sent",
        ..BASE
    },
    Case {
        id: "server/half-close/client-stays",
        requirement: "A half-closed session whose TCP connection the client keeps open is ended by the server in time",
        level: Level::Practice,
        clauses: &[END],
        origin: &["P05", "H05"],
        needs: Need::Answer,
        steps: &[Step::Send(&[Put::Request, Put::CloseNotify]), Step::AwaitAnswer],
        allowed: Allowed { close: Some(OVER), in_time: true, ..Allowed::ANYTHING },
        harm: "A client that vanished after its close_notify holds a connection for ever",
        mend: "After the answer to a half-closed session, close the socket",
        ..BASE
    },
    Case {
        id: "server/half-close/is-quiet",
        requirement: "A session that is half-closed and silent costs no CPU time",
        level: Level::Practice,
        clauses: &[],
        origin: &["R47", "J01", "J06"],
        needs: Need::Process,
        steps: &[Step::Send(&[Put::HalfRequest, Put::CloseNotify])],
        allowed: Allowed { quiet: true, ..Allowed::ANYTHING },
        harm: "One half-closed client costs a core until the connection ends",
        mend: "Stop asking for readability of a direction that has ended",
        ..BASE
    },
    Case {
        id: "server/half-close/half-request",
        requirement: "Half a request with a close_notify behind it is not answered as if it were whole",
        level: Level::Must,
        clauses: &["RFC 9112 8"],
        origin: &["C03", "R41"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::HalfRequest, Put::CloseNotify])],
        allowed: Allowed { data: Some(&[DataSeen::Nothing, DataSeen::Other]), ..Allowed::ANYTHING },
        harm: "What the user did not ask for is done",
        mend: "Act on a request only when its own framing says that it is whole",
        ..BASE
    },
];
