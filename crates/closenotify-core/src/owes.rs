//! What receiving makes the sending half owe the peer, as one `#[must_use]` value.

use crate::alert::AlertDescription;
use std::fmt;

/// What the sender must send because of what was received: a reply to a KeyUpdate, a warning or a fatal alert. It can also be
/// that nothing more may be sent, because the peer sent a fatal alert.
///
/// Pass it to [`Sender::take_owed`](crate::Sender::take_owed) before the next write. Until then, [`merge`](Self::merge) later
/// ones into it. The default is nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "the peer waits for what the sender owes: call `Sender::take_owed` and write its output"]
pub struct SenderOwes {
    pub(crate) key_update: bool,
    pub(crate) no_renegotiation: bool,
    pub(crate) end: Option<End>,
}

/// How the session ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// We send this fatal alert.
    Alert(AlertDescription),
    /// The peer sent a fatal alert, and gets no reply.
    Silent,
}

impl SenderOwes {
    pub(crate) const KEY_UPDATE: Self = Self { key_update: true, no_renegotiation: false, end: None };
    pub(crate) const NO_RENEGOTIATION: Self = Self { key_update: false, no_renegotiation: true, end: None };

    pub(crate) fn end(end: End) -> Self {
        Self { key_update: false, no_renegotiation: false, end: Some(end) }
    }

    /// Whether there is nothing to send and the session is not over.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Adds `later`. One reply serves any number of KeyUpdates (RFC 9846 section 4.7.3). The end of the session replaces
    /// everything else, and the first end stays.
    pub fn merge(&mut self, later: Self) {
        *self = match (self.end, later.end) {
            (Some(end), _) | (None, Some(end)) => Self::end(end),
            (None, None) => Self {
                key_update: self.key_update || later.key_update,
                no_renegotiation: self.no_renegotiation || later.no_renegotiation,
                end: None,
            },
        };
    }
}

impl fmt::Debug for SenderOwes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.end, self.key_update, self.no_renegotiation) {
            (Some(End::Alert(alert)), ..) => write!(f, "SenderOwes(alert {alert})"),
            (Some(End::Silent), ..) => f.write_str("SenderOwes(silence)"),
            (None, true, true) => f.write_str("SenderOwes(KeyUpdate, no_renegotiation)"),
            (None, true, false) => f.write_str("SenderOwes(KeyUpdate)"),
            (None, false, true) => f.write_str("SenderOwes(no_renegotiation)"),
            (None, false, false) => f.write_str("SenderOwes(nothing)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_session_wins_and_is_never_overwritten() {
        let alert = SenderOwes::end(End::Alert(AlertDescription::BAD_RECORD_MAC));
        let silent = SenderOwes::end(End::Silent);
        for (first, second) in [(alert, silent), (silent, alert)] {
            let mut owes = SenderOwes::KEY_UPDATE;
            owes.merge(SenderOwes::NO_RENEGOTIATION);
            assert!(owes.key_update && owes.no_renegotiation);
            owes.merge(first);
            assert_eq!(owes, first);
            owes.merge(second);
            owes.merge(SenderOwes::KEY_UPDATE);
            assert_eq!(owes, first);
        }
        let mut owes = SenderOwes::default();
        assert!(owes.is_nothing());
        owes.merge(SenderOwes::default());
        assert!(owes.is_nothing());
        owes.merge(SenderOwes::KEY_UPDATE);
        owes.merge(SenderOwes::KEY_UPDATE);
        assert_eq!(owes, SenderOwes::KEY_UPDATE);
    }
}
