//! The relay: two pumps of the same kind, one a direction, and the deadlines over both.
//!
//! Each pump carries the end of its source to its sink as what it was. What became of the two is reported; to close or to
//! reset the connections afterwards is the session's. No pump ever wakes itself: it returns when its source or its sink has
//! said that it will wake.

#[cfg(test)]
mod fidelity;
mod guard;
mod leg;
mod pump;
#[cfg(test)]
mod tests;

pub(crate) use guard::Guard;
pub use leg::TcpEnding;
pub(crate) use leg::{Arrival, Leg, Side, TcpLeg, TlsLeg};
pub(crate) use pump::Outcome;

use crate::tcp_end::QUIET;
use bytes::BytesMut;
use closenotify::Deadline;
use pollcheck::meter::Gauge;
use pump::Pump;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The bounds of a relay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Without progress while both directions are open.
    pub(crate) idle: Duration,
    /// Without progress when one direction has ended.
    pub(crate) half_close: Duration,
    /// When it must be over, whatever moves.
    pub(crate) until: Option<Instant>,
}

/// Who ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// The leg called `a`.
    A,
    /// The leg called `b`.
    B,
    /// We did: a deadline, an order.
    Proxy,
}

/// Whether a leg that has not ended was sending, so that it may not have read what it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// It was quiet.
    No,
    /// A moment ago, as bytes were sent to it.
    Lately,
    /// It has sent more than was passed on.
    Behind,
}

/// What became of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Who ended first, if anyone has.
    pub(crate) first: Option<First>,
    /// The deadline that ended it, if one did.
    pub(crate) timed_out: Option<Deadline>,
    /// From `a` to `b`; `None` while it runs.
    pub(crate) a_to_b: Option<Outcome>,
    /// From `b` to `a`; `None` while it runs.
    pub(crate) b_to_a: Option<Outcome>,
    /// Bytes from `a` that `b` took.
    pub(crate) bytes_a_to_b: u64,
    /// Bytes from `b` that `a` took.
    pub(crate) bytes_b_to_a: u64,
    /// Whether `a` and `b` each were sending.
    pub(crate) sending: [Sending; 2],
}

/// Relays between two legs until both directions have ended, one of them was truncated, or a deadline has passed.
///
/// Progress is a byte that a leg gives or takes, and a byte that leaves the send queue of a leg's kernel: a peer that reads
/// slowly from a full queue is not idle.
///
/// Dropping it leaves the legs where they are; [`report`](Self::report) says where that is.
pub(crate) struct Relay<'a, A, B> {
    a: &'a mut A,
    b: &'a mut B,
    /// Of the two transports.
    gauges: [Gauge; 2],
    a_to_b: Pump,
    b_to_a: Pump,
    limits: Limits,
    first: Option<First>,
    timed_out: Option<Deadline>,
    last_progress: Instant,
    last_look: Instant,
    /// The send queues at the last look since the last byte moved.
    unsent: [Option<u64>; 2],
    timer: Pin<Box<Sleep>>,
}

impl<'a, A: Leg, B: Leg> Relay<'a, A, B> {
    #[cfg(test)]
    pub(crate) fn new(a: &'a mut A, b: &'a mut B, limits: Limits) -> Self {
        Self::with(a, b, limits, BytesMut::new())
    }

    /// A relay with bytes from `a` that were read before.
    pub(crate) fn with(a: &'a mut A, b: &'a mut B, limits: Limits, from_a: BytesMut) -> Self {
        let now = Instant::now();
        let first_look = now + limits.idle / 2;
        Self {
            gauges: [a.gauge(), b.gauge()],
            a,
            b,
            a_to_b: Pump::with(from_a),
            b_to_a: Pump::new(),
            limits,
            first: None,
            timed_out: None,
            last_progress: now,
            last_look: now,
            unsent: [None; 2],
            timer: Box::pin(tokio::time::sleep_until(limits.until.map_or(first_look, |until| until.min(first_look)))),
        }
    }

    /// Where the relay is.
    pub(crate) fn report(&self) -> Report {
        Report {
            first: self.first,
            timed_out: self.timed_out,
            a_to_b: self.a_to_b.outcome(),
            b_to_a: self.b_to_a.outcome(),
            bytes_a_to_b: self.a_to_b.bytes(),
            bytes_b_to_a: self.b_to_a.bytes(),
            sending: [sending(&self.a_to_b, &self.b_to_a), sending(&self.b_to_a, &self.a_to_b)],
        }
    }

    /// Ends it by an order of ours: the report then says so.
    pub(crate) fn stop(&mut self, why: Deadline) {
        self.give_up();
        self.timed_out.get_or_insert(why);
    }

    /// Ends it for a fault of ours.
    fn give_up(&mut self) {
        self.first.get_or_insert(First::Proxy);
    }

    /// The two legs, to look at.
    fn legs(&self) -> (&A, &B) {
        (self.a, self.b)
    }

    /// The meters of the two transports.
    fn gauges(&self) -> &[Gauge; 2] {
        &self.gauges
    }

    /// Moves what can be moved, in turns, so that neither direction waits for the other. Says whether bytes moved or a
    /// direction's state changed, which puts the deadlines off.
    fn pump(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.moved();
        let mut stepped = false;
        loop {
            let a_to_b = self.a_to_b.step(cx, self.a, self.b);
            self.note_first();
            let b_to_a = self.b_to_a.step(cx, self.b, self.a);
            self.note_first();
            stepped |= a_to_b || b_to_a;
            if !(a_to_b || b_to_a) || self.is_done() {
                break;
            }
        }
        let progress = stepped || self.moved() != before;
        // After that: what is discarded must not keep a session alive.
        self.watch(cx);
        progress
    }

