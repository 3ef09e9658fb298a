//! Waits at the end of a connection, so that nothing complete is destroyed: until the peer's kernel has everything, reading and
//! discarding meanwhile.
//!
//! A kernel discards what it has not delivered when it resets, and it resets by itself when a connection is closed over bytes
//! that nobody read (RFC 9293 section 3.10.4). Writability proves nothing: after FIN, Linux reports a socket as writable
//! whatever is undelivered. So what the peer has acknowledged is looked at, and no new descriptor is needed for it. What has
//! been acknowledged stays readable at the peer before a reset. To close or to reset is the caller's.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use closenotify::{Linger, TlsStream};
use pollcheck::meter::Metered;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, sleep};

use crate::relay::Sending;
use crate::socket::{Socket, Transport};

/// What is waited for, after everything has been acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Nothing more.
    Delivered,
    /// The peer's end. It has everything, FIN included, and may still work on it.
    PeerEnds,
    /// That the peer does not send right now: one that sends would find a reset before it reads.
    Quiet,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// The peer's kernel has acknowledged everything, as far as ours can say.
    pub(crate) delivered: bool,
    /// The peer has ended too: by FIN, by a reset, or by an error of its connection.
    pub(crate) ended: bool,
    /// Bytes read and discarded.
    pub(crate) discarded: u64,
}

/// A connection as this module sees it.
pub(crate) trait Ending {
    /// What is under it.
    type Under: Transport;

    /// Reads what is to be discarded; no byte is the end.
    fn poll_discard(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;

    /// What is under it, to look at.
    fn under(&self) -> &Self::Under;
}

impl<T: Transport> Ending for T {
    type Under = T;

    fn poll_discard(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_read(cx, buf)
    }

    fn under(&self) -> &T {
        self
    }
}

/// A session whose end the reader must still see.
pub(crate) struct Session<'a>(pub(crate) &'a mut TlsStream<Metered<Socket>>);

impl Ending for Session<'_> {
    type Under = Socket;

    fn poll_discard(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }

    fn under(&self) -> &Socket {
        self.0.get_ref().0.get_ref()
    }
}

