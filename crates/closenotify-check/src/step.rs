//! What a probe does in a case, as data.
//!
//! Every case begins with a TCP connection; unless its first step says otherwise, with a complete handshake too. After its last
//! step the probe waits until the subject has ended the connection or time is up.

use closenotify_probe::Stop;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Handshakes so far and no further; only as the first step.
    Handshake(Stop),
    /// Sends all of these in one segment.
    Send(&'static [Put]),
    /// Ends the TCP direction.
    Fin,
    /// Resets the connection; nothing can be seen of it any more.
    Reset,
    /// Waits so many milliseconds.
    Wait(u64),
    /// Stops reading.
    StopReading,
    /// Reads all that comes.
    ReadOn,
    /// Reads slowly: so many bytes every ten milliseconds.
    ReadSlowly(usize),
    /// Waits until the subject has sent all that it is expected to, or has ended, or time is up.
    AwaitAnswer,
    /// Waits until the subject has ended its TLS direction or its TCP direction, or time is up.
    AwaitEnd,
}

/// Something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// What the application is asked, whole.
    Request,
    /// The first half of it.
    HalfRequest,
    /// A close_notify.
    CloseNotify,
    /// An alert of a level and a description.
    Alert(u8, u8),
    /// Application data that no application expects, so many bytes of it.
    Filler(usize),
    /// A KeyUpdate, with or without a request for one.
    KeyUpdate(bool),
    /// A sealed record of a kind with a content.
    Record(u8, &'static [u8]),
    /// A record that is not sealed.
    Clear(u8, &'static [u8]),
    /// A record of data with a broken seal.
    Garbled,
    /// The first bytes of a sealed record of data.
    HalfRecord,
    /// Bytes that are no record.
    Raw(&'static [u8]),
}
