//! Our stream over a scripted transport, its plain rustls peer in the test's hand, and ways to poll by hand.

use closenotify::{SplitTransport, TlsAcceptor, TlsConnector, TlsStream};
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use std::io::{self, IoSlice, Write as _};
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll};
use testkit::certs::{Authority, TlsVersion};
use testkit::executor::CountingWaker;
use testkit::transport::{Handle, Polls, Scripted, ScriptedRead, ScriptedWrite};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Which side our stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Both versions and both sides.
pub(crate) const EACH: [(TlsVersion, Side); 4] = [
    (TlsVersion::V12, Side::Client),
    (TlsVersion::V12, Side::Server),
    (TlsVersion::V13, Side::Client),
    (TlsVersion::V13, Side::Server),
];

pub(crate) struct Configs {
    pub(crate) server: ServerConfig,
    pub(crate) client: ClientConfig,
}

pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
    &AUTHORITY
}

impl Configs {
    pub(crate) fn of(version: TlsVersion) -> &'static Self {
        static EACH: LazyLock<[Configs; 2]> = LazyLock::new(|| {
            TlsVersion::EACH.map(|version| {
                let mut server = ServerConfig::clone(&authority().server_config(version));
                // Without tickets what arrives and what is written is the test's own.
                server.send_tls13_tickets = 0;
                let mut client = ClientConfig::clone(&authority().client_config(version));
                client.resumption = Resumption::disabled();
                Configs { server, client }
            })
        });
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

    pub(crate) fn peer_of(&self, side: Side) -> Connection {
        match side {
            Side::Client => ServerConnection::new(self.server.clone().into()).unwrap().into(),
            Side::Server => {
                ClientConnection::new(self.client.clone().into(), "localhost".try_into().unwrap()).unwrap().into()
            }
        }
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

pub(crate) fn feed(peer: &mut Connection, mut bytes: &[u8]) -> Result<(), rustls::Error> {
    while !bytes.is_empty() {
        if peer.read_tls(&mut bytes).unwrap() == 0 {
            break;
        }
        peer.process_new_packets()?;
    }
    Ok(())
}

pub(crate) fn output_of(peer: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while peer.wants_write() {
        peer.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// The peer's plaintext on the wire.
pub(crate) fn data(peer: &mut Connection, plaintext: &[u8]) -> Vec<u8> {
    peer.set_buffer_limit(None);
    peer.writer().write_all(plaintext).unwrap();
    output_of(peer)
}

/// The peer's close_notify on the wire.
pub(crate) fn close_notify(peer: &mut Connection) -> Vec<u8> {
    peer.send_close_notify();
    output_of(peer)
}

/// A KeyUpdate that asks for an answer (TLS 1.3), on the wire.
pub(crate) fn key_update(peer: &mut Connection) -> Vec<u8> {
    peer.refresh_traffic_keys().unwrap();
    output_of(peer)
}

/// A fatal alert of the peer's on the wire.
pub(crate) fn fatal_alert(peer: &mut Connection) -> Vec<u8> {
    feed(peer, b"GET / HTTP/1.1").unwrap_err();
    output_of(peer)
}

/// A record that breaks the protocol: a flipped bit.
pub(crate) fn broken(peer: &mut Connection) -> Vec<u8> {
    let mut record = data(peer, b"hello");
    *record.last_mut().unwrap() ^= 1;
    record
}

/// What the peer makes of `bytes`: the plaintext, and whether it has been closed cleanly by now, or its error.
pub(crate) fn read_at(peer: &mut Connection, bytes: &[u8]) -> (Vec<u8>, Result<bool, rustls::Error>) {
    let mut plaintext = Vec::new();
    let mut result = Ok(());
    for chunk in bytes.chunks(4096) {
        result = feed(peer, chunk);
        let mut reader = peer.reader();
        while let Ok(chunk @ [_, ..]) = io::BufRead::fill_buf(&mut reader) {
            plaintext.extend_from_slice(chunk);
            let length = chunk.len();
            io::BufRead::consume(&mut reader, length);
        }
    }
    let closed = peer.process_new_packets().map(|state| state.peer_has_closed());
    (plaintext, result.and(closed))
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
