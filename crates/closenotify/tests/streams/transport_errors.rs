//! Transports that fail in their own way, and transports that lie: the caller gets the transport's own error, and never a
//! panic.

use crate::peer::Configs;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use testkit::certs::TlsVersion;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, duplex};
use tokio::time::timeout;

/// The clock is paused: it passes only when no task has anything to do, which is a hang.
const HANG: Duration = Duration::from_secs(1000);

/// A transport that reports more than it was given, from the call of that number on.
struct Liar<T> {
    io: T,
    honest_writes: usize,
}

impl<T: AsyncRead + Unpin> AsyncRead for Liar<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Liar<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        if self.honest_writes == 0 {
            return Poll::Ready(Ok(written + 13));
        }
        self.honest_writes -= 1;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// rustls issue 2316: seen on macOS with VPN software.
#[tokio::test(start_paused = true)]
async fn a_transport_that_reports_more_than_it_was_given_is_an_error_on_every_path() {
    let is_overcount = |error: &io::Error| {
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let text = error.to_string();
        assert!(text.starts_with("the transport is broken: it was given "), "{text}");
    };
    for version in TlsVersion::EACH {
        let configs = Configs::of(version);
        let connector = |name: &'static str| (configs.connector(), name.try_into().unwrap());
        // In the handshake: as a client from its first flight, as a server from its first or, in TLS 1.2, its second.
        for (lying_client, honest_writes) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
            if (lying_client, honest_writes, version) == (false, 1, TlsVersion::V13) {
                // It has no second flight, for these configurations issue no tickets.
                continue;
            }
            let (to_server, to_client) = duplex(1 << 20);
            let (connector, name) = connector("localhost");
            let (client, server) = if lying_client {
                let acceptor = configs.acceptor();
                let (client, server) = tokio::join!(
                    connector.connect(name, Liar { io: to_server, honest_writes }),
                    timeout(HANG, acceptor.accept(to_client))
                );
                (client.map(drop), server.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(drop))
            } else {
                let acceptor = configs.acceptor();
                let (client, server) = tokio::join!(
                    timeout(HANG, connector.connect(name, to_server)),
                    acceptor.accept(Liar { io: to_client, honest_writes })
                );
                (client.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(drop), server.map(drop))
            };
            match lying_client {
                true => is_overcount(&client.expect_err(&format!("{version:?} {honest_writes}"))),
                false => is_overcount(&server.expect_err(&format!("{version:?} {honest_writes}"))),
            }
        }
        // In a session: joined, split, at the close.
        for path in ["write", "flush", "shutdown", "split", "close"] {
            let (to_server, to_client) = duplex(1 << 20);
            let (connector, name) = connector("localhost");
            let acceptor = configs.acceptor();
            let (client, server) = tokio::join!(
                connector.connect(name, Liar { io: to_server, honest_writes: usize::MAX }),
                acceptor.accept(to_client)
            );
            let (mut client, _server) = (client.unwrap(), server.unwrap());
            client.get_mut().0.honest_writes = 0;
            match path {
                "write" => is_overcount(&client.write_all(b"data").await.unwrap_err()),
                "flush" => {
                    is_overcount(&client.write_all(b"data").await.unwrap_err());
                    is_overcount(&client.flush().await.unwrap_err());
                }
                "shutdown" => is_overcount(&client.shutdown().await.unwrap_err()),
                "close" => {
                    let ended = client.close(closenotify::Linger::default()).await;
                    assert_eq!(ended.sent, closenotify::SentEnding::Failed(io::ErrorKind::InvalidData));
                    is_overcount(&ended.error.unwrap());
                }
                _ => {
                    let (io, _) = client.into_inner();
                    drop(io);
                    let (to_server, to_client) = duplex(1 << 20);
                    let liar = closenotify::Splittable::new(Liar { io: to_server, honest_writes: usize::MAX });
                    let acceptor = configs.acceptor();
                    let connector = configs.connector();
                    let (client, server) = tokio::join!(
                        connector.connect("localhost".try_into().unwrap(), liar),
                        acceptor.accept(to_client)
                    );
                    let mut client = client.unwrap();
                    client.get_mut().0.get_mut().honest_writes = 0;
                    let (_reader, mut writer) = client.into_split();
                    is_overcount(&writer.write_all(b"data").await.unwrap_err());
                    drop(server);
                }
            }
        }
    }
}

/// An error that only its own crate knows.
#[derive(Debug)]
struct Custom;

impl std::fmt::Display for Custom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the tunnel was torn down by its operator")
    }
}

impl std::error::Error for Custom {}

/// A transport that fails with an error of its own, when it is told to.
#[derive(Debug)]
struct Failing<T> {
    io: T,
    fails: Option<&'static str>,
    os: bool,
}