    /// Looks whether a leg that has ended whole, and waits for the other direction, has been reset since.
    fn watch(&mut self, cx: &mut Context<'_>) {
        let waits = |ended: &Pump, other: &Pump| ended.outcome() == Some(Outcome::Whole) && other.outcome().is_none();
        if waits(&self.a_to_b, &self.b_to_a) && self.a.poll_reset(cx).is_ready() {
            self.b_to_a.lose_sink();
        }
        if waits(&self.b_to_a, &self.a_to_b) && self.b.poll_reset(cx).is_ready() {
            self.a_to_b.lose_sink();
        }
    }

    /// Counts up with each call of a transport that moved a byte, or told an end or an error for the first time.
    fn moved(&self) -> u64 {
        self.gauges.iter().map(|gauge| gauge.counts().progress).sum()
    }

    fn note_first(&mut self) {
        if self.first.is_none() {
            self.first = match (self.a_to_b.ended_by_source(), self.b_to_a.ended_by_source()) {
                (Some(true), _) | (None, Some(false)) => Some(First::A),
                (Some(false), _) | (None, Some(true)) => Some(First::B),
                (None, None) => None,
            };
        }
    }

    /// A direction that was cut ends the other, too, since the connection that they share must be reset; but one that has
    /// its source's end already is let finish: a whole answer must not look cut.
    fn is_done(&self) -> bool {
        let (one, other) = (&self.a_to_b, &self.b_to_a);
        let cut = |pump: &Pump| pump.outcome() == Some(Outcome::Cut);
        (one.outcome().is_some() && other.outcome().is_some())
            || (cut(one) && !other.is_finishing())
            || (cut(other) && !one.is_finishing())
    }

    /// Ready with the deadline that has passed, or with `None` when a look has ended a direction.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Option<Deadline>> {
        let half_closed = self.a_to_b.has_ended() || self.b_to_a.has_ended();
        let (limit, which) = match half_closed {
            true => (self.limits.half_close, Deadline::HalfClose),
            false => (self.limits.idle, Deadline::Idle),
        };
        loop {
            let strikes = self.last_progress + limit;
            let blocked = self.a_to_b.is_blocked() || self.b_to_a.is_blocked();
            let pause = if blocked { LOOK_WHEN_BLOCKED.min(limit / 2) } else { limit / 2 };
            let look = strikes.min(self.last_progress.max(self.last_look) + pause);
            let due = self.limits.until.map_or(look, |until| until.min(look));
            // Progress does not touch the timer; it is set again when it has fired too early, or must fire sooner.
            if due < self.timer.deadline() {
                self.timer.as_mut().reset(due);
            }
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if now < due {
                self.timer.as_mut().reset(due);
                continue;
            }
            if self.limits.until.is_some_and(|until| now >= until) {
                return Poll::Ready(Some(Deadline::Lifetime));
            }
            self.last_look = now;
            let ended = self.look(now);
            if now >= self.last_progress + limit {
                return Poll::Ready(Some(which));
            }
            // After the instant that it has fired at, in any case.
            self.timer.as_mut().reset(now + pause);
            if ended {
                return Poll::Ready(None);
            }
        }
    }

    /// Looks at what no read or write shows: whether the send queues shrink, and whether a leg that is not read, or that
    /// has ended, has been reset. Returns whether that ended a direction.
    fn look(&mut self, now: Instant) -> bool {
        let unsent = [self.a.unsent(), self.b.unsent()];
        let shrank = |(before, now): (&Option<u64>, &Option<u64>)| now.is_some() && before > now;
        if self.unsent.iter().zip(&unsent).any(shrank) {
            self.last_progress = now;
        }
        self.unsent = unsent;
        // Without an end from us, a connection is dead only when its peer has reset it. What it sent before may still be
        // complete, so only the direction to it ends.
        let to_a = self.b_to_a.outcome().is_none() && self.a.is_dead();
        let to_b = self.a_to_b.outcome().is_none() && self.b.is_dead();
        if to_a {
            self.b_to_a.lose_sink();
        }
        if to_b {
            self.a_to_b.lose_sink();
        }
        self.note_first();
        to_a || to_b
    }
}

impl<A: Leg, B: Leg> Future for Relay<'_, A, B> {
    type Output = Report;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        let this = &mut *self;
        loop {
            if this.pump(cx) {
                this.last_progress = Instant::now();
                this.unsent = [None; 2];
            }
            if this.is_done() {
                return Poll::Ready(this.report());
            }
            if let Some(deadline) = ready!(this.poll_deadline(cx)) {
                this.stop(deadline);
                return Poll::Ready(this.report());
            }
        }
    }
}

/// Whether the source of the first pump, which is the sink of the second, was sending.
fn sending(from: &Pump, to: &Pump) -> Sending {
    let lately = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < QUIET);
    match () {
        () if from.is_behind() => Sending::Behind,
        () if lately(from.given()) && lately(to.taken()) => Sending::Lately,
        () => Sending::No,
    }
}

/// How often a leg that is not read, because what came from it is not taken, is looked at for a reset.
const LOOK_WHEN_BLOCKED: Duration = Duration::from_secs(1);
