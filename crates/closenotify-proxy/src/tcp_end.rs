//! Ends a plain connection so that nothing complete is destroyed: waits until the peer's kernel has everything, reading and
//! discarding meanwhile, and only then closes or resets.
//!
//! A kernel discards what it has not delivered when it resets, and it resets by itself when a connection is closed over bytes
//! that nobody read (RFC 9293 section 3.10.4). Writability proves nothing: after FIN, Linux reports a socket as writable
//! whatever is undelivered. So the send queue is looked at, and no new descriptor is needed for it. What the peer's kernel has
//! acknowledged stays readable there before the reset.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use closenotify::Linger;
use tokio::io::ReadBuf;
use tokio::time::{Instant, sleep};

use crate::socket::Transport;

/// What a connection is kept open for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The peer's end. It has everything, FIN included, and may still work on it.
    PeerEnds,
    /// A reset of ours, as soon as the peer has what had arrived for it and does not send right now: one that sends would find
    /// the reset before it reads.
    Reset,
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

/// Waits until everything is delivered, for as long as the send queue shrinks within `patience`; then for what `until` says,
/// within the bounds of [`Linger::default`]. `sent_lately` says whether the peer was sending when this began.
///
/// Dropping the future leaves the connection as it is.
pub(crate) async fn settle<T: Transport>(io: &mut T, until: Until, patience: Duration, sent_lately: bool) -> Settled {
    let bounds = Linger::default();
    let mut settled = Settled { delivered: false, ended: false, discarded: 0 };
    let mut pause = FIRST_LOOK;
    let mut queue = u64::MAX;
    let mut moved = Instant::now();
    let mut heard = sent_lately.then_some(moved);
    let mut delivered_at = None;
    loop {
        let more = discard(io, bounds.bytes.saturating_sub(settled.discarded)).await;
        let now = Instant::now();
        if more.read > 0 {
            settled.discarded += more.read;
            heard = Some(now);
            pause = FIRST_LOOK;
        }
        settled.ended |= more.ended;
        let left = io.unsent().unwrap_or(0);
        if left < queue {
            queue = left;
            moved = now;
        }
        if left == 0 {
            settled.delivered = true;
            let since = *delivered_at.get_or_insert(now);
            let over = match until {
                Until::PeerEnds => heard.is_none_or(|heard| now >= heard + bounds.idle) && now >= since + bounds.idle,
                Until::Reset => heard.is_none_or(|heard| now >= heard + QUIET),
            };
            let spent = settled.discarded >= bounds.bytes || now >= since + bounds.time;
            if settled.ended || over || spent {
                return settled;
            }
        } else {
            settled.delivered = false;
            let dead = settled.ended && io.is_dead();
            if dead || now >= moved + patience {
                return settled;
            }
        }
        // What arrives is seen at the next look: it is discarded, and need not be in a hurry.
        sleep(pause.min(patience)).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
}

/// What a look read.
struct Discarded {
    read: u64,
    ended: bool,
}

/// Reads and discards what is there, at most so many bytes. Never waits.
async fn discard<T: Transport>(io: &mut T, budget: u64) -> Discarded {
    let mut seen = Discarded { read: 0, ended: false };
    poll_fn(|cx| {
        let mut scrap = [0; SCRAP];
        while seen.read < budget && !seen.ended {
            let mut buf = ReadBuf::new(&mut scrap);
            match Pin::new(&mut *io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => seen.read += buf.filled().len() as u64,
                Poll::Ready(_) => seen.ended = true,
                Poll::Pending => break,
            }
        }
        Poll::Ready(())
    })
    .await;
    seen
}

/// How long a peer is quiet, at least, before a reset: so long that one that still sends is told apart.
const QUIET: Duration = Duration::from_millis(500);

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
        sending: bool,
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
        let (settled, took) = play(Until::Reset, false, async |_| {}, |_| {});
        assert_eq!(settled, Settled { delivered: true, ended: false, discarded: 0 });
        assert_eq!(took, Duration::ZERO);
    }

    #[test]
    fn a_reset_waits_for_a_slow_reader_and_gives_up_on_one_that_stopped() {
        let slowly = async |kernel: &Script| {
            for left in (0..=50).rev() {
                kernel.set_unsent(left);
                sleep(PATIENCE * 9 / 10).await;
            }
        };
        let (settled, took) = play(Until::Reset, false, slowly, |kernel| kernel.set_unsent(100));
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
                settled = settle(&mut io, Until::Reset, PATIENCE, false) => settled,
                () = stops(&kernel) => panic!("it waits for ever"),
            };
            assert!(!settled.delivered);
            let took = start.elapsed();
            assert!(took >= PATIENCE + Duration::from_secs(3) && took < PATIENCE + Duration::from_secs(4), "{took:?}");
        });
    }

    /// F6: an answer that came complete is read by a client that still uploads only if no reset overtakes it.
    #[test]
    fn a_peer_that_still_sends_is_read_on_until_it_ends() {
        let uploads = async |kernel: &Script| {
            for _ in 0..30 {
                kernel.push_data(vec![7; 100_000]);
                sleep(Duration::from_millis(100)).await;
            }
            kernel.push_read(ReadStep::Eof);
        };
        let (settled, took) = play(Until::Reset, true, uploads, |_| {});
        assert_eq!(settled, Settled { delivered: true, ended: true, discarded: 3_000_000 });
        assert!(took >= Duration::from_secs(3), "{took:?}");
    }

    #[test]
    fn a_peer_that_goes_quiet_is_reset_then() {
        let (settled, took) = play(Until::Reset, true, async |_| {}, |kernel| kernel.push_data(*b"upload"));
        assert_eq!(settled, Settled { delivered: true, ended: false, discarded: 6 });
        assert!(took >= QUIET && took <= QUIET + LAST_LOOK, "{took:?}");
    }

    #[test]
    fn a_peer_that_has_everything_is_waited_for_within_the_bounds() {
        let ends = async |kernel: &Script| {
            sleep(Duration::from_secs(4)).await;
            kernel.push_data(*b"bye");
            sleep(Duration::from_secs(4)).await;
            kernel.push_read(ReadStep::Eof);
        };
        let (settled, took) = play(Until::PeerEnds, false, ends, |_| {});
        assert_eq!(settled, Settled { delivered: true, ended: true, discarded: 3 });
        assert!(took >= Duration::from_secs(8) && took < Duration::from_millis(8100), "{took:?}");

        let bounds = Linger::default();
        let (settled, took) = play(Until::PeerEnds, false, async |_| {}, |_| {});
        assert!(settled.delivered && !settled.ended);
        assert!(took >= bounds.idle && took <= bounds.idle + LAST_LOOK, "{took:?}");

        let drips = async |kernel: &Script| {
            for _ in 0..40 {
                kernel.push_data(*b"x");
                sleep(Duration::from_secs(1)).await;
            }
        };
        let (settled, _) = play(Until::PeerEnds, false, drips, |_| {});
        assert!((29..=32).contains(&settled.discarded), "{settled:?}: a drip is bounded in time");

        let floods = async |kernel: &Script| {
            for _ in 0..400 {
                kernel.push_data(vec![7; 64 * 1024]);
            }
        };
        let (settled, _) = play(Until::PeerEnds, false, floods, |_| {});
        assert!(settled.discarded >= bounds.bytes && settled.discarded < bounds.bytes + SCRAP as u64, "{settled:?}");
    }
}
