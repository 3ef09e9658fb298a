//! A handshake with a configuration, as a client or a server, over a [`Flight`].
//!
//! It gives the transport back when it fails, after the alert that says why has been sent, within the deadline.

use crate::flight::{Filled, Flight, Refusal, Settings};
use crate::link::Side;
use crate::split::Role;
use crate::stream::Stream;
use closenotify_core::{Handshake, HandshakeError, Progress};
use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) struct Handshaking<T> {
    pub(crate) flight: Flight<T>,
    pub(crate) phase: Phase,
    role: Role,
    /// The transport ended after the handshake was complete.
    ended: bool,
}

/// ```text
///  Running ──complete──▶ (a stream)
///    └──error──▶ Refused: the alert that says why goes out, then the error is returned
/// ```
pub(crate) enum Phase {
    Running(Handshake),
    Refused(Refusal),
}

/// A failure gives the transport back.
pub(crate) type Failed<T> = (Refusal, T);

/// How far a handshake is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Complete,
    /// A server stops where early data begins.
    #[cfg(feature = "early-data")]
    EarlyData,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Come {
    NeedInput,
    Reached(Reach),
}

impl<T> Handshaking<T> {
    pub(crate) fn new(io: T, role: Role, handshake: Result<Handshake, rustls::Error>, settings: Settings) -> Self {
        Self::over(Flight::new(io, settings), role, handshake.map_err(HandshakeError::Refused))
    }

    pub(crate) fn over(flight: Flight<T>, role: Role, handshake: Result<Handshake, HandshakeError>) -> Self {
        let phase = match handshake {
            Ok(handshake) => Phase::Running(handshake),
            Err(error) => Phase::Refused(error.into()),
        };
        Self { flight, phase, role, ended: false }
    }

    /// The session of a handshake that is complete, or why it failed.
    pub(crate) fn finish(self) -> Result<Stream<T>, Failed<T>> {
        match self.phase {
            Phase::Running(handshake) => self.flight.into_stream(handshake, self.role),
            Phase::Refused(refusal) => Err((refusal, self.flight.io)),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Handshaking<T> {
    /// Drives the handshake in `slot`, and takes it out when it is complete or has failed.
    pub(crate) fn poll_stream(slot: &mut Option<Self>, cx: &mut Context<'_>) -> Poll<Result<Stream<T>, Failed<T>>> {
        // A caller that polls on after the result has broken the contract of `Future`.
        let handshaking = slot.as_mut().expect("a handshake is not polled after it has returned its result");
        ready!(handshaking.poll_reach(Reach::Complete, cx));
        let handshaking = slot.take().expect("it was there above");
        Poll::Ready(handshaking.finish())
    }

    /// Drives the handshake up to `reach`, or until it is complete or refused. The alert of a refused one is sent.
    pub(crate) fn poll_reach(&mut self, reach: Reach, cx: &mut Context<'_>) -> Poll<Reach> {
        if let Poll::Ready(late) = self.flight.poll_late(cx) {
            // A handshake that was refused already, and whose alert nobody takes, keeps its reason.
            if let Phase::Running(_) = self.phase {
                self.phase = Phase::Refused(late);
            }
            return Poll::Ready(Reach::Complete);
        }
        loop {
            let blocked = self.flight.poll_send(Side::Writer, cx).is_pending();
            let handshake = match &mut self.phase {
                Phase::Running(handshake) => handshake,
                Phase::Refused(_) if blocked => return Poll::Pending,
                Phase::Refused(_) => return Poll::Ready(Reach::Complete),
            };
            let come = advance(handshake, reach, &mut self.flight.input);
            handshake.take_output(self.flight.outbox.flight());
            let reached = match come {
                Err(error) => {
                    if let HandshakeError::Alert(_) = error {
                        // The peer reads no more of it.
                        self.flight.outbox.forget();
                    }
                    self.phase = Phase::Refused(error.into());
                    continue;
                }
                // Our flight goes out, as far as the transport takes it, before the peer's next is waited for.
                Ok(_) if !blocked && !self.flight.outbox.is_drained() => continue,
                Ok(Come::Reached(reached)) => Some(reached),
                Ok(Come::NeedInput) => None,
            };
            if let Some(reached) = reached {
                // A peer that does not read before it has written, and has written much, is read by the stream's owner.
                if !blocked || self.ended || self.flight.input.len() >= READ_AHEAD {
                    return Poll::Ready(reached);
                }
            }
            match ready!(self.flight.poll_fill(cx)) {
                Filled::More => {}
                Filled::Ended(_, None) if reached.is_some() => self.ended = true,
                Filled::Ended(end, error) => {
                    let unfinished = handshake.transport_ended(end, &self.flight.input);
                    self.phase = Phase::Refused(self.flight.refusal(end, error, unfinished));
                }
            }
        }
    }
}

#[cfg(not(feature = "early-data"))]
fn advance(handshake: &mut Handshake, reach: Reach, input: &mut bytes::BytesMut) -> Result<Come, HandshakeError> {
    let Reach::Complete = reach;
    handshake.advance(input).map(|progress| match progress {
        Progress::Complete => Come::Reached(Reach::Complete),
        _ => Come::NeedInput,
    })
}

#[cfg(feature = "early-data")]
fn advance(handshake: &mut Handshake, reach: Reach, input: &mut bytes::BytesMut) -> Result<Come, HandshakeError> {
    use closenotify_core::EarlyProgress;
    match reach {
        Reach::Complete => handshake.advance(input).map(|progress| match progress {
            Progress::Complete => Come::Reached(Reach::Complete),
            _ => Come::NeedInput,
        }),
        Reach::EarlyData => handshake.advance_to_early(input).map(|progress| match progress {
            EarlyProgress::Complete => Come::Reached(Reach::Complete),
            EarlyProgress::EarlyData => Come::Reached(Reach::EarlyData),
            _ => Come::NeedInput,
        }),
    }
}

impl<T> fmt::Debug for Handshaking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = match &self.phase {
            Phase::Running(_) => None,
            Phase::Refused(refusal) => Some(refusal),
        };
        f.debug_struct("Handshaking")
            .field("role", &self.role)
            .field("flight", &self.flight)
            .field("refused", &refused)
            .finish()
    }
}

/// A handshake that returns the transport when it fails, made by `into_fallible` of [`Accept`](crate::Accept) and
/// [`Connect`](crate::Connect). `F` is one of them.
///
/// The kernel resets a TCP socket that is closed with unread data, and the reset may destroy the alert. Pass the transport to
/// [`linger`](crate::linger()) so that the alert arrives; the `lingering` methods do both.
///
/// Dropping it drops the transport, with no alert.
#[derive(Debug)]
#[must_use = "a handshake does nothing until it is awaited"]
pub struct Fallible<F>(pub(crate) F);

/// The result of a [`Fallible`] handshake.
pub(crate) fn fallible<S, T>(result: Result<S, Failed<T>>) -> Result<S, (io::Error, T)> {
    result.map_err(|(refusal, io)| (refusal.into_io(), io))
}

/// How much of an answer is read, in bytes, before a side whose own flight is stuck gives its stream out, so that it is read.
const READ_AHEAD: usize = 16 * 1024;
