//! What became of a session, in one word.
//!
//! The word is derived from the typed endings by one rule and never set by hand, so that a line cannot contradict itself.

use closenotify::Deadline;
use serde::Serialize;
use std::fmt;

use super::endings::{Received, Sent, SessionEndings};

/// What became of a session: the first word of every line, and what alerts are made of.
///
/// The first that applies, in this order: aborted, timed out, refused, request truncated, answer truncated; complete otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionResult {
    /// Both streams arrived complete at their receivers, as far as these still wanted them.
    Complete,
    /// No byte was relayed: the handshake failed, no route matched, the client was not allowed, or no upstream was reached.
    Refused,
    /// A deadline of the proxy passed.
    TimedOut,
    /// The proxy ended it: an order to stop, a spin, an internal error.
    Aborted,
    /// The client's stream ended without close_notify before its answer was complete.
    RequestTruncated,
    /// The upstream's stream did not end with FIN (or close_notify), or the client did not get all of it.
    AnswerTruncated,
}

impl SessionResult {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Complete, Self::Refused, Self::TimedOut, Self::Aborted, Self::RequestTruncated, Self::AnswerTruncated];

    /// The stable machine word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Aborted => "aborted",
            Self::RequestTruncated => "request_truncated",
            Self::AnswerTruncated => "answer_truncated",
        }
    }
}

/// How far a session got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// The TLS handshake (or the PROXY protocol header before it) is not complete.
    Handshake,
    /// The upstream is not connected.
    Connect,
    /// Bytes can flow.
    Relay,
}

impl Phase {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Connect => "connect",
            Self::Relay => "relay",
        }
    }
}

/// Who ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndedFirst {
    /// The client, or its connection.
    Client,
    /// The upstream, or its connection.
    Upstream,
    /// The proxy, by a deadline or an order.
    Proxy,
}

impl EndedFirst {
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Upstream, Self::Proxy];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Proxy => "proxy",
        }
    }
}

/// Why the proxy ended a session that could have gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A deadline passed; [`Deadline::Drain`] also stands for the order to abort.
    Deadline(Deadline),
    /// The session spun.
    Spin,
    /// Something that cannot happen did.
    Internal,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline(Deadline::Drain) => f.write_str("the proxy stopped before the session had ended"),
            Self::Deadline(Deadline::Connect) => {
                f.write_str("the connect deadline passed: no address of the upstream was reached in time")
            }
            Self::Deadline(Deadline::Lifetime) => f.write_str("the session reached its maximum lifetime"),
            Self::Deadline(deadline) => write!(f, "{deadline} passed"),
            Self::Spin => f.write_str("the proxy spun on this session; it is a bug of the proxy: please report it"),
            Self::Internal => f.write_str("an internal error of the proxy: please report it"),
        }
    }
}

