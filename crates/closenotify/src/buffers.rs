//! How many bytes a session holds: the one limit that a user sets, and what follows from it for each buffer.
//!
//! It bounds what is held between calls. What the TLS library holds within one, and a record that it has opened and that
//! nobody has read, come on top: see the crate's page.

/// The limit of each direction, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferLimit(usize);

impl BufferLimit {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(bytes.clamp(LEAST, MOST))
    }

    /// The most ciphertext that is held unread. One read of the transport can fill it. It is never less than the longest
    /// record, since a record is only opened whole.
    pub(crate) fn input_max(self) -> usize {
        self.0.max(RECORD_MAX)
    }

    /// The most plaintext that a write takes: nothing more is taken before the transport has taken its ciphertext.
    pub(crate) fn write_max(self) -> usize {
        self.0
    }
}

impl Default for BufferLimit {
    fn default() -> Self {
        Self(MOST)
    }
}

/// The longest record: header and ciphertext (RFC 5246 section 6.2.3), in bytes.
pub(crate) const RECORD_MAX: usize = 5 + (1 << 14) + 2048;

/// The most plaintext that is held for `poll_fill_buf`, in bytes: that of a record.
pub(crate) const PLAIN_MAX: usize = 16 * 1024;

/// A peer may send records of 16 KiB whatever we say, so less could not be kept.
const LEAST: usize = 16 * 1024;

/// Beyond this a read or a write is no faster: the transport takes and gives no more in a call.
const MOST: usize = closenotify_core::WRITE_MAX;
