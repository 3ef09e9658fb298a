//! Every interleaving of what the two halves of a session share: `link.rs`, `turn.rs` and `shared.rs` of the crate, built here
//! over loom's primitives. A wake that is lost shows as a deadlock, which loom reports with the steps that led to it.

#![allow(clippy::unwrap_used, dead_code)] // an unwrap here is an assertion; the rest of the crate uses what is not used here

#[path = "../../src/link.rs"]
mod link;
#[path = "../../src/shared.rs"]
mod shared;
mod sync;
#[path = "../../src/turn.rs"]
mod turn;

use link::{Link, Side};
use loom::future::block_on;
use loom::sync::Mutex;
use loom::thread;
use shared::{Outgoing, Shared};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The smallest transport: it has room for one thing, or none until its peer reads.
#[derive(Default)]
struct Transport(Mutex<Kernel>);

#[derive(Default)]
struct Kernel {
    has_room: bool,
    /// What was sent has arrived, so that there is an answer.
    delivered: bool,
    write: Option<Waker>,
    read: Option<Waker>,
}

impl Transport {
    fn poll_write(&self, cx: &Context<'_>) -> Poll<()> {
        let mut kernel = self.0.lock().unwrap();
        if !kernel.has_room {
            kernel.write = Some(cx.waker().clone());
            return Poll::Pending;
        }
        kernel.delivered = true;
        let reader = kernel.read.take();
        drop(kernel);
        if let Some(reader) = reader {
            reader.wake();
        }
        Poll::Ready(())
    }

    fn poll_read(&self, cx: &Context<'_>) -> Poll<()> {
        let mut kernel = self.0.lock().unwrap();
        if kernel.delivered {
            return Poll::Ready(());
        }
        kernel.read = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The peer reads: there is room.
    fn make_room(&self) {
        let mut kernel = self.0.lock().unwrap();
        kernel.has_room = true;
        let writer = kernel.write.take();
        drop(kernel);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

/// An outgoing side with one thing to send.
struct Place {
    transport: Arc<Transport>,
    unsent: bool,
}

impl Place {
    fn poll_drain(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.unsent {
            std::task::ready!(self.transport.poll_write(cx));
            self.unsent = false;
        }
        Poll::Ready(())
    }
}

impl Outgoing for Place {
    type Remains = ();

    fn is_idle(&self, link: &Link) -> bool {
        !self.unsent && !link.owes()
    }

    fn abandon(&mut self) -> Option<()> {
        self.unsent = false;
        Some(())
    }
}

/// A read of the answer, which serves the outgoing side as a `ReadHalf` does.
fn read(shared: &Shared<Place>, transport: &Transport) {
    let mut stands = false;
    block_on(poll_fn(|cx| {
        let polled = transport.poll_read(cx);
        shared.serve(cx, polled.is_pending(), &mut stands, |place, _link, cx| place.poll_drain(cx));
        polled
    }));
}

/// A write that takes its thing at once, sends it if there is room, and leaves it behind if not.
fn write(shared: &Shared<Place>) {
    block_on(poll_fn(|cx| {
        shared.poll(Side::Writer, cx, |place, _link, cx| {
            place.unsent = true;
            let _left = place.poll_drain(cx);
            Poll::Ready(())
        })
    }));
}

#[test]
fn who_is_turned_away_is_woken() {
    loom::model(|| {
        let shared = Arc::new((Link::new(), turn::Turn::new(0_u32)));
        let take = |side: Side, shared: Arc<(Link, turn::Turn<u32>)>| {
            block_on(poll_fn(|cx| match shared.1.take(&shared.0, side, cx, |count| *count += 1) {
                Some(()) => Poll::Ready(()),
                None => Poll::Pending,
            }));
        };
        let other = Arc::clone(&shared);
        let writer = thread::spawn(move || take(Side::Writer, other));
        take(Side::Reader, Arc::clone(&shared));
        writer.join().unwrap();
        assert_eq!(shared.1.peek(&shared.0, |count| *count), 2);
    });
}

/// Three threads have more interleavings than CI has time for: this searches those with up to two preemptions.
/// `LOOM_MAX_PREEMPTIONS=3 cargo test -p closenotify --test loom` searches further, for half a minute. The models of two threads
/// have no bound.
fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(model);
}

#[test]
fn a_reader_gets_its_answer_though_the_writer_leaves_the_request_and_goes() {
    bounded(|| {
        let transport = Arc::new(Transport::default());
        let place = Place { transport: Arc::clone(&transport), unsent: false };
        let shared = Arc::new(Shared::new(place, Link::new()));
        let (at_writer, at_peer) = (Arc::clone(&shared), Arc::clone(&transport));
        let writer = thread::spawn(move || write(&at_writer));
        let peer = thread::spawn(move || at_peer.make_room());
        read(&shared, &transport);
        writer.join().unwrap();
        peer.join().unwrap();
        assert!(shared.peek(|place| !place.unsent));
    });
}

/// A writer that waits for room, beside a reader that drains for it: whoever sends, both get on.
#[test]
fn a_writer_that_waits_and_a_reader_that_drains_both_get_on() {
    bounded(|| {
        let transport = Arc::new(Transport::default());
        let place = Place { transport: Arc::clone(&transport), unsent: true };
        let shared = Arc::new(Shared::new(place, Link::new()));
        let (at_writer, at_peer) = (Arc::clone(&shared), Arc::clone(&transport));
        let writer = thread::spawn(move || {
            block_on(poll_fn(|cx| at_writer.poll(Side::Writer, cx, |place, _link, cx| place.poll_drain(cx))));
        });
        let peer = thread::spawn(move || at_peer.make_room());
        read(&shared, &transport);
        writer.join().unwrap();
        peer.join().unwrap();
    });
}

/// A writer that is dropped while the reader may have the outgoing side: it is abandoned, by one of them.
#[test]
fn an_abandoned_outgoing_side_is_ended_by_whoever_has_it() {
    loom::model(|| {
        let transport = Arc::new(Transport::default());
        let place = Place { transport: Arc::clone(&transport), unsent: true };
        let shared = Arc::new(Shared::new(place, Link::new()));
        let at_writer = Arc::clone(&shared);
        let writer = thread::spawn(move || at_writer.leave_writer());
        let mut stands = false;
        block_on(poll_fn(|cx| {
            shared.serve(cx, true, &mut stands, |place, _link, cx| place.poll_drain(cx));
            Poll::Ready(())
        }));
        writer.join().unwrap();
        assert!(shared.peek(|place| !place.unsent), "nothing is sent after an abort");
        shared.leave_reader();
    });
}
