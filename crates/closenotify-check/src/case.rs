//! A case: what is done to a subject when a session ends, and what it may do.
//!
//! A case holds no code. What drives it is the interpreter of its [`Step`]s, the same for all; what judges it compares what was
//! seen with its [`Allowed`], the same for all.

use crate::step::Step;
use closenotify_probe::Version;
use std::fmt;

/// One case.
#[derive(Debug)]
pub struct Case {
    /// A stable id in words, `subject/topic/outcome`.
    pub id: &'static str,
    /// What is asked of the subject, one sentence.
    pub requirement: &'static str,
    /// How strongly.
    pub level: Level,
    /// Which clauses say so, RFC 9846 first ("RFC 9846 6.1"); empty for [`Level::Practice`].
    pub clauses: &'static [&'static str],
    /// The real bugs behind it, by their ids in `docs/cases.md`.
    pub origin: &'static [&'static str],
    /// The versions of TLS that it can happen in.
    pub versions: &'static [Version],
    /// What the subject must be able to do.
    pub needs: Need,
    /// What the probe does.
    pub steps: &'static [Step],
    /// What the subject may do then.
    pub allowed: Allowed,
    /// What it costs users when the subject does otherwise, one sentence.
    pub harm: &'static str,
    /// How to mend it, one sentence.
    pub mend: &'static str,
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A TLS server.
    Server,
    /// A TLS client.
    Client,
    /// A proxy that takes TLS and passes plain TCP on.
    Proxy,
}

/// How strongly something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// An RFC says MUST.
    Must,
    /// An RFC says SHOULD.
    Should,
    /// An RFC says MAY; users are better off with it.
    May,
    /// No RFC says it, but users are hurt without it.
    Practice,
}

/// What a case needs of its subject. A subject that has it not is not judged by the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Nothing but TLS.
    Tls,
    /// An application that answers.
    Answer,
    /// HTTP.
    Http,
    /// An answer that is long enough not to fit the buffers between two hosts.
    LongAnswer,
    /// A process whose CPU time can be seen.
    Process,
}

/// What a subject may do in a case. What is `None` is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// What may have become of the data: for a server what the probe got of the answer, for a client what it took for whole,
    /// for a proxy what the probe got as the client.
    pub data: Option<&'static [DataSeen]>,
    /// How the subject may end the TLS connection.
    pub close: Option<&'static [Ending]>,
    /// Which alerts, where the ending is one; empty: any.
    pub alerts: &'static [u8],
    /// For a proxy: what the probe may have got as the upstream.
    pub upstream_data: Option<&'static [DataSeen]>,
    /// For a proxy: how it may end the connection to its upstream.
    pub upstream_close: Option<&'static [Ending]>,
    /// What else must be so about the end.
    pub also: &'static [Also],
    /// Whether silence is a failure: the case is about time.
    pub in_time: bool,
    /// Whether CPU time is watched (where there is a process) and must be as low as that of a session at rest.
    pub quiet: bool,
    /// Whether the subject must serve another session afterwards.
    pub alive: bool,
}

impl Allowed {
    /// Anything; the base that a case says more on.
    pub const ANYTHING: Self = Self {
        data: None,
        close: None,
        alerts: &[],
        upstream_data: None,
        upstream_close: None,
        also: &[],
        in_time: false,
        quiet: false,
        alive: false,
    };
}

/// Something that must be so about the end of the TLS direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Also {
    /// No data comes behind the close_notify.
    NothingBehind,
    /// There is at most one close_notify.
    OneCloseNotify,
    /// A close_notify has the level warning.
    WarningLevel,
    /// A KeyUpdate is answered by one.
    KeyUpdateAnswered,
    /// The direction does not end inside a record.
    WholeRecords,
}

/// What became of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataSeen {
    /// All of it, and nothing else.
    Whole,
    /// The beginning of it.
    Cut,
    /// Nothing.
    Nothing,
    /// All of it and more.
    More,
    /// Something else.
    Other,
    /// A client's command said that all is well.
    TakenAsWhole,
    /// A client's command said that something is wrong.
    Refused,
    /// A client's command did not end.
    Undecided,
}

