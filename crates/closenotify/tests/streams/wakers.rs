//! Who is woken when: the reader never takes the writer's place at the transport (tokio-rs/tls issue 40), what receiving
//! makes us owe is paid by whoever is polled, and nobody is woken for nothing.

use crate::peer::{self, EACH, Met, Side, Wire, by_hand, done, failed, read, shutdown, write};
use closenotify::{SplitTransport, TlsConnector};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use testkit::certs::TlsVersion;
use testkit::executor::{CountingWaker, Outcome, Strict};
use testkit::transport::{Handle, ScriptedRead, ScriptedWrite, WriteStep};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// A writer that waits for room, and then a reader that comes to owe something: both wait, both are woken, both are done.
fn both_wait(met: Met, owed: Vec<u8>, split: bool, alert: bool) {
    let Met { mut stream, wire, mut peer } = met;
    let (at_writer, at_reader) = (CountingWaker::new(), CountingWaker::new());
    wire.push_write(WriteStep::Pending);
    let check = |reader: &mut (dyn AsyncRead + Unpin),
                 writer: &mut dyn FnMut(&[u8]) -> Poll<std::io::Result<usize>>| {
        let mut reader = reader;
        assert_eq!(done(writer(b"first")), 5);
        assert!(writer(b"second").is_pending());
        wire.push_data(owed.clone());
        let polled = read(&at_reader, &mut reader, 10);
        assert_eq!(polled.is_pending(), !alert);
        assert_eq!((at_writer.wakes(), at_reader.wakes()), (0, 0));
        wire.release_write();
        assert_eq!((at_writer.take_wakes(), at_reader.take_wakes()), (1, 1), "alert: {alert}");
        // In either order; here the writer first.
        let polled = writer(b"second");
        if alert {
            assert_eq!(failed(polled).kind(), ErrorKind::ConnectionAborted);
        } else {
            assert_eq!(done(polled), 6);
            assert!(read(&at_reader, &mut reader, 10).is_pending());
        }
    };
    if split {
        let (mut reader, mut writer) = stream.into_split();
        check(&mut reader, &mut |bytes| write(&at_writer, &mut writer, bytes));
        let _ = peer::flush(&at_writer, &mut writer);
        assert_peer(&wire, &mut peer, alert);
        drop((reader, writer));
    } else {
        // Two tasks on one stream, each with its waker.
        let shared = RefCell::new(&mut stream);
        struct Reading<'a, 'b>(&'a RefCell<&'b mut closenotify::TlsStream<Wire>>);
        impl AsyncRead for Reading<'_, '_> {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<std::io::Result<()>> {
                Pin::new(&mut **self.0.borrow_mut()).poll_read(cx, buf)
            }
        }
        check(&mut Reading(&shared), &mut |bytes| write(&at_writer, &mut **shared.borrow_mut(), bytes));
        let _ = peer::flush(&at_writer, &mut stream);
        assert_peer(&wire, &mut peer, alert);
        drop(stream);
    }
    assert_eq!((at_writer.live(), at_reader.live()), (0, 0));
    assert_eq!((at_writer.wakes(), at_reader.wakes()), (0, 0));
}

