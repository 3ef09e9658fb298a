//! The relay over scripted transports and a paused clock. Every scenario runs in both argument orders.

use super::{First, Guard, Limits, Outcome, Relay, Report, Sending, TcpEnding, TcpLeg};
use crate::config::SpinAction;
use crate::socket::scripted::{Kernel, Script};
use crate::tcp_end::QUIET;
use bytes::BytesMut;
use closenotify::Deadline;
use pollcheck::meter::{Counts, Spin};
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;
use testkit::executor::CountingWaker;
use testkit::transport::{DoneStep, ReadStep, WriteStep};
use tokio::time::{Instant, advance, timeout};

type ScriptedLeg = TcpLeg<Kernel>;

const LIMITS: Limits = Limits { idle: Duration::from_secs(60), half_close: Duration::from_secs(10), until: None };

fn leg() -> (ScriptedLeg, Script) {
    let (transport, handle) = Kernel::new([]);
    (TcpLeg::new(transport), handle)
}

/// A relay seen from one of its sides, whichever argument that is.
struct Scene {
    relay: Pin<Box<dyn Polled>>,
    /// The scripted peer under test, and the other.
    near: Script,
    far: Script,
    swapped: bool,
    waker: CountingWaker,
}

/// A relay that can be polled and asked, whatever borrow it holds.
trait Polled: Future<Output = Report> {
    fn now(&self) -> Report;
    fn counts(&self) -> Counts;
    fn spin(&self) -> Option<Spin>;
}

impl Polled for Guard<'static, ScriptedLeg, ScriptedLeg> {
    fn now(&self) -> Report {
        self.report()
    }

    fn counts(&self) -> Counts {
        self.counts()
    }

    fn spin(&self) -> Option<Spin> {
        self.spin()
    }
}

impl Scene {
    fn new(swapped: bool) -> Self {
        Self::within(swapped, LIMITS)
    }

    fn within(swapped: bool, limits: Limits) -> Self {
        let ((near_leg, near), (far_leg, far)) = (leg(), leg());
        // Leaked: a test's relay may borrow for as long as the test lives.
        let (near_leg, far_leg) = (Box::leak(Box::new(near_leg)), Box::leak(Box::new(far_leg)));
        let relay = match swapped {
            false => Relay::new(near_leg, far_leg, limits),
            true => Relay::new(far_leg, near_leg, limits),
        };
        let relay = Box::pin(Guard::new(relay, SpinAction::End, |_| {}));
        Self { relay, near, far, swapped, waker: CountingWaker::new() }
    }

    fn poll(&mut self) -> Poll<Seen> {
        let swapped = self.swapped;
        let polled = self.waker.poll(self.relay.as_mut());
        polled.map(|report| Seen::new(report, self.relay.counts(), swapped))
    }

    /// Polls, and the relay must still run, without having woken itself.
    fn running(&mut self) -> Seen {
        let before = self.waker.wakes();
        assert!(self.poll().is_pending(), "{:?}", self.relay.now());
        assert_eq!(self.waker.wakes(), before, "a relay that pends has not woken itself");
        Seen::new(self.relay.now(), self.relay.counts(), self.swapped)
    }

    /// Polls, and the relay must be done.
    fn done(&mut self) -> Seen {
        match self.poll() {
            Poll::Ready(seen) => seen,
            Poll::Pending => panic!("still running: {:?}", self.relay.now()),
        }
    }
}

/// A report in terms of near and far.
#[derive(Debug, PartialEq)]
struct Seen {
    first: Option<Who>,
    timed_out: Option<Deadline>,
    to_far: Option<Outcome>,
    to_near: Option<Outcome>,
    polls: u64,
    wasted: u64,
}

#[derive(Debug, PartialEq)]
enum Who {
    Near,
    Far,
    Proxy,
}

impl Seen {
    fn new(report: Report, counts: Counts, swapped: bool) -> Self {
        let (to_far, to_near) = match swapped {
            false => (report.a_to_b, report.b_to_a),
            true => (report.b_to_a, report.a_to_b),
        };
        let first = report.first.map(|first| match (first, swapped) {
            (First::Proxy, _) => Who::Proxy,
            (First::A, false) | (First::B, true) => Who::Near,
            (First::A, true) | (First::B, false) => Who::Far,
        });
        Self { first, timed_out: report.timed_out, to_far, to_near, polls: counts.polls, wasted: counts.wasted }
    }
}