/// How a direction ended: in TLS, then in TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// A close_notify, then FIN.
    CloseNotifyFin,
    /// A close_notify, and TCP left open.
    CloseNotifyOpen,
    /// A close_notify, then a reset.
    CloseNotifyReset,
    /// Another alert that ends everything, then FIN.
    AlertFin,
    /// Another alert that ends everything, and TCP left open.
    AlertOpen,
    /// Another alert that ends everything, then a reset.
    AlertReset,
    /// FIN without a close_notify. On a link without TLS, the ordinary end.
    Fin,
    /// A reset without an alert.
    Reset,
    /// None: the direction was still open.
    Open,
}

impl DataSeen {
    /// One word, as in a file of known deviations.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Cut => "cut",
            Self::Nothing => "nothing",
            Self::More => "more",
            Self::Other => "other",
            Self::TakenAsWhole => "taken-as-whole",
            Self::Refused => "refused",
            Self::Undecided => "undecided",
        }
    }
}

impl DataSeen {
    /// In words for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Whole => "the whole data",
            Self::Cut => "the beginning of the data",
            Self::Nothing => "no data",
            Self::More => "more than the data",
            Self::Other => "other data",
            Self::TakenAsWhole => "success reported",
            Self::Refused => "an error reported",
            Self::Undecided => "neither success nor an error reported in time",
        }
    }
}

impl Also {
    /// What is asked, in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NothingBehind => "no data behind its close_notify",
            Self::OneCloseNotify => "one close_notify at most",
            Self::WarningLevel => "close_notify at level warning",
            Self::KeyUpdateAnswered => "the KeyUpdate answered by one",
            Self::WholeRecords => "no end inside a record",
        }
    }

    /// One word for what was seen instead, as in a file of known deviations.
    #[must_use]
    pub fn failed_word(self) -> &'static str {
        match self {
            Self::NothingBehind => "data-behind-end",
            Self::OneCloseNotify => "two-close-notifies",
            Self::WarningLevel => "wrong-level",
            Self::KeyUpdateAnswered => "key-update-unanswered",
            Self::WholeRecords => "cut-record",
        }
    }
}

impl Case {
    /// What it checks: the first part of its id.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self.id.split('/').next() {
            Some("client") => Subject::Client,
            Some("proxy") => Subject::Proxy,
            _ => Subject::Server,
        }
    }

    /// Whether no other case runs at the same time: CPU time is that of a whole process, and a connection to a proxy's upstream
    /// that carries nothing could be anybody's.
    #[must_use]
    pub fn runs_alone(&self) -> bool {
        let anonymous =
            matches!(self.steps.first(), Some(Step::Handshake(_) | Step::NoHandshake | Step::RefuseUpstream));
        self.allowed.quiet || (self.subject() == Subject::Proxy && anonymous)
    }

    /// What the subject may do, in words.
    #[must_use]
    pub fn allowed_text(&self) -> String {
        crate::judge::allowed_text(self)
    }

    /// The second part of its id.
    #[must_use]
    pub fn topic(&self) -> &'static str {
        self.id.split('/').nth(1).unwrap_or_default()
    }
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::CloseNotifyFin,
        Self::CloseNotifyOpen,
        Self::CloseNotifyReset,
        Self::AlertFin,
        Self::AlertOpen,
        Self::AlertReset,
        Self::Fin,
        Self::Reset,
        Self::Open,
    ];

    /// One word, as in a file of known deviations.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::CloseNotifyFin => "close_notify+fin",
            Self::CloseNotifyOpen => "close_notify+open",
            Self::CloseNotifyReset => "close_notify+reset",
            Self::AlertFin => "alert+fin",
            Self::AlertOpen => "alert+open",
            Self::AlertReset => "alert+reset",
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::Open => "open",
        }
    }

    /// In words for people, of a link without TLS.
    #[must_use]
    pub fn plain_text(self) -> &'static str {
        match self {
            Self::Fin => "FIN",
            other => other.text(),
        }
    }

    /// In words for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::CloseNotifyFin => "close_notify, then FIN",
            Self::CloseNotifyOpen => "close_notify, TCP left open",
            Self::CloseNotifyReset => "close_notify, then RST",
            Self::AlertFin => "an alert, then FIN",
            Self::AlertOpen => "an alert, TCP left open",
            Self::AlertReset => "an alert, then RST",
            Self::Fin => "FIN without close_notify",
            Self::Reset => "RST",
            Self::Open => "no end: the connection was left open",
        }
    }
}

impl Level {
    /// All of them, strongest first.
    pub const ALL: [Self; 4] = [Self::Must, Self::Should, Self::May, Self::Practice];
}

impl Subject {
    /// The first part of the ids of its cases.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Proxy => "proxy",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
            Self::Practice => "practice",
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
