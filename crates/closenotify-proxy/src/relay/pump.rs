//! One direction of a relay.
//!
//! It moves bytes and ends, and decides nothing about the other direction.

use crate::relay::leg::{Arrival, Gone, Leg};
use bytes::{Buf as _, BytesMut};
use std::task::{Context, Poll};
use tokio::time::Instant;

/// One direction, with at most one buffer.
#[derive(Debug)]
pub(crate) struct Pump {
    state: State,
    buf: BytesMut,
    bytes: u64,
    /// The sink has taken bytes since its last flush.
    unflushed: bool,
    /// The sink holds bytes that its transport does not take now.
    held: bool,
    /// When the source gave bytes last, and when the sink took some.
    given: Option<Instant>,
    taken: Option<Instant>,
}

/// ```text
///            ┌──source whole──▶ Finishing ──sink ended──▶ Ended(Whole)
///  Copying ──┼──source cut────▶ Flushing ───sink flushed──▶ Ended(Cut)
///            └──sink gone─────▶ Discarding ──source ended, enough──▶ Ended(SinkGone)
///                (from Finishing and Flushing: Ended(SinkGone), Ended(Cut))
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Copying,
    Finishing,
    Flushing,
    /// The sink is gone. The source is read on and discarded, so that it is not stuck, and not reset by its kernel for bytes
    /// unread, while the other direction still runs.
    Discarding {
        left: u64,
    },
    Ended {
        outcome: Outcome,
        by_source: bool,
    },
}

/// What became of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The source ended whole, and the sink has got everything and the end.
    Whole,
    /// The source ended cut, and the sink has got what had arrived and no end: it must be reset.
    Cut,
    /// The sink took no more.
    SinkGone,
}

impl Pump {
    /// A pump that has moved nothing and holds nothing.
    pub(crate) fn new() -> Self {
        Self::with(BytesMut::new())
    }

    /// A pump that begins with bytes of its source that were read before.
    pub(crate) fn with(buf: BytesMut) -> Self {
        let given = (!buf.is_empty()).then(Instant::now);
        Self { state: State::Copying, buf, bytes: 0, unflushed: false, held: false, given, taken: None }
    }