/// Runs a scenario in both argument orders, on a paused clock.
fn both_orders(scenario: impl AsyncFn(Scene)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    for swapped in [false, true] {
        runtime.block_on(async { scenario(Scene::new(swapped)).await });
    }
}

#[test]
fn an_end_is_carried_and_the_answer_still_flows() {
    both_orders(async |mut scene| {
        scene.near.push_data(*b"request");
        scene.near.push_read(ReadStep::Eof);
        let seen = scene.running();
        assert_eq!(scene.far.written(), b"request");
        assert!(scene.far.is_shut_down());
        assert_eq!((seen.first, seen.to_far, seen.to_near), (Some(Who::Near), Some(Outcome::Whole), None));

        scene.far.push_data(*b"answer");
        scene.running();
        assert_eq!(scene.near.written(), b"answer");
        assert!(!scene.near.is_shut_down());

        scene.far.push_read(ReadStep::Eof);
        let seen = scene.done();
        assert!(scene.near.is_shut_down());
        assert_eq!((seen.first, seen.to_near), (Some(Who::Near), Some(Outcome::Whole)));
        assert_eq!((seen.polls, seen.wasted), (3, 0));
    });
}

#[test]
fn a_reset_is_carried_behind_what_had_arrived_and_with_no_end() {
    both_orders(async |mut scene| {
        scene.near.push_data(*b"half an answer");
        scene.near.push_read(ReadStep::Error(ErrorKind::ConnectionReset));
        let seen = scene.done();
        assert_eq!(scene.far.written(), b"half an answer");
        assert!(scene.far.is_flushed() && !scene.far.is_shut_down());
        assert_eq!((seen.first, seen.to_far, seen.to_near), (Some(Who::Near), Some(Outcome::Cut), None));
    });
}

/// docs/cases.md H03, D08
#[test]
fn what_had_arrived_is_flushed_before_a_reset_is_carried() {
    both_orders(async |mut scene| {
        scene.far.push_write(WriteStep::Accept(4));
        scene.far.push_write(WriteStep::Pending);
        scene.far.push_flush(DoneStep::Pending);
        scene.near.push_data(*b"half an answer");
        scene.near.push_read(ReadStep::Error(ErrorKind::ConnectionReset));
        assert_eq!(scene.running().to_far, None, "the sink has taken four bytes");
        scene.far.release_write();
        assert_eq!(scene.running().to_far, None, "the flush is pending");
        scene.far.release_flush();
        assert_eq!(scene.done().to_far, Some(Outcome::Cut));
        assert_eq!(scene.far.written(), b"half an answer");
    });
}

#[test]
fn what_was_taken_is_flushed_once_before_more_is_read() {
    both_orders(async |mut scene| {
        scene.near.push_data(*b"a");
        scene.near.push_data(*b"b");
        scene.running();
        assert!(scene.far.is_flushed());
        scene.far.push_data(*b"c");
        scene.running();
        assert_eq!((scene.far.polls().flush, scene.near.polls().flush), (2, 1));
    });
}

/// A TLS side holds what it has encrypted. More is not read before its transport has that: a stuck session holds one buffer.
#[test]
fn nothing_is_read_while_the_sink_still_holds_what_it_was_given() {
    both_orders(async |mut scene| {
        scene.far.push_flush(DoneStep::Pending);
        scene.near.push_data(*b"held");
        scene.running();
        let reads = scene.near.polls().read;
        scene.near.push_data(*b"more");
        scene.near.push_read(ReadStep::Eof);
        scene.running();
        assert_eq!((scene.near.polls().read, scene.far.written()), (reads, b"held".to_vec()));
        // A reset of the source shows at the next look all the same.
        scene.near.die();
        assert!(timeout(Duration::from_secs(2), scene.relay.as_mut()).await.is_err());
        assert_eq!(scene.relay.now().first, Some(if scene.swapped { First::B } else { First::A }));
        scene.far.release_flush();
        assert_eq!(scene.done().to_far, Some(Outcome::Whole), "what came before was complete");
        assert_eq!(scene.far.written(), b"heldmore");
    });
}

