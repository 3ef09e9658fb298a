//! A server that ends its own direction first.

use crate::case::{Allowed, Also, Case, DataSeen, Ending, Level, Need};
use crate::cases::{BASE, CLOSE_NOTIFY, END, END_12, HTTP_END};
use crate::step::{Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "server/end/close-notify-before-fin",
        requirement: "A server that closes after its answer sends a close_notify before its FIN",
        clauses: &[END, END_12, HTTP_END],
        origin: &["R39", "R52", "L15"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::Request])],
        allowed: Allowed {
            data: Some(&[DataSeen::Whole]),
            close: Some(CLOSE_NOTIFY),
            also: &[Also::WholeRecords],
            ..Allowed::ANYTHING
        },
        harm: "The client cannot tell a whole answer from one that was cut, and strict clients report an error",
        mend: "Shut TLS down (SSL_shutdown, gnutls_bye, shutdown().await) before the socket is closed",
        ..BASE
    },
    Case {
        id: "server/end/one-close-notify",
        requirement: "A server sends no more than one close_notify",
        clauses: &[END],
        origin: &["R06", "L07"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::Request]), Step::AwaitEnd, Step::Send(&[Put::CloseNotify])],
        allowed: Allowed { also: &[Also::OneCloseNotify], ..Allowed::ANYTHING },
        harm: "The second one reaches whoever reads the connection next, and is taken for data or an error",
        mend: "Remember that the close_notify was sent, and do not answer the peer's with another",
        ..BASE
    },
    Case {
        id: "server/end/nothing-behind",
        requirement: "A server sends no data behind its close_notify",
        clauses: &[END],
        origin: &["R09", "O14"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::Request]), Step::AwaitEnd, Step::Send(&[Put::Filler(10)]), Step::Wait(100)],
        allowed: Allowed { also: &[Also::NothingBehind], ..Allowed::ANYTHING },
        harm: "Every client ignores that data, so it is lost",
        mend: "Refuse to write once the close_notify is on its way",
        ..BASE
    },
    Case {
        id: "server/end/close-notify-is-a-warning",
        requirement: "The close_notify has the level warning",
        clauses: &[END],
        origin: &["L05"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::Request])],
        allowed: Allowed { also: &[Also::WarningLevel], ..Allowed::ANYTHING },
        harm: "A TLS 1.2 client takes it for a fatal error, and forgets the session",
        mend: "Send alert level 1 with description 0",
        ..BASE
    },
    Case {
        id: "server/end/answer-survives-unread-data",
        requirement: "A server that closes with data of the client unread does not destroy its own answer by a reset",
        level: Level::Practice,
        clauses: &[END],
        origin: &["R28", "N04", "P09"],
        needs: Need::LongAnswer,
        steps: &[Step::StopReading, Step::Pour(&[Put::Request, Put::Filler(300_000)]), Step::Wait(400), Step::ReadOn],
        allowed: Allowed { data: Some(&[DataSeen::Whole, DataSeen::More]), ..Allowed::ANYTHING },
        harm: "The kernel answers unread data with a reset, which throws away the rest of an answer that was sent",
        mend: "Half-close, then read on and discard for a while before the socket is closed (lingering close)",
        ..BASE
    },
    Case {
        id: "server/end/slow-reader-gets-all",
        requirement: "A client that reads slowly gets the whole answer and the close_notify behind it",
        clauses: &[END],
        origin: &["V05", "L12", "H20"],
        needs: Need::LongAnswer,
        steps: &[
            Step::StopReading,
            Step::Send(&[Put::Request]),
            Step::Wait(900),
            Step::ReadSlowly(8_192),
            Step::Wait(300),
            Step::ReadOn,
        ],
        allowed: Allowed { data: Some(&[DataSeen::Whole]), close: Some(CLOSE_NOTIFY), ..Allowed::ANYTHING },
        harm: "Who has a slow line loses the end of long answers, or cannot know that they are whole",
        mend: "Keep the close_notify behind the data in the queue, and let the time to close start anew while bytes move",
        ..BASE
    },
    Case {
        id: "server/end/tcp-ends-too",
        requirement: "Once both close_notifies are exchanged the server ends the TCP connection as well",
        level: Level::Practice,
        clauses: &[END],
        origin: &["P03", "J02"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::Request]), Step::AwaitEnd, Step::Send(&[Put::CloseNotify])],
        allowed: Allowed {
            close: Some(&[Ending::CloseNotifyFin, Ending::CloseNotifyReset, Ending::Fin, Ending::Reset]),
            in_time: true,
            ..Allowed::ANYTHING
        },
        harm: "Dead connections hold descriptors and memory until some other limit comes",
        mend: "Close the socket when both directions have ended",
        ..BASE
    },
    Case {
        id: "server/end/client-that-never-closes",
        requirement: "A server that has ended its direction does not wait for ever for a client that says nothing more",
        level: Level::Practice,
        clauses: &[END, HTTP_END],
        origin: &["P05", "F02", "L14"],
        needs: Need::Http,
        steps: &[Step::Send(&[Put::Request])],
        allowed: Allowed { close: Some(OVER_OR_ENDED), in_time: true, ..Allowed::ANYTHING },
        harm: "Clients that never close fill the server's table of connections",
        mend: "Bound the wait for the client's close_notify by time",
        ..BASE
    },
    Case {
        id: "server/end/idle-is-quiet",
        requirement: "A session in which nothing happens costs no CPU time",
        level: Level::Practice,
        clauses: &[],
        origin: &["R12", "J06"],
        needs: Need::Process,
        steps: &[Step::Wait(50)],
        allowed: Allowed { quiet: true, ..Allowed::ANYTHING },
        harm: "One client that does nothing costs a core",
        mend: "Ask the socket for readiness only where something can be done with it",
        ..BASE
    },
];

/// The client can be sure that nothing follows.
const OVER_OR_ENDED: &[Ending] =
    &[Ending::CloseNotifyFin, Ending::CloseNotifyReset, Ending::CloseNotifyOpen, Ending::Fin, Ending::Reset];