/// The result of a session that got as far as `phase`, ended as `endings` say, `first` first, by an end of the proxy's own
/// if there is a `stop`.
pub(crate) fn classify(
    endings: &SessionEndings,
    phase: Phase,
    first: Option<EndedFirst>,
    stop: Option<Stop>,
) -> SessionResult {
    match stop {
        Some(Stop::Spin | Stop::Internal | Stop::Deadline(Deadline::Drain)) => return SessionResult::Aborted,
        Some(Stop::Deadline(_)) => return SessionResult::TimedOut,
        None => {}
    }
    if phase != Phase::Relay {
        return SessionResult::Refused;
    }
    let delivered = endings.upstream_received.as_ref().is_some_and(Received::is_complete)
        && endings.client_sent.as_ref().is_some_and(Sent::is_complete);
    let truncated = endings.client_received.as_ref().is_some_and(Received::is_truncated_by_peer);
    match first {
        // An answer that comes all the same, under the tolerant policy, is an answer to a request that may lack its end.
        Some(EndedFirst::Client) if truncated => SessionResult::RequestTruncated,
        // The upstream had answered all that it was going to; what is missing at the client is the answer's end.
        Some(EndedFirst::Upstream) if !delivered => SessionResult::AnswerTruncated,
        _ if delivered => SessionResult::Complete,
        _ if truncated => SessionResult::RequestTruncated,
        _ => SessionResult::AnswerTruncated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::TcpEnding;
    use closenotify::{AlertDescription, ReceivedEnding, SentEnding, TruncatedAt};
    use std::io::ErrorKind;

    const CUT: ReceivedEnding = ReceivedEnding::Truncated { at: TruncatedAt::Boundary };
    const INSIDE: ReceivedEnding = ReceivedEnding::Truncated { at: TruncatedAt::InsideRecord };
    const PIPE: SentEnding = SentEnding::Failed(ErrorKind::BrokenPipe);

    /// Each row: why, what the client sent and got, what the upstream sent and got, who ended first, the result.
    ///
    /// docs/cases.md D05, D06
    #[test]
    fn results_follow_from_the_endings() {
        use EndedFirst::{Client, Upstream};
        use ReceivedEnding as R;
        use SentEnding as S;
        use SessionResult::{AnswerTruncated, Complete, RequestTruncated};
        use TcpEnding as T;
        let rows = [
            ("a client that says all, and gets all", R::CloseNotify, S::CloseNotify, T::Fin, T::Fin, Client, Complete),
            ("the upstream closes first", R::CloseNotify, S::CloseNotify, T::Fin, T::Fin, Upstream, Complete),
            ("the client leaves by FIN after the answer", CUT, S::CloseNotify, T::Fin, T::Reset, Upstream, Complete),
            ("the client leaves by RST after it", R::Reset, S::CloseNotify, T::Fin, T::Reset, Upstream, Complete),
            (
                "the client stays after it, and we close",
                R::TimedOut(Deadline::Close),
                S::CloseNotify,
                T::Fin,
                T::Fin,
                Upstream,
                Complete,
            ),
            (
                "the upstream answers and does not want the rest of the upload",
                R::Abandoned,
                S::CloseNotify,
                T::Fin,
                T::Failed(ErrorKind::BrokenPipe),
                Upstream,
                Complete,
            ),
            (
                "the same, seen by a write before its FIN",
                R::CloseNotify,
                S::CloseNotify,
                T::Fin,
                T::Failed(ErrorKind::BrokenPipe),
                Client,
                Complete,
            ),
            ("strict, a truncated upload", CUT, S::Aborted, T::Abandoned, T::Reset, Client, RequestTruncated),
            ("inside a record", INSIDE, S::Aborted, T::Abandoned, T::Reset, Client, RequestTruncated),
            ("tolerant: it was answered all the same", CUT, S::CloseNotify, T::Fin, T::Fin, Client, RequestTruncated),
            ("a reset client", R::Reset, S::Aborted, T::Abandoned, T::Reset, Client, RequestTruncated),
            (
                "a client that fails with an alert",
                R::Alert(AlertDescription::INTERNAL_ERROR),
                S::Aborted,
                T::Abandoned,
                T::Reset,
                Client,
                RequestTruncated,
            ),
            (
                "a client whose machine is gone",
                R::Failed(ErrorKind::TimedOut),
                S::Aborted,
                T::Abandoned,
                T::Reset,
                Client,
                RequestTruncated,
            ),
            ("the upstream dies", R::Abandoned, S::Aborted, T::Reset, T::Reset, Upstream, AnswerTruncated),
            ("it dies after the request", R::CloseNotify, S::Aborted, T::Reset, T::Fin, Client, AnswerTruncated),
            (
                "its machine is gone",
                R::CloseNotify,
                S::Aborted,
                T::Failed(ErrorKind::TimedOut),
                T::Fin,
                Client,
                AnswerTruncated,
            ),
            ("the client leaves while its answer flows", R::Reset, PIPE, T::Fin, T::Reset, Upstream, AnswerTruncated),
            ("the same by FIN", CUT, PIPE, T::Fin, T::Reset, Upstream, AnswerTruncated),
            ("a client that asked, and left", R::CloseNotify, PIPE, T::Abandoned, T::Reset, Client, AnswerTruncated),
            ("it left, the answer had ended", R::CloseNotify, PIPE, T::Fin, T::Fin, Client, AnswerTruncated),
        ];
        for (why, client_received, client_sent, upstream_received, upstream_sent, first, result) in rows {
            let mut endings = SessionEndings::default();
            endings.client(client_received, client_sent);
            endings.upstream(upstream_received, upstream_sent);
            assert_eq!(classify(&endings, Phase::Relay, Some(first), None), result, "{why}");
        }
    }

    #[test]
    fn a_tls_upstream_that_is_truncated_truncates_the_answer() {
        let mut endings = SessionEndings::default();
        endings.client(ReceivedEnding::CloseNotify, SentEnding::Aborted);
        endings.upstream(CUT, SentEnding::CloseNotify);
        let first = Some(EndedFirst::Upstream);
        assert_eq!(classify(&endings, Phase::Relay, first, None), SessionResult::AnswerTruncated);
    }

    #[test]
    fn passthrough_goes_by_fin_and_reset() {
        let mut endings = SessionEndings::default();
        endings.client(TcpEnding::Fin, TcpEnding::Fin);
        endings.upstream(TcpEnding::Fin, TcpEnding::Fin);
        let first = Some(EndedFirst::Client);
        assert_eq!(classify(&endings, Phase::Relay, first, None), SessionResult::Complete);
        endings.client_received = Some(TcpEnding::Reset.into());
        assert_eq!(classify(&endings, Phase::Relay, first, None), SessionResult::RequestTruncated);
    }

    #[test]
    fn what_the_proxy_ended_is_named_before_all_else() {
        let clean = {
            let mut endings = SessionEndings::default();
            endings.client(ReceivedEnding::CloseNotify, SentEnding::CloseNotify);
            endings.upstream(TcpEnding::Fin, TcpEnding::Fin);
            endings
        };
        let none = SessionEndings::default();
        for (endings, phase, stop, result) in [
            (&clean, Phase::Relay, Some(Stop::Spin), SessionResult::Aborted),
            (&clean, Phase::Relay, Some(Stop::Internal), SessionResult::Aborted),
            (&clean, Phase::Relay, Some(Stop::Deadline(Deadline::Drain)), SessionResult::Aborted),
            (&clean, Phase::Relay, Some(Stop::Deadline(Deadline::Idle)), SessionResult::TimedOut),
            (&none, Phase::Handshake, Some(Stop::Deadline(Deadline::Handshake)), SessionResult::TimedOut),
            (&none, Phase::Handshake, Some(Stop::Deadline(Deadline::Drain)), SessionResult::Aborted),
            (&none, Phase::Handshake, None, SessionResult::Refused),
            (&none, Phase::Connect, None, SessionResult::Refused),
            (&none, Phase::Connect, Some(Stop::Deadline(Deadline::Connect)), SessionResult::TimedOut),
            (&clean, Phase::Relay, Some(Stop::Deadline(Deadline::Lifetime)), SessionResult::TimedOut),
            (&none, Phase::Relay, None, SessionResult::AnswerTruncated),
        ] {
            assert_eq!(classify(endings, phase, None, stop), result, "{phase:?} {stop:?}");
        }
    }

    #[test]
    fn the_json_word_is_the_word() {
        for result in SessionResult::ALL {
            assert_eq!(serde_json::to_value(result).unwrap(), result.word());
        }
        for first in EndedFirst::ALL {
            assert_eq!(serde_json::to_value(first).unwrap(), first.word());
        }
        for phase in [Phase::Handshake, Phase::Connect, Phase::Relay] {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.word());
        }
    }
}