#[test]
fn a_blocked_direction_does_not_hold_up_the_other() {
    both_orders(async |mut scene| {
        scene.far.push_write(WriteStep::Pending);
        scene.near.push_data(*b"stuck");
        scene.running();
        for round in 1..=3 {
            scene.far.push_data(*b"flows");
            scene.running();
            assert_eq!(scene.near.written().len(), 5 * round);
        }
        assert_eq!(scene.far.written(), b"");
        scene.far.push_read(ReadStep::Eof);
        let seen = scene.running();
        assert!(scene.near.is_shut_down());
        assert_eq!((seen.first, seen.to_near), (Some(Who::Far), Some(Outcome::Whole)));
        scene.far.release_write();
        scene.running();
        assert_eq!(scene.far.written(), b"stuck");
    });
}

#[test]
fn two_full_directions_take_turns() {
    both_orders(async |mut scene| {
        for _ in 0..20 {
            scene.near.push_data(vec![1; 1000]);
            scene.far.push_data(vec![2; 1000]);
        }
        // The near side's writes stop after five: by then the other direction must have had its turns, too.
        for _ in 0..5 {
            scene.far.push_write(WriteStep::Accept(1000));
        }
        scene.far.push_write(WriteStep::Error(ErrorKind::ConnectionReset));
        scene.far.push_read(ReadStep::Eof);
        assert!(scene.poll().is_ready());
        assert_eq!(scene.far.written().len(), 5000);
        assert!(scene.near.written().len() >= 5000, "{}", scene.near.written().len());
    });
}

#[test]
fn a_sink_that_is_gone_does_not_end_a_whole_answer() {
    both_orders(async |mut scene| {
        // The far side has closed: its answer and FIN are there, and it takes no more.
        scene.far.push_write(WriteStep::Error(ErrorKind::BrokenPipe));
        scene.near.push_data(vec![7; 100_000]);
        assert_eq!(scene.running().to_far, Some(Outcome::SinkGone));
        scene.near.push_data(vec![7; 100_000]);
        scene.far.push_data(*b"whole answer");
        scene.running();
        scene.far.push_read(ReadStep::Eof);
        let seen = scene.done();
        assert_eq!(scene.near.written(), b"whole answer");
        assert!(scene.near.is_shut_down());
        assert_eq!((seen.first, seen.to_near), (Some(Who::Far), Some(Outcome::Whole)));
    });
}

/// The kernel tells an error once: to the write here, and the read after it sees an end that looks clean.
#[test]
fn an_error_that_a_write_saw_is_no_clean_end_to_the_reader() {
    for kind in [ErrorKind::ConnectionReset, ErrorKind::TimedOut, ErrorKind::HostUnreachable] {
        both_orders(async |mut scene| {
            scene.far.push_write(WriteStep::Error(kind));
            scene.near.push_data(*b"request");
            scene.far.push_data(*b"half an answer");
            scene.far.push_read(ReadStep::Eof);
            let seen = scene.done();
            assert_eq!(scene.near.written(), b"half an answer");
            assert!(!scene.near.is_shut_down(), "a truncated answer must not look complete");
            assert_eq!(seen.to_near, Some(Outcome::Cut), "{kind}");
        });
    }
}

#[test]
fn an_answer_whose_end_has_come_is_finished_though_the_other_direction_was_cut() {
    both_orders(async |mut scene| {
        scene.near.push_write(WriteStep::Pending);
        scene.far.push_data(*b"whole answer");
        scene.running();
        scene.near.push_read(ReadStep::Error(ErrorKind::TimedOut));
        assert!(scene.poll().is_ready(), "the answer's end has not come yet");
    });
    both_orders(async |mut scene| {
        scene.near.push_shutdown(DoneStep::Pending);
        scene.far.push_data(*b"whole answer");
        scene.far.push_read(ReadStep::Eof);
        scene.running();
        scene.near.push_read(ReadStep::Error(ErrorKind::TimedOut));
        assert_eq!(scene.running().to_far, Some(Outcome::Cut));
        scene.near.release_shutdown();
        assert_eq!(scene.done().to_near, Some(Outcome::Whole));
    });
}

