//! TLS as a client.

use crate::buffers::BufferLimit;
use crate::client::TlsStream;
use crate::close::{Linger, linger};
use crate::flight::Settings;
use crate::handshake::{Fallible, Handshaking, fallible};
use crate::reading::Truncation;
use crate::split::Role;
use closenotify_core::{ClientSetup, Handshake};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Opens TLS sessions as a client.
///
/// Make one from an `Arc<ClientConfig>` and keep it: it prepares a copy of the configuration once. Cloning it is cheap.
///
/// ```
/// use closenotify::TlsConnector;
/// # use tokio::net::TcpStream;
/// # async fn connect(config: std::sync::Arc<rustls::ClientConfig>) -> std::io::Result<()> {
/// let connector = TlsConnector::from(config);
/// let tcp = TcpStream::connect("example.com:443").await?;
/// let stream = connector.connect("example.com".try_into().expect("a DNS name"), tcp).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TlsConnector {
    setup: ClientSetup,
    settings: Settings,
}

impl TlsConnector {
    /// Sets how long a handshake may take, its alert included, or switches the timeout off with `None`, as
    /// [`TlsAcceptor::handshake_timeout`](crate::TlsAcceptor::handshake_timeout) does. The default is 10 seconds, if the Tokio
    /// runtime has a clock.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.handshake_timeout = timeout.into().into();
        self
    }

    /// Sets how a missing close_notify is reported by the streams made here: as an error by default.
    #[must_use]
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.settings.truncation = truncation;
        self
    }

    /// Sets how many bytes a session made here holds in each direction. The default is 64 KiB; less than 16 KiB counts as
    /// 16 KiB, more than 64 KiB as 64 KiB. [Memory](crate#memory) lists the buffers.
    #[must_use]
    pub fn buffer_limit(mut self, bytes: usize) -> Self {
        self.settings.buffer_limit = BufferLimit::new(bytes);
        self
    }

    /// The same connector, which offers these protocols by ALPN (RFC 7301), the first one preferred, in place of those of its
    /// configuration. It makes a copy of the configuration, which shares the sessions to resume: for many connections, keep
    /// the connector that it returns.
    #[must_use]
    pub fn with_alpn(&self, protocols: Vec<Vec<u8>>) -> Self {
        let mut config = ClientConfig::clone(self.config());
        config.alpn_protocols = protocols;
        Self { setup: Arc::new(config).into(), settings: self.settings }
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &Arc<ClientConfig> {
        self.setup.config()
    }

    /// Handshakes over `stream` with the server called `domain`.
    ///
    /// # Errors
    ///
    /// The future returns an [`io::Error`]: the transport's own, or one whose source is a
    /// [`HandshakeError`](crate::HandshakeError). An alert was sent before, if the transport took it.
    pub fn connect<T: AsyncRead + AsyncWrite + Unpin>(&self, domain: ServerName<'static>, stream: T) -> Connect<T> {
        let handshake = Handshake::client(self.setup.clone(), domain);
        Connect(Some(Handshaking::new(stream, Role::Client, handshake, self.settings)))
    }

    /// As [`connect`](Self::connect), and sends `early` first: as early data (0-RTT, RFC 9846 section 4.3.10), with the first
    /// flight, where the server's ticket from an earlier session allows it. That is at most a quarter of what the ticket allows,
    /// and 4 KiB, less 17 bytes; the rest waits for the handshake. So a server that rejects it, because the ticket is not known
    /// any more or another protocol was chosen, continues all the same: one over rustls 0.23 cannot skip much more.
    ///
    /// The stream that it returns is one like any other. No byte of `early` is lost or sent twice: what was not accepted as
    /// early data follows as ordinary data, before anything that is written to the stream.
    /// [`SessionFacts::early_data`](crate::SessionFacts::early_data) says how much was accepted. It is written when the future
    /// returns. Only where the server takes no more of it before its own answer, of more than 16 KiB, is read, the rest is held,
    /// encrypted, and goes out with the stream's next read, write or flush.
    ///
    /// **The server may receive `early` more than once**, from somebody on the way who recorded it, and keys of this session do
    /// not protect it. Send only what may be sent twice. To call this is to allow it: `enable_early_data` of the configuration
    /// need not be set.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect). When early data had gone out, the server may have acted on it though the handshake failed. A
    /// server that no longer supports TLS 1.3 fails the handshake: connect again without. So may one over rustls 0.23 that rejects
    /// early data and has lowered its limit, but not to 0, since it issued the ticket, or that receives the client's certificate
    /// in many small pieces; its alert may come so late that the stream is there already, and its first read fails.
    ///
    /// Dropping the future drops the transport, with no alert; early data may have reached the server.
    #[cfg(feature = "early-data")]
    pub fn connect_early<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        domain: ServerName<'static>,
        stream: T,
        early: impl Into<bytes::Bytes>,
    ) -> Connect<T> {
        let handshake = Handshake::client_early(self.setup.clone(), domain, early.into());
        Connect(Some(Handshaking::new(stream, Role::Client, handshake, self.settings)))
    }
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self { setup: config.into(), settings: Settings::default() }
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A client's handshake in progress: made by [`TlsConnector::connect`] and, with the feature `early-data`, by
/// `connect_early`.
///
/// Dropping it drops the transport, with no alert: the peer sees an unfinished handshake.
#[derive(Debug)]
#[must_use = "a handshake does nothing until it is awaited"]
pub struct Connect<T>(Option<Handshaking<T>>);

impl<T: AsyncRead + AsyncWrite + Unpin> Connect<T> {
    /// The same handshake, which returns the transport when it fails.
    pub fn into_fallible(self) -> Fallible<Self> {
        Fallible(self)
    }

    /// The same handshake. If it fails, it [lingers](linger()) before it returns the error, so that the alert arrives.
    ///
    /// # Errors
    ///
    /// As [`TlsConnector::connect`]. Dropping the future drops the transport.
    ///
    /// Where Tokio has no clock (`enable_time`), nothing bounds it in time.
    pub async fn lingering(self, bounds: Linger) -> io::Result<TlsStream<T>> {
        match self.into_fallible().await {
            Ok(stream) => Ok(stream),
            Err((error, io)) => {
                linger(io, bounds).await;
                Err(error)
            }
        }
    }

    /// The transport; `None` after the future has returned its result.
    pub fn get_ref(&self) -> Option<&T> {
        self.0.as_ref().map(|handshaking| &handshaking.flight.io)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Connect<T> {
    type Output = io::Result<TlsStream<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Handshaking::poll_stream(&mut self.0, cx));
        Poll::Ready(result.map(TlsStream).map_err(|(refusal, _io)| refusal.into_io()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Fallible<Connect<T>> {
    type Output = Result<TlsStream<T>, (io::Error, T)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Handshaking::poll_stream(&mut self.0.0, cx));
        Poll::Ready(fallible(result.map(TlsStream)))
    }
}