fn assert_peer(wire: &Handle, peer: &mut rustls::Connection, alert: bool) {
    let (plaintext, result) = peer::read_at(peer, &wire.written());
    if alert {
        assert_eq!(plaintext, b"first");
        assert_eq!(result, Err(rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
    } else {
        assert_eq!((plaintext.as_slice(), result), (&b"firstsecond"[..], Ok(false)));
    }
}

/// docs/cases.md R37
#[test]
fn a_reader_that_owes_does_not_steal_the_writers_wake() {
    by_hand(|| {
        for split in [false, true] {
            for side in [Side::Client, Side::Server] {
                let mut met = peer::meet(TlsVersion::V13, side);
                let owed = peer::key_update(&mut met.peer);
                both_wait(met, owed, split, false);
            }
            for (version, side) in EACH {
                let mut met = peer::meet(version, side);
                let owed = peer::broken(&mut met.peer);
                both_wait(met, owed, split, true);
            }
        }
    });
}

/// The same with real tasks, on an executor that polls only what was woken.
/// docs/cases.md R37
#[test]
fn two_tasks_on_one_stream_both_finish_though_the_transport_was_full() {
    by_hand(|| {
        for side in [Side::Client, Side::Server] {
            for split in [false, true] {
                let Met { stream, wire, mut peer } = peer::meet(TlsVersion::V13, side);
                let mut strict = Strict::new();
                let message = vec![5; 300_000];
                for _ in 0..4 {
                    wire.push_write(WriteStep::Pending);
                    wire.push_write(WriteStep::Accept(30_000));
                }
                let expected = message.clone();
                let (reading, writing) = if split {
                    let (mut reader, mut writer) = stream.into_split();
                    let reading = strict.spawn("reader", async move { reader.read_u8().await.unwrap() });
                    let writing = strict.spawn("writer", async move {
                        writer.write_all(&message).await.unwrap();
                        writer.shutdown().await.unwrap();
                    });
                    (reading, writing)
                } else {
                    #[expect(clippy::disallowed_methods, reason = "it is what must work, too")]
                    let (mut reader, mut writer) = tokio::io::split(stream);
                    let reading = strict.spawn("reader", async move { reader.read_u8().await.unwrap() });
                    let writing = strict.spawn("writer", async move {
                        writer.write_all(&message).await.unwrap();
                        writer.shutdown().await.unwrap();
                    });
                    (reading, writing)
                };
                let both = || Outcome::Stalled { unfinished: vec!["reader".to_owned(), "writer".to_owned()] };
                assert_eq!(strict.run(100), both());
                wire.push_data(peer::key_update(&mut peer));
                assert_eq!(strict.run(100), both());
                for _ in 0..4 {
                    wire.release_write();
                    strict.run(100);
                }
                assert_eq!(strict.run(100), Outcome::Stalled { unfinished: vec!["reader".to_owned()] });
                wire.push_data(peer::data(&mut peer, b"!"));
                strict.finish(100);
                assert_eq!((reading.take(), writing.take()), (Some(b'!'), Some(())));
                assert_eq!((reading.self_wakes(), writing.self_wakes()), (0, 0));
                assert!(peer::read_at(&mut peer, &wire.written()) == (expected, Ok(true)));
            }
        }
    });
}

/// docs/cases.md R38
#[test]
fn a_reader_alone_pays_what_it_owes() {
    by_hand(|| {
        for side in [Side::Client, Side::Server] {
            for split in [false, true] {
                for room in [true, false] {
                    let Met { stream, wire, mut peer } = peer::meet(TlsVersion::V13, side);
                    let waker = CountingWaker::new();
                    if !room {
                        wire.push_write(WriteStep::Pending);
                    }
                    wire.push_data(peer::key_update(&mut peer));
                    let (mut reader, _writer, mut joined) = if split {
                        let (reader, writer) = stream.into_split();
                        (Some(reader), Some(writer), None)
                    } else {
                        (None, None, Some(stream))
                    };
                    let mut poll = || match (&mut reader, &mut joined) {
                        (Some(reader), _) => read(&waker, reader, 10),
                        (None, Some(joined)) => read(&waker, joined, 10),
                        (None, None) => unreachable!(),
                    };
                    assert!(poll().is_pending());
                    if !room {
                        assert_eq!(wire.written(), b"");
                        wire.release_write();
                        assert_eq!(waker.take_wakes(), 1, "the reader waits for room");
                        assert!(poll().is_pending());
                    }
                    let written = wire.take_written();
                    assert!(wire.is_flushed() && !written.is_empty(), "never a poll of the write half");
                    assert_eq!(peer::read_at(&mut peer, &written), (Vec::new(), Ok(false)));
                    assert_eq!(
                        (waker.wakes(), waker.live()),
                        (0, 2),
                        "at the read side, and standing by for the outbox"
                    );
                    // It has paid: the next poll leaves the write side alone.
                    let before = wire.polls();
                    assert!(poll().is_pending());
                    assert_eq!(peer::since(before, wire.polls()).write, 0);
                    assert_eq!(peer::since(before, wire.polls()).flush, 0);
                }
            }
        }
    });
}

#[test]
fn a_dropped_half_leaves_no_waker() {
    by_hand(|| {
        for side in [Side::Client, Side::Server] {
            let Met { stream, wire, mut peer } = peer::meet(TlsVersion::V13, side);
            let (mut reader, mut writer) = stream.into_split();
            let (at_reader, at_writer) = (CountingWaker::new(), CountingWaker::new());
            wire.push_write(WriteStep::Pending);
            assert_eq!(done(write(&at_writer, &mut writer, b"first")), 5);
            assert!(write(&at_writer, &mut writer, b"second").is_pending());
            wire.push_data(peer::key_update(&mut peer));
            assert!(read(&at_reader, &mut reader, 10).is_pending());
            assert_eq!((at_reader.live(), at_writer.live()), (2, 1), "at its read side, and for room");
            drop(reader);
            assert_eq!((at_reader.live(), at_writer.live()), (0, 1));
            wire.release_write();
            assert_eq!((at_reader.wakes(), at_writer.take_wakes()), (0, 1));
            assert_eq!(done(write(&at_writer, &mut writer, b"second")), 6);
            wire.push_write(WriteStep::Pending);
            assert!(shutdown(&at_writer, &mut writer).is_pending());
            assert_eq!(at_writer.live(), 1);
            drop(writer);
            assert_eq!((at_reader.live(), at_writer.live()), (0, 0));

            // The other way round.
            let Met { stream, wire, .. } = peer::meet(TlsVersion::V13, side);
            let (mut reader, mut writer) = stream.into_split();
            wire.push_write(WriteStep::Pending);
            assert!(shutdown(&at_writer, &mut writer).is_pending());
            assert!(read(&at_reader, &mut reader, 10).is_pending());
            drop(writer);
            assert_eq!((at_reader.live(), at_writer.live()), (1, 0));
            drop(reader);
            assert_eq!((at_reader.live(), at_writer.live()), (0, 0));
            assert_eq!(at_writer.wakes(), 0);
        }
    });
}

/// A transport whose writes wait for nothing but the next poll: as a stream of a multiplexer may, it wakes the waker of
/// the last poll only, and not when that poll itself was successful.
struct Lazy {
    inner: Wire,
    refusals: Arc<Mutex<u32>>,
}

impl AsyncRead for Lazy {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Lazy {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Poll::Pending;
        }
        drop(refusals);
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[test]
fn a_writer_is_woken_when_the_reader_finds_room_in_its_place() {
    by_hand(|| {
        let configs = peer::Configs::of(TlsVersion::V13);
        let (inner, wire) = Wire::new();
        let refusals = Arc::new(Mutex::new(0));
        let lazy = Lazy { inner, refusals: Arc::clone(&refusals) };
        let mut peer = configs.peer_of(Side::Client);
        let connecting =
            TlsConnector::from(Arc::new(configs.client.clone())).connect("localhost".try_into().unwrap(), lazy);
        let mut stream = peer::shake(connecting, &wire, &mut peer);
        let (at_reader, at_writer) = (CountingWaker::new(), CountingWaker::new());
        *refusals.lock().unwrap() = 2;
        assert_eq!(done(write(&at_writer, &mut stream, b"first")), 5);
        assert!(write(&at_writer, &mut stream, b"second").is_pending());
        wire.push_data(peer::key_update(&mut peer));
        assert!(read(&at_reader, &mut stream, 10).is_pending());
        assert_eq!((at_writer.wakes(), at_reader.wakes()), (1, 0), "it waited for room, and there is room");
        assert_eq!(done(write(&at_writer, &mut stream, b"second")), 6);
    });
}

/// A transport whose write half calls back from inside its poll: the other half comes while the place is taken.
struct Calling {
    inner: Wire,
    call: Call,
}

type Call = Rc<RefCell<Option<Box<dyn FnOnce()>>>>;

struct CallingWrite {
    inner: ScriptedWrite,
    call: Call,
}

impl AsyncRead for Calling {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Calling {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl AsyncWrite for CallingWrite {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let call = self.call.borrow_mut().take();
        if let Some(call) = call {
            call();
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl SplitTransport for Calling {
    type ReadHalf = ScriptedRead;
    type WriteHalf = CallingWrite;

    fn split(self) -> (ScriptedRead, CallingWrite) {
        let (read, inner) = SplitTransport::split(self.inner);
        (read, CallingWrite { inner, call: self.call })
    }

    fn reunite(read: ScriptedRead, write: CallingWrite) -> Self {
        Self { inner: SplitTransport::reunite(read, write.inner), call: write.call }
    }
}

type Halves = (closenotify::ReadHalf<Calling>, closenotify::WriteHalf<Calling>, Handle, rustls::Connection, Call);

fn calling() -> Halves {
    let configs = peer::Configs::of(TlsVersion::V13);
    let (inner, wire) = Wire::new();
    let call = Call::default();
    let transport = Calling { inner, call: Rc::clone(&call) };
    let mut peer = configs.peer_of(Side::Client);
    let connecting =
        TlsConnector::from(Arc::new(configs.client.clone())).connect("localhost".try_into().unwrap(), transport);
    let (reader, writer) = peer::shake(connecting, &wire, &mut peer).into_split();
    (reader, writer, wire, peer, call)
}

#[test]
fn a_reader_that_comes_while_the_writer_writes_is_woken_when_it_is_done() {
    by_hand(|| {
        let (reader, mut writer, wire, mut peer, call) = calling();
        let (at_reader, at_writer) = (CountingWaker::new(), CountingWaker::new());
        wire.push_data(peer::key_update(&mut peer));
        let reader = Rc::new(RefCell::new(reader));
        let (inside, counter, handle) = (Rc::clone(&reader), at_reader.clone(), wire.clone());
        *call.borrow_mut() = Some(Box::new(move || {
            let before = handle.polls().write;
            assert!(read(&counter, &mut *inside.borrow_mut(), 10).is_pending());
            assert_eq!(handle.polls().write, before, "it was turned away");
        }));
        assert_eq!(done(write(&at_writer, &mut writer, b"data")), 4);
        assert_eq!((at_reader.take_wakes(), at_writer.wakes()), (1, 0));
        assert!(read(&at_reader, &mut *reader.borrow_mut(), 10).is_pending());
        assert_eq!(peer::read_at(&mut peer, &wire.written()), (b"data".to_vec(), Ok(false)));
        assert_eq!((at_reader.wakes(), at_reader.live(), at_writer.live()), (0, 2, 0));
    });
}

#[test]
fn a_writer_that_comes_while_the_reader_pays_is_woken_when_it_is_done() {
    by_hand(|| {
        let (mut reader, writer, wire, mut peer, call) = calling();
        let (at_reader, at_writer) = (CountingWaker::new(), CountingWaker::new());
        wire.push_data(peer::key_update(&mut peer));
        let writer = Rc::new(RefCell::new(writer));
        let (inside, counter) = (Rc::clone(&writer), at_writer.clone());
        *call.borrow_mut() = Some(Box::new(move || {
            let mut writer = inside.borrow_mut();
            assert!(write(&counter, &mut *writer, b"data").is_pending());
            // Asking is not waiting.
            assert_eq!(writer.sent_ending(), None);
        }));
        assert!(read(&at_reader, &mut reader, 10).is_pending());
        assert_eq!((at_reader.wakes(), at_writer.take_wakes()), (0, 1));
        assert_eq!(done(write(&at_writer, &mut *writer.borrow_mut(), b"data")), 4);
        assert_eq!(peer::read_at(&mut peer, &wire.written()), (b"data".to_vec(), Ok(false)));
        assert_eq!((at_reader.live(), at_writer.live()), (2, 0));
    });
}

#[test]
fn a_writer_that_is_dropped_while_the_reader_pays_is_gone_when_it_is_done() {
    by_hand(|| {
        let (mut reader, writer, wire, mut peer, call) = calling();
        let (at_reader, at_writer) = (CountingWaker::new(), CountingWaker::new());
        wire.push_data(peer::key_update(&mut peer));
        let counter = at_writer.clone();
        *call.borrow_mut() = Some(Box::new(move || {
            let mut writer = writer;
            assert!(write(&counter, &mut writer, b"data").is_pending());
            drop(writer);
        }));
        assert!(read(&at_reader, &mut reader, 10).is_pending());
        assert!(wire.is_write_dropped(), "the transport's sending direction ends with the half");
        assert_eq!((at_writer.wakes(), at_writer.live()), (0, 0));
        wire.push_data(peer::data(&mut peer, b"goes on"));
        assert_eq!(done(read(&at_reader, &mut reader, 10)), b"goes on");
    });
}

/// The reader polls the transport for writing, the writer comes and is turned away, and then the transport panics.
#[test]
fn a_panic_of_the_transport_under_one_half_leaves_the_other_awake() {
    by_hand(|| {
        let (mut reader, mut writer, wire, _peer, call) = calling();
        let (at_reader, at_writer) = (CountingWaker::new(), CountingWaker::new());
        wire.push_write(WriteStep::Accept(3));
        wire.push_write(WriteStep::Pending);
        assert_eq!(done(write(&at_writer, &mut writer, b"some")), 4);
        wire.release_write();
        let _ = at_writer.take_wakes();
        let writer = Rc::new(RefCell::new(writer));
        let (inside, counter) = (Rc::clone(&writer), at_writer.clone());
        *call.borrow_mut() = Some(Box::new(move || {
            assert!(peer::flush(&counter, &mut *inside.borrow_mut()).is_pending());
            panic!("the transport is broken");
        }));
        let polled = catch_unwind(AssertUnwindSafe(|| read(&at_reader, &mut reader, 10)));
        assert!(polled.is_err());
        assert_eq!(at_writer.take_wakes(), 1, "the writer was turned away, and has its turn");
        done(peer::flush(&at_writer, &mut *writer.borrow_mut()));
    });
}

/// A waker that is the same each time is not cloned for each poll, and one that changes is replaced.
#[test]
fn the_last_waker_counts() {
    by_hand(|| {
        let Met { mut stream, wire, mut peer } = peer::meet(TlsVersion::V13, Side::Server);
        let (first, second) = (CountingWaker::new(), CountingWaker::new());
        wire.push_write(WriteStep::Pending);
        assert_eq!(done(write(&first, &mut stream, b"x")), 1);
        for waker in [&first, &second] {
            assert!(write(waker, &mut stream, b"y").is_pending());
            assert!(read(waker, &mut stream, 1).is_pending());
        }
        assert_eq!((first.live(), second.live()), (0, 3), "for room twice, and at the read side");
        wire.release_write();
        wire.push_data(peer::data(&mut peer, b"z"));
        assert_eq!((first.wakes(), second.take_wakes()), (0, 2));
        // The one that is polled with nothing to wait for keeps nothing.
        let idle = Waker::noop();
        let mut buffer = [0; 1];
        let polled = Pin::new(&mut stream).poll_read(&mut Context::from_waker(idle), &mut ReadBuf::new(&mut buffer));
        assert!(polled.is_ready());
        assert_eq!((first.live(), second.live()), (0, 0));
    });
}
