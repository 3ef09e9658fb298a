//! `Debug` of every public type, with bytes in every place that can hold some, over a transport that prints its own: states
//! and lengths, and no byte of plaintext, of a key or of a certificate.

use crate::peer::{self, EACH, Met, Side, Wire, by_hand, close_notify, data, done, failed, read, shutdown, write};
use closenotify::{
    CloseOnShutdown, Ended, Linger, ReadError, SplitTransport, Splittable, TlsAcceptor, TlsConnector, TlsStream,
    Truncation, WriteError, client, find_source, server,
};
use rustls::{ClientConfig, ServerConfig};
use std::fmt::{self, Debug};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use testkit::transport::{Handle, ReadStep, ScriptedRead, ScriptedWrite, WriteStep};
use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, ReadBuf};

/// What must not be printed.
const MARK: &[u8] = b"Zq7#";

/// The mark, many times: any part of it that is left holds one.
fn marked() -> Vec<u8> {
    MARK.repeat(25)
}

/// A transport whose `Debug` prints bytes.
struct Loud<T>(T);

impl<T> Debug for Loud<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Loud").field(&MARK).field(&String::from_utf8_lossy(MARK)).finish()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Loud<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Loud<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl SplitTransport for Loud<Wire> {
    type ReadHalf = Loud<ScriptedRead>;
    type WriteHalf = Loud<ScriptedWrite>;

    fn split(self) -> (Self::ReadHalf, Self::WriteHalf) {
        let (read, write) = self.0.split();
        (Loud(read), Loud(write))
    }

    fn reunite(read: Self::ReadHalf, write: Self::WriteHalf) -> Self {
        Self(Wire::reunite(read.0, write.0))
    }
}

/// Nothing of `secret` is in what `value` prints: not as text, as numbers in a list, or in hexadecimal.
#[track_caller]
fn assert_holds_none_of(value: &dyn Debug, secret: &[u8]) {
    let numbers: Vec<_> = secret.iter().map(u8::to_string).collect();
    let lower: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let listed: Vec<_> = secret.iter().map(|byte| format!("0x{byte:02x}")).collect();
    for printed in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!printed.is_empty());
        let packed: String = printed.split_whitespace().collect();
        for form in [&*String::from_utf8_lossy(secret), &numbers.join(","), &listed.join(",")] {
            assert!(!packed.contains(form), "{printed}");
        }
        assert!(!packed.to_lowercase().contains(&lower), "{printed}");
    }
}

#[track_caller]
fn assert_quiet(value: &dyn Debug) {
    assert_holds_none_of(value, MARK);
}

/// Before anything is believed of the check: it finds each form.
#[test]
fn the_mark_is_found_in_every_form() {
    let forms: [&dyn Debug; 4] =
        [&"Zq7#", &MARK, &format_args!("5A713723"), &MARK.iter().map(|b| format!("0x{b:x}")).collect::<Vec<_>>()];
    for form in forms {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // Quotes would part the last of them.
            assert_quiet(&format_args!("{}", format!("{form:?}").replace('"', "")));
        }));
        assert!(caught.is_err(), "{form:?}");
    }
    assert!(std::panic::catch_unwind(|| assert_quiet(&Loud(()))).is_err());
}

/// A session with the mark received and unread, opened and not consumed, and written and not sent.
fn full(version: TlsVersion, side: Side) -> (TlsStream<Loud<Wire>>, Handle, CountingWaker) {
    let configs = peer::Configs::of(version);
    let (wire, handle) = Wire::new();
    let mut peer = configs.peer_of(side);
    let mut stream: TlsStream<_> = match side {
        Side::Client => {
            let connect = configs.connector().connect("localhost".try_into().unwrap(), Loud(wire));
            peer::shake(connect, &handle, &mut peer).into()
        }
        Side::Server => peer::shake(configs.acceptor().accept(Loud(wire)), &handle, &mut peer).into(),
    };
    let waker = CountingWaker::new();
    let both = [data(&mut peer, &marked()), data(&mut peer, &marked()), close_notify(&mut peer), marked()].concat();
    handle.push_data(both);
    let opened = waker.with_context(|cx| Pin::new(&mut stream).poll_fill_buf(cx).map_ok(<[u8]>::len));
    assert_eq!(done(opened), 100);
    Pin::new(&mut stream).consume(4);
    handle.push_write(WriteStep::Accept(3));
    handle.push_write(WriteStep::Pending);
    assert_eq!(done(write(&waker, &mut stream, &marked())), 100);
    (stream, handle, waker)
}