/// docs/cases.md H07
#[test]
fn discarding_for_a_sink_that_is_gone_is_bounded() {
    both_orders(async |mut scene| {
        scene.far.push_write(WriteStep::Error(ErrorKind::BrokenPipe));
        for _ in 0..300 {
            scene.near.push_data(vec![7; 64 * 1024]);
        }
        scene.running();
        let after = scene.near.polls().read;
        // 16 MiB are 256 reads; one more finds the bound.
        assert!((257..=259).contains(&after), "{after}");
        scene.running();
        assert_eq!(scene.near.polls().read, after, "nothing is read any more");
    });
}

#[test]
fn a_poll_for_nothing_is_counted_and_a_poll_for_something_is_not() {
    both_orders(async |mut scene| {
        assert_eq!(scene.running().wasted, 0, "the first registers the wakers");
        scene.near.push_data(*b"x");
        assert_eq!(scene.running().wasted, 0);
        assert_eq!(scene.running().wasted, 1);
        let seen = scene.running();
        assert_eq!((seen.polls, seen.wasted), (4, 2));
    });
}

/// Nothing has woken it, and it is polled all the same, as fast as a core can.
///
/// docs/cases.md D11
#[test]
fn a_relay_that_spins_is_ended_by_us_and_no_direction_looks_whole() {
    both_orders(async |mut scene| {
        scene.near.push_data(*b"half a request");
        let mut polls = 0;
        let seen = loop {
            polls += 1;
            // More than there need be: a machine that stands still for a second has polled too slowly for a spin.
            assert!(polls < 1_000_000, "{:?}", scene.relay.counts());
            if let Poll::Ready(seen) = scene.poll() {
                break seen;
            }
        };
        assert!(polls > 10_000, "{polls}");
        assert_eq!((seen.first, seen.timed_out), (Some(Who::Proxy), None));
        assert_eq!((seen.to_far, seen.to_near), (None, None));
        assert_eq!(scene.relay.spin().unwrap().wasted, 10_000);
        assert_eq!(scene.far.written(), b"half a request");
        assert!(!scene.near.is_shut_down() && !scene.far.is_shut_down());
    });
}

/// docs/cases.md D11
#[test]
fn many_polls_that_move_a_byte_each_are_no_spin() {
    both_orders(async |mut scene| {
        for _ in 0..20_000 {
            scene.near.push_data(*b"x");
            assert!(scene.poll().is_pending());
        }
        assert_eq!((scene.running().wasted, scene.relay.spin()), (1, None));
    });
}

#[test]
fn each_event_wakes_once() {
    both_orders(async |mut scene| {
        scene.running();
        scene.near.push_data(*b"x");
        assert_eq!(scene.waker.take_wakes(), 1);
        scene.running();
        scene.far.push_read(ReadStep::Eof);
        assert_eq!(scene.waker.take_wakes(), 1);
    });
}

/// docs/cases.md R57
#[test]
fn idleness_ends_it_and_bytes_put_that_off() {
    both_orders(async |mut scene| {
        for _ in 0..3 {
            scene.running();
            advance(LIMITS.idle - Duration::from_millis(1)).await;
            scene.near.push_data(*b"x");
        }
        scene.running();
        advance(LIMITS.idle - Duration::from_millis(2)).await;
        scene.running();
        let seen = timeout(Duration::from_millis(3), scene.relay.as_mut()).await.unwrap();
        let seen = Seen::new(seen, scene.relay.counts(), scene.swapped);
        assert_eq!((seen.first, seen.timed_out), (Some(Who::Proxy), Some(Deadline::Idle)));
        assert!(!scene.far.is_shut_down() && !scene.near.is_shut_down());
    });
}

/// docs/cases.md R61, H05
#[test]
fn a_half_closed_relay_waits_less_long() {
    both_orders(async |mut scene| {
        scene.running();
        scene.near.push_read(ReadStep::Eof);
        scene.running();
        advance(LIMITS.half_close - Duration::from_millis(1)).await;
        scene.far.push_data(*b"late");
        scene.running();
        advance(LIMITS.half_close - Duration::from_millis(2)).await;
        scene.running();
        let seen = timeout(Duration::from_millis(3), scene.relay.as_mut()).await.unwrap();
        let seen = Seen::new(seen, scene.relay.counts(), scene.swapped);
        assert_eq!((seen.first, seen.timed_out), (Some(Who::Near), Some(Deadline::HalfClose)));
        assert_eq!((seen.to_far, seen.to_near), (Some(Outcome::Whole), None));
    });
}

