//! TLS as a server.

use crate::buffers::BufferLimit;
use crate::close::{Linger, linger};
use crate::flight::Settings;
use crate::handshake::{Fallible, Handshaking, fallible};
use crate::reading::Truncation;
use crate::server::TlsStream;
use crate::split::Role;
use closenotify_core::{Handshake, ServerSetup};
use rustls::ServerConfig;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Accepts TLS sessions as a server.
///
/// Make one from an `Arc<ServerConfig>` and keep it: it prepares a copy of the configuration once. Cloning it is cheap.
///
/// ```
/// use closenotify::{Linger, TlsAcceptor};
/// # use tokio::net::TcpListener;
/// # async fn serve(config: std::sync::Arc<rustls::ServerConfig>, listener: TcpListener) -> std::io::Result<()> {
/// let acceptor = TlsAcceptor::from(config);
/// let (tcp, _peer) = listener.accept().await?;
/// // A refused client gets the alert that says why: no reset destroys it.
/// let stream = acceptor.accept(tcp).lingering(Linger::default()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TlsAcceptor {
    setup: ServerSetup,
    settings: Settings,
}

impl TlsAcceptor {
    /// Sets the timeout of handshakes, which covers the alert of a failed one. `None` switches it off.
    ///
    /// The default is 10 seconds on a Tokio runtime with a clock (`enable_time`), and no timeout on a runtime without a clock or
    /// outside any runtime. If you set a timeout and there is no clock, the handshake fails with
    /// [`HandshakeError::NoClock`](crate::HandshakeError::NoClock). A runtime without a clock shows only by a panic in Tokio, which
    /// is caught. If panics abort your process, or to avoid the panic message on standard error, switch the timeout off.
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

    /// The configuration that it was made from.
    pub fn config(&self) -> &Arc<ServerConfig> {
        self.setup.config()
    }

    /// Handshakes over `stream` with a client.
    ///
    /// Early data is rejected, whatever the configuration allows: the client sends it again after the handshake.
    /// `accept_early` (feature `early-data`) accepts it.
    ///
    /// # Errors
    ///
    /// The future returns an [`io::Error`]: the transport's own, or one whose source is a
    /// [`HandshakeError`](crate::HandshakeError). An alert was sent before, if the transport took it.
    pub fn accept<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T) -> Accept<T> {
        Accept(Some(Handshaking::new(stream, Role::Server, Handshake::server(self.setup.clone()), self.settings)))
    }

    /// Handshakes over `stream` with a client up to where its early data begins (RFC 9846 section 4.3.10), or to the end where
    /// there is none.
    ///
    /// Early data is accepted from a client that resumes a session, up to `max_early_data_size` bytes of the configuration (0,
    /// the default, means none), and only where the server keeps sessions itself (`session_storage`), not in tickets alone.
    /// **It can be a replay**: see [`EarlyStream`](crate::EarlyStream) before acting on it. A server that only wants to
    /// receive it sooner continues at once, and reads it from the session's stream, where it is no replay:
    ///
    /// ```
    /// # use closenotify::{TlsAcceptor, server};
    /// # use tokio::net::TcpStream;
    /// # async fn serve(acceptor: TlsAcceptor, tcp: TcpStream) -> std::io::Result<server::TlsStream<TcpStream>> {
    /// acceptor.accept_early(tcp).await?.finish().await
    /// # }
    /// ```
    ///
    /// Where rustls 0.23 rejects early data, because another protocol was chosen or the ticket is not known any more, it keeps
    /// what it skips and counts it again at each step: a client that sent more than about half of the limit, or than 16 KiB,
    /// fails the handshake then, and has to connect again. Our own client [does not send that
    /// much](crate::TlsConnector::connect_early).
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    #[cfg(feature = "early-data")]
    pub fn accept_early<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T) -> crate::AcceptEarly<T> {
        let handshake = Handshake::server_early(self.setup.clone());
        crate::AcceptEarly::new(Handshaking::new(stream, Role::Server, handshake, self.settings))
    }

    pub(crate) fn setup(&self) -> &ServerSetup {
        &self.setup
    }
}

impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self { setup: config.into(), settings: Settings::default() }
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A server's handshake in progress: made by [`TlsAcceptor::accept`].
///
/// Dropping it drops the transport, with no alert: the peer sees an unfinished handshake.
#[derive(Debug)]
#[must_use = "a handshake does nothing until it is awaited"]
pub struct Accept<T>(pub(crate) Option<Handshaking<T>>);

impl<T: AsyncRead + AsyncWrite + Unpin> Accept<T> {
    /// The same handshake, which returns the transport when it fails.
    pub fn into_fallible(self) -> Fallible<Self> {
        Fallible(self)
    }

    /// The same handshake. If it fails, it [lingers](linger()) before it returns the error, so that the alert arrives.
    ///
    /// # Errors
    ///
    /// As [`TlsAcceptor::accept`]. Dropping the future drops the transport.
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

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Accept<T> {
    type Output = io::Result<TlsStream<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Handshaking::poll_stream(&mut self.0, cx));
        Poll::Ready(result.map(TlsStream).map_err(|(refusal, _io)| refusal.into_io()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Fallible<Accept<T>> {
    type Output = Result<TlsStream<T>, (io::Error, T)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Handshaking::poll_stream(&mut self.0.0, cx));
        Poll::Ready(fallible(result.map(TlsStream)))
    }
}