#[test]
fn no_stream_prints_a_byte() {
    by_hand(|| {
        for (version, side) in EACH {
            let (mut stream, handle, waker) = full(version, side);
            assert_quiet(&stream);
            let printed = format!("{stream:?}");
            assert!(printed.contains("unread_bytes: 96") && printed.contains("unsent_bytes: 1"), "{printed}");
            // After the end, with trailing bytes held.
            while !done(read(&waker, &mut stream, 64)).is_empty() {}
            assert_quiet(&stream);
            assert!(format!("{stream:?}").contains("CloseNotify"));
            match stream {
                TlsStream::Client(stream) => assert_quiet(&stream as &client::TlsStream<_>),
                TlsStream::Server(stream) => assert_quiet(&stream as &server::TlsStream<_>),
            }
            drop(handle);

            let (stream, _handle, _) = full(version, side);
            let (read_half, write_half) = stream.into_split();
            assert_quiet(&read_half);
            assert_quiet(&write_half);
            let (other, _handle, _) = full(version, side);
            let (_other_read, other_write) = other.into_split();
            assert_quiet(&read_half.reunite(other_write).unwrap_err());

            let (stream, _handle, waker) = full(version, side);
            let (mut closing, when): (CloseOnShutdown<_>, _) = stream.close_on_shutdown(Linger::default());
            assert_quiet(&closing);
            assert_quiet(&when);
            assert!(shutdown(&waker, &mut closing).is_pending());
            assert_quiet(&closing);
            drop(closing);
            assert_quiet(&when);
        }
    });
}

#[tokio::test(start_paused = true)]
async fn no_ending_and_no_error_prints_a_byte() {
    for (version, side) in EACH {
        let (stream, ..) = full(version, side);
        let error = stream.end_tls(Duration::from_secs(1)).await.unwrap_err();
        assert_quiet(&error);
        assert_quiet(&error.fault);
        let (stream, handle, _) = full(version, side);
        handle.push_read(ReadStep::Eof);
        handle.release_write();
        let ended: Ended = stream.close(Linger::default()).await;
        assert!(ended.trailing == 100, "{ended:?}");
        assert_quiet(&ended);

        let Met { mut stream, wire, mut peer } = peer::meet(version, side);
        let waker = CountingWaker::new();
        wire.push_data(data(&mut peer, &marked()));
        wire.push_data(peer::broken(&mut peer));
        done(read(&waker, &mut stream, 1));
        done(read(&waker, &mut stream, 100));
        let error = failed(read(&waker, &mut stream, 100));
        assert_quiet(&error);
        assert_quiet(&ReadError::find(&error).unwrap());
        assert_quiet(&find_source::<closenotify::Violation>(&error).unwrap());
        let error = failed(write(&waker, &mut stream, &marked()));
        assert_quiet(&error);
        assert_quiet(&WriteError::find(&error).unwrap());
        assert_quiet(&stream);

        // What is no TLS is no part of the error, whatever it begins with.
        let configs = peer::Configs::of(version);
        let (wire, handle) = Wire::new();
        handle.push_data(marked());
        let error = match side {
            Side::Client => {
                let connect = configs.connector().connect("localhost".try_into().unwrap(), Loud(wire));
                connect.await.unwrap_err()
            }
            Side::Server => configs.acceptor().accept(Loud(wire)).await.unwrap_err(),
        };
        assert_quiet(&error);
        assert_quiet(&closenotify::HandshakeError::find(&error).unwrap());
    }
    assert_quiet(&Linger::default());
    assert_quiet(&Truncation::AsEof);
    assert_quiet(&Splittable::new(Loud(())));
}

/// Nor a byte of a key or a certificate, of which they have the configuration.
#[test]
fn no_handshake_prints_a_byte() {
    by_hand(|| {
        let authority = peer::authority();
        let leaf = authority.issue(&["localhost"]);
        let keep_quiet = |value: &dyn Debug| {
            assert_quiet(value);
            assert_holds_none_of(value, &leaf.chain()[0][..8]);
            assert_holds_none_of(value, &leaf.key_der().secret_der()[..8]);
        };
        for version in TlsVersion::EACH {
            let server = Arc::new(ServerConfig::clone(&authority.server_config_with(version, &leaf)));
            let client = Arc::new(ClientConfig::clone(&authority.client_config_with(version, &leaf)));
            let (acceptor, connector) = (TlsAcceptor::from(server), TlsConnector::from(client));
            let connector = connector.with_alpn(vec![b"h2".to_vec()]);
            keep_quiet(&acceptor);
            keep_quiet(&connector);
            let waker = CountingWaker::new();

            let wire = || Loud(Wire::new().0);
            let mut connect = connector.connect("localhost".try_into().unwrap(), wire());
            keep_quiet(&connect);
            assert!(waker.poll(Pin::new(&mut connect)).is_pending());
            keep_quiet(&connect);
            keep_quiet(&connect.into_fallible());

            let hello = peer::output_of(&mut peer::Configs::of(version).peer_of(Side::Server));
            let accepting = |bytes: &[u8]| {
                let (wire, handle) = Wire::new();
                handle.push_write(WriteStep::Accept(3));
                handle.push_write(WriteStep::Pending);
                handle.push_data(bytes);
                Loud(wire)
            };
            let mut accept = acceptor.accept(accepting(&hello));
            keep_quiet(&accept);
            assert!(waker.poll(Pin::new(&mut accept)).is_pending());
            keep_quiet(&accept);
            keep_quiet(&accept.into_fallible());
            // Refused, with an alert that is not taken; the input is that of the peer.
            let mut accept = acceptor.accept(accepting(&marked()));
            assert!(waker.poll(Pin::new(&mut accept)).is_pending());
            keep_quiet(&accept);

            let mut lazy = closenotify::LazyConfigAcceptor::new(accepting(&hello[..50]));
            keep_quiet(&lazy);
            assert!(waker.poll(pin!(&mut lazy)).is_pending());
            keep_quiet(&lazy);
            let mut lazy = closenotify::LazyConfigAcceptor::new(accepting(&[&hello[..], &marked()].concat()));
            let Poll::Ready(Ok(start)) = waker.poll(pin!(&mut lazy)) else { panic!("there is a ClientHello") };
            keep_quiet(&lazy);
            keep_quiet(&start);
            keep_quiet(&start.into_stream(acceptor.clone()));
        }
    });
}

