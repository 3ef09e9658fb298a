//! How the four directions of a session ended, as typed values until the moment they are printed.
//!
//! A direction is recorded once. Nothing here decides what an ending means for the session; `classify` does.

use closenotify::{AlertDescription, ReceivedEnding, SentEnding};
use std::borrow::Cow;
use std::fmt;

use crate::relay::TcpEnding;

/// The endings of the four directions. `None`: the session never got that far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SessionEndings {
    pub(crate) client_received: Option<Received>,
    pub(crate) client_sent: Option<Sent>,
    pub(crate) upstream_received: Option<Received>,
    pub(crate) upstream_sent: Option<Sent>,
}

impl SessionEndings {
    /// Sets the endings of the client's two directions.
    pub(crate) fn client(&mut self, received: impl Into<Received>, sent: impl Into<Sent>) {
        self.client_received = Some(received.into());
        self.client_sent = Some(sent.into());
    }

    /// Sets the endings of the upstream's two directions.
    pub(crate) fn upstream(&mut self, received: impl Into<Received>, sent: impl Into<Sent>) {
        self.upstream_received = Some(received.into());
        self.upstream_sent = Some(sent.into());
    }

    /// The words of the four, in the order of [`DIRECTIONS`].
    pub(crate) fn words(&self) -> [Option<Cow<'static, str>>; 4] {
        [
            self.client_received.as_ref().map(Received::word),
            self.client_sent.as_ref().map(Sent::word),
            self.upstream_received.as_ref().map(Received::word),
            self.upstream_sent.as_ref().map(Sent::word),
        ]
    }

    /// The same words for the labels of metrics: an alert without a name is `alert_unknown`, so that a peer that invents
    /// alerts does not make a time series each.
    pub(crate) fn labels(&self) -> [Option<Cow<'static, str>>; 4] {
        self.words().map(|word| word.map(label))
    }
}

/// The word of an ending or of a failed handshake as a label: words that a peer can number are one word.
pub(crate) fn label(word: Cow<'static, str>) -> Cow<'static, str> {
    if word.starts_with("alert_unknown_") { "alert_unknown".into() } else { word }
}

/// How the stream from a peer ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Received {
    /// Over TLS.
    Tls(ReceivedEnding),
    /// Over plain TCP or a Unix socket.
    Plain(TcpEnding),
    /// There was no connection; the word says why.
    NotReached(Cow<'static, str>),
}

impl Received {
    /// Whether the peer is known to have sent everything that it meant to send.
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Tls(ending) => ending.is_clean(),
            Self::Plain(ending) => *ending == TcpEnding::Fin,
            Self::NotReached(_) => false,
        }
    }

    /// Whether the peer itself, or its connection, ended the stream short of its end. False for an end of ours.
    pub(crate) fn is_truncated_by_peer(&self) -> bool {
        match self {
            Self::Tls(ending) => {
                !matches!(ending, ReceivedEnding::CloseNotify | ReceivedEnding::Abandoned | ReceivedEnding::TimedOut(_))
            }
            Self::Plain(ending) => matches!(ending, TcpEnding::Reset | TcpEnding::Failed(_)),
            Self::NotReached(_) => false,
        }
    }

    pub(crate) fn word(&self) -> Cow<'static, str> {
        match self {
            Self::Tls(ending) => ending.word(),
            Self::Plain(ending) => ending.word(),
            Self::NotReached(word) => word.clone(),
        }
    }
}

impl From<ReceivedEnding> for Received {
    fn from(ending: ReceivedEnding) -> Self {
        Self::Tls(ending)
    }
}

impl From<TcpEnding> for Received {
    fn from(ending: TcpEnding) -> Self {
        Self::Plain(ending)
    }
}

/// What happened, with the peer as the subject: `it reset the connection`.
impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(ending) => ending.fmt(f),
            Self::Plain(TcpEnding::Fin) => f.write_str("the peer closed (FIN)"),
            Self::Plain(TcpEnding::Reset) => f.write_str("the peer reset the connection"),
            Self::Plain(TcpEnding::Failed(kind)) => write!(f, "reading from the connection failed: {kind}"),
            Self::Plain(TcpEnding::TimedOut(deadline)) => write!(f, "{deadline} passed"),
            Self::NotReached(word) => write!(f, "it was not reached: {word}"),
            Self::Plain(TcpEnding::Abandoned) => f.write_str("the proxy stopped reading before the peer's end"),
        }
    }
}

/// How the stream to a peer ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sent {
    /// Over TLS.
    Tls(SentEnding),
    /// Over plain TCP or a Unix socket.
    Plain(TcpEnding),
}

impl Sent {
    /// Whether the peer was sent everything, and told so.
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Tls(ending) => *ending == SentEnding::CloseNotify,
            Self::Plain(ending) => *ending == TcpEnding::Fin,
        }
    }

    pub(crate) fn word(&self) -> Cow<'static, str> {
        match self {
            Self::Tls(ending) => ending.word(),
            Self::Plain(ending) => ending.word(),
        }
    }

    /// The fatal alert that was sent.
    pub(crate) fn alert(&self) -> Option<AlertDescription> {
        match self {
            Self::Tls(SentEnding::Alert(alert)) => Some(*alert),
            Self::Tls(_) | Self::Plain(_) => None,
        }
    }
}

impl From<SentEnding> for Sent {
    fn from(ending: SentEnding) -> Self {
        Self::Tls(ending)
    }
}

impl From<TcpEnding> for Sent {
    fn from(ending: TcpEnding) -> Self {
        Self::Plain(ending)
    }
}

/// The names of the four directions: fields of the log, labels of the metrics.
pub(crate) const DIRECTIONS: [&str; 4] = ["client_received", "client_sent", "upstream_received", "upstream_sent"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_alerts_share_one_label_and_named_ones_keep_theirs() {
        let mut endings = SessionEndings::default();
        endings.client(
            ReceivedEnding::Alert(AlertDescription::from(231)),
            SentEnding::Alert(AlertDescription::BAD_RECORD_MAC),
        );
        endings.upstream(TcpEnding::Fin, TcpEnding::Reset);
        let text = |words: [Option<Cow<'static, str>>; 4]| words.map(|word| word.unwrap().into_owned());
        assert_eq!(text(endings.words()), ["alert_unknown_231", "alert_bad_record_mac", "fin", "reset"]);
        assert_eq!(text(endings.labels()), ["alert_unknown", "alert_bad_record_mac", "fin", "reset"]);
        assert_eq!(endings.client_sent.unwrap().alert(), Some(AlertDescription::BAD_RECORD_MAC));
    }
}
