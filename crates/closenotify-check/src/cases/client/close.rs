//! How the client ends its own direction.

use crate::case::{Allowed, Also, Case, Ending, Level, Need};
use crate::cases::{BASE, CLOSE_NOTIFY, END, END_12, HTTP_END};
use crate::step::{Framing, Part, Put, Step};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "client/close/kept-connection",
        requirement: "A client that leaves a connection which the server kept open sends a close_notify first",
        clauses: &[END, END_12, HTTP_END],
        origin: &["R19", "P08", "R16"],
        needs: Need::Http,
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Length, Part::Whole)])],
        ..SAYS_SO
    },
    Case {
        id: "client/close/kept-connection-chunked",
        requirement: "The same behind a chunked answer",
        clauses: &[END, END_12, HTTP_END],
        origin: &["R19", "P08"],
        needs: Need::Http,
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Chunked, Part::Whole)])],
        ..SAYS_SO
    },
    Case {
        id: "client/close/after-the-servers",
        requirement: "A client sends its own close_notify behind the server's",
        clauses: &[END, END_12, HTTP_END],
        origin: &["R19", "P08"],
        needs: Need::Http,
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::LengthLast, Part::Whole), Put::CloseNotify])],
        ..SAYS_SO
    },
    Case {
        id: "client/close/after-the-servers-framed-by-the-end",
        requirement: "The same where only the close_notify framed the answer",
        clauses: &[END, END_12, HTTP_END],
        origin: &["R19", "P08"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify])],
        ..SAYS_SO
    },
    Case {
        id: "client/close/after-a-truncation",
        requirement: "A client whose answer was cut by a bare FIN ends with close_notify or an error alert",
        clauses: &[END],
        origin: &["R59"],
        needs: Need::Http,
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Length, Part::Half)]), Step::Fin],
        allowed: Allowed { close: Some(CLOSE_NOTIFY_OR_ALERT), ..Allowed::ANYTHING },
        harm: "The server cannot tell a client that gave up from a connection that was cut",
        mend: "Send the alert on every way out, that of errors too",
        ..BASE
    },
    Case {
        id: "client/close/one-close-notify",
        requirement: "A client sends no more than one close_notify",
        clauses: &[END],
        origin: &["R06", "L07"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify])],
        allowed: Allowed { also: &[Also::OneCloseNotify], ..Allowed::ANYTHING },
        harm: "The second one reaches whoever reads the connection next, and is taken for data or an error",
        mend: "Remember that the close_notify was sent",
        ..BASE
    },
    Case {
        id: "client/close/close-notify-is-a-warning",
        requirement: "The client's close_notify has the level warning",
        clauses: &[END],
        origin: &["L05"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify])],
        allowed: Allowed { also: &[Also::WarningLevel], ..Allowed::ANYTHING },
        harm: "A TLS 1.2 server takes it for a fatal error, and forgets the session",
        mend: "Send alert level 1 with description 0",
        ..BASE
    },
    Case {
        id: "client/close/nothing-behind",
        requirement: "A client sends no data behind its close_notify",
        clauses: &[END],
        origin: &["R09", "O14"],
        steps: &[Step::AwaitRequest, Step::Send(&[Put::Answer(Framing::Close, Part::Whole), Put::CloseNotify])],
        allowed: Allowed { also: &[Also::NothingBehind], ..Allowed::ANYTHING },
        harm: "Every server ignores that data, so it is lost",
        mend: "Refuse to write once the close_notify is on its way",
        ..BASE
    },
    Case {
        id: "client/close/no-reset-behind-the-servers",
        requirement: "A client does not reset the connection over the server's close_notify",
        level: Level::Practice,
        clauses: &[],
        origin: &["C05", "G03"],
        needs: Need::Http,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[Put::Answer(Framing::Length, Part::Whole), Put::CloseNotify]),
            Step::Fin,
        ],
        ..NO_RESET
    },
    Case {
        id: "client/close/no-reset-over-tickets",
        requirement: "A client does not reset the connection over tickets that it did not read",
        level: Level::Practice,
        clauses: &[],
        origin: &["C01", "R19", "O08"],
        versions: crate::cases::TLS13,
        needs: Need::Http,
        steps: &[
            Step::AwaitRequest,
            Step::Send(&[
                Put::Answer(Framing::Length, Part::Whole),
                Put::Record(22, super::end::TICKET),
                Put::Record(22, super::end::TICKET),
            ]),
        ],
        ..NO_RESET
    },
];

const SAYS_SO: Case = Case {
    allowed: Allowed { close: Some(CLOSE_NOTIFY), also: &[Also::WholeRecords], ..Allowed::ANYTHING },
    harm: "The server cannot tell a client that is done from a connection that was cut, logs an error, or spoils the session",
    mend: "Shut TLS down (SSL_shutdown, gnutls_bye, shutdown().await) before the socket is closed",
    ..BASE
};

const NO_RESET: Case = Case {
    allowed: Allowed { close: Some(NO_RST), ..Allowed::ANYTHING },
    harm: "The reset destroys what the client itself has sent, the end of an upload, say, and fills logs with errors",
    mend: "Read what is there before the socket is closed, within a bound",
    ..BASE
};

/// The client said that it is done, or why not.
const CLOSE_NOTIFY_OR_ALERT: &[Ending] = &[
    Ending::CloseNotifyFin,
    Ending::CloseNotifyOpen,
    Ending::CloseNotifyReset,
    Ending::AlertFin,
    Ending::AlertOpen,
    Ending::AlertReset,
];
/// Anything but a reset.
const NO_RST: &[Ending] =
    &[Ending::CloseNotifyFin, Ending::CloseNotifyOpen, Ending::AlertFin, Ending::AlertOpen, Ending::Fin, Ending::Open];