#[tokio::test]
async fn facts_count_the_certificates_and_print_none() {
    let authority = peer::authority();
    let leaf = authority.issue_client("alice");
    for version in TlsVersion::EACH {
        let mut server = ServerConfig::clone(&authority.server_config_requiring_client(version));
        server.alpn_protocols = vec![b"h2".to_vec()];
        let mut client = ClientConfig::clone(&authority.client_config_with(version, &leaf));
        client.alpn_protocols = vec![b"h2".to_vec()];
        let (to_server, to_client) = tokio::io::duplex(16 * 1024);
        let (acceptor, connector) = (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)));
        let (server, client) =
            tokio::join!(acceptor.accept(to_client), connector.connect("localhost".try_into().unwrap(), to_server));
        let (server, client) = (server.unwrap(), client.unwrap());
        for (facts, printed) in [(server.facts(), format!("{server:?}")), (client.facts(), format!("{client:?}"))] {
            let certificate = &facts.peer_certificates().unwrap()[0];
            // Sixteen bytes from where two certificates differ.
            let bytes = &certificate[certificate.len() - 16..];
            assert_holds_none_of(facts, bytes);
            assert_holds_none_of(&format_args!("{printed}"), bytes);
            assert!(printed.contains("peer_certificates: 1") && printed.contains("\"h2\""), "{printed}");
        }
    }
}

#[cfg(feature = "tonic")]
impl tonic::transport::server::Connected for Loud<Wire> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

#[cfg(feature = "tonic")]
#[test]
fn what_tonic_hands_on_prints_no_certificate() {
    use tonic::transport::server::Connected as _;

    by_hand(|| {
        let (stream, _handle, _) = full(TlsVersion::V13, Side::Client);
        let certificate = stream.facts().peer_certificates().unwrap()[0].clone();
        let info = stream.connect_info();
        assert_quiet(&info);
        assert_holds_none_of(&info, &certificate[certificate.len() - 16..]);
    });
}

#[cfg(feature = "early-data")]
#[tokio::test]
async fn early_data_is_not_printed_on_either_side() {
    use tokio::io::AsyncReadExt as _;

    let (server, client) = testkit::tickets::early_configs(100_000);
    let (acceptor, connector) = (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)));
    let (to_server, to_client) = tokio::io::duplex(64 * 1024);
    let mut connect = connector.connect_early("localhost".try_into().unwrap(), Loud(to_server), marked());
    assert_quiet(&connect);
    let waker = CountingWaker::new();
    assert!(waker.poll(Pin::new(&mut connect)).is_pending());
    assert_quiet(&connect);

    let accept = acceptor.accept_early(Loud(to_client));
    assert_quiet(&accept);
    let mut early = accept.await.unwrap();
    assert_quiet(&early);
    early.read_exact(&mut [0; 6]).await.unwrap();
    assert_quiet(&early);
    assert_quiet(&early.facts().unwrap());
    assert_quiet(&connect);
    let (stream, finished) = tokio::join!(connect, early.finish());
    assert_quiet(&stream.unwrap());
    // It begins with the rest of the early data.
    let mut stream = finished.unwrap();
    assert_quiet(&stream);
    assert_eq!(stream.read(&mut [0; 200]).await.unwrap(), 94);

    let (_to_server, to_client) = tokio::io::duplex(64);
    assert_quiet(&acceptor.accept_early(Loud(to_client)).into_fallible());
}