impl<T> Failing<T> {
    fn fail(&self, call: &str) -> io::Result<()> {
        match self.fails {
            Some(fails) if fails == call && self.os => Err(io::Error::from_raw_os_error(110)),
            Some(fails) if fails == call => Err(io::Error::new(io::ErrorKind::NetworkDown, Custom)),
            _ => Ok(()),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Failing<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.fail("read")?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Failing<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.fail("write")?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fail("flush")?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fail("shutdown")?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The error as the transport made it: by its code, or by a downcast; and one like it each time after that.
#[track_caller]
fn assert_own(error: &io::Error, os: bool, first: bool) {
    let expected =
        if os { io::Error::from_raw_os_error(110) } else { io::Error::new(io::ErrorKind::NetworkDown, Custom) };
    assert_eq!(error.kind(), expected.kind(), "{error:?}");
    assert_eq!(error.raw_os_error(), expected.raw_os_error(), "{error:?}");
    assert_eq!(error.to_string(), expected.to_string());
    if first && !os {
        assert!(error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Custom>), "{error:?}");
        assert!(closenotify::find_source::<Custom>(error).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn the_transports_own_error_is_handed_on() {
    for version in TlsVersion::EACH {
        for os in [false, true] {
            let configs = Configs::of(version);
            let meet = || async {
                let (to_server, to_client) = duplex(1 << 20);
                let (connector, acceptor) = (configs.connector(), configs.acceptor());
                let (client, server) = tokio::join!(
                    connector.connect("localhost".try_into().unwrap(), Failing { io: to_server, fails: None, os }),
                    acceptor.accept(to_client)
                );
                (client.unwrap(), server.unwrap())
            };
            // Reads, writes, flushes, shutdowns; each a second time.
            for call in ["read", "write", "flush", "shutdown"] {
                let (mut client, _server) = meet().await;
                client.get_mut().0.fails = Some(call);
                for first in [true, false] {
                    let error = match call {
                        "read" => client.read_u8().await.unwrap_err(),
                        "write" => client.write_all(b"x").await.unwrap_err(),
                        "flush" => {
                            let _ = client.write_all(b"x").await;
                            client.flush().await.unwrap_err()
                        }
                        _ => client.shutdown().await.unwrap_err(),
                    };
                    // What a flush failed with is told by whichever call comes first.
                    assert_own(&error, os, first);
                }
                // A close reports it too.
                let (mut client, _server) = meet().await;
                client.get_mut().0.fails = Some(call);
                let ended = client.close(closenotify::Linger::default()).await;
                assert_own(ended.error.as_deref().expect("the transport failed"), os, true);
                // And the end of TLS with the transport going on, which does not shut the transport down.
                if call != "shutdown" {
                    let (mut client, _server) = meet().await;
                    client.get_mut().0.fails = Some(call);
                    let failed = client.end_tls(Duration::from_secs(5)).await.unwrap_err();
                    assert_own(failed.error.as_ref().expect("the transport failed"), os, true);
                    assert!(std::error::Error::source(&failed).is_some());
                }
                // And a stream whose shutdown is a close.
                if call != "read" {
                    let (mut client, _server) = meet().await;
                    client.get_mut().0.fails = Some(call);
                    let (mut closing, ended) = client.close_on_shutdown(closenotify::Linger::default());
                    for _ in 0..2 {
                        assert_own(&closing.shutdown().await.unwrap_err(), os, false);
                    }
                    assert_own(ended.await.error.as_deref().expect("the transport failed"), os, true);
                }
            }
            // The handshake, on either side, read and write.
            for call in ["read", "write", "flush"] {
                let (to_server, to_client) = duplex(1 << 20);
                let failing = Failing { io: to_server, fails: Some(call), os };
                let connect = configs.connector().connect("localhost".try_into().unwrap(), failing);
                // A peer that ends without a word, so that the failed write is what there is to say.
                let mut to_client = to_client;
                to_client.shutdown().await.unwrap();
                assert_own(&connect.await.unwrap_err(), os, true);

                let (to_server, to_client) = duplex(1 << 20);
                let (connector, acceptor) = (configs.connector(), configs.acceptor());
                let accept = acceptor.accept(Failing { io: to_client, fails: Some(call), os });
                let connect = connector.connect("localhost".try_into().unwrap(), to_server);
                let (accepted, _) = tokio::join!(accept, timeout(Duration::from_secs(1), connect));
                // What a flush failed to push has arrived all the same: the client has finished, and its data is complete.
                if call == "flush" && version == TlsVersion::V13 {
                    let mut stream = accepted.unwrap();
                    assert!(matches!(stream.sent_ending(), Some(closenotify::SentEnding::Failed(_))));
                    assert_own(&stream.flush().await.unwrap_err(), os, true);
                } else {
                    assert_own(&accepted.unwrap_err(), os, true);
                }
            }
        }
    }
}
