//! What a probe does in a case, as data.
//!
//! Every case begins with a TCP connection; unless its first step says otherwise, with a complete handshake too. After its last
//! step the probe waits until the subject has ended the connection or time is up.

use closenotify_probe::Stop;
use std::fmt;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Handshakes so far and no further; only as the first step.
    Handshake(Stop),
    /// Sends something else than a handshake; only as the first step.
    NoHandshake,
    /// Sends all of these in one segment.
    Send(&'static [Put]),
    /// Begins to send all of these, and goes on with the next step while the subject may not read.
    Pour(&'static [Put]),
    /// Ends the TCP direction.
    Fin,
    /// Resets the connection; nothing can be seen of it any more.
    Reset,
    /// Closes the socket as the system does: with a reset where unread bytes wait.
    Close,
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
    /// Waits until the subject, a client, has sent its whole request, or has ended, or time is up.
    AwaitRequest,
    /// Waits until the subject has sent something, or has ended, or time is up.
    AwaitData,
    /// Waits until the subject has ended its TLS direction or its TCP direction, or time is up.
    AwaitEnd,
    /// The same step on the connection of a proxy to its upstream, which the probe is too.
    Upstream(&'static Self),
    /// Lets nobody connect to the upstream of a proxy during the case; only as the first step.
    RefuseUpstream,
}

/// Something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// What the application is asked, whole; an HTTP server is told to close behind its answer.
    Request,
    /// The same, and an HTTP server may keep the connection open.
    KeptRequest,
    /// The first half of a request.
    HalfRequest,
    /// The second half of it.
    OtherHalf,
    /// A part of the answer to a client; to one that speaks no HTTP, only what is body in it.
    Answer(Framing, Part),
    /// A close_notify.
    CloseNotify,
    /// An alert of a level and a description.
    Alert(u8, u8),
    /// Application data that no application expects, so many bytes of it.
    Filler(usize),
    /// The next so many bytes of a pattern that a proxy must carry as they are.
    Stream(usize),
    /// The few bytes that tell the upstream connections of a proxy apart. Where no step has them, they are sent, and waited
    /// for at the upstream, before the first step.
    Token,
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

/// What says where the body of an answer ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A Content-Length; the connection may stay open.
    Length,
    /// A Content-Length and `Connection: close`.
    LengthLast,
    /// Chunks; the connection may stay open.
    Chunked,
    /// Only the end of the connection.
    Close,
}

/// How much of an answer. Each cut falls in the same place in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The first bytes of its head.
    HalfHead,
    /// Its head and half of its body.
    Half,
    /// What is behind [`Half`](Self::Half).
    OtherHalf,
    /// All but its end: the last byte of the body, or the last chunk.
    Unfinished,
    /// What is behind [`Unfinished`](Self::Unfinished).
    Finish,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, puts: &[Put]| {
            for (at, put) in puts.iter().enumerate() {
                write!(f, "{}{put}", if at == 0 { "" } else { ", then " })?;
            }
            Ok(())
        };
        match self {
            Self::Handshake(Stop::Complete) => f.write_str("complete the handshake"),
            Self::Handshake(Stop::HoldLast) => f.write_str("complete the handshake, but hold the Finished back"),
            Self::Handshake(Stop::InsideHello(bytes)) => write!(f, "send the first {bytes} B of the hello"),
            Self::Handshake(Stop::Hello) => f.write_str("handshake up to the ClientHello"),
            Self::Handshake(Stop::BeforeFinished) => {
                f.write_str("handshake up to the last Finished, which is not sent")
            }
            Self::NoHandshake => f.write_str("connect without a handshake"),
            Self::Send(puts) => {
                f.write_str("send in one segment: ")?;
                list(f, puts)
            }
            Self::Pour(puts) => {
                f.write_str("begin to send: ")?;
                list(f, puts)
            }
            Self::Fin => f.write_str("send FIN"),
            Self::Reset => f.write_str("send RST"),
            Self::Close => f.write_str("close the socket"),
            Self::Wait(time) => write!(f, "wait {time} ms"),
            Self::StopReading => f.write_str("stop reading"),
            Self::ReadOn => f.write_str("read on"),
            Self::ReadSlowly(bytes) => write!(f, "read {bytes} B every 10 ms"),
            Self::AwaitAnswer => f.write_str("wait for the whole answer"),
            Self::AwaitRequest => f.write_str("wait for the whole request"),
            Self::AwaitData => f.write_str("wait for data"),
            Self::AwaitEnd => f.write_str("wait for the subject's end"),
            Self::Upstream(step) => write!(f, "at the upstream: {step}"),
            Self::RefuseUpstream => f.write_str("refuse connections to the upstream"),
        }
    }
}

impl fmt::Display for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("the request"),
            Self::KeptRequest => f.write_str("the request (keep-alive)"),
            Self::HalfRequest => f.write_str("half of the request"),
            Self::OtherHalf => f.write_str("the other half"),
            Self::Answer(framing, part) => write!(f, "{part} {framing}"),
            Self::CloseNotify => f.write_str("close_notify"),
            Self::Alert(level, code) => write!(f, "alert {} (level {level})", closenotify_probe::alert::name(*code)),
            Self::Filler(bytes) | Self::Stream(bytes) => write!(f, "{bytes} B of data"),
            Self::Token => f.write_str("what tells the session from others"),
            Self::KeyUpdate(true) => f.write_str("KeyUpdate (update_requested)"),
            Self::KeyUpdate(false) => f.write_str("KeyUpdate"),
            Self::Record(21, []) => f.write_str("an empty alert record"),
            Self::Record(21, content) => write!(f, "an alert record of {} B", content.len()),
            Self::Record(22, content) => write!(f, "a handshake message of {} B", content.len()),
            Self::Record(23, []) => f.write_str("an empty data record"),
            Self::Record(kind, content) => write!(f, "a record of kind {kind}, {} B", content.len()),
            Self::Clear(21, _) => f.write_str("an alert that is not sealed"),
            Self::Clear(kind, content) => write!(f, "a record of kind {kind} that is not sealed, {} B", content.len()),
            Self::Garbled => f.write_str("a record with a broken seal"),
            Self::HalfRecord => f.write_str("half a record"),
            Self::Raw(bytes) => write!(f, "{} B that are no record", bytes.len()),
        }
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "(Content-Length)",
            Self::LengthLast => "(Content-Length, Connection: close)",
            Self::Chunked => "(chunked)",
            Self::Close => "(framed by the end alone)",
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "the whole answer",
            Self::HalfHead => "half of the answer's head",
            Self::Half => "the first half of the answer",
            Self::OtherHalf => "the other half of the answer",
            Self::Unfinished => "all but the end of the answer",
            Self::Finish => "the end of the answer",
        })
    }
}
