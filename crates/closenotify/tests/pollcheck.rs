//! Our streams under pollcheck: no rule of the poll contract is broken by either side, joined or split, in TLS 1.2 or 1.3,
//! handshake included.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

use closenotify::{Linger, SplitTransport, Splittable, TlsAcceptor, TlsConnector, TlsStream};
use pollcheck::{Check, ReadHalf, Transport, WriteHalf};
use rustls::client::Resumption;
use rustls::{ClientConfig, ServerConfig};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use testkit::certs::{Authority, TlsVersion};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Join, ReadBuf, join};

/// pollcheck's transport, as one that our streams can split.
struct Wire {
    read: ReadHalf,
    write: WriteHalf,
}

impl Wire {
    fn new(transport: Transport) -> Self {
        let (read, write) = transport.into_split();
        Self { read, write }
    }
}

impl SplitTransport for Wire {
    type ReadHalf = ReadHalf;
    type WriteHalf = WriteHalf;

    fn split(self) -> (ReadHalf, WriteHalf) {
        (self.read, self.write)
    }

    fn reunite(read: ReadHalf, write: WriteHalf) -> Self {
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

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.write.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}

fn split<T: SplitTransport>(stream: TlsStream<T>) -> Join<closenotify::ReadHalf<T>, closenotify::WriteHalf<T>> {
    let (read, write) = stream.into_split();
    join(read, write)
}

fn configs(version: TlsVersion) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let authority = Authority::new();
    let mut client = ClientConfig::clone(&authority.client_config(version));
    // Each run must do the same as the one before.
    client.resumption = Resumption::disabled();
    (authority.server_config(version), Arc::new(client))
}

/// Handshakes need a clock to set their deadline by; nobody drives it, so that none passes.
fn with_clock(check: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    check();
}

/// Fewer schedules than pollcheck's own default: each run costs a handshake.
fn settings() -> Check {
    Check::new().depth(3).deviations(30).random_runs(10).step_bound(100_000)
}

fn joined(version: TlsVersion) {
    with_clock(|| {
        let (server, client) = configs(version);
        let report = settings().pair_async(|left, right| {
            let connect = TlsConnector::from(Arc::clone(&client)).connect("localhost".try_into().unwrap(), left);
            (connect, TlsAcceptor::from(Arc::clone(&server)).accept(right))
        });
        report.assert_clean();
    });
}

/// Over a transport that splits, by way of `wrap`.
fn in_halves<T: SplitTransport + 'static>(version: TlsVersion, wrap: fn(Transport) -> T) {
    with_clock(|| {
        let (server, client) = configs(version);
        let report = settings().pair_async(|left, right| {
            let connect = TlsConnector::from(Arc::clone(&client)).connect("localhost".try_into().unwrap(), wrap(left));
            let accept = TlsAcceptor::from(Arc::clone(&server)).accept(wrap(right));
            (async { connect.await.map(|stream| split(stream.into())) }, async {
                accept.await.map(|stream| split(stream.into()))
            })
        });
        report.assert_clean();
    });
}

/// docs/cases.md N06
#[test]
fn no_finding_on_joined_streams_in_tls_1_2() {
    joined(TlsVersion::V12);
}

/// docs/cases.md R35
#[test]
fn no_finding_on_joined_streams_in_tls_1_3() {
    joined(TlsVersion::V13);
}

#[test]
fn no_finding_on_halves_in_tls_1_2() {
    in_halves(TlsVersion::V12, Wire::new);
}

/// docs/cases.md L09
#[test]
fn no_finding_on_halves_in_tls_1_3() {
    in_halves(TlsVersion::V13, Wire::new);
}

/// A type that has no halves of its own; to pollcheck one that another crate made.
#[test]
fn no_finding_on_halves_of_a_transport_that_was_made_splittable() {
    for version in TlsVersion::EACH {
        in_halves(version, Splittable::new);
    }
}

/// A stream whose shutdown is a whole close waits there for the peer's end, or for a clock. So what is checked is all that
/// happens in front of it; its shutdown has tests of its own.
#[test]
fn no_finding_on_a_stream_whose_shutdown_is_a_close() {
    let scenarios = ["deliver", "cut", "gone peer", "waiting reader"];
    for (version, scenario) in TlsVersion::EACH.into_iter().flat_map(|version| scenarios.map(|name| (version, name))) {
        with_clock(|| {
            let (server, client) = configs(version);
            let report = settings().only(scenario).pair_async(|left, right| {
                let connect = TlsConnector::from(Arc::clone(&client)).connect("localhost".try_into().unwrap(), left);
                let accept = TlsAcceptor::from(Arc::clone(&server)).accept(right);
                let closing = |stream: TlsStream<Transport>| stream.close_on_shutdown(Linger::default()).0;
                (async move { connect.await.map(|stream| closing(stream.into())) }, async move {
                    accept.await.map(|stream| closing(stream.into()))
                })
            });
            assert!(report.runs() > 10, "{scenario}: {report}");
            report.assert_clean();
        });
    }
}

/// What the client says first, and the server takes out before the streams are checked.
const EARLY: &[u8] = b"said first";

#[cfg(feature = "early-data")]
mod early {
    use super::*;
    use testkit::tickets::early_configs_from;

    /// Streams that began with early data, which the server reads and answers where it comes, or gets as ordinary data.
    fn behind_early_data(accepted: bool) {
        with_clock(|| {
            let (server, client) = configs(TlsVersion::V13);
            let (server, client) = (ServerConfig::clone(&server), ClientConfig::clone(&client));
            let (mut server, client) = early_configs_from(server, client, 1_000, 5_000);
            let client = Arc::new(client);
            if !accepted {
                // The tickets allow it still.
                server.max_early_data_size = 0;
            }
            let server = Arc::new(server);
            let report = settings().pair_async(|left, right| {
                let connector = TlsConnector::from(Arc::clone(&client));
                let accept_early = TlsAcceptor::from(Arc::clone(&server)).accept_early(right);
                let connect = async move {
                    let mut stream = connector.connect_early("localhost".try_into().unwrap(), left, EARLY).await?;
                    assert_eq!(stream.facts().early_data(), accepted.then_some(EARLY.len() as u64));
                    let mut answer = [0; 2];
                    stream.read_exact(&mut answer).await?;
                    io::Result::Ok(stream)
                };
                let accept = async move {
                    let mut early = accept_early.await?;
                    early.write_all(b"hi").await?;
                    let mut said = Vec::new();
                    early.read_to_end(&mut said).await?;
                    let mut stream = early.finish().await?;
                    stream.flush().await?;
                    if !accepted {
                        said.resize(EARLY.len(), 0);
                        stream.read_exact(&mut said).await?;
                    }
                    assert_eq!(said, EARLY);
                    io::Result::Ok(stream)
                };
                (connect, accept)
            });
            report.assert_clean();
        });
    }

    /// docs/cases.md R26
    #[test]
    fn no_finding_on_streams_behind_early_data() {
        behind_early_data(true);
    }

    #[test]
    fn no_finding_on_streams_behind_refused_early_data() {
        behind_early_data(false);
    }
}