    /// Whether it or its sink holds bytes that are not taken now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.state == State::Copying && (self.held || !self.buf.is_empty())
    }

    /// Bytes that the sink has taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether its source has sent more than its sink takes, and has not ended.
    pub(crate) fn is_behind(&self) -> bool {
        let discards = |left| DISCARD_MAX - left >= SCRAP as u64;
        self.is_blocked() || matches!(self.state, State::Discarding { left } if discards(left))
    }

    /// When its source gave bytes last, if it has not ended.
    pub(crate) fn given(&self) -> Option<Instant> {
        self.given.filter(|_| matches!(self.state, State::Copying | State::Discarding { .. }))
    }

    /// When its sink took bytes last.
    pub(crate) fn taken(&self) -> Option<Instant> {
        self.taken
    }

    /// What became of it; `None` while it runs. With a sink that is gone nothing more can become of it.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Ended { outcome, .. } => Some(outcome),
            State::Discarding { .. } => Some(Outcome::SinkGone),
            State::Copying | State::Finishing | State::Flushing => None,
        }
    }

    /// Whether an end has come into it from either side.
    pub(crate) fn has_ended(&self) -> bool {
        self.state != State::Copying
    }

    /// Whether its source has ended and its sink has not got all of that yet.
    pub(crate) fn is_finishing(&self) -> bool {
        matches!(self.state, State::Finishing | State::Flushing)
    }

    /// Whether it was the source that ended it, and not the sink; `None` while neither has.
    pub(crate) fn ended_by_source(&self) -> Option<bool> {
        match self.state {
            State::Copying => None,
            State::Finishing | State::Flushing => Some(true),
            State::Discarding { .. } => Some(false),
            State::Ended { by_source, .. } => Some(by_source),
        }
    }

    /// Ends it because the sink was found to be gone. Does nothing to one that has ended.
    pub(crate) fn lose_sink(&mut self) {
        if self.outcome().is_none() {
            self.discard();
        }
    }

    /// Does one thing, if source or sink are ready for one; says whether it did.
    pub(crate) fn step(&mut self, cx: &mut Context<'_>, source: &mut impl Leg, sink: &mut impl Leg) -> bool {
        match self.state {
            State::Copying if self.buf.is_empty() => {
                // A sink that still holds what it was given last must not make us hold more.
                if self.unflushed && !self.flush(cx, sink) {
                    self.buf = BytesMut::new();
                    return self.has_ended();
                }
                self.receive(cx, source)
            }
            State::Copying => match sink.poll_send(cx, &self.buf) {
                Poll::Ready(Ok(taken)) => {
                    self.buf.advance(taken);
                    self.bytes += taken as u64;
                    self.unflushed = true;
                    self.taken = Some(Instant::now());
                    true
                }
                Poll::Ready(Err(Gone)) => self.discard(),
                Poll::Pending => false,
            },
            State::Finishing => match sink.poll_finish(cx) {
                Poll::Ready(Ok(())) => self.end(Outcome::Whole, true),
                Poll::Ready(Err(Gone)) => self.end(Outcome::SinkGone, true),
                Poll::Pending => false,
            },
            State::Flushing => match sink.poll_flush(cx) {
                Poll::Ready(Ok(()) | Err(Gone)) => self.end(Outcome::Cut, true),
                Poll::Pending => false,
            },
            State::Discarding { left } => {
                let mut scrap = BytesMut::with_capacity(SCRAP);
                match source.poll_receive(cx, &mut scrap) {
                    Poll::Ready(Arrival::Data) => match left.checked_sub(scrap.len() as u64) {
                        Some(left) => {
                            self.state = State::Discarding { left };
                            self.given = Some(Instant::now());
                            true
                        }
                        None => self.end(Outcome::SinkGone, false),
                    },
                    Poll::Ready(Arrival::Whole | Arrival::Cut) => self.end(Outcome::SinkGone, false),
                    Poll::Pending => false,
                }
            }
            State::Ended { .. } => false,
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>, source: &mut impl Leg) -> bool {
        self.buf.reserve(BUFFER);
        match source.poll_receive(cx, &mut self.buf) {
            Poll::Ready(Arrival::Data) => {
                self.given = Some(Instant::now());
                true
            }
            Poll::Ready(Arrival::Whole) => self.turn(State::Finishing),
            Poll::Ready(Arrival::Cut) => self.turn(State::Flushing),
            Poll::Pending => {
                // At rest it holds no buffer.
                self.buf = BytesMut::new();
                false
            }
        }
    }

    /// Whether the sink's transport has everything now.
    fn flush(&mut self, cx: &mut Context<'_>, sink: &mut impl Leg) -> bool {
        let flushed = sink.poll_flush(cx);
        self.held = flushed.is_pending();
        match flushed {
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(Gone)) => {
                self.discard();
            }
            Poll::Pending => {}
        }
        !self.unflushed
    }

    fn discard(&mut self) -> bool {
        self.turn(State::Discarding { left: DISCARD_MAX })
    }

    fn end(&mut self, outcome: Outcome, by_source: bool) -> bool {
        self.turn(State::Ended { outcome, by_source })
    }

    fn turn(&mut self, state: State) -> bool {
        self.state = state;
        self.buf = BytesMut::new();
        true
    }
}

/// The most that is moved at a time, in bytes, and the most that a direction holds. With what a session at rest takes, one whose
/// peer stopped reading stays below 51 KB.
const BUFFER: usize = 28 * 1024;

/// How much is read at a time to be discarded, in bytes.
const SCRAP: usize = 64 * 1024;

/// The most that is discarded of a source whose sink is gone, in bytes.
const DISCARD_MAX: u64 = 16 * 1024 * 1024;
