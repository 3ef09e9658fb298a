//! Our stream over a scripted transport, its plain rustls peer in the test's hand, and ways to poll by hand.

use closenotify::{Ended, ReceivedEnding, SentEnding, SplitTransport, TlsAcceptor, TlsConnector, TlsStream};
use rustls::Connection;
use std::io::{self, IoSlice};
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll};
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use testkit::plain;
#[allow(unused_imports, reason = "the test of memory, which has this file too, needs fewer")]
pub(crate) use testkit::plain::{
    EACH, Side, authority, broken, close_notify, data, fatal_alert, feed, key_update, output_of, read_at,
};
use testkit::transport::{Handle, Polls, Scripted, ScriptedRead, ScriptedWrite};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How both halves ended, and how many bytes were discarded.
#[allow(dead_code, reason = "the test of memory, which has this file too, needs less")]
pub(crate) fn parts(ended: &Ended) -> (ReceivedEnding, SentEnding, u64) {
    (ended.received.clone(), ended.sent.clone(), ended.discarded)
}

/// The configurations of a version, and ours made of them.
pub(crate) struct Configs(plain::Configs);

impl Deref for Configs {
    type Target = plain::Configs;

    fn deref(&self) -> &plain::Configs {
        &self.0
    }
}

impl Configs {
    pub(crate) fn of(version: TlsVersion) -> &'static Self {
        static EACH: LazyLock<[Configs; 2]> =
            LazyLock::new(|| TlsVersion::EACH.map(|version| Configs(plain::Configs::of(version).clone())));
        match version {
            TlsVersion::V12 => &EACH[0],
            TlsVersion::V13 | TlsVersion::Both => &EACH[1],
        }
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(std::sync::Arc::new(self.server.clone()))
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(std::sync::Arc::new(self.client.clone()))
    }
}

/// A scripted transport that splits.
#[derive(Debug)]
pub(crate) struct Wire {
    read: ScriptedRead,
    write: ScriptedWrite,
}

impl Wire {
    pub(crate) fn new() -> (Self, Handle) {
        let (scripted, handle) = Scripted::new([]);
        let (read, write) = scripted.into_split();
        (Self { read, write }, handle)
    }
}

impl SplitTransport for Wire {
    type ReadHalf = ScriptedRead;
    type WriteHalf = ScriptedWrite;

    fn split(self) -> (ScriptedRead, ScriptedWrite) {
        (self.read, self.write)
    }

    fn reunite(read: ScriptedRead, write: ScriptedWrite) -> Self {
        Self { read, write }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}

pub(crate) struct Met {
    pub(crate) stream: TlsStream<Wire>,
    pub(crate) wire: Handle,
    pub(crate) peer: Connection,
}

/// A runtime with a paused clock around what polls by hand: no task, so no budget of Tokio's that would wake by itself.
pub(crate) fn by_hand<T>(body: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    body()
}

/// A session with its handshake done. Needs a runtime around it.
pub(crate) fn meet(version: TlsVersion, side: Side) -> Met {
    let configs = Configs::of(version);
    let (wire, handle) = Wire::new();
    meet_over(configs, side, wire, &handle)
}

/// [`meet`] over any transport whose reads are those of `handle` and that writes to it.
pub(crate) fn meet_over(configs: &Configs, side: Side, wire: Wire, handle: &Handle) -> Met {
    meet_by(&configs.connector(), &configs.acceptor(), configs.peer_of(side), side, wire, handle)
}

/// [`meet_over`] with settings of the test's own.
pub(crate) fn meet_by(
    connector: &TlsConnector,
    acceptor: &TlsAcceptor,
    mut peer: Connection,
    side: Side,
    wire: Wire,
    handle: &Handle,
) -> Met {
    let stream = match side {
        Side::Client => shake(connector.connect("localhost".try_into().unwrap(), wire), handle, &mut peer).into(),
        Side::Server => shake(acceptor.accept(wire), handle, &mut peer).into(),
    };
    Met { stream, wire: handle.clone(), peer }
}

/// Carries a handshake's bytes between a future of ours and the peer.
pub(crate) fn shake<S>(future: impl Future<Output = io::Result<S>>, wire: &Handle, peer: &mut Connection) -> S {
    let waker = CountingWaker::new();
    let mut future = pin!(future);
    for _ in 0..8 {
        let polled = waker.poll(future.as_mut());
        feed(peer, &wire.take_written()).unwrap();
        let answer = output_of(peer);
        if !answer.is_empty() {
            wire.push_data(answer);
        }
        if let Poll::Ready(stream) = polled {
            return stream.unwrap();
        }
    }
    panic!("a handshake takes no more than eight rounds");
}

/// Polls made between two counts.
pub(crate) fn since(before: Polls, after: Polls) -> Polls {
    Polls {
        read: after.read - before.read,
        write: after.write - before.write,
        flush: after.flush - before.flush,
        shutdown: after.shutdown - before.shutdown,
    }
}

/// One poll of a read.
pub(crate) fn read(
    waker: &CountingWaker,
    stream: &mut (impl AsyncRead + Unpin),
    size: usize,
) -> Poll<Result<Vec<u8>, io::Error>> {
    let mut buffer = vec![0; size];
    let mut buffer = ReadBuf::new(&mut buffer);
    waker.with_context(|cx| Pin::new(stream).poll_read(cx, &mut buffer)).map_ok(|()| buffer.filled().to_vec())
}

/// One poll of a write.
pub(crate) fn write(
    waker: &CountingWaker,
    stream: &mut (impl AsyncWrite + Unpin),
    plaintext: &[u8],
) -> Poll<io::Result<usize>> {
    waker.with_context(|cx| Pin::new(stream).poll_write(cx, plaintext))
}

/// One poll of a vectored write.
pub(crate) fn write_vectored(
    waker: &CountingWaker,
    stream: &mut (impl AsyncWrite + Unpin),
    plaintext: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    waker.with_context(|cx| Pin::new(stream).poll_write_vectored(cx, plaintext))
}

/// One poll of a flush.
pub(crate) fn flush(waker: &CountingWaker, stream: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
    waker.with_context(|cx| Pin::new(stream).poll_flush(cx))
}

/// One poll of a shutdown.
pub(crate) fn shutdown(waker: &CountingWaker, stream: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
    waker.with_context(|cx| Pin::new(stream).poll_shutdown(cx))
}

/// The value of what must be ready and well.
#[track_caller]
pub(crate) fn done<T>(polled: Poll<io::Result<T>>) -> T {
    match polled {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("pending"),
    }
}

/// The error of what must be ready and failed.
#[track_caller]
pub(crate) fn failed<T: std::fmt::Debug>(polled: Poll<io::Result<T>>) -> io::Error {
    match polled {
        Poll::Ready(result) => result.unwrap_err(),
        Poll::Pending => panic!("pending"),
    }
}