/// Waits until everything is delivered, for as long as the peer takes some of it within `patience`; then for what `until` says,
/// within the bounds of [`Linger::default`]. `sending` says whether the peer was sending when this began: one that was not
/// behind then, and only talks, learns of the reset within `patience`.
///
/// Dropping the future leaves the connection as it is.
pub(crate) async fn settle<T: Ending>(io: &mut T, until: Until, patience: Duration, sending: Sending) -> Settled {
    let bounds = Linger::default();
    let mut settled = Settled { delivered: false, ended: false, discarded: 0 };
    let mut pause = FIRST_LOOK;
    let mut timer = pin!(sleep(pause.min(patience)));
    let mut queue = u64::MAX;
    let mut moved = Instant::now();
    let mut heard = (sending != Sending::No).then_some(moved);
    let most = match (until, sending) {
        (Until::Quiet, Sending::No | Sending::Lately) => bounds.time.min(patience),
        _ => bounds.time,
    };
    let mut delivered_at = None;
    poll_fn(|cx| {
        loop {
            let read = discard(io, cx, bounds.bytes.saturating_sub(settled.discarded), &mut settled.ended);
            let now = Instant::now();
            if read > 0 {
                settled.discarded += read;
                heard = Some(now);
            }
            let left = io.under().unsent().unwrap_or(0);
            if left < queue {
                queue = left;
                moved = now;
            }
            settled.delivered = left == 0;
            let over = if settled.delivered {
                let since = *delivered_at.get_or_insert(now);
                let spent = settled.discarded >= bounds.bytes || now >= since + most;
                settled.ended
                    || spent
                    || match until {
                        Until::Delivered => true,
                        Until::PeerEnds => now >= heard.map_or(since, |heard| heard.max(since)) + bounds.idle,
                        Until::Quiet => heard.is_none_or(|heard| now >= heard + QUIET),
                    }
            } else {
                now >= moved + patience || io.under().is_dead()
            };
            if over {
                return Poll::Ready(());
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            pause = (pause * 2).min(LAST_LOOK);
            timer.as_mut().reset(now + pause.min(patience));
        }
    })
    .await;
    settled
}

/// Reads and discards what is there, at most so many bytes; returns how many, and sets `ended` at the end.
fn discard<T: Ending>(io: &mut T, cx: &mut Context<'_>, budget: u64, ended: &mut bool) -> u64 {
    let mut scrap = [0; SCRAP];
    let mut read = 0;
    while read < budget && !*ended {
        let mut buf = ReadBuf::new(&mut scrap);
        match io.poll_discard(cx, &mut buf) {
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => read += buf.filled().len() as u64,
            Poll::Ready(_) => *ended = true,
            Poll::Pending => break,
        }
    }
    read
}

/// How long a peer is quiet, at least, before a reset: so long that one that still sends is told apart.
pub(crate) const QUIET: Duration = Duration::from_millis(500);

/// The pauses between two looks at the send queue: they double from the first to the last.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);

/// Bytes read at a time, on the stack.
const SCRAP: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::scripted::{Kernel, Script};
    use testkit::transport::ReadStep;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Runs `end` over a scripted connection, beside a script, on a paused clock; returns what it came to, and the time.
    fn play(
        until: Until,
        sending: Sending,
        script: impl AsyncFnOnce(&Script),
        at_first: impl FnOnce(&Script),
    ) -> (Settled, Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (mut io, kernel) = Kernel::new([]);
            at_first(&kernel);
            let start = Instant::now();
            let settled = tokio::join!(settle(&mut io, until, PATIENCE, sending), script(&kernel)).0;
            (settled, start.elapsed())
        })
    }

    #[test]
    fn what_is_delivered_is_reset_at_once() {
        let (settled, took) = play(Until::Quiet, Sending::No, async |_| {}, |_| {});
        assert_eq!(settled, Settled { delivered: true, ended: false, discarded: 0 });
        assert_eq!(took, Duration::ZERO);
    }

    /// docs/cases.md D08
    #[test]
    fn a_reset_waits_for_a_slow_reader_and_gives_up_on_one_that_stopped() {
        let slowly = async |kernel: &Script| {
            for left in (0..=50).rev() {
                kernel.set_unsent(left);
                sleep(PATIENCE * 9 / 10).await;
            }
        };
        let (settled, took) = play(Until::Quiet, Sending::No, slowly, |kernel| kernel.set_unsent(100));
        assert!(settled.delivered);
        assert!(took >= PATIENCE * 45, "{took:?}");

        let stops = async |kernel: &Script| {
            sleep(Duration::from_secs(3)).await;
            kernel.set_unsent(50);
            sleep(PATIENCE * 5).await;
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (mut io, kernel) = Kernel::new([]);
            kernel.set_unsent(100);
            let start = Instant::now();
            let settled = tokio::select! {
                settled = settle(&mut io, Until::Quiet, PATIENCE, Sending::No) => settled,
                () = stops(&kernel) => panic!("it waits for ever"),
            };
            assert!(!settled.delivered);
            let took = start.elapsed();
            assert!(took >= PATIENCE + Duration::from_secs(3) && took < PATIENCE + Duration::from_secs(4), "{took:?}");
        });
    }

    /// F6: an answer that came complete is read by a client that still uploads only if no reset overtakes it.
    /// F4: a reader with a large buffer takes in steps, and five quiet seconds between two of them are no end.
    #[test]
    fn delivery_waits_through_steps_that_are_shorter_than_the_patience() {
        let in_steps = async |kernel: &Script| {
            for left in [300, 200, 100, 0] {
                kernel.set_unsent(left);
                sleep(PATIENCE - Duration::from_secs(1)).await;
            }
        };
        let (settled, took) = play(Until::Delivered, Sending::No, in_steps, |kernel| kernel.set_unsent(400));
        assert!(settled.delivered);
        assert!(took >= (PATIENCE - Duration::from_secs(1)) * 3, "{took:?}");
    }

    /// docs/cases.md D17
    #[test]
    fn a_peer_that_still_sends_is_read_on_until_it_ends() {
        let uploads = async |kernel: &Script| {
            for _ in 0..30 {
                kernel.push_data(vec![7; 100_000]);
                sleep(Duration::from_millis(100)).await;
            }
            kernel.push_read(ReadStep::Eof);
        };
        let (settled, took) = play(Until::Quiet, Sending::Behind, uploads, |_| {});
        assert_eq!(settled, Settled { delivered: true, ended: true, discarded: 3_000_000 });
        assert!(took >= Duration::from_secs(3), "{took:?}");
    }

    /// What it said last it said to an upstream that is gone: it must not talk to nobody for long.
    #[test]
    fn a_peer_that_only_talks_has_a_moment_to_read_and_then_learns_of_the_reset() {
        let talks = async |kernel: &Script| {
            for _ in 0..400 {
                kernel.push_data(*b"ping");
                sleep(Duration::from_millis(100)).await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (mut io, kernel) = Kernel::new([]);
            let start = Instant::now();
            tokio::select! {
                settled = settle(&mut io, Until::Quiet, PATIENCE, Sending::Lately) => assert!(settled.delivered),
                () = talks(&kernel) => panic!("it is kept as long as it talks"),
            }
            let took = start.elapsed();
            assert!(took >= PATIENCE && took <= PATIENCE + LAST_LOOK, "{took:?}");
        });
    }

    #[test]
    fn a_peer_that_goes_quiet_is_reset_then() {
        let (settled, took) = play(Until::Quiet, Sending::Behind, async |_| {}, |kernel| kernel.push_data(*b"upload"));
        assert_eq!(settled, Settled { delivered: true, ended: false, discarded: 6 });
        assert!(took >= QUIET && took <= QUIET + LAST_LOOK, "{took:?}");
    }

    /// docs/cases.md D09
    #[test]
    fn a_peer_that_has_everything_is_waited_for_within_the_bounds() {
        let ends = async |kernel: &Script| {
            sleep(Duration::from_secs(4)).await;
            kernel.push_data(*b"bye");
            sleep(Duration::from_secs(4)).await;
            kernel.push_read(ReadStep::Eof);
        };
        let (settled, took) = play(Until::PeerEnds, Sending::No, ends, |_| {});
        assert_eq!(settled, Settled { delivered: true, ended: true, discarded: 3 });
        assert!(took >= Duration::from_secs(8) && took < Duration::from_millis(8100), "{took:?}");

        let bounds = Linger::default();
        let (settled, took) = play(Until::PeerEnds, Sending::No, async |_| {}, |_| {});
        assert!(settled.delivered && !settled.ended);
        assert!(took >= bounds.idle && took <= bounds.idle + LAST_LOOK, "{took:?}");

        let drips = async |kernel: &Script| {
            for _ in 0..40 {
                kernel.push_data(*b"x");
                sleep(Duration::from_secs(1)).await;
            }
        };
        let (settled, _) = play(Until::PeerEnds, Sending::No, drips, |_| {});
        assert!((29..=32).contains(&settled.discarded), "{settled:?}: a drip is bounded in time");

        let floods = async |kernel: &Script| {
            for _ in 0..400 {
                kernel.push_data(vec![7; 64 * 1024]);
            }
        };
        let (settled, _) = play(Until::PeerEnds, Sending::No, floods, |_| {});
        assert!(settled.discarded >= bounds.bytes && settled.discarded < bounds.bytes + SCRAP as u64, "{settled:?}");
    }
}