/// docs/cases.md H05, D16
#[test]
fn a_peer_that_takes_what_the_kernel_holds_is_not_idle() {
    both_orders(async |mut scene| {
        scene.near.push_data(vec![7; 1000]);
        scene.running();
        // All of it is the kernel's, and the far side takes a little of it now and then.
        for left in (1..=9).rev() {
            scene.far.set_unsent(left * 100);
            assert!(timeout(LIMITS.idle * 9 / 10, scene.relay.as_mut()).await.is_err(), "{left}");
        }
        scene.running();
        // From here on it takes nothing.
        let before = Instant::now();
        let seen = timeout(LIMITS.idle * 2, scene.relay.as_mut()).await.unwrap();
        assert_eq!(seen.timed_out, Some(Deadline::Idle));
        assert!(before.elapsed() <= LIMITS.idle, "{:?}", before.elapsed());
    });
}

#[test]
fn a_peer_that_stops_reading_is_given_up_after_the_limit_though_its_queue_is_full() {
    both_orders(async |mut scene| {
        scene.near.push_data(vec![7; 1000]);
        scene.far.set_unsent(4_000_000);
        scene.near.push_read(ReadStep::Eof);
        scene.running();
        let before = Instant::now();
        let seen = timeout(LIMITS.half_close * 2, scene.relay.as_mut()).await.unwrap();
        assert_eq!((seen.timed_out, before.elapsed()), (Some(Deadline::HalfClose), LIMITS.half_close));
    });
}

/// An hour is an hour of paused time; what it holds meanwhile is one buffer.
///
/// docs/cases.md D16
#[test]
fn a_peer_that_stops_reading_for_an_hour_and_then_reads_loses_nothing() {
    both_orders(async |mut scene| {
        scene.far.push_write(WriteStep::Pending);
        scene.near.push_data(*b"late");
        scene.running();
        let mut queue = 4_000_000;
        for _ in 0..120 {
            scene.far.set_unsent(queue);
            queue -= 1;
            assert!(timeout(LIMITS.idle / 2, scene.relay.as_mut()).await.is_err());
        }
        scene.far.release_write();
        scene.running();
        assert_eq!(scene.far.written(), b"late");
    });
}

#[test]
fn a_peer_that_is_reset_while_what_it_sent_is_blocked_is_noticed_and_what_it_sent_is_kept() {
    both_orders(async |mut scene| {
        scene.far.push_write(WriteStep::Pending);
        scene.near.push_data(*b"whole request");
        scene.near.push_read(ReadStep::Eof);
        scene.running();
        scene.near.die();
        assert!(
            timeout(Duration::from_millis(1500), scene.relay.as_mut()).await.is_err(),
            "the request is not through"
        );
        let seen = scene.running();
        assert_eq!((seen.first, seen.to_near, seen.to_far), (Some(Who::Near), Some(Outcome::SinkGone), None));
        scene.far.release_write();
        let seen = scene.done();
        assert_eq!(scene.far.written(), b"whole request");
        assert!(scene.far.is_shut_down() && !scene.far.is_armed());
        assert_eq!(seen.to_far, Some(Outcome::Whole));
    });
    // And when nobody takes it, the shorter deadline rules.
    both_orders(async |mut scene| {
        scene.far.push_write(WriteStep::Pending);
        scene.near.push_data(*b"request");
        scene.running();
        scene.near.die();
        let before = Instant::now();
        let seen = timeout(LIMITS.idle, scene.relay.as_mut()).await.unwrap();
        assert_eq!(seen.timed_out, Some(Deadline::HalfClose));
        assert!(before.elapsed() <= LIMITS.half_close + Duration::from_secs(1), "{:?}", before.elapsed());
    });
}

