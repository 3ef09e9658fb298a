//! The sending half: plaintext in, ciphertext out, until it is closed, which consumes it.
//!
//! It refuses to send behind its own `close_notify` by not existing any more, and behind a fatal alert by an error.

use crate::alert::AlertDescription;
use crate::ending::SentEnding;
use crate::engine::SendingEngine;
use crate::error::SendError;
use bytes::BytesMut;
use std::fmt;
use std::io::IoSlice;

/// The most plaintext that one [`Sender::write`] takes, when not [set lower](Sender::set_write_max): 64 KiB.
pub const WRITE_MAX: usize = 64 * 1024;

/// The sending half of a session, open.
///
/// The peer's `close_notify` does not end it (RFC 9846 section 6.1). Dropping it is an abort: no `close_notify` is made, so
/// that the peer can tell that the message is unfinished.
pub struct Sender {
    pub(crate) engine: SendingEngine,
}

impl Sender {
    pub(crate) fn new(engine: SendingEngine) -> Self {
        Self { engine }
    }

    /// Sets how much plaintext one [`write`](Self::write) takes at most, from 1 byte to [`WRITE_MAX`]; what is beyond these
    /// counts as the nearer of them. A write makes no more ciphertext than this and the overhead of its records.
    pub fn set_write_max(&mut self, bytes: usize) {
        self.engine.set_write_max(bytes);
    }

    /// Encrypts from `plaintext`, at most [`WRITE_MAX`] bytes or [what was set](Self::set_write_max), and appends the records to `output`. Returns how many bytes
    /// were taken; 0 only for empty input.
    ///
    /// # Errors
    ///
    /// [`SendError::SessionOver`] after a fatal alert in either direction, [`SendError::KeysExhausted`] when a TLS 1.2
    /// session may not protect more records. Nothing has been taken then.
    pub fn write(&mut self, plaintext: &[IoSlice<'_>], output: &mut BytesMut) -> Result<usize, SendError> {
        if plaintext.iter().all(|slice| slice.is_empty()) {
            return Ok(0);
        }
        self.engine.seal(plaintext, output)
    }

    /// Appends to `output` what [receiving made us owe](crate::SenderOwes).
    pub fn take_owed(&mut self, output: &mut BytesMut) {
        self.engine.take_owed(output);
    }

    /// How this half has ended because the session failed: the fatal alert that we owe or have sent, or `Aborted` where no
    /// alert is due. `None` while the session lives.
    pub fn failed(&self) -> Option<SentEnding> {
        self.engine.failed().map(failed_ending)
    }

    /// Ends the half: appends one `close_notify` (level warning) to `output`, behind everything written before.
    ///
    /// Returns the ending that becomes true when `output` is on the wire: `CloseNotify`, or on a session that failed the
    /// ending that it had already, with no `close_notify` behind a fatal alert.
    pub fn close(self, output: &mut BytesMut) -> SentEnding {
        match self.engine.close(output) {
            Ok(()) => SentEnding::CloseNotify,
            Err(alert) => failed_ending(alert),
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("failed", &self.failed()).finish_non_exhaustive()
    }
}

fn failed_ending(alert: Option<AlertDescription>) -> SentEnding {
    alert.map_or(SentEnding::Aborted, SentEnding::Alert)
}