#[test]
fn a_peer_that_is_reset_after_its_end_is_noticed_while_its_answer_is_awaited() {
    both_orders(async |mut scene| {
        scene.near.push_data(*b"request");
        scene.near.push_read(ReadStep::Eof);
        scene.running();
        scene.near.die();
        let seen = timeout(LIMITS.half_close, scene.relay.as_mut()).await.unwrap();
        let seen = Seen::new(seen, scene.relay.counts(), scene.swapped);
        assert_eq!((seen.timed_out, seen.to_far, seen.to_near), (None, Some(Outcome::Whole), Some(Outcome::SinkGone)));
    });
}

#[test]
fn a_lifetime_ends_it_whatever_moves() {
    both_orders(async |mut scene| {
        let until = Instant::now() + Duration::from_secs(100);
        scene = Scene::within(scene.swapped, Limits { until: Some(until), ..LIMITS });
        for _ in 0..9 {
            scene.near.push_data(*b"x");
            assert!(timeout(Duration::from_secs(11), scene.relay.as_mut()).await.is_err());
        }
        scene.near.push_data(*b"x");
        let seen = timeout(Duration::from_secs(2), scene.relay.as_mut()).await.unwrap();
        let seen = Seen::new(seen, scene.relay.counts(), scene.swapped);
        assert_eq!((seen.first, seen.timed_out), (Some(Who::Proxy), Some(Deadline::Lifetime)));
        assert_eq!(Instant::now(), until);
    });
}

/// F6: a reset at once would overtake an answer that a slow upload's client has not read.
#[test]
fn a_peer_that_sent_a_moment_ago_as_it_was_answered_is_known_to_be_sending() {
    both_orders(async |mut scene| {
        let near = |scene: &Scene| scene.relay.now().sending[usize::from(scene.swapped)];
        scene.near.push_data(*b"a part of an upload");
        scene.running();
        assert_eq!(near(&scene), Sending::No, "it was sent nothing that it could miss");
        scene.far.push_data(*b"413");
        scene.running();
        assert_eq!(near(&scene), Sending::Lately);
        advance(QUIET).await;
        assert_eq!(near(&scene), Sending::No);
        scene.near.push_data(*b"another part");
        scene.running();
        assert_eq!(near(&scene), Sending::No, "it has had the time to read");
        scene.far.push_write(WriteStep::Pending);
        scene.near.push_data(*b"blocked");
        scene.running();
        assert_eq!(near(&scene), Sending::Behind);
    });
}

#[test]
fn bytes_read_before_the_relay_come_first() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let ((mut near, near_script), (mut far, far_script)) = (leg(), leg());
        near_script.push_data(*b" and after");
        let mut relay = Relay::with(&mut near, &mut far, LIMITS, BytesMut::from(&b"before"[..]));
        let waker = CountingWaker::new();
        assert!(waker.poll(Pin::new(&mut relay)).is_pending());
        assert_eq!(far_script.written(), b"before and after");
        assert_eq!(relay.report().bytes_a_to_b, 16);
        far_script.push_data(*b"413");
        assert!(waker.poll(Pin::new(&mut relay)).is_pending());
        assert_eq!(relay.report().sending[0], Sending::Lately, "what came before the relay counts");
    });
}

#[test]
fn a_spin_that_is_only_reported_goes_on_and_is_reported_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let ((mut near, near_script), (mut far, far_script)) = (leg(), leg());
        let reports = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&reports);
        let relay = Relay::new(&mut near, &mut far, LIMITS);
        let mut guard = Guard::new(relay, SpinAction::Report, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let waker = CountingWaker::new();
        for _ in 0..30_000 {
            assert!(waker.poll(Pin::new(&mut guard)).is_pending());
        }
        assert_eq!((reports.load(Ordering::Relaxed), guard.spin().is_some()), (1, true));
        near_script.push_data(*b"still served");
        assert!(waker.poll(Pin::new(&mut guard)).is_pending());
        assert_eq!(far_script.written(), b"still served");
    });
}

#[test]
fn every_ending_of_a_tcp_direction_has_a_word_of_its_own() {
    let endings = [
        TcpEnding::Fin,
        TcpEnding::Reset,
        TcpEnding::Failed(ErrorKind::BrokenPipe),
        TcpEnding::TimedOut(Deadline::Idle),
        TcpEnding::Abandoned,
    ];
    let words = endings.map(|ending| ending.word().into_owned());
    assert_eq!(words, ["fin", "reset", "failed_broken_pipe", "timed_out_idle", "abandoned"]);
}
